package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/vault/scim/scimtest"
)

// A vault behind SCIM, from its first import on. Each step changes the tenant,
// runs the program, and says what the run may have written and what the service
// holds after it.
var scimLife = []struct {
	what   string
	change string
	args   []string
	writes int    // what the run counts as done
	users  string // login, name and state of everybody, in order of login
	group  string // the group and who is in it
}{
	{
		"the first import makes accounts, the group and its members", "", nil, 5,
		"ann@contoso.com Ann B, bob@contoso.com Bob C", "Sales: ann@contoso.com bob@contoso.com",
	},
	{"a quiet run makes no request", "", nil, 0, "ann@contoso.com Ann B, bob@contoso.com Bob C", "Sales: ann@contoso.com bob@contoso.com"},
	{
		"a joiner becomes a user and a member", "+member Sales: cyd@contoso.com", nil, 2,
		"ann@contoso.com Ann B, bob@contoso.com Bob C, cyd@contoso.com Cyd D", "Sales: ann@contoso.com bob@contoso.com cyd@contoso.com",
	},
	{
		"a new name and login name are one update of the same account", `set ann@contoso.com upn=ann.berg@contoso.com displayName="Ann Berg"`, nil, 1,
		"ann.berg@contoso.com Ann Berg, bob@contoso.com Bob C, cyd@contoso.com Cyd D", "Sales: ann.berg@contoso.com bob@contoso.com cyd@contoso.com",
	},
	{
		"a leaver is disabled, not deleted, and leaves the group", "-member Sales: bob@contoso.com", nil, 2,
		"ann.berg@contoso.com Ann Berg, bob@contoso.com Bob C disabled, cyd@contoso.com Cyd D", "Sales: ann.berg@contoso.com cyd@contoso.com",
	},
	{
		"whoever returns is enabled again, with the same account", "+member Sales: bob@contoso.com", nil, 2,
		"ann.berg@contoso.com Ann Berg, bob@contoso.com Bob C, cyd@contoso.com Cyd D", "Sales: ann.berg@contoso.com bob@contoso.com cyd@contoso.com",
	},
	{
		"a renamed group keeps its members", `rename group Sales "Sales Europe"`, nil, 1,
		"ann.berg@contoso.com Ann Berg, bob@contoso.com Bob C, cyd@contoso.com Cyd D", "Sales Europe: ann.berg@contoso.com bob@contoso.com cyd@contoso.com",
	},
	{
		"a full run finds nothing to repair", "",
		[]string{"--full"},
		0,
		"ann.berg@contoso.com Ann Berg, bob@contoso.com Bob C, cyd@contoso.com Cyd D", "Sales Europe: ann.berg@contoso.com bob@contoso.com cyd@contoso.com",
	},
	{
		"what hands changed in the service is repaired by a full run", "hands",
		[]string{"--full"},
		1,
		"ann.berg@contoso.com Ann Berg, bob@contoso.com Bob C, cyd@contoso.com Cyd D", "Sales Europe: ann.berg@contoso.com bob@contoso.com cyd@contoso.com",
	},
}

const scimTenant = `
user ann@contoso.com "Ann B" mail=ann@contoso.com department=Sales
user bob@contoso.com "Bob C" mail=bob@contoso.com department=Sales
user cyd@contoso.com "Cyd D" mail=cyd@contoso.com department=Legal
group Sales
member Sales: ann@contoso.com, bob@contoso.com
`

// scimService is an empty service: its address and its token.
func scimService(t *testing.T, name string) (url, token string) {
	t.Helper()
	if name == "our own" {
		token := "canary-own-token-0123456789"
		server := httptest.NewServer(&scimtest.Server{Token: token})
		t.Cleanup(server.Close)
		return server.URL, token
	}
	if os.Getenv(scimtest.ForeignEnv) == "" {
		t.Skip("waits for make check: " + scimtest.ForeignEnv + " does not name the services from npm")
	}
	service, err := scimtest.StartForeign(context.WithoutCancel(t.Context()), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := service.Close(); err != nil {
			t.Error(err)
		}
	})
	return service.Tenant("life")
}

func TestLifeBehindSCIM(t *testing.T) {
	t.Parallel()
	for _, service := range []string{"our own", "scimmy", "better-auth"} {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			url, token := scimService(t, service)
			tenant, err := entrasim.ParseTenant(scimTenant)
			if err != nil {
				t.Fatal(err)
			}
			graph, err := entrasim.Start(entrasim.Options{}, tenant)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = graph.Close() })
			cfg := configFolder{dir: t.TempDir(), url: graph.URL(), files: map[string]string{"vault.yaml": `
store: {type: scim, url: "` + url + `", tokenFile: sales.token}
groups: [{id: $(group Sales)}]
attributes:
  - {source: department, target: "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department"}
`}}
			cfg.write(t, graph.CAPEM())
			put(t, filepath.Join(cfg.dir, "vaults.d", "sales.token"), token)
			p := program{config: filepath.Join(cfg.dir, "vaultsync.yaml")}
			must := func(args ...string) result {
				t.Helper()
				r := p.run(t, args...)
				if r.code != exitDone {
					t.Fatalf("vaultsync %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.out, r.err)
				}
				if strings.Contains(r.out+r.err, token) {
					t.Fatalf("vaultsync %s shows the token", strings.Join(args, " "))
				}
				return r
			}
			if said := must("check", "sales").out; !strings.Contains(said, "SCIM service") {
				t.Errorf("check says nothing of the service:\n%s", said)
			}
			requests := map[string]int{}
			for _, step := range scimLife {
				if step.change == "hands" {
					renameByHand(t, url, token, jsonLines[vaultUser](t, must("vault", "users", "sales", "--json"))[0].ID)
				} else if err := tenant.Apply(step.change); err != nil {
					t.Fatal(err)
				}
				report := documentIn(t, must(append([]string{"sync", "sales", "--json"}, step.args...)...)).Report
				requests[step.what] = report.Requests.Store
				if got := report.Counts.Made(); got != step.writes || report.Outcome != "ok" {
					t.Fatalf("%s: outcome %s, %d writes, want %d: %+v", step.what, report.Outcome, got, step.writes, report.Counts)
				}
				if got := scimUsers(t, must("vault", "users", "sales", "--json")); got != step.users {
					t.Fatalf("%s: users\n  %s\nwant\n  %s", step.what, got, step.users)
				}
				groups := jsonLines[vaultGroup](t, must("vault", "groups", "sales", "--json"))
				if len(groups) != 1 || groups[0].Name+": "+strings.Join(slices.Sorted(slices.Values(groups[0].Members)), " ") != step.group {
					t.Fatalf("%s: groups %+v, want %s", step.what, groups, step.group)
				}
			}
			if n := requests["a quiet run makes no request"]; n != 0 {
				t.Errorf("a quiet run made %d requests", n)
			}
			t.Log(requests)
		})
	}
}

// scimUsers writes users as the steps do, and checks what all have.
func scimUsers(t *testing.T, r result) string {
	t.Helper()
	var all []string
	for _, u := range jsonLines[vaultUser](t, r) {
		text := u.LoginName + " " + u.FullName
		if !u.Enabled {
			text += " disabled"
		}
		all = append(all, text)
		if u.ExternalID == "" || !strings.Contains(fmt.Sprint(u.Attributes), "department:") {
			t.Errorf("%s has external id %q and attributes %v", u.LoginName, u.ExternalID, u.Attributes)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// renameByHand changes a user's name in the service itself.
func renameByHand(t *testing.T, url, token, id string) {
	t.Helper()
	body := `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"displayName","value":"By Hand"}]}`
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, url+"/Users/"+id, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/scim+json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil || response.StatusCode >= 300 {
		t.Fatalf("%d, %v", response.StatusCode, err)
	}
}

func TestTargetsThatSCIMCannotWriteAreNamedByLine(t *testing.T) {
	t.Parallel()
	s := newSetting(t, mustTenant(t, "group Sales"), map[string]string{"vault.yaml": `
store:
  type: scim
  url: https://scim.contoso.com/v2
  tokenFile: sales.token
  licenseAttribute: not..a.path
groups: [{id: $(group Sales)}]
attributes:
  - {source: department, target: title}
  - source: city
    target: info1
  - {source: mail, target: 'emails[type eq "work"].value'}
`})
	r := s.wants(t, exitUsage, "check")
	file := filepath.Join("vaults.d", "sales.yaml")
	for _, want := range []string{
		file + ":6:3 ", `store.licenseAttribute: "not..a.path" is not a SCIM attribute path`,
		file + ":11:5 ", `attributes[1].target: "info1" is no attribute`, "extension:info:2.0:User:info1",
		file + ":12:20 ", "attributes[2].target: ", "the work address",
	} {
		if !strings.Contains(r.out+r.err, want) {
			t.Errorf("%q is not in:\n%s%s", want, r.out, r.err)
		}
	}
}

func mustTenant(t *testing.T, text string) *entrasim.Tenant {
	t.Helper()
	tenant, err := entrasim.ParseTenant(text)
	if err != nil {
		t.Fatal(err)
	}
	return tenant
}
