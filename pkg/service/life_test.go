package service

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// told is what the manager was told, with the time since the beginning.
type told struct {
	at     time.Duration
	status Status
}

// live runs work in a bubble; drive sends commands meanwhile.
func live(t *testing.T, work Work, drive func(commands chan<- Command)) (all []told, exit int) {
	t.Helper()
	began := time.Now()
	commands := make(chan Command)
	go drive(commands)
	exit = Live(t.Context(), commands, func(s Status) { all = append(all, told{time.Since(began), s}) }, work)
	return all, exit
}

func states(all []told) []State {
	var got []State
	for _, x := range all {
		if len(got) == 0 || got[len(got)-1] != x.status.State {
			got = append(got, x.status.State)
		}
	}
	return got
}

func TestLifeOfAService(t *testing.T) {
	full := []State{StartPending, Running, StopPending, Stopped}
	upFor := func(start, stop time.Duration, exit int) Work {
		return func(ctx context.Context, ready func()) int {
			time.Sleep(start)
			ready()
			ready() // twice is once
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), ErrStopRequested) {
				return 99
			}
			time.Sleep(stop)
			return exit
		}
	}
	after := func(wait time.Duration, send ...Command) func(chan<- Command) {
		return func(commands chan<- Command) {
			for _, c := range send {
				time.Sleep(wait)
				commands <- c
			}
		}
	}
	for _, c := range []struct {
		name  string
		work  Work
		drive func(chan<- Command)
		want  []State
		exit  int
	}{
		{"stop ends it at its safe point", upFor(0, 30*time.Second, 0), after(time.Minute, Stop), full, 0},
		{"shutdown is a stop", upFor(0, time.Second, 0), after(time.Minute, Shutdown), full, 0},
		{"a second stop changes nothing", upFor(0, time.Hour, 0), after(time.Minute, Stop, Stop, Shutdown), full, 0},
		{"the exit code comes through", upFor(0, time.Second, 7), after(time.Minute, Stop), full, 7},
		{"a stop while starting is heard", func(ctx context.Context, _ func()) int { <-ctx.Done(); return 0 }, after(time.Minute, Stop), []State{StartPending, StopPending, Stopped}, 0},
		{"ready after the stop does not bring it back", func(ctx context.Context, ready func()) int {
			<-ctx.Done()
			ready()
			time.Sleep(time.Minute)
			return 0
		}, after(time.Minute, Stop), []State{StartPending, StopPending, Stopped}, 0},
		{"work that fails at once", func(context.Context, func()) int { return 2 }, func(chan<- Command) {}, []State{StartPending, Stopped}, 2},
		{"work that ends by itself", func(_ context.Context, ready func()) int { ready(); time.Sleep(time.Hour); return 1 }, func(chan<- Command) {}, []State{StartPending, Running, Stopped}, 1},
		{"commands that end are no command", upFor(0, time.Second, 0), func(c chan<- Command) { time.Sleep(time.Minute); c <- Stop; close(c) }, full, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all, exit := live(t, c.work, c.drive)
				if got := states(all); !slices.Equal(got, c.want) || exit != c.exit {
					t.Errorf("states %v, exit %d; want %v, %d", got, exit, c.want, c.exit)
				}
				last := all[len(all)-1].status
				if last.Exit != c.exit {
					t.Errorf("the manager is told exit code %d, want %d", last.Exit, c.exit)
				}
				for i, x := range all {
					if x.status.AcceptsStop() != (x.status.State == Running) {
						t.Errorf("stop accepted in %v", x.status.State)
					}
					if i > 0 && x.status.State == all[i-1].status.State && x.status.State != Running && x.status.Checkpoint <= all[i-1].status.Checkpoint {
						t.Errorf("checkpoint %d after %d: the manager takes it for hung", x.status.Checkpoint, all[i-1].status.Checkpoint)
					}
					if i > 0 && (all[i-1].status.State == StartPending || all[i-1].status.State == StopPending) && x.at-all[i-1].at > pendingHint {
						t.Errorf("%v without a word while %v, promised %v", x.at-all[i-1].at, all[i-1].status.State, pendingHint)
					}
				}
			})
		})
	}
}

func TestStopPendingIsToldBeforeTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		commands := make(chan Command, 1)
		var order []string
		Live(t.Context(), commands, func(s Status) { order = append(order, s.State.String()) }, func(ctx context.Context, ready func()) int {
			context.AfterFunc(ctx, func() { order = append(order, "work told") })
			ready()
			synctest.Wait()
			commands <- Stop
			<-ctx.Done()
			synctest.Wait()
			return 0
		})
		if want := []string{"starting", "running", "stopping", "work told", "stopped"}; !slices.Equal(order, want) {
			t.Errorf("order is %v, want %v", order, want)
		}
	})
}

func TestInterrogateRepeatsTheStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, _ := live(t, func(ctx context.Context, ready func()) int { ready(); <-ctx.Done(); return 0 }, func(c chan<- Command) {
			time.Sleep(time.Minute)
			c <- Interrogate
			c <- Command(200) // a pause, a power event, whatever comes
			c <- Stop
		})
		running := 0
		for _, x := range all {
			if x.status.State == Running {
				running++
			}
		}
		if running != 2 {
			t.Errorf("running was told %d times, want 2", running)
		}
	})
}
