package mirror

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

var testSelect = []string{identity.UserPrincipalName, identity.DisplayName, identity.Mail, identity.AccountEnabled}

const testTenant = "11111111-2222-3333-4444-555555555555"

// bench is one mirror under test with its tenant and clock.
type bench struct {
	t     *testing.T
	path  string
	opt   Options
	m     *Mirror
	dir   *tenant
	now   time.Time
	views []*View // to close at the end
}

func newBench(t *testing.T, o Options) *bench {
	t.Helper()
	b := &bench{t: t, path: filepath.Join(t.TempDir(), "contoso.mirror"), dir: newTenant(7), now: time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)}
	o.Tenant = testTenant
	if o.Select == nil {
		o.Select = testSelect
	}
	o.Now = func() time.Time { return b.now }
	b.opt = o
	b.open()
	t.Cleanup(func() {
		b.closeViews()
		if err := b.m.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := Check(b.path); err != nil {
			t.Errorf("check after the test: %v", err)
		}
	})
	return b
}

func (b *bench) open() {
	b.t.Helper()
	m, err := Open(b.path, b.opt)
	if err != nil {
		b.t.Fatalf("open: %v", err)
	}
	b.m = m
}

func (b *bench) closeViews() {
	for _, v := range b.views {
		if err := v.Close(); err != nil {
			b.t.Errorf("close a view: %v", err)
		}
	}
	b.views = nil
}

func (b *bench) reopen() {
	b.t.Helper()
	b.closeViews()
	if err := b.m.Close(); err != nil {
		b.t.Fatalf("close: %v", err)
	}
	b.open()
}

func (b *bench) try(roots ...Root) (Report, error) {
	b.now = b.now.Add(time.Minute)
	b.dir.pulls, b.dir.asked, b.dir.answered = nil, nil, 0
	return b.m.Refresh(b.t.Context(), b.dir, Refresh{Roots: roots})
}

func (b *bench) refresh(roots ...Root) Report {
	b.t.Helper()
	report, err := b.try(roots...)
	if err != nil {
		b.t.Fatalf("refresh: %v", err)
	}
	return report
}

func (b *bench) full(roots ...Root) Report {
	b.t.Helper()
	b.now = b.now.Add(time.Minute)
	b.dir.pulls = nil
	report, err := b.m.Refresh(b.t.Context(), b.dir, Refresh{Roots: roots, Full: true})
	if err != nil {
		b.t.Fatalf("full refresh: %v", err)
	}
	return report
}

func (b *bench) view() *View {
	b.t.Helper()
	v, err := b.m.View()
	if err != nil {
		b.t.Fatalf("view: %v", err)
	}
	b.views = append(b.views, v)
	return v
}

// names turns a set of people into "1 2 3".
func names(t *testing.T, v *View, set *roaring.Bitmap) string {
	t.Helper()
	var list []int
	for it := set.Iterator(); it.HasNext(); {
		id, known, err := v.ID(it.Next())
		if err != nil || !known {
			t.Fatalf("id of a number: known %v, %v", known, err)
		}
		list = append(list, int(id[13])<<16|int(id[14])<<8|int(id[15]))
	}
	slices.Sort(list)
	return strings.Trim(fmt.Sprint(list), "[]")
}

// members is the membership of a root, with "?" behind an incomplete one and
// the people who are gone taken out.
func (b *bench) members(root Root) string {
	b.t.Helper()
	v := b.view()
	defer v.Close()
	people, complete, why, err := v.Members(root.ID, root.Nested)
	if err != nil {
		b.t.Fatal(err)
	}
	if complete != (why == "") {
		b.t.Fatalf("complete %v, why %q", complete, why)
	}
	s := names(b.t, v, roaring.AndNot(people, v.Gone()))
	if !complete {
		s += "?"
	}
	return s
}

func (b *bench) want(root Root, members string) {
	b.t.Helper()
	if got := b.members(root); got != members {
		b.t.Fatalf("members of %v: %q, want %q", root, got, members)
	}
}

func (b *bench) touched(since uint64) string {
	b.t.Helper()
	v := b.view()
	defer v.Close()
	people, ok, err := v.Touched(since)
	if err != nil {
		b.t.Fatal(err)
	}
	if !ok {
		return "?"
	}
	return names(b.t, v, people)
}

func (b *bench) profile(n int) map[string]string {
	b.t.Helper()
	v := b.view()
	defer v.Close()
	number, known, err := v.Number(u(n))
	if err != nil {
		b.t.Fatal(err)
	}
	if !known {
		return nil
	}
	p, ok, err := v.Person(number)
	if err != nil {
		b.t.Fatal(err)
	}
	if ok != v.Profiled().Contains(number) {
		b.t.Fatalf("person %d: profile %v, in the set of profiled %v", n, ok, !ok)
	}
	if !ok {
		return nil
	}
	if p.ID != u(n) {
		b.t.Fatalf("person %d has id %s", n, p.ID)
	}
	return p.Attributes
}

// dump is everything that a view shows, as text.
func (b *bench) dump(roots ...Root) string {
	b.t.Helper()
	v := b.view()
	defer v.Close()
	var out strings.Builder
	fmt.Fprintf(&out, "revision %d gone %s disabled %s\n", v.Revision(), names(b.t, v, v.Gone()), names(b.t, v, v.Disabled()))
	for _, id := range slices.SortedFunc(maps.Keys(v.st.groups), identity.ObjectID.Compare) {
		x, _, _ := v.Group(id)
		fmt.Fprintf(&out, "group %s %q %d %q members %s children %v skipped %d\n", id, x.Name, x.State, x.Why, names(b.t, v, x.Members), x.Children, x.Skipped)
	}
	for it := v.Profiled().Iterator(); it.HasNext(); {
		p, ok, err := v.Person(it.Next())
		if err != nil || !ok {
			b.t.Fatalf("person: %v %v", ok, err)
		}
		fmt.Fprintf(&out, "person %s", p.ID)
		for _, k := range slices.Sorted(maps.Keys(p.Attributes)) {
			fmt.Fprintf(&out, " %s=%s", k, p.Attributes[k])
		}
		out.WriteString("\n")
	}
	for _, r := range roots {
		people, complete, why, _ := v.Members(r.ID, r.Nested)
		fmt.Fprintf(&out, "root %v: %s %v %q\n", r, names(b.t, v, people), complete, why)
	}
	return out.String()
}

var errInjected = errors.New("injected")

func root(n int) Root   { return Root{ID: g(n)} }
func nested(n int) Root { return Root{ID: g(n), Nested: true} }
