package reconcile

import (
	"context"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// looker asks the store about the people and groups that a plan is about.
type looker struct {
	store *counted
	scene *scene
	now   time.Time
	// users tells whose account a user id is; nil: of the people of the scene.
	users *userIndex
	// newcomers says that somebody may need a licence.
	newcomers bool
}

// findAtMost is how many queries go into one call.
const findAtMost = 1000

// people asks the store about everybody for whom something may change: by id
// about known accounts, by the configured keys about newcomers. In a full run
// known accounts have been compared, and those that were not seen are asked
// about once more, by id: pages that move while they are read can lose a line,
// and absence is concluded from nothing less.
func (l *looker) people(ctx context.Context) error {
	in := &l.scene.input
	if in.Full {
		for i := range in.People {
			if p := &in.People[i]; p.Record != nil && p.Record.UserID != "" && !p.Recreate {
				p.Looked = true
			}
		}
		if err := l.confirmAbsent(ctx); err != nil {
			return err
		}
	}
	type question struct {
		person int
		byID   bool
	}
	var queries []vault.Query
	var about []question
	for i := range in.People {
		p := &in.People[i]
		look, byID := plan.NeedsLook(p, in.Rules, l.now)
		if !look || p.Looked {
			continue
		}
		p.Looked = true
		if byID {
			queries = append(queries, vault.Query{ID: p.Record.UserID})
			about = append(about, question{i, true})
			l.newcomers = true // somebody who comes back may need a licence again
			continue
		}
		l.newcomers = true
		for _, q := range matchQueries(p, in.Rules.Accounts.Match) {
			queries = append(queries, q)
			about = append(about, question{i, false})
		}
	}
	for start := 0; start < len(queries); start += findAtMost {
		end := min(start+findAtMost, len(queries))
		found, err := l.store.Find(ctx, queries[start:end])
		if err != nil {
			return err
		}
		for k, users := range found {
			p := &in.People[about[start+k].person]
			for _, u := range users {
				p.Found = addFound(p.Found, u)
			}
		}
	}
	return nil
}

// confirmAbsent asks by id about accounts that have not been seen.
func (l *looker) confirmAbsent(ctx context.Context) error {
	in := &l.scene.input
	var queries []vault.Query
	var about []int
	for i := range in.People {
		if p := &in.People[i]; p.Looked && len(p.Found) == 0 {
			queries = append(queries, vault.Query{ID: p.Record.UserID})
			about = append(about, i)
		}
	}
	for start := 0; start < len(queries); start += findAtMost {
		end := min(start+findAtMost, len(queries))
		found, err := l.store.Find(ctx, queries[start:end])
		if err != nil {
			return err
		}
		for k, users := range found {
			in.People[about[start+k]].Found = users
		}
	}
	return nil
}

// matchQueries are the questions by which an existing account is recognized
// (accounts.match). The external id is asked for in any case: an account that
// carries the person's own id is never made twice.
func matchQueries(p *plan.Person, match []string) []vault.Query {
	queries := []vault.Query{{ExternalID: p.ID.String()}}
	// The login name is asked for in any case too: it can be taken only once.
	if login := p.Want.Login(); login != "" {
		queries = append(queries, vault.Query{LoginName: login})
	}
	if mail := p.Want.Fields["email"]; mail != "" && slices.Contains(match, "mail") {
		queries = append(queries, vault.Query{Email: mail})
	}
	return queries
}

func addFound(found []vault.User, u vault.User) []vault.User {
	for _, have := range found {
		if have.ID == u.ID && identity.Fold(have.LoginName) == identity.Fold(u.LoginName) {
			return found
		}
	}
	return append(found, u)
}

// groups reads the vault's groups when one of ours is to be linked, or in a
// full run. They are large, so of each only that is kept which is asked for: of
// a linked group who of our people is in it, of others nothing, unless one of
// ours may be linked to it.
func (l *looker) groups(ctx context.Context) error {
	in := &l.scene.input
	linked, fresh := map[string]*plan.Group{}, []*plan.Group{}
	need := in.Full && l.scene.people == nil // a portion has them already
	for i := range in.Groups {
		switch g := &in.Groups[i]; {
		case g.Record != nil && g.Record.VaultID != "":
			if linked[g.Record.VaultID] == nil {
				linked[g.Record.VaultID] = g
			}
		case !g.ID.IsZero():
			fresh = append(fresh, g)
			need = need || !g.Removed
		}
	}
	if !need {
		return nil
	}
	var free []vault.Group
	for group, err := range l.store.Groups(ctx) {
		if err != nil {
			return err
		}
		if ours := linked[group.ID]; ours != nil && ours.Actual == nil {
			if in.Full && !group.MembersUnknown {
				ours.Members = l.members(ours, group.Members)
			}
			group.Members = nil
			ours.Actual = &group
		} else if slices.ContainsFunc(fresh, func(g *plan.Group) bool { return sameID(g, &group) || sameName(g, &group) }) {
			free = append(free, group)
		}
	}
	link(fresh, free)
	return nil
}

// members are the numbers of our people among the members of a vault group,
// without those who were in it before its first synchronization and whom
// nothing else put there.
func (l *looker) members(ours *plan.Group, users []string) *roaring.Bitmap {
	if l.users == nil {
		l.users = newUserIndex(len(l.scene.input.People))
		for _, p := range l.scene.input.People {
			if p.Record != nil && p.Record.UserID != "" {
				l.users.add(p.Record.UserID, p.Number)
			}
		}
	}
	kept := make(map[string]bool, len(ours.Record.Kept))
	for _, id := range ours.Record.Kept {
		kept[id] = true
	}
	set := roaring.New()
	for _, id := range users {
		for n := range l.users.of(id) {
			if !kept[id] || ours.Record.Applied.Contains(n) {
				set.Add(n)
			}
		}
	}
	return set
}

func sameID(ours *plan.Group, actual *vault.Group) bool {
	return actual.ExternalID == ours.ID.String()
}

func sameName(ours *plan.Group, actual *vault.Group) bool {
	return ours.Name != "" && identity.Fold(actual.Name) == identity.Fold(ours.Name)
}

// link finds the vault group for each group that has none yet: by external id,
// else by name. No vault group is given to two.
func link(ours []*plan.Group, free []vault.Group) {
	given := map[string]bool{}
	for _, fits := range []func(*plan.Group, *vault.Group) bool{sameID, sameName} {
		for _, g := range ours {
			for k := range free {
				if g.Actual == nil && !given[free[k].ID] && fits(g, &free[k]) {
					g.Actual = &free[k]
					given[free[k].ID] = true
				}
			}
		}
	}
}
