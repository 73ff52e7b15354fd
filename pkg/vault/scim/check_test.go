package scim

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/vault"
	"github.com/vaultsync/vaultsync/pkg/vault/scim/scimtest"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	t.Run("a service that is well says what it offers", func(t *testing.T) {
		t.Parallel()
		server := &scimtest.Server{Quirks: scimtest.Quirks{Bulk: 30, MaxPage: 2}}
		for _, u := range numbered(5) {
			server.Add(map[string]any{"userName": u.LoginName})
		}
		const odd = "urn:x:y:User:odd"
		r, err := inProcess(t, server, Options{Attributes: []string{info1, odd}, LicenseAttribute: info2}).Check(t.Context())
		if err != nil || !r.Reachable || !r.Authenticated || !r.Documented || !r.Schemas || !r.Patch || !r.Bulk || r.BulkOperations != 30 {
			t.Errorf("%+v, %v", r, err)
		}
		if r.Users != 5 || r.PageGiven != 2 || r.LoginFilter != "believed" {
			t.Errorf("%+v", r)
		}
		want := []AttributeReport{{info1, "known"}, {info2, "known"}, {odd, "unknown"}}
		if len(r.Attributes) != 3 || r.Attributes[0] != want[0] || r.Attributes[1] != want[1] || r.Attributes[2] != want[2] {
			t.Errorf("%v", r.Attributes)
		}
		if text := strings.Join(r.Remarks, "\n"); !strings.Contains(text, odd) || !strings.Contains(text, "pages of 2") {
			t.Errorf("remarks: %s", text)
		}
		for _, request := range server.Requests() {
			if !strings.HasPrefix(request, http.MethodGet) {
				t.Errorf("a check made the request %s", request)
			}
		}
	})
	t.Run("a service that hides and minds the case is remarked upon", func(t *testing.T) {
		t.Parallel()
		server := &scimtest.Server{Quirks: scimtest.Quirks{NoDiscovery: true, CaseSensitiveFilters: true}}
		server.Add(map[string]any{"userName": "ann@contoso.com"})
		r, err := inProcess(t, server, Options{}).Check(t.Context())
		if err != nil || r.Documented || r.Attributes[0].State != "unverified" || !strings.HasPrefix(r.LoginFilter, "not believed") || len(r.Remarks) != 2 {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("a wrong token is told from a service that is not there", func(t *testing.T) {
		t.Parallel()
		server := &scimtest.Server{}
		store := inProcess(t, server, Options{})
		server.Token = "another"
		if r, err := store.Check(t.Context()); !errors.Is(err, ErrSignIn) || !r.Reachable || r.Authenticated {
			t.Errorf("%+v, %v", r, err)
		}
		store = open(t, withToken(t, Options{URL: "http://127.0.0.1:1"}))
		store.client.Transport = failing(func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") })
		if r, err := store.Check(t.Context()); !errors.Is(err, vault.ErrUnreachable) || errors.Is(err, ErrSignIn) || r.Reachable {
			t.Errorf("%+v, %v", r, err)
		}
	})
}
