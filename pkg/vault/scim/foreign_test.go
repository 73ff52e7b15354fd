package scim

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/vault"
	"github.com/vaultsync/vaultsync/pkg/vault/scim/scimtest"
	"github.com/vaultsync/vaultsync/pkg/vault/vaulttest"
)

// foreign starts a service from npm, or skips.
func foreign(tb testing.TB, name string) *scimtest.Foreign {
	tb.Helper()
	if os.Getenv(scimtest.ForeignEnv) == "" {
		tb.Skip("waits for make check: " + scimtest.ForeignEnv + " does not name the services from npm")
	}
	service, err := scimtest.StartForeign(context.WithoutCancel(tb.Context()), name)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := service.Close(); err != nil {
			tb.Error(err)
		}
	})
	return service
}

// at are options for an empty service.
func at(tb testing.TB, service *scimtest.Foreign, tenant string, o Options) Options {
	tb.Helper()
	url, token := service.Tenant(tenant)
	o.URL, o.TokenFile = url, filepath.Join(tb.TempDir(), "token")
	if err := os.WriteFile(o.TokenFile, []byte(token), 0o600); err != nil {
		tb.Fatal(err)
	}
	return o
}

// What SCIMMY cannot meet.
var exceptSCIMMY = map[string]string{
	"an update of an unknown user answers that it is not found": "an id with a quotation mark in it, which it never gives, breaks a filter of its own: 400",
}

// What better-auth cannot meet.
var exceptBetterAuth = map[string]string{
	"full name and mail are cleared by empty values":                                   "an account keeps an address, and a name made of it",
	"names and addresses are found in any Unicode form":                                "it takes ASCII addresses alone",
	"all users with one address are found by it":                                       "an address is had by one account",
	"login names with awkward characters are found again":                              "a user without an address needs one for a login name",
	"dotted and dotless i are different letters":                                       "a user without an address needs an ASCII one for a login name",
	"control characters and broken text are stored verbatim or refused, never mangled": "a user without an address gets the login name for one, and texts are trimmed",
}

// The suite of pkg/vault on services by others, with what they cannot meet.
func TestEveryDriverRuleOnServicesByOthers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		service    string
		options    Options
		attributes [2]string
		lowers     string
		except     map[string]string
	}{
		"SCIMMY":         {service: "scimmy", options: Options{Bulk: off}, attributes: [2]string{info1, info2}, except: exceptSCIMMY},
		"SCIMMY in bulk": {service: "scimmy", attributes: [2]string{info1, info2}, except: exceptSCIMMY},
		"SCIMMY by PUT":  {service: "scimmy", options: Options{Patch: off, Bulk: off}, attributes: [2]string{info1, info2}, except: exceptSCIMMY},
		"better-auth": {
			service: "better-auth", attributes: [2]string{"title", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department"},
			lowers: "it writes addresses in lower case", except: exceptBetterAuth,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service := foreign(t, c.service)
			var tenants atomic.Int64
			vaulttest.Run(t, func(t *testing.T) vault.Store {
				o := c.options
				o.Attributes = c.attributes[:]
				return open(t, at(t, service, "t"+strconv.FormatInt(tenants.Add(1), 10), o))
			}, vaulttest.Options{
				Except: c.except, LowersMail: c.lowers, Many: 30, Attributes: c.attributes,
				NoManaged: "SCIM has no such mark", NoLicenses: "SCIM has no pools of licences",
				DeleteUser: func(t *testing.T, s vault.Store, id string) {
					store, _ := s.(*Store)
					a, err := store.send(t.Context(), request{method: http.MethodDelete, path: "/Users/" + id})
					if err != nil || !a.ok() {
						t.Fatal(a.status, err)
					}
				},
			})
		})
	}
}
