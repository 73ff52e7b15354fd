package entrasim_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

const small = `
user ann@contoso.com "Ann B" mail=ann@contoso.com department=Sales ext1=x
user bob@contoso.com "Bob C" enabled=false type=Guest
user eve@contoso.com "Eve D"
group Sales description="All who sell"
group "Sales EU"
group Empty
group Secret hidden
device "Laptop 7"
servicePrincipal Robot
contact Partner
object Thing
member Sales: ann@contoso.com, group Sales EU, device Laptop 7, servicePrincipal Robot, contact Partner, object Thing
member Sales EU: bob@contoso.com, ann@contoso.com
member Secret: eve@contoso.com
`

const (
	groupsDelta = "/v1.0/groups/delta?$select=displayName,members"
	usersDelta  = "/v1.0/users/delta?$select=userPrincipalName,mail,accountEnabled,department,onPremisesExtensionAttributes"
)

func id(ref string) string { return entrasim.IDOf(ref).String() }

func apply(t *testing.T, c *client, text string) {
	t.Helper()
	if err := c.tenant.Apply(text); err != nil {
		t.Fatal(err)
	}
}

// entry is the only entry of an object in a round.
func entry(t *testing.T, entries []map[string]any, ref string) map[string]any {
	t.Helper()
	var found map[string]any
	for _, e := range entries {
		if e["id"] == id(ref) {
			if found != nil {
				t.Fatalf("%s appears twice", ref)
			}
			found = e
		}
	}
	return found
}

func TestFirstRound(t *testing.T) {
	t.Parallel()
	c := start(t, small)
	_, entries, _ := c.round(groupsDelta)
	v := newView()
	v.apply(entries)

	t.Run("every group appears", func(t *testing.T) {
		if len(v.objects) != 4 {
			t.Errorf("got %v", v.objects)
		}
	})
	t.Run("members are direct and of every type", func(t *testing.T) {
		types := map[any]any{}
		list, _ := entry(t, entries, "group Sales")["members@delta"].([]any)
		for _, m := range list {
			e, _ := m.(map[string]any)
			types[e["id"]] = e["@odata.type"]
		}
		want := map[string]string{
			"ann@contoso.com": "user", "group Sales EU": "group", "device Laptop 7": "device",
			"servicePrincipal Robot": "servicePrincipal", "contact Partner": "orgContact", "object Thing": "somethingNew",
		}
		if len(types) != len(want) {
			t.Errorf("got %v", types)
		}
		for ref, name := range want {
			if types[id(ref)] != "#microsoft.graph."+name {
				t.Errorf("%s has type %v", ref, types[id(ref)])
			}
		}
	})
	t.Run("a group without members has no members key", func(t *testing.T) {
		if _, there := entry(t, entries, "group Empty")["members@delta"]; there {
			t.Error("it has one")
		}
	})
	t.Run("a hidden membership is absent without the permission and without an error", func(t *testing.T) {
		if _, there := entry(t, entries, "group Secret")["members@delta"]; there {
			t.Error("it is shown")
		}
		c := start(t, small+"grant Member.Read.Hidden\n")
		_, entries, _ := c.round(groupsDelta)
		if _, there := entry(t, entries, "group Secret")["members@delta"]; !there {
			t.Error("it is not shown with the permission")
		}
	})
	t.Run("a property that was never set is omitted", func(t *testing.T) {
		_, entries, _ := c.round(usersDelta)
		eve := entry(t, entries, "eve@contoso.com")
		if _, there := eve["mail"]; there || eve["accountEnabled"] != true {
			t.Errorf("got %v", eve)
		}
		if entry(t, entries, "bob@contoso.com")["accountEnabled"] != false {
			t.Error("bob is enabled")
		}
		ext, _ := entry(t, entries, "ann@contoso.com")["onPremisesExtensionAttributes"].(map[string]any)
		if ext["extensionAttribute1"] != "x" || len(ext) != 15 {
			t.Errorf("extension attributes: %v", ext)
		}
	})
	t.Run("a filter limits the round to its ids", func(t *testing.T) {
		_, entries, _ := c.round(groupsDelta + "&$filter=id eq '" + id("group Empty") + "' or id eq '" + id("group Sales EU") + "'")
		if len(entries) != 2 {
			t.Errorf("got %v", entries)
		}
	})
	t.Run("without select the default properties and members come", func(t *testing.T) {
		_, entries, _ := c.round("/v1.0/groups/delta")
		sales := entry(t, entries, "group Sales")
		if sales["description"] != "All who sell" || sales["securityEnabled"] != true || sales["members@delta"] == nil {
			t.Errorf("got %v", sales)
		}
	})
}

func TestSpellings(t *testing.T) {
	t.Parallel()
	c := start(t, small)
	for _, path := range []string{
		"/v1.0/groups/delta", "/v1.0/groups/delta()", "/v1.0/groups/delta/", "/v1.0/groups/microsoft.graph.delta",
		"/v1.0/groups/microsoft.graph.delta()", "/v1.0/groups/delta%28%29", "/v1.0/Groups/delta",
	} {
		for _, parameter := range []string{"?$select=members", "?%24select=members", "?$SELECT=members"} {
			if a := c.get(path + parameter); a.status != 200 || len(a.values()) != 4 {
				t.Errorf("%s%s: %d %s", path, parameter, a.status, a.body)
			}
		}
	}
	link, _, _ := c.round(groupsDelta)
	for _, spelling := range []string{"$deltaToken=", "%24deltatoken=", "$DELTATOKEN="} {
		if a := c.get(strings.Replace(link, "$deltatoken=", spelling, 1)); a.status != 200 {
			t.Errorf("%s: %d", spelling, a.status)
		}
	}
}

func TestRefusedQueries(t *testing.T) {
	t.Parallel()
	c := start(t, small)
	var many []string
	for i := range 51 {
		many = append(many, fmt.Sprintf("id eq '00000000-0000-4000-8000-%012d'", i))
	}
	for _, tt := range []struct{ name, query, code, text string }{
		{"an unknown property", "$select=id,signInActivity", "BadRequest", "not supported for the following properties: signInActivity"},
		{"a filter over 50 ids", "$filter=" + strings.Join(many, " or "), "Request_BadRequest", "50"},
		{"a filter over something else", "$filter=displayName eq 'Sales'", "Request_BadRequest", "Filter not supported."},
		{"expand", "$expand=members", "BadRequest", "$expand/$select is not supported"},
		{"an empty parameter name", "=id eq 'x'", "Request_BadRequest", "Unrecognized query argument specified: ''."},
		{"a token of nobody", "$deltatoken=abc", "Request_BadRequest", ""},
		{"a token that was tampered with", "$skiptoken=" + strings.Repeat("QUFB", 40), "Request_BadRequest", ""},
	} {
		t.Run(tt.name+" is refused", func(t *testing.T) {
			a := c.get("/v1.0/groups/delta?" + tt.query)
			if a.status != 400 || a.code() != tt.code || !strings.Contains(a.message(), tt.text) {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	t.Run("50 ids are accepted", func(t *testing.T) {
		if a := c.get("/v1.0/groups/delta?$filter=" + url.QueryEscape(strings.Join(many[:50], " or "))); a.status != 200 {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
	t.Run("top is ignored, or refused by rule", func(t *testing.T) {
		if a := c.get("/v1.0/users/delta?$top=1"); len(a.values()) != 3 {
			t.Errorf("%s", a.body)
		}
		c.tenant.SetRules(func(r *entrasim.Rules) { r.TopRejected = true })
		if a := c.get("/v1.0/users/delta?$top=1"); a.status != 400 {
			t.Errorf("%d", a.status)
		}
	})
	t.Run("a token of one collection is refused by the other", func(t *testing.T) {
		link, _, _ := c.round(usersDelta)
		if a := c.get(strings.Replace(link, "/users/", "/groups/", 1)); a.status != 400 {
			t.Errorf("%d", a.status)
		}
	})
}

func TestNextRound(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, query, change, ref string
		want                     string // of the entry, "" for none at all
	}{
		{"no change is an empty round", groupsDelta, "", "group Sales", ""},
		{
			"a member who left is removed with the reason deleted", groupsDelta, "-member Sales EU: bob@contoso.com", "group Sales EU",
			`map[displayName:Sales EU id:ID members@delta:[map[@odata.type:#microsoft.graph.user @removed:map[reason:deleted] id:bob@contoso.com]]]`,
		},
		{"a member who came and went is no change", groupsDelta, "+member Sales: eve@contoso.com\n-member Sales: eve@contoso.com", "group Sales", ""},
		{"a change inside a nested group does not surface its parent", groupsDelta, "+member Sales EU: eve@contoso.com", "group Sales", ""},
		{"a membership is no change to who follows names only", "/v1.0/groups/delta?$select=displayName", "+member Sales: eve@contoso.com", "group Sales", ""},
		{"a renamed group comes without members", groupsDelta, `rename group Sales "Sales Europe"`, "group Sales", "map[displayName:Sales Europe id:ID]"},
		{"a property that is not selected surfaces nothing", groupsDelta, "set group Sales description=new", "group Sales", ""},
		{"a deleted security group can be restored", groupsDelta, "delete group Sales", "group Sales", "map[@removed:map[reason:changed] id:ID]"},
		{"a purged group is deleted", groupsDelta, "purge group Sales", "group Sales", "map[@removed:map[reason:deleted] id:ID]"},
		{"a restored group comes without its members", groupsDelta, "delete group Sales\nrestore group Sales", "group Sales", "map[displayName:Sales id:ID]"},
		{"a soft-deleted user says nothing in groups", groupsDelta, "delete user bob@contoso.com", "group Sales EU", ""},
		{
			"a purged user leaves his groups", groupsDelta, "purge user bob@contoso.com", "group Sales EU",
			`map[displayName:Sales EU id:ID members@delta:[map[@odata.type:#microsoft.graph.user @removed:map[reason:deleted] id:bob@contoso.com]]]`,
		},
		{"a soft-deleted user is removed with the reason changed", usersDelta, "delete user ann@contoso.com", "ann@contoso.com", "map[@removed:map[reason:changed] id:ID]"},
		{"a purged user is removed with the reason deleted", usersDelta, "purge user ann@contoso.com", "ann@contoso.com", "map[@removed:map[reason:deleted] id:ID]"},
		{"a restored user has no annotation", "/v1.0/users/delta?$select=mail", "delete user ann@contoso.com\nrestore user ann@contoso.com", "ann@contoso.com", "map[id:ID mail:ann@contoso.com]"},
		{"a cleared property is null", "/v1.0/users/delta?$select=mail,department", "set ann@contoso.com department=", "ann@contoso.com", "map[department:<nil> id:ID mail:ann@contoso.com]"},
		{"a disabled account is an ordinary change", "/v1.0/users/delta?$select=accountEnabled", "set ann@contoso.com enabled=false", "ann@contoso.com", "map[accountEnabled:false id:ID]"},
		{"a value set to what it was is no change", usersDelta, "set ann@contoso.com department=Sales", "ann@contoso.com", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, small)
			link, _, _ := c.round(tt.query)
			apply(t, c, tt.change)
			next, entries, _ := c.round(link)
			got := ""
			if e := entry(t, entries, tt.ref); e != nil {
				got = fmt.Sprint(e)
				got = strings.Replace(got, "id:"+id(tt.ref), "id:ID", 1)
				got = strings.ReplaceAll(got, id("bob@contoso.com"), "bob@contoso.com")
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if _, entries, _ := c.round(next); len(entries) != 0 {
				t.Errorf("the round after is not quiet: %v", entries)
			}
			if _, again, _ := c.round(link); len(again) != len(entries) {
				t.Error("the same link does not say the same again")
			}
		})
	}
	t.Run("a recreated user has another id and no membership", func(t *testing.T) {
		t.Parallel()
		c := start(t, small)
		link, _, _ := c.round(usersDelta)
		apply(t, c, "recreate user ann@contoso.com")
		_, entries, _ := c.round(link)
		if len(entries) != 2 {
			t.Fatalf("got %v", entries)
		}
		now, err := c.tenant.IDOf("ann@contoso.com")
		if err != nil || now == entrasim.IDOf("ann@contoso.com") {
			t.Errorf("id is %s, %v", now, err)
		}
		members, err := c.tenant.Members("Sales")
		if err != nil || len(members) != 5 {
			t.Errorf("members of Sales: %v, %v", members, err)
		}
	})
	t.Run("return=minimal omits what did not change and keeps nulls", func(t *testing.T) {
		t.Parallel()
		c := start(t, small)
		link, _, _ := c.round(usersDelta)
		apply(t, c, "set ann@contoso.com department=")
		c.header.Set("Prefer", "return=minimal")
		_, entries, _ := c.round(link)
		want := "map[department:<nil> id:" + id("ann@contoso.com") + "]"
		if got := fmt.Sprint(entry(t, entries, "ann@contoso.com")); got != want {
			t.Errorf("got %s", got)
		}
	})
	t.Run("latest is a link without data that follows properties and loses members by rule", func(t *testing.T) {
		t.Parallel()
		for _, loses := range []bool{true, false} {
			c := start(t, small)
			c.tenant.SetRules(func(r *entrasim.Rules) { r.LatestLosesMembers = loses })
			link, entries, _ := c.round(groupsDelta + "&$deltaToken=latest")
			if len(entries) != 0 {
				t.Errorf("got %v", entries)
			}
			apply(t, c, "+member Sales: eve@contoso.com\nrename group Empty Void")
			_, entries, _ = c.round(link)
			if entry(t, entries, "group Empty") == nil || (entry(t, entries, "group Sales") == nil) != loses {
				t.Errorf("loses=%v: got %v", loses, entries)
			}
		}
	})
}

func TestPages(t *testing.T) {
	t.Parallel()
	tenant := entrasim.Generate(entrasim.Spec{People: 500, Groups: 7, Nesting: 2, MembershipsPerPerson: 3, Seed: 1})
	c := serve(t, tenant)
	tenant.SetRules(func(r *entrasim.Rules) { r.ObjectsPerPage, r.MembersPerPage, r.MembersPerItem = 3, 50, 20 })

	t.Run("a long member list is split over appearances of its group and nobody is lost", func(t *testing.T) {
		_, entries, pages := c.round(groupsDelta)
		if pages < 20 {
			t.Errorf("%d pages", pages)
		}
		checkMembers(t, tenant, entries)
	})
	t.Run("other groups come between the parts", func(t *testing.T) {
		_, entries, _ := c.round(groupsDelta)
		if entries[0]["id"] == entries[1]["id"] {
			t.Error("not interleaved")
		}
		tenant.SetRules(func(r *entrasim.Rules) { r.Interleave = false })
		_, entries, _ = c.round(groupsDelta)
		if entries[0]["id"] != entries[1]["id"] {
			t.Error("interleaved against the rule")
		}
	})
	t.Run("every user comes once", func(t *testing.T) {
		_, entries, pages := c.round(usersDelta)
		if len(entries) != 500 || pages != 167 {
			t.Errorf("%d users on %d pages", len(entries), pages)
		}
	})
	t.Run("no page is empty and the last one carries the deltaLink", func(t *testing.T) {
		a := c.get(usersDelta)
		for a.link("nextLink") != "" {
			a = c.get(a.link("nextLink"))
			if len(a.values()) == 0 {
				t.Fatal("an empty page")
			}
		}
	})
}

// checkMembers compares what a round told with the model.
func checkMembers(t *testing.T, tenant *entrasim.Tenant, entries []map[string]any) {
	t.Helper()
	v := newView()
	v.apply(entries)
	for _, group := range tenant.GroupIDs() {
		members, err := tenant.Members(group.String())
		if err != nil {
			t.Fatal(err)
		}
		if len(v.members[group.String()]) != len(members) {
			t.Errorf("group %s: got %d members, want %d", group, len(v.members[group.String()]), len(members))
		}
		for _, m := range members {
			if !v.members[group.String()][m.String()] {
				t.Errorf("group %s: member %s is missing", group, m)
			}
		}
	}
}
