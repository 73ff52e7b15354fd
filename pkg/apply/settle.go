package apply

import (
	"errors"
	"fmt"
	"time"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// settle writes the outcome of changes of one kind into the snapshot, which
// ends what intend has noted of them.
func (r *run) settle(tx *snapshot.Tx, changes []plan.Change, results []vault.Result) error {
	groups := map[identity.ObjectID]*snapshot.Group{}
	noted := false
	for i := range changes {
		change := &changes[i]
		noted = noted || intended(change)
		result := results[i]
		switch {
		case errors.Is(result.Err, errNotTried):
			continue // what became of the change before it is not known or has been said
		case untouched(result.Err):
			// Not begun, or nothing changed: due again with the next run.
			if err := settleIntent(tx, change); err != nil {
				return err
			}
			continue
		}
		var err error
		switch {
		case change.Kind == plan.GroupCreate, change.Kind == plan.GroupUpdate:
			err = settleGroup(tx, change, result)
		case result.Err != nil:
			r.unsettled[change.Person] = true
			err = r.settleFailure(tx, change, result.Err)
		case change.Kind == plan.MemberAdd, change.Kind == plan.MemberRemove:
			if err = settleMember(tx, groups, change); err == nil {
				err = r.settleJoined(tx, change)
			}
		default:
			err = settlePerson(tx, change, result)
		}
		if err != nil {
			return err
		}
		if errors.Is(result.Err, vault.ErrUnknownOutcome) {
			continue // the intent stays open: the next run looks before it writes
		}
		if err := settleIntent(tx, change); err != nil {
			return err
		}
	}
	if noted {
		if err := tx.End(); err != nil {
			return err
		}
	}
	for _, g := range groups {
		if err := tx.PutGroup(*g); err != nil {
			return err
		}
	}
	return nil
}

// settleIntent ends the intent of the change itself, not that of an earlier one
// about the same person.
func settleIntent(tx *snapshot.Tx, change *plan.Change) error {
	if !intended(change) {
		return nil
	}
	return tx.Settle([]identity.ObjectID{change.Person})
}

func settleGroup(tx *snapshot.Tx, change *plan.Change, result vault.Result) error {
	if result.Err != nil {
		return nil //nolint:nilerr // the group has no id, or its old name: due again with the next run
	}
	g, ok, err := tx.Group(change.GroupID)
	if err != nil || !ok {
		return err
	}
	g.VaultID = change.VaultGroup.VaultID
	if result.ID != "" {
		g.VaultID = result.ID
	}
	if name, ok := change.After["name"]; ok {
		g.Name = name
	}
	return tx.PutGroup(g)
}

// settleMember takes the groups from a cache for the batch: a group's set of
// people is written once, however many join it.
func settleMember(tx *snapshot.Tx, cache map[identity.ObjectID]*snapshot.Group, change *plan.Change) error {
	g := cache[change.GroupID]
	if g == nil {
		stored, ok, err := tx.Group(change.GroupID)
		if err != nil || !ok {
			return err
		}
		g = &stored
		cache[change.GroupID] = g
	}
	if change.Kind == plan.MemberAdd {
		g.Applied.Add(change.Number)
	} else {
		g.Applied.Remove(change.Number)
	}
	return nil
}

// settleJoined ends the pauses of somebody who has failed to join a group: the
// plan has left them to count on until it works. The next plan says whether
// anything else still stands in the way.
func (r *run) settleJoined(tx *snapshot.Tx, change *plan.Change) error {
	if change.Kind != plan.MemberAdd || change.Record == nil || change.Record.Tries == 0 || r.unsettled[change.Person] {
		return nil
	}
	record, ok, err := tx.Account(change.Person)
	if err != nil || !ok || record.Tries == 0 {
		return err
	}
	record.Tries, record.Retry = 0, time.Time{}
	return tx.PutAccount(record)
}

// settlePerson writes what a change has done into the person's record. Enable
// and Disable own the state alone: an update beside them may have failed.
func settlePerson(tx *snapshot.Tx, change *plan.Change, result vault.Result) error {
	after := *change.Record
	switch change.Kind {
	case plan.Create:
		after.UserID = result.ID
	case plan.Enable, plan.Disable:
		record, ok, err := tx.Account(change.Person)
		if err != nil {
			return err
		}
		if ok && record.UserID == after.UserID {
			record.Number, record.State, record.Since, record.OwnDisable = after.Number, after.State, after.Since, after.OwnDisable
			if record.Tries == 0 {
				record.Problem = after.Problem
			}
			after = record
		}
	case plan.Update, plan.MemberAdd, plan.MemberRemove, plan.GroupCreate, plan.GroupUpdate:
	}
	if !change.Replaces.IsZero() {
		if err := tx.DeleteAccount(change.Replaces); err != nil {
			return err
		}
	}
	return tx.PutAccount(after)
}

// settleFailure queues the person for another try, with growing pauses.
func (r *run) settleFailure(tx *snapshot.Tx, change *plan.Change, cause error) error {
	switch unknown := errors.Is(cause, vault.ErrUnknownOutcome); {
	case unknown && intended(change):
		if err := tx.Intend(intent(change)); err != nil {
			return err
		}
	case takesIn(change):
		if err := tx.Await(*change.Record); err != nil {
			return err
		}
	}
	record, ok, err := tx.Account(change.Person)
	if err != nil {
		return err
	}
	if !ok {
		record = change.Record.Clone()
		record.UserID = ""
	}
	if record.UserID == "" {
		record.State = snapshot.Waiting
		record.License = ""
	}
	if errors.Is(cause, vault.ErrNotFound) && record.UserID != "" && (change.Kind == plan.Update || change.Kind == plan.Enable || change.Kind == plan.Disable) {
		// Hands deleted the account between the look and the write.
		record.State, record.Since, record.OwnDisable = snapshot.Tombstone, r.Now(), false
		return tx.PutAccount(record)
	}
	record.Problem = fmt.Sprintf("%s failed: %v", change.Kind, cause)
	if errors.Is(cause, vault.ErrNoLicense) {
		// Taken between the look and the write: tried again with every run.
		return tx.PutAccount(record)
	}
	record.Tries++
	record.Retry = r.Now().Add(pause(record.Tries))
	return tx.PutAccount(record)
}

// pause is how long a person is left alone after so many failures in a row:
// the first is retried with the next run.
func pause(tries int) time.Duration {
	if tries <= 1 {
		return 0
	}
	return min(5*time.Minute<<min(tries-2, 10), 12*time.Hour)
}
