package entrasim_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

// pipes is a listener in memory, for tests under a synthetic clock.
type pipes struct {
	accept chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{accept: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accept:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return pipeAddr{} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.accept <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "graph.contoso.com" }

func TestUnderASyntheticClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tenant, err := entrasim.ParseTenant(small)
		if err != nil {
			t.Fatal(err)
		}
		server, err := entrasim.NewServer(entrasim.Options{PlainHTTP: true}, tenant)
		if err != nil {
			t.Fatal(err)
		}
		listener := newPipes()
		if err := server.Serve(listener); err != nil {
			t.Fatal(err)
		}
		transport := &http.Transport{DialContext: listener.dial}
		c := &client{t: t, server: server, tenant: tenant, http: &http.Client{Transport: transport}, header: http.Header{}}
		sign := url.Values{
			"grant_type": {"client_credentials"}, "client_id": {entrasim.DemoClientID},
			"client_secret": {entrasim.DemoSecret}, "scope": {"https://graph.contoso.com/.default"},
		}
		c.token, _ = c.formTo(tenant.ID().String(), sign).json["access_token"].(string)
		link, _, _ := c.round(groupsDelta)

		time.Sleep(8 * day) // of the synthetic clock
		if a := c.get(link); a.status != 401 {
			t.Errorf("the token did not age: %d", a.status)
		}
		c.token, _ = c.formTo(tenant.ID().String(), sign).json["access_token"].(string)
		if a := c.get(link); a.status != 400 || a.code() != "syncStateNotFound" {
			t.Errorf("the link did not age: %d %s", a.status, a.body)
		}

		if _, err := server.Inject(entrasim.Fault{Kind: entrasim.FaultHang}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL()+"/v1.0/users", strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.do(request); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, io.EOF) {
			t.Errorf("a hanging request ended with %v", err)
		}
		transport.CloseIdleConnections()
		if err := server.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}
