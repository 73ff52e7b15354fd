package entrasim_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

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
		listener := entrasim.NewPipes()
		if err := server.Serve(listener); err != nil {
			t.Fatal(err)
		}
		transport := &http.Transport{DialContext: listener.Dial}
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
