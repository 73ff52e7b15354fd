package reconcile

import (
	"context"
	"slices"
	"time"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// looker asks the store about the people and groups that a plan is about.
type looker struct {
	store *counted
	scene *scene
	now   time.Time
	// newcomers says that somebody may need a licence.
	newcomers bool
}

// findAtMost is how many queries go into one call.
const findAtMost = 1000

// people asks the store about everybody for whom something may change: by id
// about known accounts, by the configured keys about newcomers. A full run
// reads all users once instead.
func (l *looker) people(ctx context.Context) error {
	in := &l.scene.input
	if in.Full {
		if err := l.all(ctx); err != nil {
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

// all reads every user of the vault and hands out those that are ours.
func (l *looker) all(ctx context.Context) error {
	in := &l.scene.input
	byUser := make(map[string]int, len(in.People))
	for i := range in.People {
		if rec := in.People[i].Record; rec != nil && rec.UserID != "" && !in.People[i].Recreate {
			byUser[rec.UserID] = i
			in.People[i].Looked = true
		}
	}
	if l.scene.mode == "user" {
		return l.confirmAbsent(ctx) // one question instead of a listing
	}
	for user, err := range l.store.Users(ctx) {
		if err != nil {
			return err
		}
		if i, ok := byUser[user.ID]; ok {
			in.People[i].Found = addFound(in.People[i].Found, user)
		}
	}
	return l.confirmAbsent(ctx)
}

// confirmAbsent asks once more, by id, about accounts that a listing did not
// show: pages that move while they are read can lose a line, and absence is
// concluded from nothing less.
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
// full run.
func (l *looker) groups(ctx context.Context) error {
	in := &l.scene.input
	need := in.Full
	for _, g := range in.Groups {
		need = need || !g.Removed && !g.ID.IsZero() && (g.Record == nil || g.Record.VaultID == "")
	}
	if !need {
		return nil
	}
	var all []vault.Group
	for group, err := range l.store.Groups(ctx) {
		if err != nil {
			return err
		}
		all = append(all, group)
	}
	link(in.Groups, all)
	return nil
}

// link finds the vault group of each synchronized group: by its id, else by
// external id, else by name. No vault group is given to two.
func link(ours []plan.Group, all []vault.Group) {
	given := map[string]bool{}
	pass := func(fits func(g *plan.Group, actual *vault.Group) bool) {
		for i := range ours {
			for k := range all {
				if ours[i].Actual == nil && !given[all[k].ID] && fits(&ours[i], &all[k]) {
					ours[i].Actual = &all[k]
					given[all[k].ID] = true
				}
			}
		}
	}
	linked := func(g *plan.Group) bool { return g.Record != nil && g.Record.VaultID != "" }
	pass(func(g *plan.Group, actual *vault.Group) bool { return linked(g) && g.Record.VaultID == actual.ID })
	pass(func(g *plan.Group, actual *vault.Group) bool {
		return !linked(g) && !g.ID.IsZero() && actual.ExternalID == g.ID.String()
	})
	pass(func(g *plan.Group, actual *vault.Group) bool {
		return !linked(g) && !g.ID.IsZero() && g.Name != "" && identity.Fold(actual.Name) == identity.Fold(g.Name)
	})
}
