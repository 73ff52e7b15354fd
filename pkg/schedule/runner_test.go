package schedule

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vaultsync/vaultsync/pkg/config"
)

var errDown = errors.New("the directory is down")

// memory is Times that count their transactions.
type memory struct {
	mu    sync.Mutex
	past  map[string]Past
	saves int
	err   error
}

func (m *memory) Load() (map[string]Past, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.past), m.err
}

func (m *memory) Save(changed map[string]Past) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	m.saves++
	if m.past == nil {
		m.past = map[string]Past{}
	}
	maps.Copy(m.past, changed)
	return nil
}

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// run is one call of a job.
type run struct {
	vault string
	at    time.Duration // since the trial's beginning, by elapsed time
	kind  Kind
}

// trial is a runner in a bubble, with vaults that record their runs.
type trial struct {
	*Runner
	t     *testing.T
	times *memory
	began time.Time
	stop  context.CancelFunc
	ended chan error

	mu      sync.Mutex
	runs    []run
	now     int // runs under way
	most    int // at most, so far
	lasting time.Duration
	fail    map[string]error
	shift   time.Duration // of the wall clock
}

func start(t *testing.T, past map[string]Past, concurrency int, jobs ...Job) *trial {
	t.Helper()
	tr := &trial{t: t, times: &memory{past: past}, began: time.Now(), fail: map[string]error{}, ended: make(chan error, 1)}
	for i := range jobs {
		if jobs[i].Run == nil {
			jobs[i].Run = tr.runs1(jobs[i].Name)
		}
	}
	r, err := NewRunner(Options{Concurrency: concurrency, Times: tr.times, Now: tr.wall}, jobs)
	if err != nil {
		t.Fatal(err)
	}
	tr.Runner = r
	ctx, stop := context.WithCancel(t.Context())
	tr.stop = stop
	go func() { tr.ended <- r.Run(ctx) }()
	synctest.Wait()
	return tr
}

func (tr *trial) wall() time.Time {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return time.Now().Add(tr.shift)
}

func (tr *trial) setClock(by time.Duration) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.shift += by
}

func (tr *trial) setFail(vault string, err error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.fail[vault] = err
}

// runs1 is a job's Run: it records, lasts and fails as the trial says.
func (tr *trial) runs1(vault string) func(context.Context, Kind) error {
	return func(ctx context.Context, kind Kind) error {
		tr.mu.Lock()
		tr.runs = append(tr.runs, run{vault, time.Since(tr.began), kind})
		tr.now++
		tr.most = max(tr.most, tr.now)
		lasting, err := tr.lasting, tr.fail[vault]
		tr.mu.Unlock()
		defer func() {
			tr.mu.Lock()
			tr.now--
			tr.mu.Unlock()
		}()
		if lasting > 0 {
			select {
			case <-time.After(lasting):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return err
	}
}

// recorded gives the runs so far and forgets them.
func (tr *trial) recorded() []run {
	synctest.Wait()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	runs := tr.runs
	tr.runs = nil
	return runs
}

func (tr *trial) finish() {
	tr.t.Helper()
	tr.stop()
	if err := <-tr.ended; err != nil {
		tr.t.Errorf("Run = %v", err)
	}
}

func (tr *trial) state(vault string) Status {
	tr.t.Helper()
	synctest.Wait()
	for _, s := range tr.State() {
		if s.Name == vault {
			return s
		}
	}
	tr.t.Fatalf("%s is not in the state", vault)
	return Status{}
}

func spec(every time.Duration) config.Schedule {
	return config.Schedule{Every: every, ReconcileEvery: 24 * time.Hour, TimeZone: time.UTC, First: config.FirstImport{Auto: true}}
}

func ats(runs []run) []time.Duration {
	var all []time.Duration
	for _, r := range runs {
		all = append(all, r.at)
	}
	return all
}

func minutes(n ...int) []time.Duration {
	var all []time.Duration
	for _, m := range n {
		all = append(all, time.Duration(m)*time.Minute)
	}
	return all
}

func expect(t *testing.T, what string, got, want []time.Duration) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s at %v, want %v", what, got, want)
	}
}

func TestVaultRunsEveryInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := start(t, nil, 4, Job{Name: "sales", Spec: spec(15 * time.Minute)})
		time.Sleep(46 * time.Minute)
		runs := tr.recorded()
		expect(t, "runs", ats(runs), minutes(0, 15, 30, 45))
		if !runs[0].kind.Full || runs[1].kind.Full {
			t.Errorf("kinds are %+v: want the first run alone full", runs)
		}
		time.Sleep(24 * time.Hour)
		full := 0
		for _, r := range tr.recorded() {
			if r.kind.Full {
				full++
			}
		}
		if full != 1 {
			t.Errorf("%d full runs in the following day, want 1", full)
		}
		tr.finish()
	})
}

func Test200VaultsAreSpreadAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var jobs []Job
		for i := range 200 {
			jobs = append(jobs, Job{Name: fmt.Sprintf("vault-%03d", i), Spec: spec(15 * time.Minute)})
		}
		tr := start(t, nil, 4, jobs...)
		tr.mu.Lock()
		tr.lasting = 10 * time.Second
		tr.mu.Unlock()
		time.Sleep(15*time.Minute - time.Second)
		runs := tr.recorded()
		seen := map[string]int{}
		perMinute := map[int]int{}
		for _, r := range runs {
			seen[r.vault]++
			perMinute[int(r.at/time.Minute)]++
		}
		if len(seen) != 200 || len(runs) != 200 {
			t.Errorf("%d runs of %d vaults in the first interval, want each of 200 once", len(runs), len(seen))
		}
		for minute, n := range perMinute {
			if n < 12 || n > 15 {
				t.Errorf("%d first imports in minute %d, want 13 or 14: the spread is not even", n, minute)
			}
		}
		time.Sleep(6 * time.Hour)
		counts := map[string]int{}
		for _, r := range tr.recorded() {
			counts[r.vault]++
		}
		for vault, n := range counts {
			if n < 24 || n > 25 {
				t.Errorf("%s ran %d times in six hours, want 24", vault, n)
			}
		}
		if tr.most > 4 {
			t.Errorf("%d vaults ran at the same time, want at most 4", tr.most)
		}
		tr.finish()
	})
}

func TestRestartBringsNoStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		past := map[string]Past{}
		var jobs []Job
		for i := range 60 {
			name := fmt.Sprintf("vault-%03d", i)
			jobs = append(jobs, Job{Name: name, Spec: spec(15 * time.Minute)})
			past[name] = Past{Imported: now.Add(-time.Hour), LastFull: now.Add(-time.Hour), LastStart: now.Add(-time.Hour)}
		}
		tr := start(t, past, 4, jobs...)
		time.Sleep(10*time.Minute - time.Second)
		runs := tr.recorded()
		var want []time.Duration
		for i := range 60 {
			want = append(want, time.Duration(i)*10*time.Second)
		}
		expect(t, "overdue runs", ats(runs), want)
		for _, r := range runs {
			if r.kind.Full {
				t.Errorf("%s: a restart makes no run a full one", r.vault)
			}
		}
		tr.finish()
	})
}

func TestRunTimesSurviveRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := start(t, nil, 4, Job{Name: "sales", Spec: spec(time.Hour)})
		time.Sleep(20 * time.Minute)
		first.finish()
		second := start(t, first.times.past, 4, Job{Name: "sales", Spec: spec(time.Hour)})
		time.Sleep(time.Hour)
		expect(t, "the run after the restart", ats(second.recorded()), minutes(40))
		second.finish()
	})
}

func TestQuietTickIsOneTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		past := map[string]Past{}
		var jobs []Job
		for i := range 1000 {
			name := fmt.Sprintf("vault-%04d", i)
			s := spec(time.Hour)
			s.Every, s.Cron = 0, "0 * * * *"
			jobs = append(jobs, Job{Name: name, Spec: s})
			past[name] = Past{Imported: now, LastFull: now, LastStart: now}
		}
		tr := start(t, past, 4, jobs...)
		time.Sleep(time.Hour + time.Minute)
		if runs := tr.recorded(); len(runs) != 1000 {
			t.Errorf("%d runs, want 1000", len(runs))
		}
		if tr.times.saves != 1 {
			t.Errorf("%d transactions for one tick, want 1", tr.times.saves)
		}
		tr.finish()
	})
}

func TestFailuresBackOffAndASuccessEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := start(t, nil, 4, Job{Name: "bad", Spec: spec(15 * time.Minute)}, Job{Name: "good", Spec: spec(15 * time.Minute)})
		time.Sleep(15*time.Minute - time.Second) // both were imported
		tr.recorded()
		tr.setFail("bad", errDown)
		time.Sleep(4 * time.Hour)
		var pauses []time.Duration
		var previous time.Duration
		good := 0
		for _, r := range tr.recorded() {
			if r.vault == "good" {
				good++
				continue
			}
			if previous > 0 {
				pauses = append(pauses, r.at-previous)
			}
			previous = r.at
		}
		expect(t, "pauses", pauses, minutes(1, 2, 4, 8, 16, 32, 60, 60))
		if good != 16 {
			t.Errorf("the good vault ran %d times in four hours, want 16: it does not wait for the bad one", good)
		}
		s := tr.state("bad")
		if s.Phase != BackingOff || !errors.Is(s.Err, errDown) || s.Past.Failures < 8 {
			t.Errorf("state of the bad vault is %+v", s)
		}
		tr.setFail("bad", nil)
		time.Sleep(time.Hour)
		if s := tr.state("bad"); s.Phase != Waiting || s.Err != nil || s.Past.Failures != 0 {
			t.Errorf("after a success the state is %+v", s)
		}
		tr.finish()
	})
}

func TestFirstImportThatFailsIsTriedAgainAndStaysFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := spec(15 * time.Minute)
		s.First = config.FirstImport{After: 10 * time.Minute}
		tr := start(t, nil, 1, Job{Name: "sales", Spec: s})
		tr.setFail("sales", errDown)
		time.Sleep(10*time.Minute + time.Second)
		tr.setFail("sales", nil)
		time.Sleep(2 * time.Minute)
		runs := tr.recorded()
		expect(t, "attempts", ats(runs), minutes(10, 11))
		if len(runs) == 2 && !runs[1].kind.Full {
			t.Error("the first import that succeeds is not full")
		}
		tr.finish()
	})
}

func TestARunThatIsPutOffIsNoFailureAndIsMadeSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := spec(15 * time.Minute)
		s.First = config.FirstImport{After: 10 * time.Minute}
		tr := start(t, nil, 1, Job{Name: "sales", Spec: s})
		tr.setFail("sales", fmt.Errorf("sent away: %w", ErrPutOff))
		time.Sleep(10*time.Minute + time.Second)
		if s := tr.state("sales"); s.Phase != Waiting || s.Past.Failures != 0 || s.Err != nil {
			t.Errorf("%+v", s)
		}
		tr.setFail("sales", nil)
		time.Sleep(overdueStep)
		runs := tr.recorded()
		expect(t, "attempts", ats(runs), []time.Duration{10 * time.Minute, 10*time.Minute + overdueStep})
		tr.finish()
	})
}

func TestClockJumps(t *testing.T) {
	for name, c := range map[string]struct {
		by   time.Duration
		want []time.Duration
	}{
		"a clock set back a year neither stops the vault nor doubles its run": {-365 * 24 * time.Hour, minutes(0, 15, 35, 50)},
		"a clock set forward makes what was missed up once":                   {100 * time.Hour, minutes(0, 15, 20, 35, 50)},
		"a clock corrected by a few seconds changes nothing":                  {-3 * time.Second, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := start(t, nil, 4, Job{Name: "sales", Spec: spec(15 * time.Minute)})
				time.Sleep(20*time.Minute - time.Nanosecond)
				tr.setClock(c.by)
				time.Sleep(36 * time.Minute)
				runs := tr.recorded()
				var got []time.Duration
				for _, r := range runs {
					got = append(got, r.at.Truncate(time.Minute))
				}
				if c.want == nil {
					if len(runs) != 4 {
						t.Errorf("%d runs in 56 minutes, want 4", len(runs))
					}
				} else {
					expect(t, "runs", got, c.want)
				}
				tr.finish()
			})
		})
	}
}

func TestDaylightSavingTimeInTheRunner(t *testing.T) {
	zone := helsinki(t)
	for name, c := range map[string]struct{ from, until string }{
		"forward": {"2026-03-28 12:00 +02", "2026-03-31 12:00 +03"},
		"back":    {"2026-10-24 12:00 +03", "2026-10-27 12:00 +02"},
	} {
		t.Run("clocks go "+name+": one run a night", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(at(t, c.from)))
				s := spec(0)
				s.Cron, s.TimeZone = "30 3 * * *", zone
				tr := start(t, map[string]Past{"sales": {Imported: time.Now(), LastStart: time.Now(), LastFull: time.Now()}}, 4, Job{Name: "sales", Spec: s})
				time.Sleep(time.Until(at(t, c.until)))
				if runs := tr.recorded(); len(runs) != 3 {
					t.Errorf("%d runs in three nights: %v", len(runs), ats(runs))
				}
				tr.finish()
			})
		})
	}
}

func TestStopWaitsForTheSafePoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		safe := false
		tr := start(t, nil, 1, Job{Name: "sales", Spec: spec(time.Hour), Run: func(ctx context.Context, _ Kind) error {
			<-ctx.Done()
			time.Sleep(3 * time.Second) // to its safe point
			safe = true
			return ctx.Err()
		}})
		time.Sleep(time.Minute)
		tr.finish()
		if !safe {
			t.Error("Run returned before the run under way reached its safe point")
		}
		if past := tr.times.past["sales"]; past.Failures != 0 || !past.Imported.IsZero() {
			t.Errorf("a stop was kept as an outcome: %+v", past)
		}
		if _, err := tr.Trigger(t.Context(), "sales", Kind{}); !errors.Is(err, ErrStopped) {
			t.Errorf("Trigger after the stop = %v, want ErrStopped", err)
		}
	})
}

func TestRunTimesThatCannotBeSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := start(t, nil, 1, Job{Name: "sales", Spec: spec(time.Minute)})
		synctest.Wait()
		disk := errors.New("no space left on device")
		tr.times.fail(disk)
		if err := tr.Pause("sales"); !errors.Is(err, disk) {
			t.Errorf("Pause = %v, want the disk's error", err)
		}
		if s := tr.state("sales"); s.Past.Paused {
			t.Error("a pause that could not be kept is in force: after a restart it would silently end")
		}
		time.Sleep(10 * time.Minute)
		if runs := tr.recorded(); len(runs) < 10 {
			t.Errorf("%d runs in ten minutes: a full disk stops nothing", len(runs))
		}
		tr.times.fail(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if tr.times.past["sales"].LastStart.IsZero() {
			t.Error("run times are not saved once the disk has room")
		}
		tr.finish()
		tr.times.fail(disk)
		if _, err := NewRunner(Options{Concurrency: 1, Times: tr.times}, nil); !errors.Is(err, disk) {
			t.Errorf("NewRunner = %v: run times that cannot be read are not none", err)
		}
	})
}
