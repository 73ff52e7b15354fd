package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/apply"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/mirror"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/roster"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// A first import of a million people is planned and applied in portions, so
// that its memory does not grow with the vault. Newcomers do not depend on
// each other, with these exceptions:
//
//   - two who map to one login name both wait: all who share one are in the
//     first portion;
//   - licences that may run out are handed out in the order of the login
//     names, and mail addresses may lead two people to one account: then the
//     import is planned whole, as every other run is.
//
// The first portion also holds all groups, and everybody whom an earlier
// import that broke off has left a record of. State and report are those of
// the whole plan.

// portionOf is how many people of an import of so many are planned together:
// some tens of megabytes, most of it pages of the vault's store. In a large
// store each newcomer has pages to himself, and so the portions are smaller.
func portionOf(people int) int {
	if people > 200_000 {
		return 2000
	}
	return 5000
}

// nearPortions is how many portions the groups are narrowed to at a time: to
// find the few members who are in a portion among all of a group takes time for
// each portion, among those of the next ones hardly any.
const nearPortions = 20

// portions are the people whom the first portion has left out: newcomers of a
// first import, or those of a full run whom plan.Alone lets be planned apart.
type portions struct {
	people *roaring.Bitmap
	size   int
	// full says that they are people of a full run, not newcomers.
	full bool
	// total is how many changes are expected, for the progress.
	total int

	// groups are the vault's groups after the first portion, with everybody;
	// present is who should be in the vault.
	groups  *members
	present *roaring.Bitmap
	// near are the groups with the people of the next portions.
	near *members
	// read is up to whom near reaches, done up to whom portions were taken.
	read, done identity.ObjectID
}

// members are groups, narrowed to some people.
type members struct {
	people *roaring.Bitmap
	groups []plan.Group
	roster []roster.Group
}

// narrow leaves the groups that have any of the people, with those people.
func (m *members) narrow(people *roaring.Bitmap) *members {
	few := &members{people: people}
	shared := make(map[*roaring.Bitmap]*roaring.Bitmap, len(m.groups)) // most groups have one set for two purposes
	and := func(set *roaring.Bitmap) *roaring.Bitmap {
		if set == nil {
			return nil
		}
		if shared[set] == nil {
			shared[set] = roaring.And(set, people).Clone() // And leaves room to grow, Clone none
		}
		return shared[set]
	}
	for _, group := range m.groups {
		record := *group.Record
		record.Applied = and(record.Applied)
		group.Want, group.Members, group.Record = and(group.Want), and(group.Members), &record
		if !group.Want.IsEmpty() || !record.Applied.IsEmpty() {
			few.groups = append(few.groups, group)
		}
	}
	for _, group := range m.roster {
		if group.Members = and(group.Members); !group.Members.IsEmpty() {
			few.roster = append(few.roster, group)
		}
	}
	return few
}

// next takes the next portion; one without people is the end.
func (p *portions) next(view *mirror.View) (*members, error) {
	for {
		if p.near != nil {
			people, done, err := view.Next(p.done, p.near.people, p.size)
			if err != nil {
				return nil, fmt.Errorf("read the local copy: %w", err)
			}
			if p.done = done; !people.IsEmpty() {
				return p.near.narrow(people), nil
			}
		}
		people, read, err := view.Next(p.read, p.people, nearPortions*p.size)
		if err != nil {
			return nil, fmt.Errorf("read the local copy: %w", err)
		}
		if people.IsEmpty() {
			return &members{people: people}, nil
		}
		p.near, p.done, p.read = p.groups.narrow(people), p.read, read
	}
}

// divide gives the people of the first portion when there are more than fit
// into one, and remembers the others for later; else everybody.
func (g *gatherer) divide(ctx context.Context, present *roaring.Bitmap) (*roaring.Bitmap, error) {
	o, accounts := g.options, g.Rules.Vault.Accounts
	n := int(present.GetCardinality()) //nolint:gosec // at most as many as there are people
	size := cmp.Or(g.portion, portionOf(n))
	switch {
	case g.scene.meta.Imported, n <= size, !mayDivide(o), slices.Contains(accounts.Match, "mail"):
		return present, nil
	}
	if plenty, err := g.plenty(ctx, n); err != nil || !plenty {
		return present, err
	}
	head := roaring.New()
	for a, err := range g.tx.Accounts() {
		if err != nil {
			return nil, err
		}
		if n, known, err := g.view.Number(a.Person); err != nil {
			return nil, fmt.Errorf("read the local copy: %w", err)
		} else if !known {
			return present, nil // somebody of another local copy
		} else if a.State != snapshot.Waiting || !present.Contains(n) {
			head.Add(n)
		}
	}
	if accounts.Relink && !head.IsEmpty() {
		return present, nil // whoever takes an account over meets its owner
	}
	others := roaring.AndNot(present, head)
	twins, err := g.shareLogin(others)
	if err != nil {
		return nil, err
	}
	head.Or(twins)
	rest := &portions{people: roaring.AndNot(others, twins), size: size, total: n}
	for _, group := range g.scene.roster.Groups {
		rest.total += int(group.Members.GetCardinality()) //nolint:gosec // at most as many as there are people
	}
	g.scene.rest = rest
	return head, nil
}

// mayDivide says that nobody asks for the plan itself.
func mayDivide(o Options) bool { return !o.DryRun && o.Only == nil && len(o.Reject) == 0 }

// plenty says that n more people can have any licence.
func (g *gatherer) plenty(ctx context.Context, n int) (bool, error) {
	licensed, ok := g.Store.(vault.Licensed)
	if !ok {
		return true, nil
	}
	pools, err := licensed.Licenses(ctx)
	if err != nil {
		return false, fmt.Errorf("look at the licences: %w", err)
	}
	return !slices.ContainsFunc(pools, func(p vault.Pool) bool { return p.Free() < n }), nil
}

// shareLogin are the people of a set who have a login name in common. Hashes
// are compared first; only when some are equal everybody is read again.
func (g *gatherer) shareLogin(people *roaring.Bitmap) (*roaring.Bitmap, error) {
	seed := maphash.MakeSeed()
	hashes := make([]uint64, 0, people.GetCardinality())
	if err := g.logins(people, func(_ uint32, login string) {
		hashes = append(hashes, maphash.String(seed, login))
	}); err != nil {
		return nil, err
	}
	slices.Sort(hashes)
	twice := map[uint64]bool{}
	for i := 1; i < len(hashes); i++ {
		if hashes[i] == hashes[i-1] {
			twice[hashes[i]] = true
		}
	}
	found := roaring.New()
	if len(twice) == 0 {
		return found, nil
	}
	return found, g.logins(people, func(n uint32, login string) {
		if twice[maphash.String(seed, login)] {
			found.Add(n)
		}
	})
}

// logins calls f with the folded login name of everybody in a set who has one.
func (g *gatherer) logins(people *roaring.Bitmap, f func(n uint32, login string)) error {
	for it := people.Iterator(); it.HasNext(); {
		n := it.Next()
		person, ok, err := g.view.Person(n)
		if err != nil {
			return fmt.Errorf("read the local copy: %w", err)
		}
		if login := g.Rules.Login(person); ok && login != "" {
			f(n, identity.Fold(login))
		}
	}
	return nil
}

// importRest plans and applies the portions after the first, and adds them to
// its plan, without the changes that were made, and to the report.
func (v *Vault) importRest(ctx context.Context, store *counted, s *scene, p *plan.Plan, applier apply.Applier, report *Report) error {
	if s.rest == nil {
		return nil
	}
	tell, done := applier.Progress, report.Counts.Made()+report.Counts.Failed
	p.Changes = p.Held()
	for {
		part, err := v.lookAtPortion(ctx, store, s)
		if err != nil || part == nil {
			p.SortNotes()
			report.describe(p)
			return err
		}
		q := plan.Compute(part.input)
		if err := v.widenGroups(part, q); err != nil {
			return err
		}
		applier.Progress = func(n, _ int) { tell(done+n, max(s.rest.total, done+n)) }
		counts, err := applier.Apply(ctx, q)
		done += counts.Made() + counts.Failed
		report.Counts.Sum(counts)
		p.Join(q)
		if err != nil {
			return err
		}
	}
}

// lookAtPortion gathers what the plan of the next portion needs; nil is the
// end.
func (v *Vault) lookAtPortion(ctx context.Context, store *counted, s *scene) (*scene, error) {
	view, err := v.Directory.Mirror.View()
	if err != nil {
		return nil, fmt.Errorf("read the local copy of %s: %w", v.Directory.Name, err)
	}
	defer view.Close()
	part := &scene{meta: s.meta, mode: s.mode, ids: s.ids, outOfScope: s.outOfScope, roster: s.roster}
	// A full run's people have records, and their accounts are looked at.
	g := &gatherer{Vault: v, view: view, scene: part, full: s.rest.full, apart: s.rest.full}
	err = v.Snapshot.Read(func(tx *snapshot.Tx) error {
		g.tx = tx
		if s.rest.groups == nil {
			if err := g.madeGroups(s); err != nil {
				return err
			}
		}
		few, err := s.rest.next(view)
		if err != nil || few.people.IsEmpty() {
			part = nil
			return err
		}
		g.present = s.rest.present
		part.people, part.input.Groups, part.roster.Groups = few.people, few.groups, few.roster
		if err := g.readPeople(ctx, few.people); err != nil {
			return err
		}
		return g.describeInput()
	})
	if err = errors.Join(err, view.Close()); err != nil || part == nil {
		return nil, err
	}
	part.input.Total = int(part.people.GetCardinality()) //nolint:gosec // at most a portion
	part.input.Insist, part.input.Approved = s.input.Insist, s.input.Approved
	if err := g.lookAtStore(ctx, store); err != nil || !part.input.Full {
		return part, err
	}
	// Whoever is no longer alone is another run's: a portion counts for no
	// guard. What the directory has changed since finds the next one, what
	// hands have changed the next that compares.
	part.input.People = slices.DeleteFunc(part.input.People, func(p plan.Person) bool { return !plan.Alone(&p) })
	return part, nil
}

// madeGroups keeps the groups that the vault has after the first portion, which
// has made, linked and renamed them.
func (g *gatherer) madeGroups(s *scene) error {
	if err := g.readGroups(); err != nil {
		return err
	}
	seen := map[identity.ObjectID]plan.Group{}
	if s.rest.full {
		for _, group := range s.input.Groups {
			seen[group.ID] = group
		}
	}
	rest := s.rest
	rest.present, rest.groups = g.present, &members{people: rest.people, roster: g.scene.roster.Groups}
	for _, group := range g.scene.input.Groups {
		if group.Removed || group.Record == nil || group.Record.VaultID == "" {
			continue
		}
		group.Name = group.Record.Name
		if rest.full {
			// One that was made by this run is there, and nobody is in it.
			group.Actual, group.Members = &vault.Group{ID: group.Record.VaultID}, nil
			switch before := seen[group.ID]; {
			case before.Record != nil && before.Record.VaultID == group.Record.VaultID:
				group.Members = before.Members
			case before.Actual != nil:
				group.Linked = true
			}
		}
		rest.groups.groups = append(rest.groups.groups, group)
	}
	g.scene.input.Groups = nil
	return nil
}

// widenGroups puts everybody outside of the portion back into the groups that a
// plan remembers, and leaves those that are remembered already.
func (v *Vault) widenGroups(part *scene, p *plan.Plan) error {
	planned := p.Groups
	p.Groups = nil
	applied := make(map[identity.ObjectID]*roaring.Bitmap, len(part.input.Groups))
	for _, group := range part.input.Groups {
		applied[group.ID] = group.Record.Applied
	}
	return v.Snapshot.Read(func(tx *snapshot.Tx) error {
		for _, group := range planned {
			if group.Applied.Equals(applied[group.ID]) {
				continue
			}
			stored, ok, err := tx.Group(group.ID)
			if err != nil {
				return err
			}
			if !ok {
				return fmt.Errorf("the vault's state has lost group %s", group.ID)
			}
			group.Applied = roaring.Or(roaring.AndNot(stored.Applied, part.people), group.Applied)
			p.Groups = append(p.Groups, group)
		}
		return nil
	})
}
