package apply_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/vault"
)

// mortal is a store whose caller dies at a step: before a change is made, or
// after it was made and before its answer is heard. What was written until
// then, in store and snapshot, is all that survives.
type mortal struct {
	vault.Store
	steps int // changes until death, counted down in halves: before and after
}

func (m *mortal) Apply(ctx context.Context, changes []vault.Change) []vault.Result {
	results := make([]vault.Result, len(changes))
	for i, c := range changes {
		m.step()
		results[i] = m.Store.Apply(ctx, []vault.Change{c})[0]
		m.step()
	}
	return results
}

func (m *mortal) Licenses(context.Context) ([]vault.Pool, error) { return nil, nil }

func (m *mortal) step() {
	if m.steps == 0 {
		panic(errDied)
	}
	m.steps--
}

// dies makes a run that dies at a step; false when the run ended before.
func (w *world) dies(t *testing.T, steps int) (died bool) {
	t.Helper()
	defer func() {
		switch r := recover(); r {
		case nil:
		case errDied:
			died = true
		default:
			panic(r)
		}
	}()
	if _, err := w.run(t.Context(), t, &mortal{Store: w.store, steps: steps}, true); err != nil {
		t.Fatal(err)
	}
	return false
}

// changed brings a vault with everything in it to a new state of the directory.
func changed(t *testing.T, adopt bool) *world {
	t.Helper()
	w := newWorld(t)
	w.adopt = adopt
	if adopt {
		// Somebody's account and a group were there before.
		results := w.store.Apply(t.Context(), []vault.Change{
			{Op: vault.CreateUser, User: vault.User{LoginName: "OLD@contoso.com", FullName: "By hand"}},
			{Op: vault.CreateGroup, Group: vault.Group{Name: "HR"}},
		})
		results = append(results, w.store.Apply(t.Context(), []vault.Change{{Op: vault.AddMembers, GroupID: results[1].ID, Members: []string{results[0].ID}}})...)
		for _, r := range results {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
		}
	}
	w.put("ann:Sales", "bob:Sales", "cid:Sales", "dan:")
	w.must(t, true)
	w.put("bob:")
	w.must(t, true)
	// Now: ann leaves, bob comes back, cid is renamed, dan and eve are new, old
	// is adopted, HR is linked or made.
	w.put("ann:", "bob:Sales,HR", "cid:HR", "dan:Sales", "eve:Sales,HR")
	if adopt {
		w.put("old:Sales")
	}
	w.fields["cid"]["loginName"], w.fields["dan"]["loginName"] = "cid.new@contoso.com", "cid@contoso.com"
	return w
}

func TestCrashCuts(t *testing.T) {
	t.Parallel()
	for _, adopt := range []bool{false, true} {
		w := changed(t, adopt)
		w.must(t, true)
		want := w.state(t)
		if !strings.Contains(want, "record ann@contoso.com left user=ann@contoso.com own=true") || strings.Contains(want, "open intents") {
			t.Fatalf("the run without a crash ends wrong:\n%s", want)
		}
		for _, again := range []int{-1, 1, 6} {
			for k := 0; ; k++ {
				w := changed(t, adopt)
				if !w.dies(t, k) {
					if k < 14 {
						t.Fatalf("only %d steps", k)
					}
					break
				}
				if again >= 0 {
					w.dies(t, again) // the next one dies as well
				}
				w.must(t, true)
				w.must(t, false)
				if got := w.state(t); got != want {
					t.Fatalf("adopt %v, died at step %d, then at %d:\n%s\nwant:\n%s", adopt, k, again, got, want)
				}
			}
		}
	}
}

func TestLeaverOfTheGap(t *testing.T) {
	t.Parallel()
	t.Run("whoever is made by a run that dies, and has left before the next, is disabled by it", func(t *testing.T) {
		t.Parallel()
		for k := 0; ; k++ {
			w := newWorld(t)
			w.put("ann:Sales", "bob:Sales")
			if !w.dies(t, k) {
				break
			}
			w.put("ann:", "bob:")
			w.must(t, true)
			w.must(t, true)
			for u, err := range w.store.Users(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				if u.Enabled {
					t.Fatalf("died at step %d: %s keeps access", k, u.LoginName)
				}
			}
			if s := w.state(t); strings.Contains(s, "open intents") || strings.Contains(s, "waiting") {
				t.Fatalf("died at step %d:\n%s", k, s)
			}
		}
	})
}

// TestSnapshotUnwritable lets the disk be full: the run stops, and the next one
// ends in the same state.
func TestSnapshotUnwritable(t *testing.T) {
	t.Parallel()
	w := changed(t, true)
	w.must(t, true)
	want := w.state(t)
	for k := range 12 {
		w := changed(t, true)
		s := w.open(t)
		in, err := w.look(t.Context(), s, w.store, true)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.failWrites(t, s, in, k); err != nil && !errors.Is(err, os.ErrClosed) && !strings.Contains(err.Error(), "not open") {
			t.Fatalf("write %d: %v", k, err)
		}
		w.must(t, true)
		w.must(t, false)
		if got := w.state(t); got != want {
			t.Fatalf("the snapshot could not be written from change %d on:\n%s\nwant:\n%s", k, got, want)
		}
	}
}
