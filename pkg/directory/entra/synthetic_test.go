package entra_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/vaultsync/vaultsync/pkg/directory/entra"
	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

// synthetic runs a test under a synthetic clock. The client is the program's
// own in everything but who dials, with the waits that the program has.
func synthetic(t *testing.T, text string, change func(*entra.Options), test func(t *testing.T, w *world, network *entrasim.Pipes)) {
	t.Helper()
	synthetically(t, entrasim.Options{}, text, change, test)
}

func synthetically(t *testing.T, server entrasim.Options, text string, change func(*entra.Options), test func(t *testing.T, w *world, network *entrasim.Pipes)) {
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
		network := entrasim.NewPipes()
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
			transport, err := entra.NewTransport(*o, network.Dial)
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
