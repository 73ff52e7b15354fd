package entra_test

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/directory/entra"
	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

// It runs alone: it counts goroutines. Under the synthetic clock everything has
// come to rest before anything is counted, however busy the machine is.
func TestThrottlingLeavesNothingBehind(t *testing.T) { //nolint:paralleltest // see above
	const refusals, parallel = 2000, 4
	for _, c := range []struct {
		name   string
		server entrasim.Options
		most   int // connections in all
	}{
		{"HTTP/2 uses one connection", entrasim.Options{}, 1},
		{"HTTP/1 throws no connection away", entrasim.Options{HTTP1: true}, 4 * parallel},
	} {
		for _, fault := range []entrasim.Fault{
			{Kind: entrasim.FaultThrottle, Times: refusals},
			{Kind: entrasim.FaultThrottle, Times: refusals, RetryAfter: "0"},
			{Kind: entrasim.FaultHTML, Times: refusals},
			{Kind: entrasim.FaultEmptyObject, Status: 503, Times: refusals},
		} {
			t.Run(c.name+" for "+string(fault.Kind)+fault.RetryAfter, func(t *testing.T) { //nolint:paralleltest // see above
				synthetically(t, c.server, small, func(o *entra.Options) {
					// Short waits: idle connections live for 90 s.
					o.Parallel, o.Patience, o.Backoff = parallel, time.Hour, time.Microsecond
				}, func(t *testing.T, w *world, network *entrasim.Pipes) {
					streams := []directory.Stream{{}, w.groupStream("", "group Sales"), w.groupStream("", "group Sales EU"), w.groupStream("", "group Empty")}
					w.pull(directory.Request{Streams: streams})
					synctest.Wait()
					_, alive := network.Connections()
					before := runtime.NumGoroutine() - 2*alive
					ordered := w.inject(fault)
					if r := w.pull(directory.Request{Streams: streams}); len(r.errs) != 0 || ordered.Fired() != refusals {
						t.Fatalf("%v after %d refusals", r.errs, ordered.Fired())
					}
					synctest.Wait()
					opened, alive := network.Connections()
					if opened > c.most || alive != opened {
						t.Errorf("%d connections were made for %d requests, %d are open", opened, w.client.Requests(), alive)
					}
					w.closeIdle()
					synctest.Wait()
					if _, n := network.Connections(); n != 0 {
						t.Errorf("%d connections are in use by nobody", n)
					}
					if n := runtime.NumGoroutine(); n > before {
						t.Errorf("%d goroutines, %d at rest before", n, before)
					}
				})
			})
		}
	}
}
