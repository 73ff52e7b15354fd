package entra_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vaultsync/vaultsync/pkg/directory/entra"
	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

// pipes is a network in memory, for tests under a synthetic clock: waits of
// hours pass at once, and time stands still while anybody works.
type pipes struct {
	accept chan net.Conn
	closed chan struct{}
	once   sync.Once
	opened atomic.Int64 // connections so far
	alive  atomic.Int64 // of them still open
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accept:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.accept <- theirs:
		p.opened.Add(1)
		p.alive.Add(1)
		return &countedConn{Conn: ours, alive: &p.alive}, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// countedConn is a connection that tells when it is closed.
type countedConn struct {
	net.Conn
	alive *atomic.Int64
	once  sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.alive.Add(-1) })
	return c.Conn.Close()
}

// synthetic runs a test under a synthetic clock. The client is the program's
// own in everything but who dials, with the waits that the program has.
func synthetic(t *testing.T, text string, change func(*entra.Options), test func(t *testing.T, w *world, network *pipes)) {
	t.Helper()
	synthetically(t, entrasim.Options{}, text, change, test)
}

func synthetically(t *testing.T, server entrasim.Options, text string, change func(*entra.Options), test func(t *testing.T, w *world, network *pipes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(26 * 365 * 24 * time.Hour) // out of the last century
		tenant, err := entrasim.ParseTenant(text)
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, tenant: tenant, dir: t.TempDir()}
		if w.server, err = entrasim.NewServer(server, tenant); err != nil {
			t.Fatal(err)
		}
		network := &pipes{accept: make(chan net.Conn), closed: make(chan struct{})}
		if err := w.server.Serve(network); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.server.Close() })
		w.file("ca.pem", string(w.server.CAPEM()))
		w.file("secret", entrasim.DemoSecret+"\n")
		w.client = w.connect(func(o *entra.Options) {
			o.Patience, o.HeaderTimeout, o.IdleBody, o.Backoff = 0, 0, 0, 0 // the program's own
			if change != nil {
				change(o)
			}
			transport, err := entra.NewTransport(*o, network.dial)
			if err != nil {
				t.Fatal(err)
			}
			w.closeIdle = transport.CloseIdleConnections
			t.Cleanup(w.closeIdle)
			o.Transport = transport
		})
		test(t, w, network)
	})
}
