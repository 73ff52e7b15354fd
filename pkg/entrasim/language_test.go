package entrasim_test

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

func TestFaultyLinesAreAllNamed(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`usr ann@contoso.com`:                        `unknown statement "usr"`,
		`user`:                                       `needs more words`,
		`user z@contoso.com "Z" shoes=43`:            `no property "shoes"`,
		`user z@contoso.com Zoe Z`:                   `needs quotes`,
		`user z@contoso.com "Z`:                      `does not end`,
		`user ann@contoso.com`:                       `already in the tenant`,
		`user z@contoso.com id=12`:                   `not an object id`,
		`user z@contoso.com enabled=maybe`:           `true or false`,
		`group G kind=big`:                           `kind is security`,
		`group G colour=red`:                         `what is "colourred"`,
		`member Nowhere: ann@contoso.com`:            `group "Nowhere" is not in the tenant`,
		`member Sales ann@contoso.com`:               `want "member GROUP: MEMBER, MEMBER…"`,
		`+member Sales: nobody@contoso.com`:          `user "nobody@contoso.com" is not in the tenant`,
		`set nobody@contoso.com mail=x`:              `not in the tenant`,
		`set ann@contoso.com upn=bob@contoso.com`:    `already in the tenant`,
		`restore user ann@contoso.com`:               `not in the recycle bin`,
		`delete device "Laptop 7"`:                   `cannot delete a device`,
		`advance soon`:                               `no duration`,
		`rename group Sales`:                         `want: rename group`,
		`tenant 00000000-0000-4000-8000-00000000009`: `not an object id`,
	} {
		tenant, err := entrasim.ParseTenant(small)
		if err != nil {
			t.Fatal(err)
		}
		err = tenant.Apply("# a comment\n\n" + line + "\nuser after@contoso.com\n")
		if err == nil || !strings.HasPrefix(err.Error(), "line 3: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got  %v\n want %s", line, err, want)
		}
		if _, err := tenant.IDOf("after@contoso.com"); err != nil {
			t.Errorf("%s: the line after was not applied", line)
		}
	}
	if _, err := entrasim.ParseTenant("x\ny\n"); err == nil || !strings.Contains(err.Error(), "line 1: ") || !strings.Contains(err.Error(), "line 2: ") {
		t.Errorf("not all lines: %v", err)
	}
}

func TestTheTextFormReachesEverything(t *testing.T) {
	t.Parallel()
	c := start(t, small+`
user "zoë@contoso.com" "Zoë \"Z\" Ö" id=00000000-0000-4000-8000-0000000000aa ext15=last type=
group Sales Desk kind=microsoft365 rule="user.department -eq \"Sales\""
member Sales Desk: zoë@contoso.com # a comment
`)
	a := c.get("/v1.0/users/00000000-0000-4000-8000-0000000000aa?$select=displayName,userType,onPremisesExtensionAttributes")
	ext, _ := a.json["onPremisesExtensionAttributes"].(map[string]any)
	if a.json["displayName"] != `Zoë "Z" Ö` || a.json["userType"] != nil || ext["extensionAttribute15"] != "last" {
		t.Errorf("%s", a.body)
	}
	g := c.get("/v1.0/groups/" + id("group Sales Desk") + "?$select=groupTypes,membershipRule,mailEnabled,securityEnabled")
	types, _ := json.Marshal(g.json["groupTypes"])
	if string(types) != `["Unified","DynamicMembership"]` || g.json["membershipRule"] != `user.department -eq "Sales"` || g.json["mailEnabled"] != true {
		t.Errorf("%s", g.body)
	}
	if members, err := c.tenant.Members("Sales Desk"); err != nil || len(members) != 1 {
		t.Errorf("%v %v", members, err)
	}
}

func TestDemo(t *testing.T) {
	t.Parallel()
	tenant := entrasim.Demo()
	for name, want := range map[string]string{
		"Sales": entrasim.DemoSalesID, "Engineering": entrasim.DemoEngineeringID, "Archive Readers": entrasim.DemoArchiveReadersID,
	} {
		got, err := tenant.IDOf("group " + name)
		if err != nil || got.String() != want {
			t.Errorf("%s is %s, %v", name, got, err)
		}
		if users, err := tenant.TransitiveUsers(name); err != nil || len(users) < 100 {
			t.Errorf("%s has %d people, %v", name, len(users), err)
		}
	}
	if people, groups, _ := tenant.Size(); people != 3000 || groups != 19 {
		t.Errorf("%d people, %d groups", people, groups)
	}
	c := serve(t, tenant)
	f := follow(c)
	f.usersLink = "/v1.0/users/delta?$select=displayName,department,accountEnabled"
	f.pull(c)
	random := rand.New(rand.NewPCG(1, 1))
	for range 60 {
		if said := tenant.DemoChange(random); !strings.HasSuffix(said, ".") || strings.Contains(said, "  ") {
			t.Errorf("it said %q", said)
		}
		link, users, _ := c.round(f.usersLink)
		f.usersLink = link
		link, groups, _ := c.round(f.groupsLink)
		f.groupsLink = link
		if len(users)+len(groups) == 0 {
			t.Error("the change does not show")
		}
	}
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	c := start(t, small)
	raw := func(path, body string) answer {
		t.Helper()
		a, err := c.try("POST", "/_sim/"+path, json.RawMessage(body))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := raw("fault", `{"kind":"throttle","times":1,"retryAfter":"7","delay":"1s"}`); a.status != 204 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := c.get(usersDelta); a.status != 429 || a.header.Get("Retry-After") != "7" {
		t.Errorf("%d", a.status)
	}
	if a := raw("fault", `{"kind":"gremlins"}`); a.status != 400 || !strings.Contains(string(a.body), "gremlins") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := raw("fault", `{"kin":"throttle"}`); a.status != 400 {
		t.Errorf("an unknown field is accepted: %d", a.status)
	}
	if a := raw("rules", `{"objectsPerPage":1}`); a.status != 204 || c.tenant.Rules().ObjectsPerPage != 1 || c.tenant.Rules().MembersPerPage != 5000 {
		t.Errorf("%d %+v", a.status, c.tenant.Rules())
	}
	before := c.tenant.Now()
	if a := raw("clock", `{"advance":"8d"}`); a.status != 204 || c.tenant.Now().Sub(before) < 8*day {
		t.Errorf("%d", a.status)
	}
	var s entrasim.Stats
	if err := json.Unmarshal(c.get("/_sim/stats").body, &s); err != nil || s.Throttled != 1 || s.Faults[entrasim.FaultThrottle] != 1 {
		t.Errorf("%+v %v", s, err)
	}
	if a := c.get("/_sim/ca"); string(a.body) != string(c.server.CAPEM()) {
		t.Error("another certificate")
	}
}

func FuzzApply(f *testing.F) {
	for line := range strings.Lines(small) {
		f.Add(line)
	}
	f.Add(`set ann@contoso.com upn="a b" ext1=`)
	f.Add("member \"Sales: EU\": group \"x\\\"y\",,\nrecreate user ann@contoso.com")
	f.Fuzz(func(t *testing.T, text string) {
		tenant, err := entrasim.ParseTenant(small)
		if err != nil {
			t.Fatal(err)
		}
		_ = tenant.Apply(text) // refused or not: the tenant stays whole
		for _, g := range tenant.GroupIDs() {
			if _, err := tenant.TransitiveUsers(g.String()); err != nil {
				t.Error(err)
			}
		}
	})
}
