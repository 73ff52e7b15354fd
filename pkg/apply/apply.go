// Package apply runs a plan against a vault's store: in batches, each change
// answered on its own, intent before and outcome after in the snapshot, so
// that whatever moment the process dies at, the next run ends in the same
// state with no account made twice. It decides nothing.
package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// A batch is the changes between two writes of the snapshot: many enough that
// the two durable writes do not show, few enough that a stop is heard within
// seconds on a slow store. So it grows while the store is quick, up to what is
// written to some tens of megabytes of pages: accounts that are made follow each
// other, memberships are sets of people, of other changes each has pages to itself.
const (
	firstBatch     = 500
	largestBatch   = 8000
	scatteredBatch = 2000
	quickBatch     = time.Second / 2
)

// nextBatch is the size of the batch after one of a size that took so long.
func nextBatch(size int, took time.Duration) int {
	switch {
	case took < quickBatch:
		return min(2*size, largestBatch)
	case took > 2*quickBatch:
		return max(size/2, firstBatch)
	default:
		return size
	}
}

// Applier makes changes to one vault.
type Applier struct {
	Store    vault.Store
	Snapshot *snapshot.Snapshot
	Now      func() time.Time
	// Report is told of each change with its outcome, after both are durable;
	// nil error means done.
	Report func(change plan.Change, err error)
	// Progress is told how many of the changes have been tried.
	Progress func(done, total int)

	batch int // the size of the next batch; 0 is firstBatch
}

// Counts are what a run did (contract.md, sync --json).
type Counts struct {
	Created        int `json:"created"`
	Updated        int `json:"updated"`
	Disabled       int `json:"disabled"`
	Enabled        int `json:"enabled"`
	GroupsCreated  int `json:"groupsCreated"`
	GroupsUpdated  int `json:"groupsUpdated"`
	MembersAdded   int `json:"membersAdded"`
	MembersRemoved int `json:"membersRemoved"`
	Held           int `json:"held"`
	Failed         int `json:"failed"`
	Unchanged      int `json:"unchanged"`
}

// Add counts one change of a kind.
func (c *Counts) Add(kind plan.Kind) {
	switch kind {
	case plan.Create:
		c.Created++
	case plan.Update:
		c.Updated++
	case plan.Disable:
		c.Disabled++
	case plan.Enable:
		c.Enabled++
	case plan.GroupCreate:
		c.GroupsCreated++
	case plan.GroupUpdate:
		c.GroupsUpdated++
	case plan.MemberAdd:
		c.MembersAdded++
	case plan.MemberRemove:
		c.MembersRemoved++
	}
}

// Sum adds what another part of the same run did.
func (c *Counts) Sum(o Counts) {
	c.Created += o.Created
	c.Updated += o.Updated
	c.Disabled += o.Disabled
	c.Enabled += o.Enabled
	c.GroupsCreated += o.GroupsCreated
	c.GroupsUpdated += o.GroupsUpdated
	c.MembersAdded += o.MembersAdded
	c.MembersRemoved += o.MembersRemoved
	c.Held += o.Held
	c.Failed += o.Failed
	c.Unchanged += o.Unchanged
}

// Made is how many changes were made in all.
func (c *Counts) Made() int {
	return c.Created + c.Updated + c.Disabled + c.Enabled + c.GroupsCreated + c.GroupsUpdated + c.MembersAdded + c.MembersRemoved
}

// Apply makes the changes of p that no guard holds, and remembers what the
// plan says to remember. It returns what was done also when it returns an
// error: the store out of reach, ctx done, or the snapshot not writable.
func (a *Applier) Apply(ctx context.Context, p *plan.Plan) (Counts, error) {
	counts := Counts{Unchanged: p.Unchanged}
	due := p.Changes
	for i := range p.Changes {
		if p.Changes[i].Held != "" {
			counts.Held++
			a.Report(p.Changes[i], nil)
		}
	}
	if counts.Held > 0 {
		due = slices.DeleteFunc(slices.Clone(due), func(c plan.Change) bool { return c.Held != "" })
	}
	if err := a.remember(p); err != nil {
		return counts, err
	}
	if len(due) > 0 {
		if err := a.begin(); err != nil {
			return counts, err
		}
	}
	run := &run{Applier: a, counts: &counts, users: map[identity.ObjectID]string{}, groups: map[identity.ObjectID]string{}, failed: map[identity.ObjectID]error{}, unsettled: map[identity.ObjectID]bool{}}
	done := 0
	a.batch = max(a.batch, firstBatch)
	for len(due) > 0 {
		if err := ctx.Err(); err != nil {
			return counts, fmt.Errorf("stopped after %d changes: %w", counts.Made(), context.Cause(ctx))
		}
		n, began := batchLength(due, a.batch), a.Now()
		if err := run.make(ctx, due[:n]); err != nil {
			return counts, err
		}
		due = due[n:]
		done += n
		a.batch = nextBatch(a.batch, a.Now().Sub(began))
		a.Progress(done, done+len(due))
	}
	return counts, nil
}

// begin notes that the vault is being changed, until the run remembers its end.
func (a *Applier) begin() error {
	return a.Snapshot.Write(func(tx *snapshot.Tx) error {
		meta, err := tx.Meta()
		if err != nil || meta.Applying {
			return err
		}
		meta.Applying = true
		return tx.PutMeta(meta)
	})
}

// batchLength is how many of the changes go into one batch: of one kind only,
// because later kinds build on the outcome of earlier ones.
func batchLength(due []plan.Change, size int) int {
	switch due[0].Kind {
	case plan.Create, plan.MemberAdd, plan.MemberRemove:
	case plan.Update, plan.Enable, plan.Disable, plan.GroupCreate, plan.GroupUpdate:
		size = min(size, scatteredBatch)
	}
	n := 1
	for n < len(due) && n < size && due[n].Kind == due[0].Kind {
		n++
	}
	return n
}

// remember writes what changes nothing in the vault, and ends the intents of
// those whom the plan has looked at.
func (a *Applier) remember(p *plan.Plan) error {
	if same, err := a.remembered(p); err != nil || same {
		return err
	}
	return a.Snapshot.Write(func(tx *snapshot.Tx) error {
		if err := tx.Settle(p.Settled); err != nil {
			return err
		}
		for _, id := range p.Forget {
			if err := tx.DeleteAccount(id); err != nil {
				return err
			}
		}
		for _, record := range p.Records {
			if err := tx.PutAccount(record); err != nil {
				return err
			}
		}
		for _, g := range p.Groups {
			if err := tx.PutGroup(g); err != nil {
				return err
			}
		}
		for _, id := range p.ForgetGroups {
			if err := tx.DeleteGroup(id); err != nil {
				return err
			}
		}
		return nil
	})
}

// remembered says that all that remember would write is there already, as it
// is after most runs: a durable write is not worth that.
func (a *Applier) remembered(p *plan.Plan) (same bool, err error) {
	if len(p.Settled)+len(p.Forget)+len(p.Records)+len(p.ForgetGroups) > 0 {
		return false, nil
	}
	same = true
	err = a.Snapshot.Read(func(tx *snapshot.Tx) error {
		for i := 0; i < len(p.Groups) && same; i++ {
			var err error
			if same, err = tx.HasGroup(p.Groups[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return same, err
}

// run is one plan being applied.
type run struct {
	*Applier
	counts *Counts
	// users and groups are the store's ids of what this run has made; failed
	// are the people and groups that later changes cannot build on.
	users, groups map[identity.ObjectID]string
	failed        map[identity.ObjectID]error
	// unsettled are the people for whom something has failed in this run.
	unsettled map[identity.ObjectID]bool
}

// make makes changes of one kind: intents, the store's answers, outcomes.
func (r *run) make(ctx context.Context, changes []plan.Change) error {
	if err := r.intend(changes); err != nil {
		return err
	}
	results := r.perform(ctx, changes)
	// The outcome of what was done is written even when the run is being
	// stopped; only a crash leaves intents open.
	if err := r.Snapshot.Write(func(tx *snapshot.Tx) error { return r.settle(tx, changes, results) }); err != nil {
		return err
	}
	var fatal error
	for i := range changes {
		change := &changes[i]
		err := results[i].Err
		if errors.Is(err, errNotTried) {
			continue
		}
		if untouched(err) {
			fatal = err
			continue
		}
		if err != nil {
			r.counts.Failed++
		} else {
			r.counts.Add(change.Kind)
		}
		r.Report(*change, err)
	}
	if fatal != nil {
		return fmt.Errorf("stopped after %d changes: %w", r.counts.Made(), fatal)
	}
	return nil
}

// intend notes what is about to be done and could not be told afterwards from
// what somebody else did: an account made or taken over is noted with the
// record that it is to have, a disable or enable by name. Everything else is found again
// by comparing, and may be done twice.
func (r *run) intend(changes []plan.Change) error {
	var batch []snapshot.Intent
	for i := range changes {
		change := &changes[i]
		if intended(change) && r.failed[change.Person] == nil {
			batch = append(batch, intent(change))
		}
	}
	if len(batch) == 0 {
		return nil
	}
	return r.Snapshot.Write(func(tx *snapshot.Tx) error { return tx.Begin(batch) })
}

// intent is what is noted of a change.
func intent(change *plan.Change) snapshot.Intent {
	if takesIn(change) {
		return snapshot.Intent{Person: change.Person, Account: change.Record}
	}
	return snapshot.Intent{Person: change.Person}
}

// takesIn says whether a change makes an account, or takes one over.
func takesIn(change *plan.Change) bool {
	return change.Kind == plan.Create || change.Kind == plan.Update && change.After["externalId"] != ""
}

// intended says whether a change needs an intent.
func intended(change *plan.Change) bool {
	return change.Kind == plan.Disable || change.Kind == plan.Enable || takesIn(change)
}

// subject is whom or what a change is about.
func subject(change *plan.Change) identity.ObjectID {
	if change.Person.IsZero() {
		return change.GroupID
	}
	return change.Person
}

// untouched says that the store did not begin, or did not do, the change.
func untouched(err error) bool {
	return !errors.Is(err, vault.ErrUnknownOutcome) && (stopped(err) || errors.Is(err, vault.ErrUnreachable))
}

func stopped(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
