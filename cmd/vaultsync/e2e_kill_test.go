package main

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// A daemon that is killed in the middle of a first import of 10,000 people and
// started again makes nobody twice and ends where the tenant is.
func TestKilledFirstImport(t *testing.T) {
	t.Parallel()
	rounds, seed := 1, uint64(time.Now().UnixNano())
	if os.Getenv("VAULTSYNC_DEEP") != "" {
		rounds = 8
	}
	random := rand.New(rand.NewPCG(seed, 3))
	t.Logf("seed %d", seed)
	for range rounds {
		s, groups := largeSetting(t)
		kills := 0
		for point := range 4 {
			d := s.start(t, "run")
			pause := time.NewTimer(time.Duration(300+random.IntN(1700)) * time.Millisecond)
			select {
			case <-pause.C:
			case <-d.done:
				t.Fatalf("the daemon ended: %s", d.err.String())
			}
			if err := d.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-d.done
			kills++
			enabled, disabled := s.found(t)
			t.Logf("kill %d: %d accounts", point+1, len(enabled))
			if len(disabled) > 0 {
				t.Errorf("%d accounts are disabled after a kill", len(disabled))
			}
		}
		d := s.daemon(t)
		s.wants(t, exitDone, "sync", "sales")
		got, off := s.found(t)
		same(t, "after the kills", expected(t, s.tenant, groups), got)
		if len(off) > 0 || kills == 0 {
			t.Errorf("%d accounts are disabled", len(off))
		}
		if r := s.sync(t, exitDone, "--full"); r.Counts.Made() != 0 {
			t.Errorf("a full run after it reports %+v, want nothing to do", r.Counts)
		}
		d.stop(t)
	}
}
