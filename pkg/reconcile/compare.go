package reconcile

import (
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
	}
	for _, id := range g.tx.Intents() {
		g.compared.intents[id] = true
	}
	return nil
}

// run reads the users of the vault and gathers the people who are not settled.
func (c *comparison) run(ctx context.Context, store *counted, g *gatherer) error {
	c.moved = plan.Moved(g.scene.input.Groups, true)
	batch, done := make([]vault.User, 0, comparedAtOnce), 0
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
	err := g.anew(func(g *gatherer) error {
		if err := g.readPeople(ctx, roaring.AndNot(c.people, c.settled)); err != nil {
			return err
		}
		owners, err := c.owners(g)
		if err != nil {
			return err
		}
		return g.readPeople(ctx, owners)
	})
	if err != nil {
		return err
	}
	for i := range g.scene.input.People {
		p := &g.scene.input.People[i]
		if p.Found = c.found[p.Number]; p.Recreate {
			p.Found = nil
		}
	}
	return nil
}

// take compares one user of the vault.
func (c *comparison) take(g *gatherer, user vault.User) error {
	for n := range c.users.of(user.ID) {
		if c.settled.Contains(n) {
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
		c.found[n] = addFound(c.found[n], user)
	}
	return nil
}

// owners are the settled people whose login name somebody wants who is not.
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
		if known && c.settled.Contains(n) {
			owners.Add(n)
		}
	}
	return owners, nil
}
