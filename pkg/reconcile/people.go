package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/roster"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
)

// ErrNoSuchPerson means that a person asked for is not known to the vault.
var ErrNoSuchPerson = errors.New("no such person")

// readPeople fills in what is known of the people to look at.
func (g *gatherer) readPeople(ctx context.Context, candidates *roaring.Bitmap) error {
	s := g.scene
	record, err := g.records(candidates)
	if err != nil {
		return err
	}
	intents := map[identity.ObjectID]bool{}
	for _, id := range g.tx.Intents() {
		intents[id] = true
	}
	var moved *roaring.Bitmap
	settles := !g.compares() // the vault itself is not compared
	if settles {
		moved = plan.Moved(s.input.Groups, false)
	}
	before := len(s.input.People)
	if !settles {
		s.input.People = slices.Grow(s.input.People, int(candidates.GetCardinality())) //nolint:gosec // at most as many as there are people
	}
	for it := candidates.Iterator(); it.HasNext(); {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n := it.Next()
		known, err := record(n)
		if err != nil {
			return err
		}
		p, err := g.person(n, known)
		if err != nil {
			return err
		}
		p.Intent = intents[p.ID]
		if p.Intent && !p.Present && known != nil {
			// Made, perhaps, by a run that died, and gone before the next one:
			// the account is found by the name that it was to get.
			p.Want.Fields = map[string]string{"loginName": known.Login()}
		}
		p.Recreate = g.options.Recreate && p.ID == g.options.Person
		if settles && !moved.Contains(n) && plan.Settled(&p, g.Rules.Vault, false, g.Now()) {
			continue
		}
		s.input.People = append(s.input.People, p)
	}
	if err := g.describe(s.input.People[before:]); err != nil {
		return err
	}
	slices.SortFunc(s.input.People, func(a, b plan.Person) int { return a.ID.Compare(b.ID) })
	return nil
}

// records finds what was last applied to the people, by number, one at a time.
func (g *gatherer) records(candidates *roaring.Bitmap) (func(n uint32) (*snapshot.Account, error), error) {
	if g.full || g.scene.rest != nil || g.scene.people != nil { // all are in the local copy
		return g.record, nil
	}
	strays := roaring.New()
	for it := candidates.Iterator(); it.HasNext(); {
		n := it.Next()
		if _, ok, err := g.view.ID(n); err != nil {
			return nil, err
		} else if !ok {
			strays.Add(n)
		}
	}
	if strays.IsEmpty() {
		return g.record, nil
	}
	found := map[uint32]*snapshot.Account{}
	if err := g.strays(strays, candidates, found); err != nil {
		return nil, err
	}
	return func(n uint32) (*snapshot.Account, error) {
		if a := found[n]; a != nil {
			return a, nil
		}
		return g.record(n)
	}, nil
}

// record is what was last applied to one person, nil when nothing was.
func (g *gatherer) record(n uint32) (*snapshot.Account, error) {
	id, known, err := g.view.ID(n)
	if err != nil {
		return nil, fmt.Errorf("read the local copy: %w", err)
	}
	if !known {
		id = g.strangers[n]
	}
	a, ok, err := g.tx.Account(id)
	if err != nil || !ok {
		return nil, err
	}
	return &a, nil
}

// strays finds the records of numbers that the mirror does not know: people of
// an earlier epoch. One who has come back since is known by the new number
// from now on.
func (g *gatherer) strays(strays, candidates *roaring.Bitmap, found map[uint32]*snapshot.Account) error {
	for a, err := range g.tx.Accounts() {
		if err != nil {
			return err
		}
		if !strays.Contains(a.Number) {
			continue
		}
		n, known, err := g.view.Number(a.Person)
		if err != nil {
			return err
		}
		if !known {
			found[a.Number] = &a
			continue
		}
		candidates.Remove(a.Number)
		candidates.Add(n)
		found[n] = &a
		for _, group := range g.scene.input.Groups {
			if group.Record != nil && group.Record.Applied.CheckedRemove(a.Number) {
				group.Record.Applied.Add(n)
			}
		}
	}
	// A number of which neither side knows anything is nobody's: the record was
	// forgotten, and the mirror that gave the number is gone.
	for it := strays.Iterator(); it.HasNext(); {
		n := it.Next()
		if _, ok := found[n]; ok || !candidates.Contains(n) {
			continue
		}
		candidates.Remove(n)
		for _, group := range g.scene.input.Groups {
			if group.Record != nil {
				group.Record.Applied.Remove(n)
			}
		}
	}
	return nil
}

// number is a person's number in the mirror. Somebody whom the mirror does not
// know (any more) keeps the number of the record.
func (g *gatherer) number(id identity.ObjectID) (uint32, bool, error) {
	n, ok, err := g.view.Number(id)
	if err != nil || ok {
		return n, ok, err
	}
	a, ok, err := g.tx.Account(id)
	return a.Number, ok, err
}

// person is what decides whether somebody is settled.
func (g *gatherer) person(n uint32, record *snapshot.Account) (plan.Person, error) {
	p := plan.Person{Number: n, Record: record, Present: g.present.Contains(n)}
	id, ok, err := g.view.ID(n)
	switch {
	case err != nil:
		return p, err
	case ok:
		p.ID = id
	case record != nil:
		p.ID = record.Person
	default:
		return p, fmt.Errorf("%w: the local copy knows no person number %d", ErrNoSuchPerson, n)
	}
	if !p.Present {
		return p, nil
	}
	profile, ok, err := g.view.Person(n)
	if err != nil {
		return p, err
	}
	if !ok {
		p.Pending = true
		return p, nil
	}
	p.Want, p.WantErr = g.Rules.Account(profile)
	if err := g.scene.roster.Unscoped[n]; err != nil {
		p.WantErr = err
	}
	return p, nil
}

// describe adds what else a plan needs of people.
func (g *gatherer) describe(people []plan.Person) error {
	g.indexGroups(people)
	for i := range people {
		p := &people[i]
		if !p.Present {
			p.Why = g.whyAway(p.Number)
			continue
		}
		licenses, groups := g.groupsOf(p.Number)
		p.Why = "member of " + strings.Join(groups, ", ")
		if p.Pending || p.WantErr != nil {
			continue // why the person has no account is part of the answer
		}
		p.Want.License, p.Want.Fallback = g.Rules.License(licenses)
		owner, taken, err := g.tx.LoginOwner(p.Want.Login())
		if err != nil {
			return err
		}
		if !taken || owner == p.ID {
			continue
		}
		p.LoginOwner = owner
		if n, ok, err := g.view.Number(owner); err != nil {
			return err
		} else if ok {
			p.LoginOwnerGone = g.view.Gone().Contains(n)
		}
	}
	return nil
}

// indexGroups notes which groups were not read in full, and who is in which
// group, so that not every group is asked about everybody. Of very many people
// the latter would take more memory than time.
func (g *gatherer) indexGroups(people []plan.Person) {
	g.unread = nil
	for i := range g.scene.input.Groups {
		if group := &g.scene.input.Groups[i]; group.State == directory.GroupUnreadable {
			g.unread = append(g.unread, group)
		}
	}
	const atMost = 50_000
	if g.memberOf = nil; len(people) > atMost {
		return
	}
	numbers := roaring.New()
	for i := range people {
		numbers.Add(people[i].Number)
	}
	g.memberOf = make(map[uint32][]int, len(people))
	for i, rg := range g.scene.roster.Groups {
		for it := roaring.And(rg.Members, numbers).Iterator(); it.HasNext(); {
			n := it.Next()
			g.memberOf[n] = append(g.memberOf[n], i)
		}
	}
}

// groupsOf are the licences and names of the groups that a person is in.
func (g *gatherer) groupsOf(n uint32) ([]identity.License, []string) {
	var licenses []identity.License
	var names []string
	add := func(rg roster.Group) {
		licenses = append(licenses, rg.License)
		name := rg.Name
		if name == "" {
			name = rg.ID.String()
		}
		names = append(names, name)
	}
	if g.memberOf != nil {
		for _, i := range g.memberOf[n] {
			add(g.scene.roster.Groups[i])
		}
	} else {
		for _, rg := range g.scene.roster.Groups {
			if rg.Members.Contains(n) {
				add(rg)
			}
		}
	}
	for _, group := range g.unread {
		if group.Want.Contains(n) && !slices.Contains(names, group.Name) {
			names = append(names, group.Name+" (not read in full)")
		}
	}
	return licenses, names
}

// whyAway says why a person should not be in the vault.
func (g *gatherer) whyAway(n uint32) string {
	switch {
	case g.view.Gone().Contains(n):
		return "deleted in the directory"
	case g.Rules.Vault.Accounts.DisabledInDirectory != "ignore" && g.view.Disabled().Contains(n):
		return "disabled in the directory"
	case g.scene.outOfScope.Contains(n):
		return "out of scope: " + g.Rules.Vault.Scope
	default:
		return "left the last synchronized group"
	}
}

func sortedIDs[T any](m map[identity.ObjectID]T) []identity.ObjectID {
	ids := make([]identity.ObjectID, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, identity.ObjectID.Compare)
	return ids
}

func compareGroups(a, b plan.Group) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), a.ID.Compare(b.ID))
}
