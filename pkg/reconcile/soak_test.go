package reconcile_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/directory/entra"
	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
)

// TestSoak lets a tenant change while it misbehaves in every way at once. No
// run may take anything from anybody who has a right to it; when the faults
// stop, one run brings the local copy and the vaults to the truth. Nothing
// grows: goroutines, open files and connections, memory, the files.
func TestSoak(t *testing.T) {
	rounds, people := 40, 60
	if deep() {
		rounds, people = 600, 300
	}
	for _, seed := range []uint64{1, 2} {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			s := newSoak(t, seed, people)
			defer s.world.Close()
			for round := 1; round <= rounds; round++ {
				s.round(round)
				if t.Failed() {
					t.Fatalf("seed %d, round %d", seed, round)
				}
			}
			s.report(rounds)
		})
	}
}

// soak is a world that is shaken.
type soak struct {
	t      *testing.T
	world  *world
	random *rand.Rand
	seed   uint64
	groups []string
	calm   *entra.Client // with all the patience there is

	struck              map[entrasim.FaultKind]int
	good, failed, wrote int
	gauges              []gauge
}

// gauge is what must not grow.
type gauge struct {
	goroutines, files int
	heap, disk        int64
}

const soakGroups = 12

func newSoak(t *testing.T, seed uint64, people int) *soak {
	t.Helper()
	tenant := entrasim.Generate(entrasim.Spec{People: people, Groups: soakGroups, Seed: seed, MembershipsPerPerson: 2, Nesting: 3})
	s := &soak{t: t, random: rand.New(rand.NewPCG(seed, 0x50a1)), seed: seed, struck: map[entrasim.FaultKind]int{}}
	for i := range soakGroups {
		s.groups = append(s.groups, fmt.Sprintf("Group %d", i))
	}
	profiles := []string{"stream", "read"}[seed%2]
	s.world = openWorld(t.Context(), t, t.TempDir(), tenant, profiles, func(o *entra.Options) {
		o.Patience, o.HeaderTimeout, o.IdleBody = 150*time.Millisecond, 60*time.Millisecond, 60*time.Millisecond
		o.MaxPages = 400
	}, vaultSpec{"north", s.groups[:3], openGuards}, vaultSpec{"south", s.groups[2:5], openGuards})
	hasty := s.world.options
	s.world.options = nil
	s.calm = s.world.connect()
	t.Cleanup(s.calm.Close)
	s.world.options = hasty
	return s
}

// round is one step: change, misbehave, run; every tenth ends in peace.
func (s *soak) round(n int) {
	s.t.Helper()
	s.change(n)
	s.rules()
	for range 1 + s.random.IntN(3) {
		s.world.inject(s.fault())
	}
	for _, m := range s.world.stores {
		m.Forget()
	}
	_, errs, _ := s.world.run(reconcile.Options{Full: s.random.IntN(12) == 0})
	for _, spec := range s.world.specs {
		m := s.world.stores[spec.name]
		if errs[spec.name] == nil {
			s.good++
		} else {
			s.failed++
			if len(m.Writes()) > 0 {
				s.t.Errorf("vault %s: a failed run made %d changes: %v", spec.name, len(m.Writes()), errs[spec.name])
			}
		}
		s.wrote += len(m.Writes())
		s.world.nobodyLostAnything(spec)
	}
	for kind, count := range s.world.server.Stats().Faults {
		s.struck[kind] += count
	}
	s.world.server.ClearFaults()
	if s.random.IntN(40) == 0 {
		s.world.reopen()
	}
	if n%10 != 0 {
		return
	}
	s.world.tenant.SetRules(func(r *entrasim.Rules) { *r = entrasim.DefaultRules() })
	// In peace nothing may fail, however slow the machine is.
	hasty := s.world.directory.Client
	s.world.directory.Client = s.calm
	s.world.mustRun(reconcile.Options{ByHand: true})
	s.world.check()
	s.world.mustRest()
	s.world.directory.Client = hasty
	s.measure()
}

// change is some of what people do to a tenant.
func (s *soak) change(n int) {
	s.world.tenant.Churn(s.seed*1_000_000+uint64(n), 1+4*s.random.Float64())
	group := func() string { return s.groups[s.random.IntN(len(s.groups))] }
	// A refusal, for instance of a group that is already gone, is no matter.
	try := func(text string) { _ = s.world.tenant.Apply(text) }
	for range s.random.IntN(3) {
		switch s.random.IntN(8) {
		case 0:
			try("delete group " + group())
		case 1:
			try("restore group " + group())
		case 2:
			try("+member " + group() + ": group " + group())
		case 3:
			try("-member " + group() + ": group " + group())
		case 4:
			try("reset tokens")
		case 5:
			s.world.tenant.Advance(time.Duration(s.random.IntN(9*24)) * time.Hour)
		case 6:
			ids := s.world.tenant.UserIDs()
			try("purge user " + ids[s.random.IntN(len(ids))].String())
		case 7:
			for _, g := range s.groups {
				try("restore group " + g)
			}
		}
	}
}

// rules changes what the documentation leaves open, and the size of pages.
func (s *soak) rules() {
	coin := func() bool { return s.random.IntN(2) == 0 }
	s.world.tenant.SetRules(func(r *entrasim.Rules) {
		*r = entrasim.DefaultRules()
		r.ObjectsPerPage, r.MembersPerPage, r.MembersPerItem = 1+s.random.IntN(60), 1+s.random.IntN(60), 1+s.random.IntN(20)
		r.Interleave, r.RemovedInInitial, r.GroupRestoreReplays = coin(), coin(), coin()
		r.ExpiredGone, r.GoneBody, r.GoneLocation, r.BatchThrottle424 = coin(), coin(), coin(), coin()
		r.SoftDeleted = []entrasim.SoftDeletedMembers{entrasim.MembersListed, entrasim.MembersRemoved, entrasim.MembersOmitted}[s.random.IntN(3)]
		r.PurgeSilent, r.GetByIDsNeedsDirectory, r.HiddenForbidden = coin(), coin(), coin()
	})
}

// fault is a random misbehaviour.
func (s *soak) fault() entrasim.Fault {
	cases := faultCases()
	f := cases[s.random.IntN(len(cases))].fault
	f.Seed = s.random.Uint64()
	switch s.random.IntN(3) {
	case 0:
		f.Times = 1 + s.random.IntN(3)
	case 1:
		f.Times, f.Probability = 0, 0.05+0.5*s.random.Float64()
	default:
		f.Skip, f.Times = s.random.IntN(6), 1+s.random.IntN(2)
	}
	if f.RetryAfter == "3600" {
		f.RetryAfter = "0.05" // an hour would end the soak
	}
	return f
}

func (s *soak) measure() {
	runtime.GC()
	runtime.GC() // what the first one has put aside
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	g := gauge{goroutines: runtime.NumGoroutine(), heap: int64(memory.HeapAlloc)} //nolint:gosec // far below
	if entries, err := os.ReadDir("/proc/self/fd"); err == nil {
		g.files = len(entries)
	}
	for _, name := range []string{"mirror", "north.state", "south.state"} {
		if info, err := os.Stat(filepath.Join(s.world.dir, name)); err == nil {
			g.disk += info.Size()
		}
	}
	s.gauges = append(s.gauges, g)
}

// report says what the soak has seen, and compares the end with round 50.
func (s *soak) report(rounds int) {
	s.t.Helper()
	s.t.Logf("%d rounds: %d runs good, %d failed, %d changes, faults struck %v", rounds, s.good, s.failed, s.wrote, s.struck)
	last := s.gauges[len(s.gauges)-1]
	s.t.Logf("at round 10 %+v, at the end %+v", s.gauges[0], last)
	for _, kind := range entrasim.FaultKinds() {
		if s.struck[kind] == 0 && deep() {
			s.t.Errorf("the fault %s never struck", kind)
		}
	}
	if s.good == 0 || s.failed == 0 || s.wrote == 0 {
		s.t.Errorf("the soak proves nothing: %d runs good, %d failed, %d changes", s.good, s.failed, s.wrote)
	}
	if !deep() {
		return
	}
	at50 := s.gauges[4]
	s.t.Logf("at round 50 %+v", at50)
	if last.goroutines > at50.goroutines+15 {
		s.t.Errorf("goroutines grew from %d to %d", at50.goroutines, last.goroutines)
	}
	if last.files > at50.files+10 {
		s.t.Errorf("open files grew from %d to %d", at50.files, last.files)
	}
	// Churn hires: the tenant and the vaults grow by one in thirty changes.
	if last.heap > 3*at50.heap {
		s.t.Errorf("memory grew from %d to %d bytes", at50.heap, last.heap)
	}
	if last.disk > 3*at50.disk {
		s.t.Errorf("the files grew from %d to %d bytes", at50.disk, last.disk)
	}
}
