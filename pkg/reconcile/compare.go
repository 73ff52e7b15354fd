package reconcile

import (
	"cmp"
	"context"
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// A full run compares directory, state and vault of everybody. Nearly all of
// them are in step, and nothing is planned for those: the vault's users are
// read as a stream, each is compared and forgotten again, and only who is not
// settled is kept and planned. So the memory of a full run grows with what is
// different, and by some bytes a person for the sets and for userIndex. The
// plan is that of everybody (plan.Settled), and so is what the guards count.
//
// When the vault is to follow a new rule, very many are different. Those for
// whom nothing is to be done but to write fields and to join groups are counted
// by no guard: they are planned in portions, like newcomers of an import, once
// all others are done.

// comparedAtOnce is how many users of the vault are compared in one look into
// mirror and snapshot: neither is held while the store is waited for.
const comparedAtOnce = 1000

// comparison is a full run's look at everybody.
type comparison struct {
	people  *roaring.Bitmap // who should be in the vault, or has a record
	users   userIndex
	intents map[identity.ObjectID]bool

	moved   *roaring.Bitmap
	settled *roaring.Bitmap
	found   map[uint32][]vault.User // the accounts of those who are not settled

	// alone are the people who may be planned in portions after the others
	// (plan.Alone), when they are more than fit into one: then their accounts
	// are asked for once more. losing are those whom a group loses.
	alone, losing *roaring.Bitmap
	size          int
	divided       bool
}

// everybody adds who has a record to the candidates of a run that looks at
// everybody, and prepares the comparison with the vault.
func (g *gatherer) everybody(candidates *roaring.Bitmap) error {
	// What a first import wrote that died is compared as in a full run.
	compare := g.scene.meta.Imported || g.scene.meta.Applying
	if g.scene.rest != nil && !compare {
		return nil // divide has looked at every record
	}
	used, err := g.tx.People(snapshot.Active, snapshot.Leaving, snapshot.Left, snapshot.Tombstone)
	if err != nil {
		return err
	}
	users := newUserIndex(int(used.GetCardinality())) //nolint:gosec // at most as many as there are people
	g.strangers = map[uint32]identity.ObjectID{}
	for a, err := range g.tx.Accounts() {
		if err != nil {
			return err
		}
		n, known, err := g.view.Number(a.Person)
		if err != nil {
			return fmt.Errorf("read the local copy: %w", err)
		}
		if !known { // (any more): the number of the record stays
			n = a.Number
			g.strangers[n] = a.Person
		}
		if g.scene.rest != nil && !candidates.Contains(n) {
			continue // is in a later portion
		}
		candidates.Add(n)
		if a.UserID != "" {
			users.add(a.UserID, n)
		}
	}
	if !compare {
		return nil
	}
	g.compared = &comparison{
		people: candidates, users: *users, intents: map[identity.ObjectID]bool{},
		settled: roaring.New(), found: map[uint32][]vault.User{},
		alone: roaring.New(), size: cmp.Or(g.portion, portionOf(int(candidates.GetCardinality()))), //nolint:gosec // at most as many as there are people
	}
	for _, id := range g.tx.Intents() {
		g.compared.intents[id] = true
	}
	return nil
}

// run reads the users of the vault and gathers the people who are not settled.
func (c *comparison) run(ctx context.Context, store *counted, g *gatherer) error {
	c.moved, c.losing = plan.Moved(g.scene.input.Groups, true), plan.Losing(g.scene.input.Groups)
	batch, done := make([]vault.User, 0, min(comparedAtOnce, cmp.Or(g.portion, comparedAtOnce))), 0
	compare := func() error {
		done += len(batch)
		err := g.anew(func(g *gatherer) error {
			for _, user := range batch {
				if err := c.take(g, user); err != nil {
					return err
				}
			}
			return nil
		})
		batch = batch[:0]
		g.options.progress("store", done, max(done, c.users.size()))
		return err
	}
	for user, err := range store.Users(ctx) {
		if err != nil {
			return err
		}
		if batch = append(batch, user); len(batch) == cap(batch) {
			if err := compare(); err != nil {
				return err
			}
		}
	}
	if err := compare(); err != nil {
		return err
	}
	if !c.divides(g) {
		c.alone.Clear()
	}
	err := g.anew(func(g *gatherer) error {
		if err := g.readPeople(ctx, roaring.AndNot(roaring.AndNot(c.people, c.settled), c.alone)); err != nil {
			return err
		}
		owners, err := c.owners(g)
		if err != nil {
			return err
		}
		c.alone.AndNot(owners)
		return g.readPeople(ctx, owners)
	})
	if err != nil {
		return err
	}
	g.later(c.alone, c.size)
	for i := range g.scene.input.People {
		p := &g.scene.input.People[i]
		if p.Found = c.found[p.Number]; p.Recreate {
			p.Found = nil
		}
	}
	return nil
}

// divides says that the people who are alone are planned in portions.
func (c *comparison) divides(g *gatherer) bool {
	// An import that goes on has newcomers to divide.
	return g.scene.rest == nil && c.alone.GetCardinality() > uint64(c.size) && mayDivide(g.options) //nolint:gosec // a size is positive
}

// later leaves people of a full run to be planned in portions.
func (g *gatherer) later(people *roaring.Bitmap, size int) {
	if people.IsEmpty() {
		return
	}
	n := int(people.GetCardinality()) //nolint:gosec // at most as many as there are people
	g.scene.rest = &portions{people: people, size: size, full: true, total: n}
	g.scene.input.Total -= n
}

// take compares one user of the vault.
func (c *comparison) take(g *gatherer, user vault.User) error {
	for n := range c.users.of(user.ID) {
		if c.settled.Contains(n) || c.alone.Contains(n) {
			continue
		}
		record, err := g.record(n)
		if err != nil {
			return err
		}
		if record == nil || record.UserID != user.ID {
			continue // forgotten, or relinked, meanwhile
		}
		p, err := g.person(n, record)
		if err != nil {
			return err
		}
		p.Looked, p.Found = true, []vault.User{user}
		p.Intent, p.Recreate = c.intents[p.ID], g.options.Recreate && p.ID == g.options.Person
		if len(c.found[n]) == 0 && !c.moved.Contains(n) && plan.Settled(&p, g.Rules.Vault, true, g.scene.input.Now) {
			c.settled.Add(n)
			continue
		}
		if len(c.found[n]) == 0 && !c.losing.Contains(n) && plan.Alone(&p) {
			c.alone.Add(n)
			if c.divides(g) {
				c.forget()
				continue
			}
		}
		c.found[n] = addFound(c.found[n], user)
	}
	return nil
}

// forget lets go of the accounts of those who are planned in portions.
func (c *comparison) forget() {
	if c.divided {
		return
	}
	c.divided = true
	for it := c.alone.Iterator(); it.HasNext(); {
		delete(c.found, it.Next())
	}
}

// owners are the people whose login name somebody wants who is planned with
// them.
func (c *comparison) owners(g *gatherer) (*roaring.Bitmap, error) {
	owners := roaring.New()
	for i := range g.scene.input.People {
		owner := g.scene.input.People[i].LoginOwner
		if owner.IsZero() {
			continue
		}
		n, known, err := g.number(owner)
		if err != nil {
			return nil, err
		}
		if known && (c.settled.Contains(n) || c.alone.Contains(n)) {
			owners.Add(n)
		}
	}
	return owners, nil
}
