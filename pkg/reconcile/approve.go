package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
)

// ErrNothingDue means that nothing of what was to be approved or rejected is
// held any more.
var ErrNothingDue = errors.New("nothing of it is held")

// Approve releases the held changes that were shown under digest and are still
// due, once: it makes a run at once in which the guards let them pass. What
// came later stays held under a new digest.
func (v *Vault) Approve(ctx context.Context, digest string, run func(Options) (Report, error)) (Report, error) {
	keys, err := v.shown(ctx, digest, run)
	if err != nil {
		return Report{}, err
	}
	if err := v.approveForDirectory(keys, run); err != nil {
		return Report{}, err
	}
	// Remembered first: a crash on the way loses no approval.
	err = v.Snapshot.Write(func(tx *snapshot.Tx) error {
		meta, err := tx.Meta()
		if err != nil {
			return err
		}
		meta.Approved = keys
		return tx.PutMeta(meta)
	})
	if err != nil {
		return Report{}, err
	}
	report, err := run(Options{ByHand: true, Approve: keys})
	if err == nil && report.Released == 0 {
		if state, err := v.Directory.GuardState(); err == nil && state.Held != nil {
			return report, fmt.Errorf("%w for this vault alone: people leave several vaults of directory %s; vaultsync approve --directory %s %s lets them go",
				ErrNothingDue, v.Directory.Name, v.Directory.Name, state.Held.Digest)
		}
		return report, fmt.Errorf("%w: no change of %s is still due", ErrNothingDue, digest)
	}
	return report, err
}

// approveForDirectory releases what the guard over all vaults of the directory
// holds when these changes are all of it: whoever approves every leaver by name
// in the one vault that loses people has seen what the directory's guard shows.
func (v *Vault) approveForDirectory(keys []string, run func(Options) (Report, error)) error {
	if state, err := v.Directory.GuardState(); err != nil || state.Held == nil {
		return err
	}
	report, err := run(Options{ByHand: true, DryRun: true})
	if err != nil {
		return err
	}
	state, err := v.Directory.GuardState()
	if err != nil || state.Held == nil {
		return err
	}
	wanted, leavers := keySet(keys), map[identity.ObjectID]bool{}
	for _, c := range report.Plan.Held() {
		leavers[c.Person] = leavers[c.Person] || c.Kind == plan.Disable && wanted[c.Key()]
	}
	for _, id := range state.Held.People {
		if !leavers[id] {
			return nil
		}
	}
	_, err = v.Directory.Approve(state.Held.Digest)
	return err
}

// Reject drops the held changes that were shown under digest: they stay away
// until the directory says something else of those people.
func (v *Vault) Reject(ctx context.Context, digest string, run func(Options) (Report, error)) (Report, error) {
	keys, err := v.shown(ctx, digest, run)
	if err != nil {
		return Report{}, err
	}
	report, err := run(Options{ByHand: true, Reject: keys})
	if err == nil && report.Rejected == 0 {
		return report, fmt.Errorf("%w: no change of %s is still due", ErrNothingDue, digest)
	}
	return report, err
}

// shown are the keys of the held changes that status or plan showed under a
// digest: that of the held changes, or that of the plan they are part of.
func (v *Vault) shown(_ context.Context, digest string, run func(Options) (Report, error)) (keys []string, err error) {
	ok := false
	err = v.Snapshot.Read(func(tx *snapshot.Tx) error {
		keys, ok, err = tx.Shown(digest)
		return err
	})
	if err != nil || ok {
		return keys, err
	}
	report, err := run(Options{ByHand: true, DryRun: true})
	if err != nil {
		return nil, err
	}
	if digest != report.Plan.Digest() && digest != report.Plan.HeldDigest() {
		return nil, fmt.Errorf("%w under %s in vault %s: look at vaultsync status %s", ErrNothingDue, digest, v.Name(), v.Name())
	}
	keys = heldKeys(report.Plan)
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: the plan %s waits for no approval", ErrNothingDue, digest)
	}
	return keys, nil
}

// reject remembers the rejection of held changes.
func (v *Vault) reject(s *scene, keys []string) (int, error) {
	rejection := plan.Reject(s.input, keySet(keys))
	err := v.Snapshot.Write(func(tx *snapshot.Tx) error {
		for _, record := range rejection.Records {
			if err := tx.PutAccount(record); err != nil {
				return err
			}
		}
		for _, id := range rejection.Forget {
			if err := v.forget(tx, id); err != nil {
				return err
			}
		}
		meta, err := tx.Meta()
		if err != nil {
			return err
		}
		meta.Pinned = slices.DeleteFunc(meta.Pinned, func(key string) bool { return slices.Contains(keys, key) })
		return tx.PutMeta(meta)
	})
	return rejection.Changes, err
}
