package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/mirror"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/roster"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// scene is what a run sees: a plan's input, and what to remember of where it
// came from.
type scene struct {
	input plan.Input
	meta  snapshot.Meta

	mode       string
	epoch      string
	revision   uint64
	rules      string
	store      string
	outOfScope *roaring.Bitmap

	roster roster.Roster
	ids    []identity.ObjectID

	// rest are the people of a large first import who are planned later; people
	// are those of one portion of them.
	rest   *portions
	people *roaring.Bitmap
}

// look gathers what a plan needs: who should be in the vault, who is, whom to
// look at, and what the store has of them.
func (v *Vault) look(ctx context.Context, store *counted, o Options) (*scene, error) {
	view, err := v.Directory.Mirror.View()
	if err != nil {
		return nil, fmt.Errorf("read the local copy of %s: %w", v.Directory.Name, err)
	}
	defer view.Close()
	if r, ok := v.Store.(requester); ok {
		store.began = r.Requests()
	}
	s := &scene{epoch: view.Epoch(), revision: view.Revision(), rules: v.Rules.Vault.Digest()}
	if s.store, err = v.Store.Identity(ctx); err != nil {
		return nil, fmt.Errorf("ask the vault's user store who it is: %w", err)
	}
	meta, err := v.Snapshot.Meta()
	if err != nil {
		return nil, fmt.Errorf("read the vault's state: %w", err)
	}
	if meta.Epoch != s.epoch {
		if err := v.rebase(view); err != nil {
			return nil, err
		}
	}
	g := &gatherer{Vault: v, view: view, scene: s, options: o}
	err = v.Snapshot.Read(func(tx *snapshot.Tx) error {
		g.tx = tx
		return g.gather(ctx)
	})
	if err = errors.Join(err, view.Close()); err != nil {
		return nil, err
	}
	return s, g.lookAtStore(ctx, store)
}

// gatherer reads mirror and snapshot in one consistent view of both.
type gatherer struct {
	*Vault
	view    *mirror.View
	tx      *snapshot.Tx
	scene   *scene
	options Options
	full    bool
	single  bool
	present *roaring.Bitmap // everyone, and those of groups that cannot be read
	// memberOf are the places of a person's groups in the roster; nil when it
	// is not known.
	memberOf map[uint32][]int
	// unread are the vault's groups that were not read in full.
	unread []*plan.Group
	// strangers are the people with a record whom the mirror does not know.
	strangers map[uint32]identity.ObjectID
	// compared is set in a full run, which compares the vault itself.
	compared *comparison
	// apart says that the people are a portion of a full run.
	apart bool
}

func (g *gatherer) gather(ctx context.Context) error {
	s := g.scene
	var err error
	if s.meta, err = g.tx.Meta(); err != nil {
		return fmt.Errorf("read the vault's state: %w", err)
	}
	if s.meta.Store != "" && s.meta.Store != s.store {
		return fmt.Errorf("%w: it knows %s, the vault has %s; a copied vault needs a state of its own (vaultsync state reset %s)", ErrOtherStore, s.meta.Store, s.store, g.Name())
	}
	touched, reach, err := g.view.Touched(s.meta.Cursor)
	if err != nil {
		return fmt.Errorf("read what has changed: %w", err)
	}
	if !reach {
		touched = roaring.New()
	}
	// A full evaluation is due when the rules have changed and when the feed
	// of changes does not reach back; also while something is held that nothing
	// else finds, so that it can be approved and is not forgotten.
	// A run that died may have made what the directory has since undone: then
	// the vault itself is compared.
	g.full = g.options.Full || s.meta.Applying || !s.meta.Imported || s.meta.Rules != s.rules || !reach || s.meta.Held != nil && s.meta.Held.Compared
	// One person alone can be looked at only where everybody has been before.
	g.single = !g.options.Person.IsZero() && s.meta.Imported && s.meta.Rules != ""
	if n, ok, err := g.view.Number(g.options.Person); g.single && err == nil && ok {
		touched.Add(n)
	}
	switch {
	case g.single:
		s.mode, g.full = "user", false
	case !s.meta.Imported:
		s.mode = "initial"
	case g.full:
		s.mode = "full"
	default:
		s.mode = "delta"
	}
	if err := g.readRoster(touched); err != nil {
		return err
	}
	candidates, err := g.candidates(ctx, touched)
	if err != nil {
		return err
	}
	if g.full {
		if err := g.everybody(candidates); err != nil {
			return err
		}
	}
	if g.compared == nil { // else once the vault has been read
		if err := g.readPeople(ctx, candidates); err != nil {
			return err
		}
	}
	return g.describeInput()
}

// anew runs f with mirror and snapshot as they are by now. What was gathered
// before stays: the directory may have moved on, which the next run sees.
func (g *gatherer) anew(f func(*gatherer) error) error {
	view, err := g.Directory.Mirror.View()
	if err != nil {
		return fmt.Errorf("read the local copy of %s: %w", g.Directory.Name, err)
	}
	defer view.Close()
	if view.Epoch() != g.scene.epoch {
		return fmt.Errorf("the local copy of directory %s was made anew while the vault was read; the next run begins with it", g.Directory.Name)
	}
	return g.Snapshot.Read(func(tx *snapshot.Tx) error {
		now := *g
		now.view, now.tx = view, tx
		return f(&now)
	})
}

// readRoster asks the mirror who should be in the vault.
func (g *gatherer) readRoster(touched *roaring.Bitmap) error {
	s := g.scene
	out, err := g.tx.OutOfScope()
	if err != nil {
		return err
	}
	known := roaring.New()
	if g.full {
		out = roaring.New() // asked of everybody anew
	} else {
		if known, err = g.tx.People(snapshot.Active, snapshot.Leaving); err != nil {
			return err
		}
		known.Or(out)
		known.AndNot(touched)
	}
	s.ids = g.groupIDs()
	s.roster, err = g.Rules.Compute(g.view, s.ids, roster.Scope{Out: out, Known: known})
	if err != nil {
		return fmt.Errorf("say who should be in the vault: %w", err)
	}
	s.outOfScope = s.roster.OutOfScope
	return g.readGroups()
}

// readGroups joins the configured groups with what was last applied to them.
func (g *gatherer) readGroups() error {
	s := g.scene
	g.present = s.roster.Everyone.Clone()
	stored, err := g.tx.Groups()
	if err != nil {
		return err
	}
	records := map[identity.ObjectID]*snapshot.Group{}
	for i := range stored {
		records[stored[i].ID] = &stored[i]
	}
	for _, rg := range s.roster.Groups {
		if rg.ID.IsZero() {
			s.input.Groups = append(s.input.Groups, plan.Group{Name: rg.Name, State: rg.State, Why: rg.Why, Want: roaring.New()})
			continue
		}
		group := plan.Group{ID: rg.ID, Name: rg.Name, State: rg.State, Why: rg.Why, Empty: rg.Empty, Want: rg.Members, Record: records[rg.ID]}
		if group.Record == nil {
			g.takeOver(&group, records)
		}
		delete(records, rg.ID)
		if rg.State == directory.GroupUnreadable && group.Record != nil {
			// Nobody leaves a group that was not read in full.
			stay := roaring.AndNot(group.Record.Applied, s.roster.Away)
			group.Want = roaring.Or(group.Want, stay)
			g.present.Or(stay)
		}
		s.input.Groups = append(s.input.Groups, group)
	}
	for _, id := range sortedIDs(records) {
		record := records[id]
		s.input.Groups = append(s.input.Groups, plan.Group{ID: id, Name: record.Name, Removed: true, Want: roaring.New(), Record: record})
	}
	slices.SortStableFunc(s.input.Groups, func(a, b plan.Group) int { return compareGroups(a, b) })
	return nil
}

// takeOver gives a configured group the vault group of one that it replaces:
// same vault group, other directory group.
func (g *gatherer) takeOver(group *plan.Group, records map[identity.ObjectID]*snapshot.Group) {
	for _, id := range sortedIDs(records) {
		old := records[id]
		if slices.Contains(g.scene.ids, id) || old.VaultID == "" || identity.Fold(old.Name) != identity.Fold(group.Name) {
			continue
		}
		record := *old
		record.ID = group.ID
		group.Record, group.Replaces = &record, id
		delete(records, id)
		return
	}
}

// candidates are the people to look at: whoever joins, leaves, was touched or
// is due; in a full run everybody.
func (g *gatherer) candidates(ctx context.Context, touched *roaring.Bitmap) (*roaring.Bitmap, error) {
	switch {
	case g.single:
		return g.onePerson()
	case g.full:
		return g.divide(ctx, g.present.Clone()) // everybody adds whoever has a record
	}
	used, err := g.tx.People(snapshot.Active, snapshot.Leaving)
	if err != nil {
		return nil, err
	}
	due, err := g.tx.People(snapshot.Waiting, snapshot.Leaving, snapshot.Again)
	if err != nil {
		return nil, err
	}
	left, err := g.tx.People(snapshot.Left)
	if err != nil {
		return nil, err
	}
	gone, err := g.tx.People(snapshot.Tombstone)
	if err != nil {
		return nil, err
	}
	all := roaring.Or(g.present, used)
	all.Or(left)
	all.And(touched)
	all.Or(due)
	all.Or(roaring.AndNot(roaring.AndNot(g.present, used), gone)) // joiners
	all.Or(roaring.AndNot(used, g.present))                       // leavers
	for _, group := range g.scene.input.Groups {
		if group.Record == nil {
			all.Or(group.Want)
			continue
		}
		moved := roaring.Xor(group.Want, group.Record.Applied)
		moved.AndNot(gone)
		all.Or(moved)
	}
	ids := g.tx.Intents()
	if held := g.scene.meta.Held; held != nil {
		for _, c := range held.Changes {
			ids = append(ids, c.Person)
		}
	}
	for _, id := range ids {
		if n, ok, err := g.number(id); err != nil {
			return nil, err
		} else if ok {
			all.Add(n)
		}
	}
	return all, nil
}

func (g *gatherer) onePerson() (*roaring.Bitmap, error) {
	n, ok, err := g.number(g.options.Person)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%w: %s is in none of the vault's groups and never was", ErrNoSuchPerson, g.options.Person)
	}
	return roaring.BitmapOf(n), nil
}

// describeInput fills in what the plan needs beside people and groups.
func (g *gatherer) describeInput() error {
	s := g.scene
	used, err := g.tx.People(snapshot.Active, snapshot.Leaving)
	if err != nil {
		return err
	}
	s.input.Rules = g.Rules.Vault
	s.input.Now = g.Now().UTC().Truncate(time.Second)
	s.input.First = !s.meta.Imported
	s.input.Full = g.compares()
	s.input.Insist = g.options.ByHand
	s.input.Total = int(g.present.GetCardinality()) //nolint:gosec // at most as many as there are people
	s.input.Managed = int(used.GetCardinality())    //nolint:gosec // at most as many as there are people
	if s.rest != nil {
		s.input.Total -= int(s.rest.people.GetCardinality()) //nolint:gosec // a part of them
	}
	s.input.Pinned = keySet(s.meta.Pinned)
	if approved := append(slices.Clone(s.meta.Approved), g.options.Approve...); len(approved) > 0 {
		s.input.Approved = keySet(approved)
	}
	return nil
}

// compares says that the vault itself is compared.
func (g *gatherer) compares() bool { return g.compared != nil || g.single || g.apart }

func keySet(keys []string) map[string]bool {
	set := make(map[string]bool, len(keys))
	for _, k := range keys {
		set[k] = true
	}
	return set
}

// lookAtStore asks the store about the people and groups of the scene. Neither
// mirror nor snapshot is being read meanwhile: a store may take its time.
func (g *gatherer) lookAtStore(ctx context.Context, store *counted) error {
	s := g.scene
	l := &looker{store: store, scene: s, now: s.input.Now}
	if g.compared != nil {
		l.users = &g.compared.users
	}
	if err := l.groups(ctx); err != nil {
		return fmt.Errorf("look at the vault's groups: %w", err)
	}
	if g.compared != nil {
		if err := g.compared.run(ctx, store, g); err != nil {
			return fmt.Errorf("compare the vault's users: %w", err)
		}
	}
	if err := l.people(ctx); err != nil {
		return fmt.Errorf("look at the vault's users: %w", err)
	}
	if g.watch != nil {
		g.watch(len(s.input.People))
	}
	if licensed, ok := g.Store.(vault.Licensed); ok && l.newcomers {
		pools, err := licensed.Licenses(ctx)
		if err != nil {
			return fmt.Errorf("look at the licences: %w", err)
		}
		s.input.Pools = pools
	}
	return nil
}
