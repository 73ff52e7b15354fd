package schedule

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vaultsync/vaultsync/pkg/config"
)

// later is a schedule whose first import is far away.
func later() config.Schedule {
	s := spec(15 * time.Minute)
	s.First = config.FirstImport{After: 1000 * time.Hour}
	return s
}

func (tr *trial) last(d time.Duration) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.lasting = d
}

func TestTriggerRunsWhateverTheScheduleSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := start(t, nil, 1, Job{Name: "sales", Spec: later()})
		if joined, err := tr.Trigger(t.Context(), "sales", Kind{}); joined || err != nil {
			t.Errorf("Trigger = %v, %v", joined, err)
		}
		runs := tr.recorded()
		if len(runs) != 1 || !runs[0].kind.ByHand {
			t.Fatalf("runs are %+v, want one by hand", runs)
		}
		if s := tr.state("sales"); s.Past.Imported.IsZero() || time.Until(s.Next) > 15*time.Minute {
			t.Errorf("after a run by hand the vault is %+v: want it imported and on its interval", s)
		}
		if _, err := tr.Trigger(t.Context(), "other", Kind{}); !errors.Is(err, ErrUnknownVault) {
			t.Errorf("Trigger of an unknown vault = %v", err)
		}
		tr.setFail("sales", errDown)
		if _, err := tr.Trigger(t.Context(), "sales", Kind{}); !errors.Is(err, errDown) {
			t.Errorf("Trigger = %v, want the run's error", err)
		}
		if s := tr.state("sales"); s.Past.Failures != 0 || s.Phase != Waiting {
			t.Errorf("a failure by hand changes the schedule: %+v", s)
		}
		tr.finish()
	})
}

func TestTriggerJoinsARunUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := start(t, nil, 4, Job{Name: "sales", Spec: later()})
		tr.last(time.Minute)
		tr.setFail("sales", errDown)
		var wg sync.WaitGroup
		joins := 0
		var mu sync.Mutex
		ask := func(kind Kind) {
			joined, err := tr.Trigger(t.Context(), "sales", kind)
			if !errors.Is(err, errDown) {
				t.Errorf("Trigger = %v: both are told", err)
			}
			mu.Lock()
			defer mu.Unlock()
			if joined {
				joins++
			}
		}
		wg.Go(func() { ask(Kind{}) })
		synctest.Wait()
		wg.Go(func() { ask(Kind{}) })           // joins
		wg.Go(func() { ask(Kind{Full: true}) }) // is more than what is under way
		synctest.Wait()
		wg.Go(func() { ask(Kind{Full: true}) }) // joins the one asked for
		wg.Wait()
		runs := tr.recorded()
		if len(runs) != 2 || runs[0].kind.Full || !runs[1].kind.Full || runs[1].at != time.Minute {
			t.Errorf("runs are %+v: want an ordinary one, then a full one", runs)
		}
		if joins != 2 {
			t.Errorf("%d joined, want 2", joins)
		}
		if tr.most != 1 {
			t.Errorf("%d runs of one vault at the same time", tr.most)
		}
		tr.finish()
	})
}

func TestLeavingARunByHand(t *testing.T) {
	for name, c := range map[string]struct {
		others bool
		want   error
	}{
		"the last one to leave stops the run":       {false, context.Canceled},
		"while another waits the run goes on":       {true, nil},
		"a scheduled run that was joined continues": {true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := later()
				scheduled := name == "a scheduled run that was joined continues"
				if scheduled {
					s = spec(time.Hour)
				}
				var result error
				tr := start(t, nil, 1, Job{Name: "sales", Spec: s, Run: func(ctx context.Context, _ Kind) error {
					select {
					case <-time.After(time.Minute):
					case <-ctx.Done():
						result = ctx.Err()
					}
					return result
				}})
				ctx, leave := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				if c.others && !scheduled {
					wg.Go(func() {
						if _, err := tr.Trigger(t.Context(), "sales", Kind{}); err != nil {
							t.Errorf("the one who stays is told %v", err)
						}
					})
					synctest.Wait()
				}
				wg.Go(func() {
					if _, err := tr.Trigger(ctx, "sales", Kind{}); !errors.Is(err, context.Canceled) {
						t.Errorf("the one who leaves is told %v", err)
					}
				})
				synctest.Wait()
				leave()
				wg.Wait()
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if !errors.Is(result, c.want) {
					t.Errorf("the run ended with %v, want %v", result, c.want)
				}
				tr.finish()
			})
		})
	}
}

func TestRunsByHandGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at10 := func() config.Schedule {
			s := spec(time.Hour)
			s.First = config.FirstImport{After: 10 * time.Second}
			return s
		}
		tr := start(t, nil, 1, Job{Name: "a", Spec: spec(time.Hour)}, Job{Name: "b", Spec: at10()}, Job{Name: "c", Spec: at10()}, Job{Name: "z", Spec: later()})
		tr.last(time.Minute)
		go func() {
			_ = tr.Do(t.Context(), "z", func(context.Context) error { time.Sleep(30 * time.Second); return nil })
		}()
		time.Sleep(20 * time.Second)
		if s := tr.state("c"); s.Phase != Queued || s.Position != 2 {
			t.Errorf("c is %+v, want second in the queue", s)
		}
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = tr.Trigger(t.Context(), "a", Kind{Full: true}) })
		synctest.Wait()
		if s := tr.state("a"); s.Phase != Queued || s.Position != 1 {
			t.Errorf("a is %+v, want first in the queue", s)
		}
		wg.Wait()
		tr.finish()
	})
}

func TestDoIsAloneWithItsVault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := start(t, nil, 4, Job{Name: "sales", Spec: spec(time.Minute)})
		tr.recorded()
		var from, to time.Duration
		err := tr.Do(t.Context(), "sales", func(context.Context) error {
			from = time.Since(tr.began)
			time.Sleep(10 * time.Minute)
			to = time.Since(tr.began)
			return errDown
		})
		if !errors.Is(err, errDown) {
			t.Errorf("Do = %v, want the work's error", err)
		}
		time.Sleep(time.Second)
		runs := tr.recorded()
		for _, r := range runs {
			if r.at >= from && r.at < to {
				t.Errorf("a run began at %v, during the work", r.at)
			}
		}
		if len(runs) != 1 || tr.state("sales").Past.Failures != 0 {
			t.Errorf("after the work %d runs, want the one that was due", len(runs))
		}
		tr.finish()
	})
}

func TestDoIsStoppedByItsCallerAndByTheRunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := start(t, nil, 1, Job{Name: "sales", Spec: later()})
		wait := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		if err := tr.Do(ctx, "sales", wait); !errors.Is(err, context.Canceled) {
			t.Errorf("Do = %v after its caller left", err)
		}
		time.AfterFunc(time.Minute, tr.stop)
		if err := tr.Do(t.Context(), "sales", wait); !errors.Is(err, context.Canceled) {
			t.Errorf("Do = %v after the runner stopped", err)
		}
		tr.finish()
	})
}

func TestPausedVaultRunsByHandOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := start(t, nil, 4, Job{Name: "sales", Spec: spec(15 * time.Minute)})
		tr.recorded()
		if err := tr.Pause("sales"); err != nil {
			t.Fatal(err)
		}
		if !tr.times.past["sales"].Paused {
			t.Error("the pause is not kept")
		}
		time.Sleep(time.Hour)
		if runs := tr.recorded(); len(runs) != 0 {
			t.Errorf("%d runs while paused", len(runs))
		}
		if _, err := tr.Trigger(t.Context(), "sales", Kind{}); err != nil {
			t.Error(err)
		}
		if s := tr.state("sales"); s.Phase != Paused || !s.Next.IsZero() {
			t.Errorf("state is %+v, want paused", s)
		}
		tr.recorded()
		tr.finish()

		again := start(t, tr.times.past, 4, Job{Name: "sales", Spec: spec(15 * time.Minute)})
		time.Sleep(time.Hour)
		if runs := again.recorded(); len(runs) != 0 {
			t.Errorf("%d runs after a restart while paused", len(runs))
		}
		if err := again.Resume("sales"); err != nil {
			t.Fatal(err)
		}
		if runs := again.recorded(); len(runs) != 1 {
			t.Errorf("%d runs on resume, want the overdue one", len(runs))
		}
		if err := again.Resume("nobody"); !errors.Is(err, ErrUnknownVault) {
			t.Errorf("Resume of an unknown vault = %v", err)
		}
		again.finish()
	})
}

func TestPrepareHoldsNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(ctx context.Context, _ Kind) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(2 * time.Hour):
				return errDown
			}
		}
		tr := start(t, nil, 1,
			Job{Name: "hanging-1", Spec: spec(time.Hour), Prepare: hang},
			Job{Name: "hanging-2", Spec: spec(time.Hour), Prepare: hang},
			Job{Name: "well", Spec: spec(time.Hour)})
		time.Sleep(110 * time.Minute)
		runs := tr.recorded()
		if len(runs) != 2 || runs[0].vault != "well" || runs[1].vault != "well" {
			t.Errorf("runs are %+v: a directory that hangs holds up nobody else", runs)
		}
		if s := tr.state("hanging-1"); s.Phase != Preparing {
			t.Errorf("the hanging vault is %v, want preparing", s.Phase)
		}
		time.Sleep(2 * time.Hour)
		if s := tr.state("hanging-1"); !errors.Is(s.Err, errDown) {
			t.Errorf("a failed wait for the directory is %v, want a failure", s.Err)
		}
		tr.finish()
	})
}

func TestPanicIsOneVaultsFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := start(t, nil, 1,
			Job{Name: "bad", Spec: spec(15 * time.Minute), Run: func(context.Context, Kind) error { panic("index out of range") }},
			Job{Name: "good", Spec: spec(15 * time.Minute)})
		time.Sleep(time.Hour)
		if runs := tr.recorded(); len(runs) < 4 {
			t.Errorf("the other vault ran %d times in an hour", len(runs))
		}
		if s := tr.state("bad"); s.Phase != BackingOff || s.Err == nil {
			t.Errorf("the vault that panics is %+v", s)
		}
		tr.finish()
	})
}

func TestReplace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := start(t, nil, 4, Job{Name: "stays", Spec: spec(time.Hour)}, Job{Name: "goes", Spec: spec(time.Hour)}, Job{Name: "fails", Spec: spec(time.Hour)})
		tr.setFail("fails", errDown)
		time.Sleep(10*time.Hour + 30*time.Minute)
		tr.recorded()
		next := tr.state("stays").Next
		job := func(name string, s config.Schedule) Job { return Job{Name: name, Spec: s, Run: tr.runs1(name)} }

		// All or nothing.
		bad := spec(time.Second)
		if err := tr.Replace([]Job{job("stays", spec(time.Minute)), job("new", bad), job("stays", bad)}, 0); err == nil {
			t.Fatal("Replace accepts a bad configuration")
		}
		if got := tr.state("stays").Next; !got.Equal(next) || len(tr.State()) != 3 {
			t.Errorf("a refused reload changed something: next %v, %d vaults", got, len(tr.State()))
		}

		tr.last(time.Minute)
		var wg sync.WaitGroup
		var goesErr error
		wg.Go(func() { _, goesErr = tr.Trigger(t.Context(), "goes", Kind{}) })
		synctest.Wait()
		tr.recorded()
		tr.last(0)
		tr.setFail("fails", nil)
		if err := tr.Replace([]Job{job("stays", spec(time.Hour)), job("new", later()), job("fails", spec(time.Hour))}, 4); err != nil {
			t.Fatal(err)
		}
		if got := tr.state("stays").Next; !got.Equal(next) {
			t.Errorf("a reload moved an unchanged vault from %v to %v", next, got)
		}
		if runs := tr.recorded(); len(runs) != 1 || runs[0].vault != "fails" {
			t.Errorf("runs after the reload are %+v: want the failing vault tried again", runs)
		}
		wg.Wait()
		if goesErr != nil {
			t.Errorf("the run of the vault that goes ended with %v", goesErr)
		}
		synctest.Wait()
		if n := len(tr.State()); n != 3 {
			t.Errorf("%d vaults after the reload, want 3", n)
		}
		if _, err := tr.Trigger(t.Context(), "goes", Kind{}); !errors.Is(err, ErrUnknownVault) {
			t.Errorf("Trigger of a vault that went = %v", err)
		}

		// Its run times stay for its return.
		if err := tr.Replace([]Job{job("goes", spec(time.Hour))}, 1); err != nil {
			t.Fatal(err)
		}
		if s := tr.state("goes"); s.Past.Imported.IsZero() {
			t.Error("a vault that comes back counts as never imported")
		}
		// A shorter interval counts at once.
		if err := tr.Replace([]Job{job("goes", spec(time.Minute))}, 1); err != nil {
			t.Fatal(err)
		}
		tr.recorded()
		time.Sleep(3*time.Minute + time.Second)
		if runs := tr.recorded(); len(runs) != 3 {
			t.Errorf("%d runs in three minutes after every became 1m", len(runs))
		}
		tr.finish()
	})
}

func TestReplaceWhileRunningKeepsOneRunAVault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := start(t, nil, 4, Job{Name: "sales", Spec: spec(15 * time.Minute)})
		tr.recorded()
		tr.last(time.Minute)
		go func() { _, _ = tr.Trigger(t.Context(), "sales", Kind{}) }()
		synctest.Wait()
		again := Job{Name: "sales", Spec: spec(time.Minute), Run: tr.runs1("sales")}
		for _, jobs := range [][]Job{{}, {again}, {}, {again}} {
			if err := tr.Replace(jobs, 4); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(30 * time.Second)
		if _, err := tr.Trigger(t.Context(), "sales", Kind{}); err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if tr.most != 1 {
			t.Errorf("%d runs of one vault at the same time", tr.most)
		}
		if runs := tr.recorded(); len(runs) < 8 {
			t.Errorf("%d runs in ten minutes", len(runs))
		}
		tr.finish()
	})
}

func TestLastTurnMovesWhileTheRunnerLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := start(t, nil, 1, Job{Name: "sales", Spec: later()})
		time.Sleep(100 * time.Hour)
		if age := time.Since(tr.LastTurn()); age > longestSleep {
			t.Errorf("the last turn was %v ago, want at most %v", age, longestSleep)
		}
		tr.finish()
	})
}

func BenchmarkQuietStep1000Vaults(b *testing.B) {
	var jobs []Job
	past := map[string]Past{}
	now := time.Now()
	for i := range 1000 {
		name := string(rune('a'+i%26)) + time.Duration(i).String()
		past[name] = Past{Imported: now, LastStart: now, LastFull: now}
		jobs = append(jobs, Job{Name: name, Spec: spec(time.Hour), Run: func(context.Context, Kind) error { return nil }})
	}
	r, err := NewRunner(Options{Concurrency: 4, Times: &memory{past: past}}, jobs)
	if err != nil {
		b.Fatal(err)
	}
	r.begin()
	var wg sync.WaitGroup
	for b.Loop() {
		r.step(b.Context(), &wg)
	}
}
