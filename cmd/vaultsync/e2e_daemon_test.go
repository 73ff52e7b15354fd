package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
)

// background is a command that runs beside the test.
type background struct {
	cmd      *exec.Cmd
	out, err lockedBuffer
	done     chan struct{}
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (p program) start(t *testing.T, args ...string) *background {
	t.Helper()
	b := &background{cmd: p.command(t, args...), done: make(chan struct{})}
	b.cmd.Stdout, b.cmd.Stderr = &b.out, &b.err
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(b.done)
		_ = b.cmd.Wait() // its exit code is asked for later
	}()
	t.Cleanup(func() {
		_ = b.cmd.Process.Kill()
		<-b.done
	})
	return b
}

func (b *background) result() result {
	<-b.done
	return result{code: b.cmd.ProcessState.ExitCode(), out: b.out.String(), err: b.err.String()}
}

// daemon starts the daemon and waits until it takes commands.
func (s *setting) daemon(t *testing.T) *background {
	t.Helper()
	b := s.start(t, "run")
	for {
		r := s.run(t, "status", "--json")
		if r.code == exitDone && strings.Contains(r.out, `"daemon":true`) {
			return b
		}
		select {
		case <-b.done:
			t.Fatalf("the daemon ended: %s", b.err.String())
		case <-t.Context().Done():
			t.Fatal("the daemon does not answer")
		default:
		}
	}
}

// statusWhere asks until the status is as wanted.
func (s *setting) statusWhere(t *testing.T, wanted func(vaultStatus) bool) vaultStatus {
	t.Helper()
	for t.Context().Err() == nil {
		if st := jsonLines[vaultStatus](t, s.wants(t, exitDone, "status", "sales", "--json"))[0]; wanted(st) {
			return st
		}
	}
	t.Fatal("the status never was as wanted")
	return vaultStatus{}
}

// stop asks the daemon to end and wants it to end well.
func (b *background) stop(t *testing.T) {
	t.Helper()
	terminate(t, b.cmd)
	if r := b.result(); r.code != exitDone && r.code != exitInterrupted {
		t.Errorf("the daemon ended with %d:\n%s", r.code, r.err)
	}
}

const everyHour = "groups:\n  - {name: Sales}\nschedule: {startTimeOfFirstImport: \"+0s\", every: 1h}\n"

// All commands work through the running daemon.
func TestCommandsThroughTheDaemon(t *testing.T) {
	t.Parallel()
	s := smallSetting(t)
	s.cfg.files = map[string]string{"vault.yaml": everyHour}
	s.cfg.write(t, s.graph.CAPEM())
	d := s.daemon(t)

	// The first import comes by itself.
	st := s.statusWhere(t, func(st vaultStatus) bool { return st.State == "waiting" && st.LastRun != nil && st.LastSuccess != nil })
	if st.LastRun.Mode != "initial" || st.LastRun.Counts.Created != 2 || st.NextRun == nil || st.State != "waiting" {
		t.Errorf("after the first import the status is %+v", st)
	}
	line := strings.TrimSpace(s.wants(t, exitDone, "status", "sales", "--json").out)
	hasFields(t, "status --json", line, "vault state firstImport lastRun lastSuccess nextRun held drift problem")

	// A run by hand, and what it prints.
	s.apply(t, "+member Sales: cyd@contoso.com")
	r := s.wants(t, exitDone, "sync", "sales", "--json")
	hasFields(t, "sync --json", strings.TrimSpace(r.out), "vault run mode outcome dryRun counts requests started finished error")
	var parts map[string]json.RawMessage
	if err := json.Unmarshal([]byte(r.out), &parts); err != nil {
		t.Fatal(err)
	}
	hasFields(t, "counts", string(parts["counts"]), "created updated disabled enabled groupsCreated groupsUpdated membersAdded membersRemoved held failed unchanged")
	hasFields(t, "requests", string(parts["requests"]), "directory store")
	user := s.wants(t, exitDone, "vault", "users", "sales", "--json").out
	first, _, _ := strings.Cut(user, "\n")
	hasFields(t, "vault users --json", first, "id loginName fullName email enabled license externalId managed groups attributes")
	group := strings.TrimSpace(s.wants(t, exitDone, "vault", "groups", "sales", "--json").out)
	hasFields(t, "vault groups --json", group, "id name externalId managed members")
	entries := s.wants(t, exitDone, "log", "sales", "--json").out
	first, _, _ = strings.Cut(entries, "\n")
	hasFields(t, "log --json", first, "time vault run kind before after why outcome error")
	if n := strings.Count(entries, `"kind":"create"`); n != 3 {
		t.Errorf("the provisioning log has %d creates, want 3:\n%s", n, entries)
	}

	s.planAndApply(t)
	s.byHandThroughDaemon(t)
	s.pauseAndResume(t)
	s.reloadBadAndGood(t, d)
	d.stop(t)
	if r := s.wants(t, exitDone, "sync", "sales"); r.code != exitDone {
		t.Errorf("after the daemon: %s", r.err)
	}
}

func (s *setting) planAndApply(t *testing.T) {
	t.Helper()
	file := filepath.Join(s.cfg.dir, "sales.plan")
	s.apply(t, "-member Sales: ann@contoso.com")
	was := s.vaultState(t)
	s.wants(t, exitDone, "plan", "sales", "-o", file)
	if now := s.vaultState(t); now != was {
		t.Errorf("plan changed the vault:\n%s\n%s", was, now)
	}
	r := s.wants(t, exitDone, "plan", "sales", "--json")
	hasFields(t, "plan --json", strings.TrimSpace(r.out), "vault run mode outcome dryRun counts requests started finished error plan changes")
	for _, c := range documentIn(t, r).Changes {
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		hasFields(t, "a change", string(text), "kind person login before after why")
	}
	// Somebody else leaves meanwhile: exactly the plan is made.
	s.apply(t, "-member Sales: cyd@contoso.com")
	s.wants(t, exitDone, "apply", file)
	enabled, disabled := s.found(t)
	if len(enabled) != 2 || len(disabled) != 1 {
		t.Errorf("apply made other changes: enabled %+v, disabled %+v", enabled, disabled)
	}
	if r := s.wants(t, exitFailed, "apply", file); !strings.Contains(r.err, "ann@contoso.com") {
		t.Errorf("a plan that is no longer due is refused without a name: %s", r.err)
	}
	s.wants(t, exitDone, "sync", "sales")
}

func (s *setting) byHandThroughDaemon(t *testing.T) {
	t.Helper()
	s.wants(t, exitDone, "vault", "user", "disable", "sales", "bob@contoso.com")
	s.wants(t, exitDone, "sync", "sales", "--full")
	if enabled, _ := s.found(t); len(enabled) != 0 {
		t.Errorf("whom hands disabled is enabled: %+v", enabled)
	}
	if r := s.wants(t, exitDone, "status", "sales"); !strings.Contains(r.out, "bob@contoso.com") {
		t.Errorf("status does not show who was disabled by hand:\n%s", r.out)
	}
	s.wants(t, exitDone, "vault", "user", "enable", "sales", "bob@contoso.com")
	if r := s.run(t, "vault", "user", "disable", "sales", "nobody@contoso.com"); r.code == exitDone || !strings.Contains(r.err, "nobody@contoso.com") {
		t.Errorf("disabling nobody ends with %d: %s", r.code, r.err)
	}
}

func (s *setting) pauseAndResume(t *testing.T) {
	t.Helper()
	s.wants(t, exitDone, "pause", "sales")
	if st := s.statusWhere(t, func(st vaultStatus) bool { return st.State == "paused" }); st.NextRun != nil {
		t.Errorf("a paused vault has a next run: %+v", st)
	}
	s.wants(t, exitDone, "resume", "sales")
	s.statusWhere(t, func(st vaultStatus) bool { return st.State != "paused" && st.NextRun != nil })
}

func (s *setting) reloadBadAndGood(t *testing.T, d *background) {
	t.Helper()
	s.cfg.files = map[string]string{"vault.yaml": everyHour + "drift: maybe\n"}
	s.cfg.write(t, s.graph.CAPEM())
	if r := s.wants(t, exitUsage, "reload"); !strings.Contains(r.err, "drift") {
		t.Errorf("reload does not say what is wrong: %s", r.err)
	}
	s.cfg.files = map[string]string{"vault.yaml": everyHour + "drift: report\n", "hr.yaml": everyHour}
	s.cfg.write(t, s.graph.CAPEM())
	if r := s.wants(t, exitUsage, "sync", "sales"); !strings.Contains(r.err, "reload") {
		t.Errorf("a command with another configuration is refused without saying what to do: %s", r.err)
	}
	s.wants(t, exitDone, "reload")
	s.wants(t, exitDone, "sync", "--all")
	if n := len(jsonLines[vaultStatus](t, s.wants(t, exitDone, "status", "--json"))); n != 2 {
		t.Errorf("after the reload there are %d vaults, want 2", n)
	}
	s.cfg.files = map[string]string{"vault.yaml": everyHour, "hr.yaml": ""}
	s.cfg.write(t, s.graph.CAPEM())
	s.wants(t, exitDone, "reload")
	select {
	case <-d.done:
		t.Fatalf("the daemon ended: %s", d.err.String())
	default:
	}
}

// Two syncs at once are one run, and both are told.
func TestTwoSyncsAtOnceAreOneRun(t *testing.T) {
	t.Parallel()
	s := smallSetting(t)
	s.cfg.files = map[string]string{"vault.yaml": everyHour}
	s.cfg.write(t, s.graph.CAPEM())
	s.daemon(t)
	s.statusWhere(t, func(st vaultStatus) bool { return st.State == "waiting" && st.LastSuccess != nil })
	s.apply(t, "+member Sales: cyd@contoso.com")
	fault, err := s.graph.Inject(entrasim.Fault{Kind: entrasim.FaultThrottle, RetryAfter: "2", Times: 1})
	if err != nil {
		t.Fatal(err)
	}
	first := s.start(t, "sync", "sales", "--json")
	until(t, "the run to meet the fault", func() bool { return fault.Fired() == 1 })
	second := s.start(t, "sync", "sales", "--json")
	until(t, "the second to be told", func() bool { return strings.Contains(second.err.String(), "a run is under way") })
	a, b := first.result(), second.result()
	if a.code != exitDone || b.code != exitDone {
		t.Fatalf("exit codes %d and %d\n%s%s", a.code, b.code, a.err, b.err)
	}
	one, two := jsonLines[reconcile.Report](t, a)[0], jsonLines[reconcile.Report](t, b)[0]
	if one.Run != two.Run || one.Counts.Created != 1 || two.Counts.Created != 1 {
		t.Errorf("two syncs at once reported %+v and %+v", one, two)
	}
}

// SIGTERM in the middle of a run ends the daemon at the next safe point; the
// next run continues.
func TestDaemonStopsInTheMiddleOfARun(t *testing.T) {
	t.Parallel()
	s := smallSetting(t)
	s.cfg.files = map[string]string{"vault.yaml": everyHour}
	s.cfg.write(t, s.graph.CAPEM())
	fault, err := s.graph.Inject(entrasim.Fault{Kind: entrasim.FaultHang})
	if err != nil {
		t.Fatal(err)
	}
	d := s.daemon(t)
	until(t, "the first import to hang", func() bool { return fault.Fired() > 0 })
	began := time.Now()
	d.stop(t)
	t.Logf("stopped within %s", time.Since(began))
	s.graph.ClearFaults()
	if r := s.sync(t, exitDone); r.Mode != "initial" || r.Counts.Created != 2 {
		t.Errorf("the next run reports %+v", r)
	}
}

// An interrupt ends a run in this process with 130; the next run continues.
func TestInterruptedRun(t *testing.T) {
	t.Parallel()
	s := smallSetting(t)
	s.sync(t, exitDone)
	was := s.vaultState(t)
	s.apply(t, "-member Sales: ann@contoso.com")
	fault, err := s.graph.Inject(entrasim.Fault{Kind: entrasim.FaultHang})
	if err != nil {
		t.Fatal(err)
	}
	run := s.start(t, "sync", "sales")
	until(t, "the run to hang", func() bool { return fault.Fired() > 0 })
	interrupt(t, run.cmd)
	if r := run.result(); r.code != exitInterrupted {
		t.Errorf("an interrupted run ends with %d:\n%s%s", r.code, r.out, r.err)
	}
	s.graph.ClearFaults()
	if now := s.vaultState(t); now != was {
		t.Errorf("the vault changed:\n%s\n%s", was, now)
	}
	if r := s.sync(t, exitDone); r.Counts.Disabled != 1 {
		t.Errorf("the next run reports %+v", r)
	}
}
