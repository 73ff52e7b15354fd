package mirror

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// truth is what a mirror must show of a tenant, computed without it: for each
// root the people who are there, and for each of them the profile.
type truth struct {
	members  map[Root]map[identity.ObjectID]bool
	missing  map[Root]bool
	profiles map[identity.ObjectID]string
	disabled map[identity.ObjectID]bool
}

func truthOf(dir *tenant, roots []Root) truth {
	w := truth{members: map[Root]map[identity.ObjectID]bool{}, missing: map[Root]bool{}, profiles: map[identity.ObjectID]string{}, disabled: map[identity.ObjectID]bool{}}
	for _, r := range roots {
		people := map[identity.ObjectID]bool{}
		w.members[r] = people
		if x := dir.groups[r.ID]; x == nil || x.removal != directory.Present {
			w.missing[r] = true
			continue
		}
		seen := map[identity.ObjectID]bool{}
		var walk func(identity.ObjectID)
		walk = func(id identity.ObjectID) {
			x := dir.groups[id]
			if seen[id] || x == nil || x.removal != directory.Present {
				return
			}
			seen[id] = true
			for m, kind := range x.members {
				switch kind {
				case directory.KindPerson:
					if p := dir.users[m]; p.removal == directory.Present {
						people[m] = true
						w.profiles[m] = profileText(p.attributes)
						if p.attributes[identity.AccountEnabled] == "false" {
							w.disabled[m] = true
						}
					}
				case directory.KindGroup:
					if r.Nested {
						walk(m)
					}
				case directory.KindOther:
				}
			}
		}
		walk(r.ID)
	}
	return w
}

func profileText(attributes map[string]string) string {
	var s strings.Builder
	for _, k := range slices.Sorted(maps.Keys(attributes)) {
		fmt.Fprintf(&s, "%s=%s;", k, attributes[k])
	}
	return s.String()
}

// compare holds a view against the truth and returns what it shows.
func (b *bench) compare(w truth) {
	b.t.Helper()
	v := b.view()
	defer v.Close()
	for r, want := range w.members {
		people, complete, why, err := v.Members(r.ID, r.Nested)
		if err != nil {
			b.t.Fatal(err)
		}
		if w.missing[r] {
			if x, ok, _ := v.Group(r.ID); complete || !ok || x.State != directory.GroupMissing {
				b.t.Fatalf("root %v: missing, shown as complete %v, %+v", r, complete, x)
			}
			continue
		}
		if !complete {
			b.t.Fatalf("root %v: incomplete: %s", r, why)
		}
		people = roaring.AndNot(people, v.Gone())
		if int(people.GetCardinality()) != len(want) {
			b.t.Fatalf("root %v: %s, want %d people: %v", r, names(b.t, v, people), len(want), slices.SortedFunc(maps.Keys(want), identity.ObjectID.Compare))
		}
		for id := range want {
			n, known, err := v.Number(id)
			if err != nil || !known || !people.Contains(n) {
				b.t.Fatalf("root %v: %s is not shown (%v)", r, id, err)
			}
			if back, _, _ := v.ID(n); back != id {
				b.t.Fatalf("number %d is %s, want %s", n, back, id)
			}
			p, ok, err := v.Person(n)
			if err != nil || !ok || profileText(p.Attributes) != w.profiles[id] {
				b.t.Fatalf("%s: profile %q (%v, %v), want %q", id, profileText(p.Attributes), ok, err, w.profiles[id])
			}
			if v.Disabled().Contains(n) != w.disabled[id] {
				b.t.Fatalf("%s: disabled %v", id, !w.disabled[id])
			}
		}
	}
}

// difference is who must be in Touched between two truths.
func difference(a, b truth) map[identity.ObjectID]bool {
	people := map[identity.ObjectID]bool{}
	for r := range b.members {
		for id := range a.members[r] {
			if !b.members[r][id] {
				people[id] = true
			}
		}
		for id := range b.members[r] {
			if !a.members[r][id] {
				people[id] = true
			}
		}
	}
	for id, p := range b.profiles {
		if a.profiles[id] != p {
			people[id] = true
		}
	}
	return people
}

// wreck is a random change of the tenant.
func wreck(rng *rand.Rand, dir *tenant) {
	const people, groups = 40, 9
	n, x := rng.IntN(people), rng.IntN(groups)
	group := dir.groups[g(x)]
	switch rng.IntN(14) {
	case 0, 1, 2, 3:
		if dir.user(n).removal == directory.Present {
			dir.add(x, u(n))
		}
	case 4, 5:
		for _, id := range slices.SortedFunc(maps.Keys(group.members), identity.ObjectID.Compare) {
			if rng.IntN(3) == 0 && (id[0] != 1 || dir.users[id].removal == directory.Present) {
				dir.remove(x, id)
			}
		}
	case 6:
		dir.add(x, g(rng.IntN(groups)))
	case 7:
		dir.set(n, identity.DisplayName, []string{"", "Name A", "Name B"}[rng.IntN(3)])
	case 8:
		dir.set(n, identity.AccountEnabled, []string{"true", "false"}[rng.IntN(2)])
	case 9:
		if dir.user(n).removal == directory.Present {
			dir.removeUser(n, directory.SoftDeleted)
		}
	case 10:
		if dir.user(n).removal == directory.SoftDeleted {
			dir.removeUser(n, []directory.Removal{directory.Present, directory.Deleted}[rng.IntN(2)])
		}
	case 11:
		if x > 0 { // the first root stays
			dir.removeGroup(x, []directory.Removal{directory.Present, directory.SoftDeleted, directory.Deleted}[rng.IntN(3)])
		}
	case 12:
		dir.add(x, d(n))
	case 13:
		dir.rename(x, fmt.Sprintf("Group %d/%d", x, rng.IntN(4)))
	}
}

// TestModel changes a tenant at random, refreshes through random faults and
// crashes at a random durable step, and compares what is shown with the truth.
func TestModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			runModel(t, seed)
		})
	}
}

func runModel(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 99))
	mode := []string{"read", "stream", "auto"}[seed%3]
	steps := 0 // durable steps until the crash; negative: none
	cut := func(string) error {
		if steps--; steps == 0 {
			return errInjected
		}
		return nil
	}
	b := newBench(t, Options{Profiles: mode, ProfileLimit: 12, portion: 1 + int(seed%5)*3, cut: cut})
	b.dir.rng = rng
	b.dir.pageSize = 1 + rng.IntN(5)
	b.dir.removedFirst = seed%2 == 0
	b.dir.emitSoft = mode == "stream" && seed%4 < 2
	for x := range 9 {
		b.dir.group(x)
	}
	roots := []Root{nested(0), root(1), nested(2)}
	var (
		known    = truthOf(newTenant(0), roots)
		revision uint64
		have     bool
	)
	for range 12 {
		for range rng.IntN(12) {
			wreck(rng, b.dir)
		}
		if rng.IntN(6) == 0 {
			roots = append(roots[:1:1], []Root{root(1), nested(2), nested(3), root(4), nested(5)}[rng.IntN(5)])
		}
		w := truthOf(b.dir, roots)
		before := b.dump()
		for attempt := 0; ; attempt++ {
			fault(rng, b.dir, attempt)
			if attempt < 3 && rng.IntN(3) == 0 {
				steps = 1 + rng.IntN(12)
			} else {
				steps = -1
			}
			b.now = b.now.Add(time.Duration(rng.IntN(40)) * time.Hour)
			_, err := b.m.Refresh(t.Context(), b.dir, Refresh{Roots: roots, Full: rng.IntN(8) == 0})
			if err == nil {
				break
			}
			if !errors.Is(err, errInjected) {
				t.Fatalf("refresh failed of itself: %v", err)
			}
			crashed := steps == 0 // the process died: only what was committed is left
			steps = -1
			if crashed {
				b.reopen()
			}
			// A crash after the commit, while folding, shows the new state.
			if after := b.dump(); after != before {
				if !crashed && !strings.Contains(err.Error(), "fold") && !strings.Contains(err.Error(), "mark") {
					t.Fatalf("a failed refresh shows something else: %v\nwas\n%sis\n%s", err, before, after)
				}
				b.compare(w)
				before = after
			}
		}
		steps = -1
		b.dir.lost, b.dir.fail, b.dir.pageErr, b.dir.replay = nil, nil, nil, 0
		b.compare(w)
		v := b.view()
		people, ok, err := v.Touched(revision)
		if err != nil || !ok {
			t.Fatalf("touched since %d: %v %v", revision, ok, err)
		}
		if have {
			for id := range difference(known, w) {
				if n, _, _ := v.Number(id); !people.Contains(n) && sameRoots(known, w) {
					t.Fatalf("%s changed and is not touched: %s", id, names(t, v, people))
				}
			}
		}
		revision, known, have = v.Revision(), w, true
		b.closeViews()
		if rng.IntN(4) == 0 {
			if err := b.m.Forget(revision); err != nil {
				t.Fatal(err)
			}
		}
		// The same again changes nothing.
		if report, err := b.m.Refresh(t.Context(), b.dir, Refresh{Roots: roots}); err != nil || report.Revision != revision {
			t.Fatalf("a second refresh: %+v %v", report, err)
		}
		b.compare(w)
	}
}

// sameRoots: a change of the configuration is not a change of the directory.
func sameRoots(a, b truth) bool {
	for r := range b.members {
		if _, ok := a.members[r]; !ok {
			return false
		}
	}
	return len(a.members) == len(b.members)
}

// fault sets what goes wrong in the next pull.
func fault(rng *rand.Rand, dir *tenant, attempt int) {
	dir.lost, dir.fail, dir.pageErr, dir.replay = nil, nil, nil, 0
	if rng.IntN(3) == 0 {
		dir.replay = rng.IntN(30)
	}
	if rng.IntN(5) == 0 {
		users := rng.IntN(2) == 0
		dir.lost = func(u bool, _ []identity.ObjectID) bool { return u == users }
	}
	if attempt > 3 {
		return
	}
	switch rng.IntN(6) {
	case 0:
		left := rng.IntN(20)
		dir.fail = func(int) error {
			if left--; left < 0 {
				return errInjected
			}
			return nil
		}
	case 1:
		left := rng.IntN(4)
		dir.pageErr = func(directory.Stream) error {
			if left--; left == 0 {
				return errInjected
			}
			return nil
		}
	}
}
