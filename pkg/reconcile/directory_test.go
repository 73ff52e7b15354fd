package reconcile_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
)

// gate lets a test decide when a pull goes on. A pull asks more than once, with
// one context; the gate stops it at the first answer.
type gate struct {
	directory.Directory
	last    context.Context //nolint:containedctx // to know one pull from the next
	entered chan struct{}
	open    chan struct{}
}

func (g *gate) Pull(ctx context.Context, request directory.Request, deliver func(directory.Page) error) error {
	err := g.Directory.Pull(ctx, request, deliver)
	if g.last == ctx {
		return err
	}
	g.last = ctx
	g.entered <- struct{}{}
	select {
	case <-g.open:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func TestSharedPulls(t *testing.T) {
	t.Parallel()
	open := func(t *testing.T) (*world, *gate) {
		t.Helper()
		tenant := entrasim.NewTenant(entrasim.DemoTenantID())
		tenant.AddApp(entrasim.DemoApp())
		for _, group := range []string{"Sales", "Research"} {
			if _, err := tenant.AddGroup(entrasim.GroupSpec{Name: group}); err != nil {
				t.Fatal(err)
			}
		}
		w := openWorld(t.Context(), t, t.TempDir(), tenant, "stream", nil, vaultSpec{"sales", []string{"Sales"}, openGuards}, vaultSpec{"research", []string{"Research"}, openGuards})
		t.Cleanup(func() { w.Close() })
		var ticks atomic.Int64 // time goes by between any two looks at the clock
		w.directory.Now = func() time.Time { return tenant.Now().Add(time.Duration(ticks.Add(1))) }
		g := &gate{Directory: w.client, entered: make(chan struct{}), open: make(chan struct{})}
		w.directory.Client = g
		return w, g
	}
	type answer struct {
		pulled reconcile.Pulled
		err    error
	}
	ask := func(ctx context.Context, w *world, p reconcile.Pull) chan answer {
		done, before := make(chan answer, 1), w.directory.Listeners()
		p.Progress = func(reconcile.Progress) {}
		go func() {
			pulled, err := w.directory.Pull(ctx, p)
			done <- answer{pulled, err}
		}()
		for w.directory.Listeners() == before && ctx.Err() == nil { // until it waits
			runtime.Gosched()
		}
		return done
	}
	good := func(t *testing.T, of string, done chan answer) {
		t.Helper()
		if a := <-done; a.err != nil {
			t.Errorf("%s: %v", of, a.err)
		}
	}
	t.Run("who asks now is not served by a pull that began before, and shares the next one", func(t *testing.T) {
		t.Parallel()
		w, g := open(t)
		scheduled := ask(t.Context(), w, reconcile.Pull{MaxAge: time.Minute})
		<-g.entered
		first := ask(t.Context(), w, reconcile.Pull{})
		second := ask(t.Context(), w, reconcile.Pull{})
		joined := ask(t.Context(), w, reconcile.Pull{MaxAge: time.Minute})
		g.open <- struct{}{}
		good(t, "the scheduled run", scheduled)
		good(t, "the scheduled run that joined", joined)
		<-g.entered
		g.open <- struct{}{} // a third pull would wait here
		good(t, "the first run by hand", first)
		good(t, "the second run by hand", second)
	})
	t.Run("the vaults of one command share what is read after it", func(t *testing.T) {
		t.Parallel()
		w, g := open(t)
		began := w.directory.Now()
		for i, p := range []struct {
			reconcile.Pull
			asks bool
		}{
			{reconcile.Pull{Asked: began}, true}, // reads everything, being the first
			{reconcile.Pull{Asked: began}, false},
			{reconcile.Pull{Asked: began, Full: true}, false},
			{reconcile.Pull{Asked: w.directory.Now().Add(time.Hour)}, true},
			{reconcile.Pull{Full: true}, true},
			{reconcile.Pull{}, true},
		} {
			done := make(chan answer, 1)
			go func() {
				pulled, err := w.directory.Pull(t.Context(), p.Pull)
				done <- answer{pulled, err}
			}()
			if p.asks {
				<-g.entered
				g.open <- struct{}{}
			}
			if a := <-done; a.err != nil || a.pulled.Own != p.asks {
				t.Errorf("%d: asked the directory %t, %v", i, a.pulled.Own, a.err)
			}
		}
	})
	t.Run("the vaults of one command share a failure", func(t *testing.T) {
		t.Parallel()
		w, _ := open(t)
		w.directory.Client = w.client
		if _, err := w.server.Inject(entrasim.Fault{Kind: entrasim.FaultNoLink}); err != nil {
			t.Fatal(err)
		}
		began := w.directory.Now()
		for i := range 3 {
			pulled, err := w.directory.Pull(t.Context(), reconcile.Pull{Asked: began})
			if err == nil || pulled.Own != (i == 0) {
				t.Errorf("vault %d asked the directory %t: %v", i, pulled.Own, err)
			}
		}
		w.server.ClearFaults()
		if pulled, err := w.directory.Pull(t.Context(), reconcile.Pull{}); err != nil || !pulled.Own {
			t.Errorf("the next command: %t, %v", pulled.Own, err)
		}
	})
	t.Run("a pull that everybody has left is nobody's answer", func(t *testing.T) {
		t.Parallel()
		w, g := open(t)
		ctx, leave := context.WithCancel(t.Context())
		scheduled := ask(ctx, w, reconcile.Pull{MaxAge: time.Minute})
		<-g.entered
		leave()
		if a := <-scheduled; !errors.Is(a.err, context.Canceled) {
			t.Errorf("left with %v", a.err)
		}
		again := make(chan answer, 1)
		go func() {
			pulled, err := w.directory.Pull(t.Context(), reconcile.Pull{MaxAge: time.Minute})
			again <- answer{pulled, err}
		}()
		<-g.entered
		g.open <- struct{}{}
		good(t, "the next run", again)
	})
	t.Run("a full read waits for one that is not, and serves who joins it", func(t *testing.T) {
		t.Parallel()
		w, g := open(t)
		delta := ask(t.Context(), w, reconcile.Pull{MaxAge: time.Minute})
		<-g.entered
		full := ask(t.Context(), w, reconcile.Pull{Full: true})
		g.open <- struct{}{}
		good(t, "the delta run", delta)
		<-g.entered
		joined := ask(t.Context(), w, reconcile.Pull{MaxAge: time.Minute})
		g.open <- struct{}{}
		good(t, "the full run", full)
		good(t, "the run that joined it", joined)
	})
}
