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
	q := questions{looker: l}
	for i := range in.People {
		p := &in.People[i]
		look, byID := plan.NeedsLook(p, in.Rules, l.now)
		if !look || p.Looked {
			continue
		}
		p.Looked = true
		l.newcomers = true // also somebody who comes back may need a licence again
		var wanted []vault.Query
		if byID {
			wanted = []vault.Query{{ID: p.Record.UserID}}
		} else {
			wanted = matchQueries(p, in.Rules.Accounts.Match)
		}
		if err := q.add(ctx, i, wanted...); err != nil {
			return err
		}
	}
	return q.ask(ctx)
}

// confirmAbsent asks by id about accounts that have not been seen.
func (l *looker) confirmAbsent(ctx context.Context) error {
	q := questions{looker: l}
	for i := range l.scene.input.People {
		if p := &l.scene.input.People[i]; p.Looked && len(p.Found) == 0 {
			if err := q.add(ctx, i, vault.Query{ID: p.Record.UserID}); err != nil {
				return err
			}
		}
	}
	return q.ask(ctx)
}

// questions are queries about people of the scene that are asked together.
type questions struct {
	*looker
	queries []vault.Query
	about   []int // the person of each
}

// add takes queries about a person, after it has asked those before if all are
// too many for one call.
func (q *questions) add(ctx context.Context, person int, wanted ...vault.Query) error {
	if len(q.queries)+len(wanted) > findAtMost {
		if err := q.ask(ctx); err != nil {
			return err
		}
	}
	for _, query := range wanted {
		q.queries, q.about = append(q.queries, query), append(q.about, person)
	}
	return nil
}

// ask asks what was taken.
func (q *questions) ask(ctx context.Context) error {
	if len(q.queries) == 0 {
		return nil
	}
	found, err := q.store.Find(ctx, q.queries)
	if err != nil {
		return err
	}
	for k, users := range found {
		p := &q.scene.input.People[q.about[k]]
		for _, u := range users {
			p.Found = addFound(p.Found, u)
		}
	}
	q.queries, q.about = q.queries[:0], q.about[:0]
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
