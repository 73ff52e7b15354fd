package mirror

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// crowd is a large directory that makes its pages as they are asked for, so
// that what is measured is the mirror.
type crowd struct {
	people, groups int
	memberships    int // of each person
	revision       int
}

// id scatters as real ids do: in no relation to the order of delivery.
func (c crowd) id(n int) identity.ObjectID {
	r := rand.New(rand.NewPCG(uint64(n), 5))
	var id identity.ObjectID
	for i := range id {
		id[i] = byte(r.Uint32())
	}
	return id
}

func (c crowd) roots() []Root {
	var roots []Root
	for n := range c.groups {
		roots = append(roots, root(n))
	}
	return roots
}

func (c crowd) Pull(_ context.Context, request directory.Request, deliver func(directory.Page) error) error {
	for i, s := range request.Streams {
		if err := c.stream(i, s, deliver); err != nil {
			return err
		}
	}
	return nil
}

func (c crowd) stream(i int, s directory.Stream, deliver func(directory.Page) error) error {
	last := directory.Page{Stream: i, Link: fmt.Sprintf("https://graph.contoso.com/delta?token=%040d", len(s.Groups))}
	if s.Link != "" {
		return deliver(last)
	}
	if len(s.Groups) == 0 {
		for at := 0; at < c.people; at += 999 {
			page := directory.Page{Stream: i}
			for n := at; n < min(at+999, c.people); n++ {
				k := (n * 7919) % c.people // another order than that of the members
				login := fmt.Sprintf("firstname.lastname%07d@contoso.com", k)
				page.People = append(page.People, directory.PersonChange{ID: c.id(k), Attributes: map[string]string{
					identity.UserPrincipalName: login, identity.Mail: login, identity.DisplayName: fmt.Sprintf("Firstname Lastname %d %d", k, c.revision), identity.AccountEnabled: "true",
				}})
			}
			if err := deliver(page); err != nil {
				return err
			}
		}
		return deliver(last)
	}
	size := c.people * c.memberships / c.groups
	for _, id := range s.Groups {
		group := int(id[14])<<8 | int(id[15])
		for at := 0; at < size; at += 5000 {
			change := directory.GroupChange{ID: id}
			for n := at; n < min(at+5000, size); n++ {
				change.Members = append(change.Members, directory.MemberChange{ID: c.id((group*size + n*7) % c.people), Kind: directory.KindPerson})
			}
			if err := deliver(directory.Page{Stream: i, Groups: []directory.GroupChange{change}}); err != nil {
				return err
			}
		}
	}
	return deliver(last)
}

func (c crowd) Groups(_ context.Context, ids []identity.ObjectID) ([]directory.GroupInfo, error) {
	return make([]directory.GroupInfo, len(ids)), nil
}

func (c crowd) Search(context.Context, string, bool, int) ([]directory.GroupInfo, error) {
	return nil, nil
}

func (c crowd) Check(context.Context) (directory.Access, error) { return directory.Access{}, nil }

// BenchmarkFirstRead is the first read of 100,000 people with five memberships
// each, bytes on disk and the peak of the heap included. The floor is the same
// without a mirror.
func BenchmarkFirstRead(b *testing.B) { benchmarkFirst(b, 100_000) }

// BenchmarkFirstReadMillion is the size that the memory budget is about.
func BenchmarkFirstReadMillion(b *testing.B) { benchmarkFirst(b, 1_000_000) }

func benchmarkFirst(b *testing.B, people int) {
	b.Helper()
	c := crowd{people: people, groups: 200, memberships: 5}
	for b.Loop() {
		path := filepath.Join(b.TempDir(), "m")
		m, err := Open(path, Options{Select: testSelect, Tenant: testTenant})
		if err != nil {
			b.Fatal(err)
		}
		var peak uint64
		watch := func() {
			var s runtime.MemStats
			runtime.ReadMemStats(&s)
			peak = max(peak, s.HeapSys-s.HeapReleased)
		}
		pages := 0
		m.opt.cut = func(string) error { watch(); return nil }
		_, err = m.Refresh(b.Context(), c, Refresh{Roots: c.roots(), Progress: func(Progress) {
			if pages++; pages%50 == 0 {
				watch()
			}
		}})
		if err != nil {
			b.Fatal(err)
		}
		s, err := m.Stats()
		if err != nil || s.People != people {
			b.Fatalf("%+v %v", s, err)
		}
		b.ReportMetric(float64(s.Bytes)/float64(people), "bytes/person")
		b.ReportMetric(float64(peak)/(1<<20), "MB-heap-peak")
		if err := m.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFirstReadFloor makes the pages and drops them.
func BenchmarkFirstReadFloor(b *testing.B) {
	c := crowd{people: 100_000, groups: 200, memberships: 5}
	for b.Loop() {
		for i, s := range []directory.Stream{{}, {Groups: idsOf(c.roots())}} {
			if err := c.stream(i, s, func(directory.Page) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func idsOf(roots []Root) []identity.ObjectID {
	var ids []identity.ObjectID
	for _, r := range roots {
		ids = append(ids, r.ID)
	}
	return ids
}

// BenchmarkEverybodyChanges is a round that changes every profile: through the
// overlay.
func BenchmarkEverybodyChanges(b *testing.B) {
	c := crowd{people: 100_000, groups: 200, memberships: 5}
	path := filepath.Join(b.TempDir(), "m")
	m, err := Open(path, Options{Select: testSelect, Tenant: testTenant})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	for b.Loop() {
		c.revision++
		report, err := m.Refresh(b.Context(), c, Refresh{Roots: c.roots(), Full: true})
		if err != nil || report.Touched != c.people {
			b.Fatalf("%+v %v", report, err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size())/float64(c.people), "bytes/person")
}

// BenchmarkQuiet is a refresh that finds nothing.
func BenchmarkQuiet(b *testing.B) {
	c := crowd{people: 100_000, groups: 1000, memberships: 5}
	m, err := Open(filepath.Join(b.TempDir(), "m"), Options{Select: testSelect, Tenant: testTenant})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	wish := Refresh{Roots: c.roots()}
	if _, err := m.Refresh(b.Context(), c, wish); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := m.Refresh(b.Context(), c, wish); err != nil {
			b.Fatal(err)
		}
	}
}
