package scim

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/vault"
	"github.com/vaultsync/vaultsync/pkg/vault/scim/scimtest"
	"github.com/vaultsync/vaultsync/pkg/vault/vaulttest"
)

// The extension of M-Files Manage, as a worked example.
const (
	info1 = "urn:ietf:params:scim:schemas:extension:info:2.0:User:info1"
	info2 = "urn:ietf:params:scim:schemas:extension:info:2.0:User:info2"
)

const testToken = "canary-token-0123456789"

// withToken are options for a service that takes testToken.
func withToken(t *testing.T, o Options) Options {
	t.Helper()
	o.TokenFile = filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(o.TokenFile, []byte(testToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o.Attributes == nil {
		o.Attributes = []string{info1, info2}
	}
	return o
}

func open(t *testing.T, o Options) *Store {
	t.Helper()
	store, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// inProcess reaches a service without a network.
func inProcess(t *testing.T, server *scimtest.Server, o Options) *Store {
	t.Helper()
	server.Token = testToken
	o.URL, o.transport = "https://scim.contoso.com/v2", server.Transport()
	return open(t, withToken(t, o))
}

// onLoopback serves a service on the network.
func onLoopback(t *testing.T, server *scimtest.Server, o Options) *Store {
	t.Helper()
	server.Token = testToken
	http := httptest.NewServer(server)
	t.Cleanup(http.Close)
	o.URL = http.URL
	return open(t, withToken(t, o))
}

// emptyGroupsUnknown are the cases that read an empty group from a service of
// which nothing is known yet.
var emptyGroupsUnknown = map[string]string{
	"a created group has its fields and no members":                  "no document, and no group that shows members: an empty one says nothing",
	"members are added all or, with an unknown one among them, none": "no document, and no group that shows members: an empty one says nothing",
}

// The suite of pkg/vault on every kind of service in the behaviour matrix.
func TestEveryDriverRule(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		quirks  scimtest.Quirks
		options Options
		network bool
		hidden  string
		except  map[string]string
	}{
		"as in the standard":            {network: true},
		"in bulk":                       {quirks: scimtest.Quirks{Bulk: 40}},
		"in bulk of two":                {quirks: scimtest.Quirks{Bulk: 2}},
		"without discovery":             {quirks: scimtest.Quirks{NoDiscovery: true}, except: emptyGroupsUnknown},
		"without PATCH":                 {quirks: scimtest.Quirks{NoPatch: true}},
		"without PATCH, and not saying": {quirks: scimtest.Quirks{NoPatch: true}, options: Options{Patch: auto}},
		"without a way for PATCH":       {quirks: scimtest.Quirks{HidesPatch: true}},
		"versions":                      {quirks: scimtest.Quirks{Versions: true}, options: Options{Patch: off}},
		"versions it cannot compare":    {quirks: scimtest.Quirks{Versions: true, Uncomparable: true}, options: Options{Patch: off}},
		"bulk that stops at an error": {quirks: scimtest.Quirks{Bulk: 40, BulkStops: true}, except: map[string]string{
			"each change is answered on its own and a failed one stops none": "a group without an external id that was left out cannot be looked for",
		}},
		"errors that look like success": {quirks: scimtest.Quirks{Masks: true}},
		"PATCH off":                     {options: Options{Patch: off}},
		"case-sensitive filters":        {quirks: scimtest.Quirks{CaseSensitiveFilters: true}},
		"filters by few attributes":     {quirks: scimtest.Quirks{Filters: []string{"userName"}}},
		"every filter is about mail":    {quirks: scimtest.Quirks{EveryFilterIsMail: true}},
		"filters are ignored":           {quirks: scimtest.Quirks{IgnoresFilters: true}},
		"members are never shown":       {quirks: scimtest.Quirks{HidesMembers: true, NoDiscovery: true}, hidden: "the switch is set"},
		"members only in single groups": {quirks: scimtest.Quirks{ListsNoMembers: true}},
		"short pages":                   {quirks: scimtest.Quirks{MaxPage: 7}},
		"pages of a lying total":        {quirks: scimtest.Quirks{TotalOf: 5}},
		"booleans as text":              {quirks: scimtest.Quirks{StringBooleans: true}},
		"answers without a body":        {quirks: scimtest.Quirks{SilentWrites: true}},
		"terse errors":                  {quirks: scimtest.Quirks{Terse: true}},
		"few members at once":           {quirks: scimtest.Quirks{MaxMembers: 10}},
		"no selections in PATCH":        {quirks: scimtest.Quirks{RefusesSelections: true}},
		"numbers for ids":               {quirks: scimtest.Quirks{NumericIDs: true}},
		"one request at a time":         {options: Options{Parallel: 1, PageSize: 3}},
		"everything that Jackson does": {
			quirks: scimtest.Quirks{NoDiscovery: true, EveryFilterIsMail: true, HidesMembers: true, TotalOf: 50, Terse: true, AcceptsAnyMember: true},
			hidden: "the service never shows them",
			except: map[string]string{
				"members are added all or, with an unknown one among them, none": "the service takes any member",
				"a user deleted by hand is gone and its id is not used again":    "the service takes any member",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			servers := map[vault.Store]*scimtest.Server{}
			vaulttest.Run(t, func(t *testing.T) vault.Store {
				server := &scimtest.Server{Quirks: c.quirks}
				reach := inProcess
				if c.network {
					reach = onLoopback
				}
				store := reach(t, server, c.options)
				servers[store] = server
				return store
			}, vaulttest.Options{
				Except: c.except, HiddenMembers: c.hidden, Many: 60, Attributes: [2]string{info1, info2},
				NoManaged:  "SCIM has no such mark",
				NoLicenses: "SCIM has no pools of licences",
				DeleteUser: func(_ *testing.T, s vault.Store, id string) { servers[s].Delete(id) },
			})
		})
	}
}
