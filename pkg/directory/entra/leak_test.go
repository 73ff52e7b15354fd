package entra_test

import (
	"context"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/directory/entra"
	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

// counted is a connection that tells when it is closed.
type counted struct {
	net.Conn
	open *atomic.Int64
	done atomic.Bool
}

func (c *counted) Close() error {
	if c.done.CompareAndSwap(false, true) {
		c.open.Add(-1)
	}
	return c.Conn.Close()
}

// It runs alone: it counts goroutines.
func TestThrottlingLeavesNothingBehind(t *testing.T) {
	w := open(t, small)
	var opened, alive atomic.Int64
	network := w.trusting()
	var dialer net.Dialer
	network.DialContext = func(ctx context.Context, kind, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, kind, address)
		if err != nil {
			return nil, err
		}
		opened.Add(1)
		alive.Add(1)
		return &counted{Conn: conn, open: &alive}, nil
	}
	w.client = w.connect(func(o *entra.Options) {
		o.Transport, o.Backoff, o.Patience = http.RoundTripper(network), time.Microsecond, time.Hour
	})
	w.pull(directory.Request{Streams: []directory.Stream{{}}}) // whatever stays for good is there now
	goroutines, connections := runtime.NumGoroutine(), opened.Load()
	fault := w.inject(entrasim.Fault{Kind: entrasim.FaultThrottle, Times: 2000})
	if r := w.pull(directory.Request{Streams: []directory.Stream{{}, w.groupStream("", "group Sales")}}); len(r.errs) != 0 {
		t.Fatal(r.errs)
	}
	if fault.Fired() != 2000 {
		t.Fatalf("%d refusals", fault.Fired())
	}
	if n := opened.Load() - connections; n > 40 {
		t.Errorf("%d new connections", n)
	}
	network.CloseIdleConnections()
	// Closing is not instant; what leaks does not go away by waiting.
	for range 200 {
		if alive.Load() == 0 && runtime.NumGoroutine() <= goroutines {
			return
		}
		runtime.Gosched()
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d connections open, %d goroutines, before %d", alive.Load(), runtime.NumGoroutine(), goroutines)
}
