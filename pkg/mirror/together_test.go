package mirror

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// Unchanged links and no changes: nothing at all is written.
func TestNothingNewWritesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Profiles: "stream"})
	c := crowd{people: 50, groups: 4, memberships: 2}
	if _, err := b.m.Refresh(t.Context(), c, Refresh{Roots: c.roots()}); err != nil {
		t.Fatal(err)
	}
	b.m.opt.cut = func(name string) error { t.Errorf("a transaction: %s", name); return nil }
	b.now = b.now.Add(1)
	if _, err := b.m.Refresh(t.Context(), c, Refresh{Roots: c.roots()}); err != nil {
		t.Fatal(err)
	}
	if !b.m.PulledAt().Equal(b.now) {
		t.Fatal("the time must move all the same")
	}
	b.m.opt.cut = nil
}

// A quiet refresh with new links is one transaction.
func TestNewLinksAreOneTransaction(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Profiles: "stream"})
	b.dir.add(1, u(1))
	b.refresh(root(1))
	n := 0
	b.m.opt.cut = func(string) error { n++; return nil }
	b.refresh(root(1))
	b.m.opt.cut = nil
	if n != 1 {
		t.Fatalf("%d transactions", n)
	}
	at := b.m.PulledAt()
	b.reopen()
	if !b.m.PulledAt().Equal(at) {
		t.Fatal("stored with the links")
	}
}

// Readers and a writer at once: each view is of one revision.
func TestReadersBesideRefreshes(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Profiles: "stream", portion: 7})
	for n := range 20 {
		b.dir.add(1, u(n))
	}
	b.refresh(root(1))
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := readOnce(b.m); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := range 30 {
		text := string(rune('a' + n%26))
		for k := range 20 {
			b.dir.set(k, identity.DisplayName, text)
		}
		b.dir.add(1, u(20+n))
		b.refresh(root(1))
		if n%5 == 0 {
			if err := b.m.Forget(uint64(n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(done)
	readers.Wait()
}

// readOnce holds a view to what is true of every revision of the test above.
func readOnce(m *Mirror) (err error) {
	v, err := m.View()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	people, complete, why, err := v.Members(g(1), false)
	if err != nil || !complete {
		return errors.Join(errors.New(why), err)
	}
	if want := 19 + v.Revision(); v.Revision() > 1 && people.GetCardinality() != want {
		return errors.New("a view with the members of another revision")
	}
	name := ""
	for k := range 20 {
		n, known, err := v.Number(u(k))
		if err != nil || !known {
			return errors.Join(errors.New("a person is not known"), err)
		}
		p, ok, err := v.Person(n)
		if err != nil || !ok {
			return errors.Join(errors.New("a person has no profile"), err)
		}
		got := p.Value(identity.DisplayName)
		if v.Revision() > 1 && k > 0 && got != name {
			return errors.New("a view with profiles of two revisions")
		}
		name = got
	}
	return nil
}

// A refresh that is cancelled ends, and shows nothing.
func TestCancelledRefresh(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{})
	b.dir.add(1, u(1))
	ctx, cancel := context.WithCancel(t.Context())
	b.dir.fail = func(int) error { cancel(); return ctx.Err() }
	if _, err := b.m.Refresh(ctx, b.dir, Refresh{Roots: []Root{root(1)}}); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	b.dir.fail = nil
	if _, err := b.m.Refresh(ctx, b.dir, Refresh{Roots: []Root{root(1)}}); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	b.want(root(1), "?")
}

// A stored users' link and the groups' links travel in one pull, new groups in
// the same one; the users' first read waits until the scope is known.
func TestOrderOfReading(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Profiles: "stream"})
	b.dir.add(1, u(1), g(2))
	b.dir.add(2, u(2))
	b.refresh(nested(1))
	kinds := func() (all []string) {
		for _, request := range b.dir.pulls {
			s := ""
			for _, x := range request.Streams {
				switch {
				case len(x.Groups) == 0 && x.Link == "":
					s += "U"
				case len(x.Groups) == 0:
					s += "u"
				case x.Link == "":
					s += "G"
				default:
					s += "g"
				}
			}
			if len(request.Profiles) > 0 {
				s += "p"
			}
			all = append(all, s)
		}
		return all
	}
	check := func(want ...string) {
		t.Helper()
		got := kinds()
		if len(got) != len(want) {
			t.Fatalf("pulls %q, want %q", got, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("pulls %q, want %q", got, want)
			}
		}
	}
	check("G", "G", "U")
	b.refresh(nested(1))
	check("ugg")
	b.dir.add(3, u(3))
	b.refresh(nested(1), root(3))
	check("uggG", "p")
	b.dir.lost = func(users bool, _ []identity.ObjectID) bool { return users }
	b.refresh(nested(1), root(3))
	check("uggg", "U")
	var _ directory.Directory = b.dir
}
