package mirror

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// A round larger than a portion is all or nothing, at whichever durable step
// the process dies.
func TestLargeRoundCrashAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, first := range []bool{true, false} {
		for stop := 1; ; stop++ {
			steps, stopped := 0, ""
			cut := func(name string) error {
				if steps++; steps == stop {
					stopped = name
					return errInjected
				}
				return nil
			}
			b := newBench(t, Options{Profiles: "stream", portion: 10})
			for n := range 35 {
				b.dir.add(1, u(n))
			}
			if !first {
				b.refresh(root(1))
				for n := range 35 {
					b.dir.set(n, identity.DisplayName, "Changed")
					b.dir.add(1, u(100+n))
				}
			}
			before := b.dump(root(1))
			b.opt.cut = cut
			b.reopen()
			_, err := b.try(root(1))
			b.opt.cut = nil
			w := truthOf(b.dir, []Root{root(1)})
			// The fold comes after the commit: the new state is visible
			// through the overlay already.
			folding := strings.HasPrefix(stopped, "fold") || (stopped == "mark" && steps > 2)
			look := func() {
				if err != nil && !folding {
					if after := b.dump(root(1)); after != before {
						t.Fatalf("step %d %s: was\n%sis\n%s", stop, stopped, before, after)
					}
				} else {
					b.compare(w)
				}
			}
			look()
			if err == nil {
				if stop < 9 {
					t.Fatalf("only %d steps", stop)
				}
				break
			}
			if !errors.Is(err, errInjected) {
				t.Fatal(err)
			}
			b.reopen() // folds or drops what is left
			look()
			b.refresh(root(1))
			b.compare(w)
			b.closeViews()
			if err := b.m.Close(); err != nil {
				t.Fatal(err)
			}
			if err := Check(b.path); err != nil {
				t.Fatalf("step %d %s: %v", stop, stopped, err)
			}
		}
	}
}

// Numbers given in a round that died name nobody afterwards.
func TestNumbersOfADeadRoundAreForgotten(t *testing.T) {
	t.Parallel()
	for _, reopen := range []bool{true, false} {
		b := newBench(t, Options{Profiles: "stream", portion: 10})
		for n := range 35 {
			b.dir.add(1, u(n))
		}
		index := 0
		b.m.opt.cut = func(name string) error {
			if name == "stage the index" {
				index++
			}
			if index == 3 {
				return errInjected
			}
			return nil
		}
		if _, err := b.try(root(1)); !errors.Is(err, errInjected) {
			t.Fatalf("error %v", err)
		}
		b.m.opt.cut = nil
		for n := range 35 {
			b.dir.remove(1, u(n))
			b.dir.add(1, u(100+n))
		}
		if reopen {
			b.reopen()
		}
		b.refresh(root(1))
		b.compare(truthOf(b.dir, []Root{root(1)}))
		for n := range 35 {
			if number, known, err := b.view().Number(u(n)); known || err != nil {
				t.Fatalf("%d has the number %d of somebody else: %v", n, number, err)
			}
		}
	}
}

// Views opened before, during and after a large round are each consistent.
func TestViewsDuringARefresh(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Profiles: "stream", portion: 10})
	for n := range 30 {
		b.dir.add(1, u(n))
	}
	b.refresh(root(1))
	old := b.view()
	before := b.dump(root(1))
	for n := range 30 {
		b.dir.set(n, identity.DisplayName, "Changed")
	}
	var seen []string
	b.m.opt.cut = func(name string) error {
		// Within a commit a view would rightly wait; before it, it must not.
		if !strings.HasPrefix(name, "commit") && name != "mark" {
			seen = append(seen, b.dump(root(1)))
		}
		return nil
	}
	b.refresh(root(1))
	b.m.opt.cut = nil
	after := b.dump(root(1))
	if before == after || len(seen) < 4 {
		t.Fatalf("%d views", len(seen))
	}
	for i, s := range seen {
		if s != before && s != after {
			t.Fatalf("view %d shows\n%s", i, s)
		}
		if i > 0 && seen[i-1] == after && s == before {
			t.Fatal("back in time")
		}
	}
	n, _, err := old.Number(u(3))
	if err != nil {
		t.Fatal(err)
	}
	if p, ok, err := old.Person(n); err != nil || !ok || p.Attributes[identity.DisplayName] != "User 3" || old.Revision() != 1 {
		t.Fatalf("an open view moved: %v %v %v", p, ok, err)
	}
}

func TestSelectChangeReadsAnew(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"read", "stream"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, Options{Profiles: mode, portion: 2})
			for n := range 6 {
				b.dir.add(1, u(n))
				b.dir.users[u(n)].attributes["department"] = []string{"", "Sales"}[n%2]
				if n%2 == 0 {
					delete(b.dir.users[u(n)].attributes, "department")
				}
			}
			b.refresh(root(1))
			b.closeViews()
			b.opt.Select = []string{"department", identity.UserPrincipalName, identity.AccountEnabled}
			b.reopen()
			if p := b.profile(1); p[identity.DisplayName] != "User 1" {
				t.Fatalf("until the new read the old profile stays: %v", p)
			}
			b.dir.hidePeople = map[identity.ObjectID]bool{u(5): true}
			b.refresh(root(1))
			for _, request := range b.dir.pulls {
				for _, s := range request.Streams {
					if len(s.Groups) == 0 && s.Link != "" {
						t.Fatal("the old users' link was used")
					}
				}
			}
			if p := b.profile(1); p["department"] != "Sales" || len(p) != 3 {
				t.Fatalf("profile %v", p)
			}
			if p := b.profile(5); p[identity.UserPrincipalName] != "user5@contoso.com" || len(p) != 2 {
				t.Fatalf("who did not come back keeps what is known: %v", p)
			}
		})
	}
}

func TestAutoModeFollowsTheScope(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{ProfileLimit: 10})
	follows := func() bool { _, ok := b.m.state.Load().streams[usersStream]; return ok }
	for n := range 10 {
		b.dir.add(1, u(n))
	}
	b.refresh(root(1))
	if follows() {
		t.Fatal("10 of 10: read")
	}
	b.dir.add(1, u(10))
	b.refresh(root(1))
	if !follows() || b.profile(10) == nil {
		t.Fatal("11 of 10: stream")
	}
	for n := range 7 {
		b.dir.remove(1, u(n))
	}
	b.refresh(root(1))
	if !follows() {
		t.Fatal("back only at a full read")
	}
	b.full(root(1))
	if follows() {
		t.Fatal("4 of 10 at a full read: read")
	}
	b.dir.set(7, identity.DisplayName, "Seven")
	b.refresh(root(1))
	if b.profile(7)[identity.DisplayName] != "Seven" {
		t.Fatal("not read")
	}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	cases := []struct {
		fixed, now profileMode
		people     uint64
		full       bool
		want       profileMode
	}{
		{modeRead, modeStream, 1 << 20, true, modeRead},
		{modeStream, modeRead, 0, true, modeStream},
		{0, modeUndecided, 100, false, modeRead},
		{0, modeUndecided, 101, false, modeStream},
		{0, modeRead, 100, true, modeRead},
		{0, modeRead, 101, false, modeStream},
		{0, modeStream, 50, true, modeStream},
		{0, modeStream, 49, false, modeStream},
		{0, modeStream, 49, true, modeRead},
	}
	for _, c := range cases {
		if got := (profilePolicy{fixed: c.fixed, limit: 100}).decide(c.now, c.people, c.full); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

func TestFeed(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Profiles: "stream"})
	for n := 1; n <= 5; n++ {
		b.dir.add(1, u(n))
		b.refresh(root(1))
	}
	for since, want := range []string{"1 2 3 4 5", "2 3 4 5", "3 4 5", "4 5", "5", "", "?"} {
		if got := b.touched(uint64(since)); got != want {
			t.Errorf("since %d: %q, want %q", since, got, want)
		}
	}
	forget := func(upTo uint64) {
		t.Helper()
		if err := b.m.Forget(upTo); err != nil {
			t.Fatal(err)
		}
	}
	forget(2)
	for since, want := range []string{"?", "?", "3 4 5", "4 5"} {
		if got := b.touched(uint64(since)); got != want {
			t.Errorf("after forgetting 2: since %d: %q, want %q", since, got, want)
		}
	}
	if _, ok, err := b.view().Changed(1); ok || err != nil {
		t.Errorf("changed since a forgotten revision: %v %v", ok, err)
	}
	b.now = b.now.Add(maxFeedAge + time.Second)
	forget(0)
	if got := b.touched(4); got != "?" {
		t.Errorf("older than seven days: %q", got)
	}
	if got := b.touched(5); got != "" {
		t.Errorf("who is up to date stays so: %q", got)
	}
	b.m.opt.cut = func(string) error { return errInjected }
	forget(5) // nothing to do: nothing written
	b.m.opt.cut = nil
}

// Links, not only states, must survive what a stream delivered before it broke.
func TestPartOfALostStreamDoesNotCount(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Profiles: "stream"})
	b.dir.add(1, u(1), u(2))
	b.refresh(root(1))
	// The second reading is silent about both, so that a word of the first
	// would stay.
	b.dir.hidePeople = map[identity.ObjectID]bool{u(1): true, u(2): true}
	lost := 0
	liar := liar{tenant: b.dir, first: func(i int, s directory.Stream) *directory.Page {
		if s.Link == "" {
			return nil
		}
		lost++
		if len(s.Groups) == 0 {
			return &directory.Page{Stream: i, People: []directory.PersonChange{{ID: u(1), Removal: directory.Deleted}, {ID: u(2), Attributes: map[string]string{identity.DisplayName: "False"}}}}
		}
		return &directory.Page{Stream: i, Groups: []directory.GroupChange{{ID: g(1), Members: []directory.MemberChange{{ID: u(2), Removed: true}, {ID: u(9), Kind: directory.KindPerson}}}}}
	}}
	report, err := b.m.Refresh(t.Context(), liar, Refresh{Roots: []Root{root(1)}})
	if err != nil || !report.TokenLost || lost != 2 {
		t.Fatalf("%+v %v, %d streams", report, err, lost)
	}
	if report.Revision != 1 {
		t.Fatalf("what broke off was counted: %+v\n%s", report, b.dump(root(1)))
	}
	b.want(root(1), "1 2")
}

// liar delivers a first page of its own in a stream and then loses the token.
type liar struct {
	*tenant
	first func(i int, s directory.Stream) *directory.Page
}

func (l liar) Pull(ctx context.Context, request directory.Request, deliver func(directory.Page) error) error {
	rest := request
	rest.Streams = nil
	back := []int{}
	for i, s := range request.Streams {
		if page := l.first(i, s); page != nil {
			if err := errors.Join(deliver(*page), deliver(directory.Page{Stream: i, Err: directory.ErrTokenLost})); err != nil {
				return err
			}
			continue
		}
		back = append(back, i)
		rest.Streams = append(rest.Streams, s)
	}
	return l.tenant.Pull(ctx, rest, func(p directory.Page) error {
		if p.Stream >= 0 {
			p.Stream = back[p.Stream]
		}
		return deliver(p)
	})
}

func TestTheDirectoryBreaksItsContract(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		pages []directory.Page
	}{
		{"a stream that ends without a link", []directory.Page{{Stream: 0}}},
		{"a page of a stream that was not asked for", []directory.Page{{Stream: 5, Link: "x"}}},
		{"a page after the link", []directory.Page{{Stream: 0, Link: "x"}, {Stream: 0}}},
		{"no page at all", nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, Options{})
			_, err := b.m.Refresh(t.Context(), script{b.dir, c.pages}, Refresh{Roots: []Root{root(1)}})
			if !errors.Is(err, directory.ErrProtocol) {
				t.Fatalf("error %v", err)
			}
			if b.view().Revision() != 0 {
				t.Fatal("it counted")
			}
		})
	}
}

type script struct {
	*tenant
	pages []directory.Page
}

func (s script) Pull(_ context.Context, _ directory.Request, deliver func(directory.Page) error) error {
	for _, p := range s.pages {
		if err := deliver(p); err != nil {
			return err
		}
	}
	return nil
}

func TestRoundFile(t *testing.T) {
	t.Parallel()
	f := newRoundFile(t.TempDir() + "/round")
	f.limit = 200
	var places []int64
	for n := range 300 {
		at, err := f.append([]byte(strings.Repeat(fmt.Sprint(n, " "), n)))
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, at)
	}
	for n := 299; n >= 0; n -= 7 {
		got, err := f.read(places[n])
		if err != nil || string(got) != strings.Repeat(fmt.Sprint(n, " "), n) {
			t.Fatalf("%d: %q %v", n, got, err)
		}
	}
	if _, err := f.file.WriteAt([]byte{0xff}, places[50]+9); err != nil {
		t.Fatal(err)
	}
	if _, err := f.read(places[50]); err == nil {
		t.Fatal("a changed byte is not seen")
	}
	if err := f.remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(f.path); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("still there")
	}
}
