package entrasim_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

func TestReadingOneObject(t *testing.T) {
	t.Parallel()
	c := start(t, small)
	for _, tt := range []struct {
		name, target string
		status       int
		want         string
	}{
		{"a user by id", "/users/" + id("ann@contoso.com") + "?$select=mail,jobTitle", 200, "map[ID mail:ann@contoso.com jobTitle:<nil>]"},
		{"a user by sign-in name in any case", "/users/ANN@contoso.com?$select=mail", 200, "map[ID mail:ann@contoso.com]"},
		{"a group", "/groups/" + id("group Sales") + "?$select=displayName,visibility", 200, "map[ID displayName:Sales visibility:<nil>]"},
		{"a hidden group says so", "/groups/" + id("group Secret") + "?$select=visibility", 200, "map[ID visibility:HiddenMembership]"},
		{"an unknown id", "/users/" + id("nobody"), 404, "Request_ResourceNotFound"},
		{"a group asked as a user", "/users/" + id("group Sales"), 404, "Request_ResourceNotFound"},
		{"an unknown property", "/users/" + id("ann@contoso.com") + "?$select=shoeSize", 400, "BadRequest"},
		{"an unknown collection", "/printers", 400, "BadRequest"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := c.get("/v1.0" + tt.target)
			if a.status != tt.status {
				t.Fatalf("%d %s", a.status, a.body)
			}
			if tt.status != 200 {
				if a.code() != tt.want {
					t.Errorf("%s", a.body)
				}
				return
			}
			for part := range strings.FieldsSeq(strings.TrimSuffix(strings.TrimPrefix(tt.want, "map["), "]")) {
				name, value, ok := strings.Cut(part, ":")
				if ok && fmt.Sprint(a.json[name]) != value {
					t.Errorf("%s is %v, want %s", name, a.json[name], value)
				}
			}
			if a.header.Get("request-id") == "" || a.header.Get("x-ms-resource-unit") != "1" {
				t.Errorf("headers %v", a.header)
			}
		})
	}
	t.Run("a soft-deleted user is not found", func(t *testing.T) {
		apply(t, c, "delete user eve@contoso.com")
		if a := c.get("/v1.0/users/" + id("eve@contoso.com")); a.status != 404 {
			t.Errorf("%d", a.status)
		}
	})
}

func names(entries []map[string]any) []string {
	var list []string
	for _, e := range entries {
		list = append(list, fmt.Sprint(e["displayName"]))
	}
	slices.Sort(list)
	return list
}

func TestLists(t *testing.T) {
	t.Parallel()
	c := start(t, small+"group \"Team O'Hara\"\ngroup \"EU Sales Desk\"\n")
	for _, tt := range []struct {
		name, query string
		eventual    bool
		want        string // names, or an error code
	}{
		{"filter by equal name ignores case", "$filter=displayName eq 'sales'", false, "[Sales]"},
		{"filter by the beginning", "$filter=startswith(displayName,'Sales')", false, "[Sales Sales EU]"},
		{"a doubled quote is one", "$filter=displayName eq 'Team O''Hara'", false, "[Team O'Hara]"},
		{"search finds words", `$search="displayName:sales"`, true, "[EU Sales Desk Sales Sales EU]"},
		{"search needs the header", `$search="displayName:sales"`, false, "Request_UnsupportedQuery"},
		{"another filter is refused", "$filter=members/any(x:x/id eq '1')", false, "Request_UnsupportedQuery"},
		{"top above 999 is refused", "$top=1000", false, "Request_BadRequest"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c.header.Del("ConsistencyLevel")
			if tt.eventual {
				c.header.Set("ConsistencyLevel", "eventual")
			}
			parameter, value, _ := strings.Cut(tt.query, "=")
			a := c.get("/v1.0/groups?" + parameter + "=" + url.QueryEscape(value))
			got := a.code()
			if a.status == 200 {
				got = fmt.Sprint(names(a.values()))
			}
			if got != tt.want {
				t.Errorf("got %s", a.body)
			}
		})
	}
	t.Run("pages are followed to the end and counted", func(t *testing.T) {
		c.header.Set("ConsistencyLevel", "eventual")
		var all []string
		pages := 0
		for target := "/v1.0/groups?$top=2&$count=true&$select=displayName"; target != ""; pages++ {
			a := c.get(target)
			if a.json["@odata.count"] != float64(6) {
				t.Errorf("count %v", a.json["@odata.count"])
			}
			all = append(all, names(a.values())...)
			target = a.link("nextLink")
		}
		if len(all) != 6 || pages != 3 {
			t.Errorf("%d pages: %v", pages, all)
		}
	})
}

func TestMemberLists(t *testing.T) {
	t.Parallel()
	c := start(t, small+"group Loop\nmember Sales EU: group Loop\nmember Loop: group Sales, eve@contoso.com\n")
	members := func(path string) []string { return names(c.get("/v1.0/groups/" + id("group Sales") + path).values()) }
	t.Run("members are direct, of unreadable types by id alone, service principals left out by a known issue", func(t *testing.T) {
		if got := fmt.Sprint(members("/members")); got != "[<nil> <nil> <nil> Ann B Sales EU]" {
			t.Errorf("got %s", got)
		}
		c.tenant.SetRules(func(r *entrasim.Rules) { r.ServicePrincipalsListed = true })
		if got := members("/members"); len(got) != 6 {
			t.Errorf("got %v", got)
		}
	})
	t.Run("transitive members survive cycles", func(t *testing.T) {
		var users []string
		for _, e := range c.get("/v1.0/groups/" + id("group Sales") + "/transitiveMembers?$select=displayName").values() {
			if e["@odata.type"] == "#microsoft.graph.user" {
				users = append(users, fmt.Sprint(e["displayName"]))
			}
		}
		slices.Sort(users)
		oracle, err := c.tenant.TransitiveUsers("Sales")
		if err != nil || fmt.Sprint(users) != "[Ann B Bob C Eve D]" || len(oracle) != 3 {
			t.Errorf("got %v, oracle %v, %v", users, oracle, err)
		}
	})
	t.Run("a cast needs the header and the count", func(t *testing.T) {
		target := "/v1.0/groups/" + id("group Sales") + "/transitiveMembers/microsoft.graph.user"
		if a := c.get(target); a.status != 400 || a.code() != "Request_UnsupportedQuery" {
			t.Errorf("%d %s", a.status, a.body)
		}
		c.header.Set("ConsistencyLevel", "eventual")
		if a := c.get(target + "?$count=true"); a.status != 200 || len(a.values()) != 3 {
			t.Errorf("%d %s", a.status, a.body)
		}
		if a := c.get("/v1.0/groups/" + id("group Sales") + "/members/microsoft.graph.printer"); a.code() != "Request_UnsupportedQuery" {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
	t.Run("$count is a plain number with what the rules put before it", func(t *testing.T) {
		c.header.Set("ConsistencyLevel", "eventual")
		c.tenant.SetRules(func(r *entrasim.Rules) { r.CountPrefix = "\xef\xbb\xbf" })
		a := c.get("/v1.0/groups/" + id("group Sales EU") + "/members/$count")
		if string(a.body) != "\xef\xbb\xbf3" || a.header.Get("Content-Type") != "text/plain" {
			t.Errorf("%q", a.body)
		}
	})
	t.Run("a hidden membership is empty, or forbidden by rule", func(t *testing.T) {
		target := "/v1.0/groups/" + id("group Secret") + "/members"
		if a := c.get(target); a.status != 200 || len(a.values()) != 0 {
			t.Errorf("%d %s", a.status, a.body)
		}
		c.tenant.SetRules(func(r *entrasim.Rules) { r.HiddenForbidden = true })
		if a := c.get(target); a.status != 403 {
			t.Errorf("%d", a.status)
		}
		apply(t, c, "grant Member.Read.Hidden")
		if a := c.get(target); len(a.values()) != 1 {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}

func TestGetByIds(t *testing.T) {
	t.Parallel()
	c := start(t, small+"delete user eve@contoso.com\n")
	ids := []string{id("ann@contoso.com"), id("eve@contoso.com"), id("nobody"), id("group Sales"), id("bob@contoso.com")}
	ask := func(query string, ids, types []string) answer {
		return c.post("/v1.0/directoryObjects/getByIds"+query, map[string]any{"ids": ids, "types": types})
	}
	t.Run("unknown, deleted and other types are absent", func(t *testing.T) {
		a := ask("?$select=displayName", ids, []string{"user"})
		if got := fmt.Sprint(names(a.values())); got != "[Ann B Bob C]" || a.header.Get("x-ms-resource-unit") != "2" {
			t.Errorf("got %s, %v", got, a.header)
		}
		if a.values()[0]["@odata.type"] != "#microsoft.graph.user" {
			t.Errorf("no type: %s", a.body)
		}
	})
	t.Run("without types everything comes", func(t *testing.T) {
		if a := ask("", ids, nil); len(a.values()) != 3 || a.header.Get("x-ms-resource-unit") != "5" {
			t.Errorf("%s", a.body)
		}
	})
	t.Run("a thousand ids are accepted and one more is not", func(t *testing.T) {
		var many []string
		for i := range 1001 {
			many = append(many, id(fmt.Sprintf("n%d", i)))
		}
		if a := ask("", many[:1000], nil); a.status != 200 {
			t.Errorf("%d", a.status)
		}
		if a := ask("", many, nil); a.status != 400 {
			t.Errorf("%d", a.status)
		}
	})
	t.Run("a malformed id is 400", func(t *testing.T) {
		if a := ask("", []string{"x"}, nil); a.status != 400 {
			t.Errorf("%d", a.status)
		}
	})
	t.Run("Directory.Read.All is asked for by rule", func(t *testing.T) {
		c.tenant.SetRules(func(r *entrasim.Rules) { r.GetByIDsNeedsDirectory = true })
		if a := ask("", ids, nil); a.status != 403 {
			t.Errorf("%d", a.status)
		}
	})
}

func part(n, method, target string) map[string]any {
	return map[string]any{"id": n, "method": method, "url": target}
}

// parts are the replies of a batch by id.
func parts(a answer) map[string]map[string]any {
	found := map[string]map[string]any{}
	list, _ := a.json["responses"].([]any)
	for _, e := range list {
		r, _ := e.(map[string]any)
		found[fmt.Sprint(r["id"])] = r
	}
	return found
}

func TestBatch(t *testing.T) {
	t.Parallel()
	c := start(t, small)
	send := func(requests ...map[string]any) answer {
		return c.post("/v1.0/$batch", map[string]any{"requests": requests})
	}
	t.Run("each part has its own status and body", func(t *testing.T) {
		post := part("3", "POST", "/directoryObjects/getByIds")
		post["headers"] = map[string]string{"Content-Type": "application/json"}
		post["body"] = map[string]any{"ids": []string{id("ann@contoso.com")}}
		a := send(part("1", "GET", "/users/"+id("ann@contoso.com")), part("2", "GET", "/users/"+id("nobody")), post,
			part("4", "GET", "groups/delta?$select=members"))
		got := parts(a)
		if a.status != 200 || len(got) != 4 || got["1"]["status"] != 200.0 || got["2"]["status"] != 404.0 || got["3"]["status"] != 200.0 {
			t.Fatalf("%s", a.body)
		}
		body, _ := got["4"]["body"].(map[string]any)
		if link := fmt.Sprint(body["@odata.deltaLink"]); c.get(link).status != 200 {
			t.Errorf("a link from a batch is %s", link)
		}
	})
	t.Run("a delta link works inside, with its own headers", func(t *testing.T) {
		link, _, _ := c.round(usersDelta)
		apply(t, c, "set ann@contoso.com department=Legal")
		p := part("1", "GET", strings.TrimPrefix(link, c.server.URL()+"/v1.0"))
		p["headers"] = map[string]string{"Prefer": "return=minimal"}
		body, _ := parts(send(p))["1"]["body"].(map[string]any)
		if got := fmt.Sprint(body["value"]); got != "[map[department:Legal id:"+id("ann@contoso.com")+"]]" {
			t.Errorf("got %s", got)
		}
	})
	var many []map[string]any
	for i := range 21 {
		many = append(many, part(fmt.Sprint(i), "GET", "/users"))
	}
	for name, bad := range map[string][]map[string]any{
		"twenty-one parts": many, "no parts": {}, "two of one id": {part("1", "GET", "/users"), part("1", "GET", "/groups")},
		"an absolute address": {part("1", "GET", "https://127.0.0.1/v1.0/users")},
	} {
		t.Run(name+" are refused whole", func(t *testing.T) {
			if a := send(bad...); a.status != 400 {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	t.Run("twenty are accepted", func(t *testing.T) {
		if a := send(many[:20]...); a.status != 200 || len(parts(a)) != 20 {
			t.Errorf("%d", a.status)
		}
	})
	t.Run("a part whose dependency failed is 424", func(t *testing.T) {
		p := part("2", "GET", "/users")
		p["dependsOn"] = []string{"1"}
		if got := parts(send(part("1", "GET", "/users/"+id("nobody")), p))["2"]; got["status"] != 424.0 {
			t.Errorf("%v", got)
		}
	})
	t.Run("one part is throttled with its own Retry-After, or fails as 424 by rule", func(t *testing.T) {
		for rule, status := range map[bool]float64{false: 429, true: 424} {
			c.tenant.SetRules(func(r *entrasim.Rules) { r.BatchThrottle424 = rule })
			f, err := c.server.Inject(entrasim.Fault{Kind: entrasim.FaultThrottle, Where: "inner", Path: "/groups", Times: 1, RetryAfter: "0.249"})
			if err != nil {
				t.Fatal(err)
			}
			got := parts(send(part("1", "GET", "/users"), part("2", "GET", "/groups"), part("3", "GET", "/groups")))
			headers, _ := got["2"]["headers"].(map[string]any)
			if got["1"]["status"] != 200.0 || got["2"]["status"] != status || headers["Retry-After"] != "0.249" || got["3"]["status"] != 200.0 || f.Fired() != 1 {
				t.Errorf("%v", got)
			}
		}
	})
	t.Run("requests are counted by kind, inner ones too", func(t *testing.T) {
		c.server.ResetStats()
		send(part("1", "GET", "/users"), part("2", "GET", "/groups/delta"))
		s := c.server.Stats()
		if s.Total != 1 || s.Requests["batch"] != 1 || s.Requests["inner"] != 2 || s.Requests["delta"] != 1 || s.Requests["list"] != 1 {
			t.Errorf("%+v", s)
		}
		if last := s.Last[len(s.Last)-1]; last != "GET /v1.0/groups/delta" {
			t.Errorf("last is %q", last)
		}
	})
}
