package entra_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/directory/entra"
	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

// agent is a machine's identity endpoint that hands out the tenant's tokens.
func (w *world) agent() *httptest.Server {
	client := &http.Client{Transport: w.trusting()}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Identity-Header") != "canary-header" {
			rw.Header().Set("Www-Authenticate", "Basic realm=/tmp/elsewhere.key")
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		request, err := http.NewRequestWithContext(r.Context(), http.MethodPost, w.server.URL()+"/"+w.tenant.ID().String()+"/oauth2/v2.0/token",
			strings.NewReader(url.Values{
				"grant_type": {"client_credentials"}, "client_id": {entrasim.DemoClientID},
				"client_secret": {entrasim.DemoSecret}, "scope": {r.URL.Query().Get("resource") + "/.default"},
			}.Encode()))
		if err != nil {
			w.t.Error(err)
			return
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := client.Do(request)
		if err != nil {
			w.t.Error(err)
			return
		}
		defer func() { _ = resp.Body.Close() }()
		raw, err := io.ReadAll(resp.Body)
		var token struct {
			Text string `json:"access_token"`
		}
		if err == nil {
			err = json.Unmarshal(raw, &token)
		}
		if err != nil || token.Text == "" {
			w.t.Errorf("%v: %s", err, raw)
			return
		}
		rw.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(rw, `{"access_token":%q,"expires_on":"%d","resource":"x","token_type":"Bearer"}`, token.Text, time.Now().Add(time.Hour).Unix())
	}))
	w.t.Cleanup(server.Close)
	return server
}

func managed(o *entra.Options) {
	o.Credential, o.ClientID = entra.Credential{Type: entra.ManagedIdentity}, ""
	o.Patience = 200 * time.Millisecond
}

func TestManagedIdentity(t *testing.T) {
	w := open(t, small)
	agent := w.agent()
	t.Setenv("IDENTITY_ENDPOINT", agent.URL+"/token")
	// First, for the library keeps a token of the machine for the whole process.
	t.Run("an Arc agent whose challenge names a file elsewhere", func(t *testing.T) {
		t.Setenv("IMDS_ENDPOINT", agent.URL)
		w.client = w.connect(managed)
		_, err := w.client.Check(t.Context())
		if !errors.Is(err, directory.ErrSignIn) || !strings.Contains(hint(err), "himds") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("tokens come from the machine's endpoint", func(t *testing.T) {
		t.Setenv("IDENTITY_HEADER", "canary-header")
		w.client = w.connect(managed)
		if r := w.pull(directory.Request{Streams: []directory.Stream{{}}}); len(r.people) != 3 {
			t.Errorf("%v", r.errs)
		}
		access, err := w.client.Check(t.Context())
		if err != nil || access.TenantID != w.tenant.ID().String() {
			t.Errorf("%+v, %v", access, err)
		}
	})
	t.Run("a token of another tenant is not used", func(t *testing.T) {
		t.Setenv("IDENTITY_HEADER", "canary-header")
		w.client = w.connect(managed, func(o *entra.Options) { o.TenantID = "8a4b0d3e-0000-4000-8000-0000000000ff" })
		if _, err := w.try(directory.Request{Streams: []directory.Stream{{}}}); !errors.Is(err, directory.ErrSignIn) || !strings.Contains(err.Error(), "tenant") {
			t.Errorf("got %v", err)
		}
		if w.client.Requests() != 0 {
			t.Error("the token was sent")
		}
	})
}
