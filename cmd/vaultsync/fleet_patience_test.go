package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
)

// countingDirectory counts the pulls that reach a directory.
type countingDirectory struct {
	directory.Directory
	mu    sync.Mutex
	pulls []time.Time
}

func (c *countingDirectory) Pull(ctx context.Context, r directory.Request, deliver func(directory.Page) error) error {
	c.mu.Lock()
	c.pulls = append(c.pulls, time.Now())
	c.mu.Unlock()
	return c.Directory.Pull(ctx, r, deliver)
}

// take gives the pulls since it was last called.
func (c *countingDirectory) take() []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	pulls := c.pulls
	c.pulls = nil
	return pulls
}

// TestADirectoryInTroubleIsAskedAsIfForOneVault is scenario 42: the back-off of
// a directory belongs to all of its vaults.
func TestADirectoryInTroubleIsAskedAsIfForOneVault(t *testing.T) {
	vaults, outage := 60, 2*time.Hour
	if os.Getenv("VAULTSYNC_DEEP") != "" {
		vaults, outage = 200, 4*time.Hour
	}
	for name, fault := range map[string]entrasim.Fault{
		"hangs":     {Kind: entrasim.FaultHang},
		"throttles": {Kind: entrasim.FaultThrottle, RetryAfter: "20"},
		"refuses":   {Kind: entrasim.FaultStatus, Status: 403, Code: "Authorization_RequestDenied"},
	} {
		dir := t.TempDir()
		t.Run("one that "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tenant := entrasim.Generate(entrasim.Spec{People: 40, Groups: 10, MembershipsPerPerson: 1, Seed: 1})
				s := newSite(t, "contoso", tenant, "patience: 2m")
				f := &fleet{dir: dir, sites: []*site{s}, server: "concurrency: 4"}
				f.write(t)
				for v := range vaults {
					f.vault(t, fmt.Sprintf("v%03d", v), "contoso", "{every: 15m}", groupIDs(t, tenant, 10)[v%10])
				}
				d := f.open(t)
				dir, err := d.app.directory("contoso")
				if err != nil {
					t.Fatal(err)
				}
				counting := &countingDirectory{Directory: dir.Client}
				dir.Client = counting
				stop := f.run(t, d)
				defer func() { stop() }()
				time.Sleep(45 * time.Minute) // all are imported
				if n := len(f.take()); n < vaults {
					t.Fatalf("%d of %d vaults ran", n, vaults)
				}
				if _, err := s.graph.Inject(fault); err != nil {
					t.Fatal(err)
				}
				counting.take()
				began := time.Now()
				time.Sleep(outage)
				synctest.Wait()
				// After 1, 2, 4 … minutes up to an hour, as one vault alone would.
				pulls := counting.take()
				if n := len(pulls); n < 5 || n > 9 {
					t.Errorf("%d pulls: %v", n, pulls)
				}
				for i, at := range pulls {
					pause := min(time.Minute<<max(i-1, 0), 15*time.Minute)
					if i > 0 && at.Sub(pulls[i-1]) < pause {
						t.Errorf("pull %d came %s after the one before, %s in all", i, at.Sub(pulls[i-1]), at.Sub(began))
					}
				}
				if since, problem := dir.Problem(); problem == nil || since.Sub(began) > 20*time.Minute {
					t.Errorf("the directory says %v since %s", problem, since)
				}
				f.take()
				s.graph.ClearFaults()
				time.Sleep(75 * time.Minute) // the longest pause of a vault, and one of the directory
				synctest.Wait()
				back := map[string]bool{}
				for _, r := range f.take() {
					back[r.Vault] = back[r.Vault] || r.Outcome == reconcile.OK
				}
				if len(back) != vaults {
					t.Errorf("%d of %d vaults came back", len(back), vaults)
				}
				if since, problem := dir.Problem(); problem != nil || !since.IsZero() {
					t.Errorf("the directory still says %v", problem)
				}
			})
		})
	}
}

// TestAPullThatWaitsSaysSo is "throttled since …" for whoever waits, while it
// waits.
func TestAPullThatWaitsSaysSo(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		tenant := entrasim.Generate(entrasim.Spec{People: 40, Groups: 2, MembershipsPerPerson: 1, Seed: 1})
		s := newSite(t, "contoso", tenant, "patience: 5m")
		f := &fleet{dir: dir, sites: []*site{s}}
		f.write(t)
		f.vault(t, "sales", "contoso", "{every: 15m}", groupIDs(t, tenant, 1)...)
		d := f.open(t)
		defer func() { _ = f.close() }()
		dir, err := d.app.directory("contoso")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			fault entrasim.Fault
			says  []string
			state bool
		}{
			{entrasim.Fault{Kind: entrasim.FaultThrottle, RetryAfter: "40", Times: 1}, []string{"throttled since ", "next try at "}, true},
			{entrasim.Fault{Kind: entrasim.FaultHang, Times: 1}, []string{"nothing has come since "}, false},
		} {
			if _, err := s.graph.Inject(c.fault); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			began := time.Now()
			line := (&session{err: &out}).newProgress("sales")
			ended := make(chan error, 1)
			go func() {
				_, err := dir.Pull(t.Context(), reconcile.Pull{Full: true, Progress: line.show})
				ended <- err
			}()
			time.Sleep(30*time.Second + 500*time.Millisecond)
			synctest.Wait()
			for _, text := range append(c.says, began.Local().Format(time.TimeOnly)) {
				if !strings.Contains(out.String(), text) {
					t.Errorf("%s: whoever waits is not told %q: %q", c.fault.Kind, text, out.String())
				}
			}
			st := d.app.vaultStatus("sales", nil)
			if (st.Throttled != nil) != c.state {
				t.Errorf("%s: status says %+v", c.fault.Kind, st.Throttled)
			}
			if c.state {
				if !st.Throttled.Since.Equal(began) || st.Throttled.NextTry == nil || !st.Throttled.NextTry.Equal(began.Add(40*time.Second)) {
					t.Errorf("status says %+v", st.Throttled)
				}
				var shown bytes.Buffer
				printStatus(&shown, st, true)
				if !strings.Contains(shown.String(), "contoso, throttled since ") {
					t.Errorf("status prints %s", shown.String())
				}
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if st := d.app.vaultStatus("sales", nil); st.Throttled != nil {
				t.Errorf("after the pull status says %+v", st.Throttled)
			}
		}
	})
}
