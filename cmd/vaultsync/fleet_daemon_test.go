package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
)

// running is a daemon with its endpoint, in this process.
type running struct {
	*daemon

	stop context.CancelFunc
	end  chan error
}

// start runs the daemon until the test ends, or stop is called.
func (f *fleet) start(t *testing.T) *running {
	t.Helper()
	cfg, err := f.load()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	r := &running{stop: stop, end: make(chan error, 1)}
	up := make(chan *daemon, 1)
	go func() {
		r.end <- runDaemon(ctx, cfg, f.load, slog.New(slog.DiscardHandler), f.told, func(d *daemon) { up <- d })
	}()
	select {
	case r.daemon = <-up:
	case err := <-r.end:
		t.Fatalf("the daemon did not start: %v", err)
	}
	t.Cleanup(func() { r.ended(t) })
	return r
}

// ended stops the daemon and waits for it.
func (r *running) ended(t *testing.T) {
	t.Helper()
	r.stop()
	if err := <-r.end; err != nil {
		t.Errorf("the daemon ended: %v", err)
	}
	r.end <- nil
}

// output is what a command prints, while it does.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// errand is a command under way.
type errand struct {
	out, err output
	done     chan struct{}
	code     int
	leave    context.CancelFunc
}

// ask gives a command line to the daemon, as another process would.
func (f *fleet) ask(t *testing.T, args ...string) *errand {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	a := &errand{done: make(chan struct{}), leave: leave}
	s := &session{configPath: f.file(), in: strings.NewReader(""), out: &a.out, err: &a.err}
	go func() {
		defer close(a.done)
		a.code = s.execute(ctx, args)
	}()
	t.Cleanup(func() {
		leave()
		<-a.done
	})
	return a
}

func (a *errand) wait(t *testing.T, code int) *errand {
	t.Helper()
	<-a.done
	if a.code != code {
		t.Fatalf("exit code %d, want %d\n%s%s", a.code, code, a.out.String(), a.err.String())
	}
	return a
}

func (a *errand) report(t *testing.T) reconcile.Report {
	t.Helper()
	var r reconcile.Report
	if err := json.Unmarshal([]byte(a.out.String()), &r); err != nil {
		t.Fatalf("%v in %s", err, a.out.String())
	}
	return r
}

// gate makes the directory answer nobody until it is opened: it throttles, a
// second at a time.
func (s *site) gate(t *testing.T) (open func()) {
	t.Helper()
	s.graph.ResetStats()
	if _, err := s.graph.Inject(entrasim.Fault{Kind: entrasim.FaultThrottle, RetryAfter: "1"}); err != nil {
		t.Fatal(err)
	}
	return s.graph.ClearFaults
}

func (s *site) knocked() bool { return s.graph.Stats().Throttled > 0 }

func fleetOf(t *testing.T, people, vaults int, schedule string) (*fleet, *site) {
	t.Helper()
	tenant := entrasim.Generate(entrasim.Spec{People: people, Groups: vaults, MembershipsPerPerson: 1, Seed: 1})
	s := startSite(t, "contoso", tenant, "patience: 1m")
	f := &fleet{dir: t.TempDir(), sites: []*site{s}}
	f.write(t)
	for i, id := range groupIDs(t, tenant, vaults) {
		f.vault(t, vaultName(i), "contoso", schedule, id)
	}
	return f, s
}

func vaultName(i int) string { return "v" + string(rune('a'+i)) }

const later = "{startTimeOfFirstImport: +10h, every: 12h}"

func TestOneRunForAllWhoAsk(t *testing.T) {
	t.Run("two commands at once share one run", func(t *testing.T) {
		f, s := fleetOf(t, 30, 1, later)
		f.start(t)
		open := s.gate(t)
		first := f.ask(t, "sync", "va", "--json")
		until(t, "the first command's run", s.knocked)
		second := f.ask(t, "sync", "va", "--json")
		until(t, "the second has joined", func() bool { return strings.Contains(second.err.String(), "waiting for it") })
		open()
		a, b := first.wait(t, exitDone).report(t), second.wait(t, exitDone).report(t)
		if a.Run != b.Run || a.Counts.Created != 30 {
			t.Errorf("the runs %+v and %+v", a, b)
		}
		if runs := f.take(); len(runs) != 1 {
			t.Errorf("%d runs", len(runs))
		}
	})
	t.Run("a command joins the scheduled run of its vault", func(t *testing.T) {
		f, s := fleetOf(t, 30, 1, "{startTimeOfFirstImport: +0s, every: 12h}")
		open := s.gate(t)
		f.start(t)
		until(t, "the scheduled run", s.knocked)
		joined := f.ask(t, "sync", "va", "--json")
		until(t, "the command has joined", func() bool { return strings.Contains(joined.err.String(), "waiting for it") })
		open()
		r := joined.wait(t, exitDone).report(t)
		runs := f.take()
		if len(runs) != 1 || runs[0].Run != r.Run || r.Mode != "initial" {
			t.Errorf("the runs %+v, told %+v", runs, r)
		}
	})
	t.Run("who leaves early does not take the run from the other", func(t *testing.T) {
		f, s := fleetOf(t, 30, 1, later)
		f.start(t)
		open := s.gate(t)
		first := f.ask(t, "sync", "va", "--json")
		until(t, "the run", s.knocked)
		second := f.ask(t, "sync", "va", "--json")
		until(t, "the second has joined", func() bool { return strings.Contains(second.err.String(), "waiting for it") })
		first.leave()
		first.wait(t, exitInterrupted)
		open()
		if r := second.wait(t, exitDone).report(t); r.Counts.Created != 30 {
			t.Errorf("the run %+v", r)
		}
	})
	t.Run("when all have left the run ends, and the daemon goes on", func(t *testing.T) {
		f, s := fleetOf(t, 30, 1, later)
		f.start(t)
		open := s.gate(t)
		only := f.ask(t, "sync", "va", "--json")
		until(t, "the run", s.knocked)
		only.leave()
		only.wait(t, exitInterrupted)
		open()
		if r := f.ask(t, "sync", "va", "--json").wait(t, exitDone).report(t); r.Counts.Created != 30 {
			t.Errorf("the next run %+v", r)
		}
	})
	t.Run("a stop ends the run, and all are told", func(t *testing.T) {
		f, s := fleetOf(t, 30, 1, later)
		r := f.start(t)
		open := s.gate(t)
		first := f.ask(t, "sync", "va", "--json")
		until(t, "the run", s.knocked)
		second := f.ask(t, "sync", "va", "--json")
		until(t, "the second has joined", func() bool { return strings.Contains(second.err.String(), "waiting for it") })
		r.stop()
		first.wait(t, exitInterrupted)
		second.wait(t, exitInterrupted)
		r.ended(t)
		open()
		// Without the daemon the command does the work itself.
		if got := f.ask(t, "sync", "va", "--json").wait(t, exitDone).report(t); got.Counts.Created != 30 || got.Mode != "initial" {
			t.Errorf("the next run %+v", got)
		}
	})
}

// TestOneCommandReadsADirectoryOnce: what a command for many vaults asks the
// directory does not grow with the vaults.
func TestOneCommandReadsADirectoryOnce(t *testing.T) {
	for _, daemon := range []bool{true, false} {
		t.Run(map[bool]string{true: "through the daemon", false: "on its own"}[daemon], func(t *testing.T) {
			f, s := fleetOf(t, 60, 12, later)
			if daemon {
				f.start(t)
			}
			f.ask(t, "sync", "--all").wait(t, exitDone)
			first := s.requests()
			f.ask(t, "sync", "--all").wait(t, exitDone)
			if n := s.requests(); n > 2 { // a process of its own also signs in
				t.Errorf("a quiet run of 12 vaults made %d requests", n)
			}
			f.ask(t, "sync", "--all", "--full").wait(t, exitDone)
			if n := s.requests(); n > first {
				t.Errorf("a full run of 12 vaults made %d requests, the first one %d", n, first)
			}
		})
	}
}
