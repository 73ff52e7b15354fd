package apply_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/apply"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// failWrites applies a plan and closes the snapshot under it before the k-th
// change of the store: every later write fails.
func (w *world) failWrites(t *testing.T, s *snapshot.Snapshot, in plan.Input, k int) error {
	t.Helper()
	n := 0
	closed := false
	w.store.Fail = func(vault.Change) error {
		if n == k {
			closed = true
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		n++
		return nil
	}
	defer func() { w.store.Fail = nil }()
	a := apply.Applier{Store: w.store, Snapshot: s, Now: func() time.Time { return w.now }, Progress: func(int, int) {}, Report: func(plan.Change, error) {}}
	_, err := a.Apply(t.Context(), plan.Compute(in))
	if !closed {
		return s.Close()
	}
	if err == nil {
		t.Errorf("the snapshot was closed before change %d and nobody noticed", k)
	}
	return err
}

func TestFaults(t *testing.T) {
	t.Parallel()
	bad := errors.New("the vault does not like it")

	t.Run("one bad person fails alone, is tried again with growing pauses, and is done in the end", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.put("ann:Sales", "bob:Sales", "cid:Sales")
		w.store.Fail = func(c vault.Change) error {
			if c.Op == vault.CreateUser && c.User.LoginName == "bob@contoso.com" {
				return bad
			}
			return nil
		}
		var waits []time.Duration
		for range 5 {
			o := w.must(t, false)
			if !slices.Equal(o.failed, []string{"create bob"}) || o.counts.Failed != 1 {
				t.Fatalf("failed: %q", o.failed)
			}
			r := w.account(t, "bob")
			waits = append(waits, r.Retry.Sub(w.now))
			if r.State != snapshot.Waiting || !strings.Contains(r.Problem, bad.Error()) || r.Tries != len(waits) {
				t.Fatalf("%+v", r)
			}
			if r.Retry.After(w.now) {
				w.now = r.Retry.Add(-time.Second)
				if o := w.must(t, false); len(o.failed) > 0 {
					t.Fatal("tried again before the pause was over")
				}
			}
			w.now = r.Retry
		}
		if !slices.IsSorted(waits) || waits[0] != 0 || waits[4] != 40*time.Minute {
			t.Errorf("pauses: %v", waits)
		}
		w.store.Fail = nil
		if o := w.must(t, false); o.counts.Created != 1 || o.counts.MembersAdded != 1 {
			t.Errorf("%+v", o.counts)
		}
		if r := w.account(t, "bob"); r.Problem != "" || r.Tries != 0 {
			t.Errorf("%+v", r)
		}
	})

	t.Run("one bad member of a group of many keeps nobody else out, and is paused", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		for i := range 50 {
			w.put(fmt.Sprintf("p%02d:Sales", i))
		}
		var badID string
		w.store.Fail = func(c vault.Change) error {
			if c.Op == vault.CreateUser && c.User.LoginName == "p07@contoso.com" {
				badID = "8"
			}
			if c.Op == vault.AddMembers && slices.Contains(c.Members, badID) {
				return bad
			}
			return nil
		}
		o := w.must(t, false)
		if o.counts.MembersAdded != 49 || !slices.Equal(o.failed, []string{"memberAdd p07Sales"}) {
			t.Fatalf("%+v %q", o.counts, o.failed)
		}
		for want := 2; want < 4; want++ {
			w.must(t, false)
			if r := w.account(t, "p07"); r.Tries != want {
				t.Fatalf("tries %d, want %d", r.Tries, want)
			}
			w.now = w.account(t, "p07").Retry
		}
		w.store.Fail = nil
		if o := w.must(t, false); o.counts.MembersAdded != 1 {
			t.Errorf("%+v", o.counts)
		}
		w.must(t, false)
		if r := w.account(t, "p07"); r.Tries != 0 || r.Problem != "" {
			t.Errorf("%+v", r)
		}
	})

	t.Run("a group that cannot be made keeps its people waiting for it, everybody else goes on", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.put("ann:Sales,HR")
		w.store.Fail = func(c vault.Change) error {
			if c.Op == vault.CreateGroup && c.Group.Name == "HR" {
				return bad
			}
			return nil
		}
		o := w.must(t, false)
		if o.counts.MembersAdded != 1 || !slices.Equal(o.failed, []string{"groupCreate HR"}) {
			t.Fatalf("%+v %q", o.counts, o.failed)
		}
		w.store.Fail = nil
		if o := w.must(t, false); o.counts.GroupsCreated != 1 || o.counts.MembersAdded != 1 {
			t.Errorf("%+v", o.counts)
		}
	})

	t.Run("every answer may be lost: no account is made twice, and every disable of ours stays ours", func(t *testing.T) {
		t.Parallel()
		want := ""
		for k := range 20 {
			w := changed(t, true)
			if k == 0 {
				w.must(t, true)
				want = w.state(t)
				continue
			}
			n := 0
			w.store.Lose = func(vault.Change) bool { n++; return n == k }
			w.must(t, true)
			w.store.Lose = nil
			w.must(t, false)
			w.must(t, true)
			if got := w.state(t); got != want {
				t.Fatalf("answer %d lost:\n%s\nwant:\n%s", k, got, want)
			}
		}
	})

	t.Run("a licence taken between plan and change makes the person wait, tried again with every run", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.put("ann:Sales")
		w.store.Fail = func(c vault.Change) error {
			if c.Op == vault.CreateUser {
				return fmt.Errorf("named: %w", vault.ErrNoLicense)
			}
			return nil
		}
		for range 4 {
			if o := w.must(t, false); !slices.Equal(o.failed, []string{"create ann"}) {
				t.Fatalf("%q", o.failed)
			}
		}
		w.store.Fail = nil
		if o := w.must(t, false); o.counts.Created != 1 {
			t.Errorf("%+v", o.counts)
		}
	})

	t.Run("an account deleted between look and change is remembered as deleted by hand, the run goes on", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.put("ann:Sales", "bob:Sales")
		w.must(t, false)
		w.put("ann:", "bob:")
		id := w.account(t, "ann").UserID
		w.store.Fail = func(c vault.Change) error {
			if c.UserID == id {
				return errors.Join(w.store.DeleteUser(id), fmt.Errorf("user %s: %w", id, vault.ErrNotFound))
			}
			return nil
		}
		o := w.must(t, false)
		if o.counts.Disabled != 1 || w.account(t, "ann").State != snapshot.Tombstone || w.account(t, "bob").State != snapshot.Left {
			t.Errorf("%+v %+v", o.counts, w.account(t, "ann"))
		}
	})

	t.Run("a stop ends at the next change, tells what was done, and leaves no intent", func(t *testing.T) {
		t.Parallel()
		for k := range 12 {
			w := changed(t, true)
			ctx, cancel := context.WithCancelCause(t.Context())
			stop := errors.New("the service is being stopped")
			n := 0
			w.store.Fail = func(vault.Change) error {
				if n++; n > k {
					cancel(stop)
				}
				return nil
			}
			_, err := w.run(ctx, t, w.store, true)
			w.store.Fail = nil
			if err == nil && n > k+1 {
				t.Fatalf("stopped after change %d without an error", k)
			}
			if s := w.state(t); strings.Contains(s, "open intents") {
				t.Fatalf("stopped after change %d:\n%s", k, s)
			}
			cancel(nil)
			w.must(t, true)
			other := changed(t, true)
			other.must(t, true)
			w.must(t, false)
			if got, want := w.state(t), other.state(t); got != want {
				t.Fatalf("stopped after change %d:\n%s\nwant:\n%s", k, got, want)
			}
		}
	})

	t.Run("a store that goes out of reach mid-way stops the run with its reason, and counts against nobody", func(t *testing.T) {
		t.Parallel()
		for k := range 10 {
			w := changed(t, true)
			n := 0
			w.store.Fail = func(vault.Change) error {
				if n++; n > k {
					return fmt.Errorf("connection refused: %w", vault.ErrUnreachable)
				}
				return nil
			}
			_, err := w.run(t.Context(), t, w.store, true)
			w.store.Fail = nil
			if n > k && !errors.Is(err, vault.ErrUnreachable) {
				t.Fatalf("after change %d: %v", k, err)
			}
			if s := w.state(t); strings.Contains(s, "problem=\"c") || strings.Contains(s, "open intents") {
				t.Fatalf("after change %d:\n%s", k, s)
			}
			w.must(t, true)
		}
	})

	t.Run("an answer that was lost because of a stop is looked for", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.put("ann:Sales")
		w.store.Fail = func(c vault.Change) error {
			if c.Op != vault.CreateUser {
				return nil
			}
			w.store.Fail = nil
			w.store.Apply(t.Context(), []vault.Change{c})
			return fmt.Errorf("%w: %w", vault.ErrUnknownOutcome, context.DeadlineExceeded)
		}
		if _, err := w.run(t.Context(), t, w.store, false); err != nil {
			t.Fatal(err)
		}
		w.must(t, false)
		if s := w.state(t); strings.Contains(s, "open intents") || !strings.Contains(s, "adopted=false written=true") || !strings.Contains(s, "active user=ann@contoso.com") {
			t.Error(s)
		}
	})

	t.Run("held changes are reported and not made", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		s := w.open(t)
		defer s.Close() //nolint:errcheck // nothing was written
		var told []plan.Kind
		a := apply.Applier{Store: w.store, Snapshot: s, Now: func() time.Time { return w.now }, Progress: func(int, int) {}, Report: func(c plan.Change, _ error) { told = append(told, c.Kind) }}
		counts, err := a.Apply(t.Context(), &plan.Plan{Changes: []plan.Change{{Kind: plan.Disable, Person: objectID(0, 1), Held: plan.GuardDisables}}})
		if err != nil || counts.Held != 1 || counts.Made() != 0 || len(told) != 1 || w.store.Calls().Apply != 0 {
			t.Errorf("%+v %v %v", counts, err, told)
		}
	})
}

func (w *world) account(t testing.TB, name string) snapshot.Account {
	t.Helper()
	s := w.open(t)
	defer s.Close() //nolint:errcheck // only read
	var a snapshot.Account
	if err := s.Read(func(tx *snapshot.Tx) (err error) {
		a, _, err = tx.Account(w.id(name))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return a
}
