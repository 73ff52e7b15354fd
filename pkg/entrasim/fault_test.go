package entrasim_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

func inject(t *testing.T, c *client, f entrasim.Fault) *entrasim.Fault {
	t.Helper()
	added, err := c.server.Inject(f)
	if err != nil {
		t.Fatal(err)
	}
	return added
}

func wantFired(t *testing.T, f *entrasim.Fault, n int) {
	t.Helper()
	if f.Fired() != n {
		t.Errorf("fault %s struck %d times, want %d", f.Kind, f.Fired(), n)
	}
}

func TestFaultsOfTheAnswer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		fault  entrasim.Fault
		status int
		check  func(answer) bool
	}{
		{"429 without Retry-After", entrasim.Fault{Kind: entrasim.FaultThrottle}, 429, func(a answer) bool {
			_, there := a.header["Retry-After"]
			return !there && a.code() == "TooManyRequests" && strings.HasPrefix(a.header.Get("x-ms-throttle-scope"), "Tenant_Application/ReadWrite/"+entrasim.DemoClientID)
		}},
		{"429 with decimal seconds", entrasim.Fault{Kind: entrasim.FaultThrottle, RetryAfter: "2.128"}, 429, func(a answer) bool { return a.header.Get("Retry-After") == "2.128" }},
		{"429 with zero", entrasim.Fault{Kind: entrasim.FaultThrottle, RetryAfter: "0"}, 429, func(a answer) bool { return a.header.Get("Retry-After") == "0" }},
		{"429 with an hour", entrasim.Fault{Kind: entrasim.FaultThrottle, RetryAfter: "3600"}, 429, func(a answer) bool { return a.header.Get("Retry-After") == "3600" }},
		{"429 with a date", entrasim.Fault{Kind: entrasim.FaultThrottle, RetryAfter: "date", Delay: time.Minute}, 429, func(a answer) bool {
			at, err := http.ParseTime(a.header.Get("Retry-After"))
			return err == nil && time.Until(at) > 50*time.Second
		}},
		{"500", entrasim.Fault{Kind: entrasim.FaultStatus}, 500, func(a answer) bool { return a.code() == "UnknownError" }},
		{"503 with a wait", entrasim.Fault{Kind: entrasim.FaultStatus, Status: 503, RetryAfter: "5"}, 503, func(a answer) bool { return a.header.Get("Retry-After") == "5" }},
		{"504 without a body", entrasim.Fault{Kind: entrasim.FaultStatus, Status: 504, NoBody: true}, 504, func(a answer) bool { return len(a.body) == 0 }},
		{"502 of a proxy", entrasim.Fault{Kind: entrasim.FaultHTML}, 502, func(a answer) bool { return strings.HasPrefix(a.header.Get("Content-Type"), "text/html") }},
		{"424", entrasim.Fault{Kind: entrasim.FaultFailedDependency}, 424, func(a answer) bool { return a.code() == "FailedDependency" }},
		{"an error body of {}", entrasim.Fault{Kind: entrasim.FaultEmptyObject}, 400, func(a answer) bool { return string(a.body) == "{}" }},
		{"200 without value", entrasim.Fault{Kind: entrasim.FaultNoValue}, 200, func(a answer) bool { _, there := a.json["value"]; return !there && a.link("deltaLink") != "" }},
		{"neither link", entrasim.Fault{Kind: entrasim.FaultNoLink}, 200, func(a answer) bool { return a.link("deltaLink")+a.link("nextLink") == "" }},
		{"another content type", entrasim.Fault{Kind: entrasim.FaultContentType}, 200, func(a answer) bool { return a.header.Get("Content-Type") == "text/html; charset=utf-8" }},
		{"a byte order mark", entrasim.Fault{Kind: entrasim.FaultBOM}, 200, func(a answer) bool { return bytes.HasPrefix(a.body, []byte("\xef\xbb\xbf{")) }},
		{"gzip", entrasim.Fault{Kind: entrasim.FaultGzip}, 200, func(a answer) bool { return len(a.values()) == 3 }},
		{"a body in two parts", entrasim.Fault{Kind: entrasim.FaultChunks, Delay: time.Millisecond}, 200, func(a answer) bool { return len(a.values()) == 3 }},
		{"a dripping body", entrasim.Fault{Kind: entrasim.FaultDrip, Count: 100, Delay: time.Microsecond}, 200, func(a answer) bool { return len(a.values()) == 3 }},
		{"a redirect", entrasim.Fault{Kind: entrasim.FaultRedirect}, 307, func(a answer) bool { return strings.HasPrefix(a.header.Get("Location"), "https://localhost:") }},
	} {
		t.Run(tt.name+" strikes once and is over", func(t *testing.T) {
			t.Parallel()
			c := start(t, small)
			tt.fault.Times, tt.fault.Path = 1, "/users"
			f := inject(t, c, tt.fault)
			if a := c.get("/v1.0/groups/delta"); a.status != 200 {
				t.Errorf("another path: %d", a.status)
			}
			wantFired(t, f, 0)
			if a := c.get(usersDelta); a.status != tt.status || !tt.check(a) {
				t.Errorf("%d %v %s", a.status, a.header, a.body)
			}
			wantFired(t, f, 1)
			if _, entries, _ := c.round(usersDelta); len(entries) != 3 {
				t.Errorf("afterwards: %v", entries)
			}
		})
	}
}

func TestFaultsOfTheWire(t *testing.T) {
	t.Parallel()
	for _, kind := range []entrasim.FaultKind{entrasim.FaultTruncate, entrasim.FaultReset} {
		t.Run(string(kind)+" breaks the body", func(t *testing.T) {
			t.Parallel()
			c := start(t, small)
			f := inject(t, c, entrasim.Fault{Kind: kind, Times: 1})
			a, err := c.try("GET", usersDelta, nil)
			if err == nil || kind == entrasim.FaultTruncate && len(a.body) == 0 {
				t.Errorf("got %d %q, %v", a.status, a.body, err)
			}
			wantFired(t, f, 1)
		})
	}
	t.Run("hang answers nothing until the client gives up", func(t *testing.T) {
		t.Parallel()
		c := start(t, small)
		f := inject(t, c, entrasim.Fault{Kind: entrasim.FaultHang, Times: 1})
		ctx, cancel := context.WithCancel(t.Context())
		request, err := http.NewRequestWithContext(ctx, "GET", c.server.URL()+usersDelta, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+c.token)
		done := make(chan error)
		go func() {
			_, err := c.do(request)
			done <- err
		}()
		for f.Fired() == 0 {
			select {
			case err := <-done:
				t.Fatalf("answered: %v", err)
			default:
			}
		}
		cancel()
		if err := <-done; err == nil {
			t.Error("it answered")
		}
	})
	t.Run("Close ends a hanging request", func(t *testing.T) {
		t.Parallel()
		c := start(t, small)
		f := inject(t, c, entrasim.Fault{Kind: entrasim.FaultHang})
		done := make(chan error)
		go func() {
			_, err := c.try("GET", usersDelta, nil)
			done <- err
		}()
		for f.Fired() == 0 {
			select {
			case err := <-done:
				t.Fatalf("answered: %v", err)
			default:
			}
		}
		if err := c.server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err == nil {
			t.Error("it answered")
		}
	})
	t.Run("the sign-in can be throttled and split", func(t *testing.T) {
		t.Parallel()
		c := start(t, small)
		inject(t, c, entrasim.Fault{Kind: entrasim.FaultStatus, Status: 503, Path: "/token", Times: 1})
		inject(t, c, entrasim.Fault{Kind: entrasim.FaultChunks, Path: "/token"})
		secret := url.Values{"client_secret": {entrasim.DemoSecret}}
		if a := c.form(secret); a.status != 503 {
			t.Errorf("%d", a.status)
		}
		if a := c.form(secret); a.status != 200 {
			t.Errorf("%d", a.status)
		}
	})
}

func TestFaultsOfARound(t *testing.T) {
	t.Parallel()
	fresh := func(t *testing.T) *client {
		t.Helper()
		c := serve(t, entrasim.Generate(entrasim.Spec{People: 60, Groups: 5, Nesting: 1, MembershipsPerPerson: 2, Seed: 3}))
		c.tenant.SetRules(func(r *entrasim.Rules) { r.ObjectsPerPage, r.MembersPerPage, r.MembersPerItem = 2, 20, 10 })
		return c
	}
	t.Run("legal disturbances change nothing in the end", func(t *testing.T) {
		t.Parallel()
		c := fresh(t)
		f := follow(c)
		var faults []*entrasim.Fault
		for _, fault := range []entrasim.Fault{
			{Kind: entrasim.FaultEmptyPages, Probability: 0.3, Seed: 1},
			{Kind: entrasim.FaultRepeat, Count: 2},
			{Kind: entrasim.FaultShuffle, Seed: 2},
			{Kind: entrasim.FaultKeyOrder, Probability: 0.5},
			{Kind: entrasim.FaultRemovedInInitial},
			{Kind: entrasim.FaultSparse},
			{Kind: entrasim.FaultReplay, Count: 15},
		} {
			faults = append(faults, inject(t, c, fault))
		}
		for n := range uint64(5) {
			f.pull(c)
			f.check(t, read(t, c), fmt.Sprintf("round %d", n))
			c.tenant.Churn(n, 20)
		}
		for _, fault := range faults {
			if fault.Fired() == 0 {
				t.Errorf("fault %s never struck", fault.Kind)
			}
		}
	})
	t.Run("a replay brings yesterday's changes again", func(t *testing.T) {
		t.Parallel()
		c := start(t, small)
		link, _, _ := c.round(usersDelta)
		apply(t, c, "set ann@contoso.com department=Legal")
		link, _, _ = c.round(link)
		inject(t, c, entrasim.Fault{Kind: entrasim.FaultReplay, Times: 1})
		if _, entries, _ := c.round(link); len(entries) != 1 {
			t.Errorf("got %v", entries)
		}
	})
	t.Run("a sparse item has members and no name", func(t *testing.T) {
		t.Parallel()
		c := start(t, small)
		inject(t, c, entrasim.Fault{Kind: entrasim.FaultSparse})
		_, entries, _ := c.round(groupsDelta)
		if e := entry(t, entries, "group Sales"); e["displayName"] != nil || e["members@delta"] == nil {
			t.Errorf("got %v", e)
		}
	})
	t.Run("the second page fails and the first does not", func(t *testing.T) {
		t.Parallel()
		c := fresh(t)
		f := inject(t, c, entrasim.Fault{Kind: entrasim.FaultStatus, Skip: 1, Times: 1})
		a := c.get(usersDelta)
		next := a.link("nextLink")
		if bad := c.get(next); a.status != 200 || bad.status != 500 {
			t.Errorf("%d %d", a.status, bad.status)
		}
		if again := c.get(next); again.status != 200 {
			t.Errorf("%d", again.status)
		}
		wantFired(t, f, 1)
	})
	t.Run("404 UnknownError strikes nextLinks only", func(t *testing.T) {
		t.Parallel()
		c := fresh(t)
		inject(t, c, entrasim.Fault{Kind: entrasim.FaultUnknownError})
		a := c.get(usersDelta)
		if bad := c.get(a.link("nextLink")); a.status != 200 || bad.status != 404 || bad.code() != "UnknownError" || bad.message() != "" {
			t.Errorf("%d %d %s", a.status, bad.status, bad.body)
		}
	})
	t.Run("a loop is the link just asked for", func(t *testing.T) {
		t.Parallel()
		c := fresh(t)
		a := c.get(usersDelta)
		inject(t, c, entrasim.Fault{Kind: entrasim.FaultLoop})
		next := a.link("nextLink")
		if again := c.get(next).link("nextLink"); again != next {
			t.Errorf("%s leads to %s", next, again)
		}
	})
	t.Run("an endless chain never repeats a link", func(t *testing.T) {
		t.Parallel()
		c := fresh(t)
		inject(t, c, entrasim.Fault{Kind: entrasim.FaultEndless})
		seen := map[string]bool{}
		for target := c.server.URL() + usersDelta; len(seen) < 100; {
			if seen[target] {
				t.Fatalf("%s again", target)
			}
			seen[target] = true
			if target = c.get(target).link("nextLink"); target == "" {
				t.Fatal("it ended")
			}
		}
	})
	t.Run("a token is refused as ordered", func(t *testing.T) {
		t.Parallel()
		c := start(t, small)
		link, _, _ := c.round(usersDelta)
		for _, f := range []entrasim.Fault{
			{Status: 0},
			{Status: 410},
			{Status: 410, NoLocation: true},
			{Status: 410, NoBody: true},
			{Status: 400, Code: "Directory_ExpiredPageToken"},
		} {
			f.Kind, f.Times = entrasim.FaultTokenExpired, 1
			wanted := inject(t, c, f)
			a := c.get(link)
			status := max(f.Status, 400)
			if a.status != status || (a.header.Get("Location") != "") != (status == 410 && !f.NoLocation) || (len(a.body) == 0) != f.NoBody ||
				f.Code != "" && a.code() != f.Code {
				t.Errorf("%+v: %d %v %s", f, a.status, a.header, a.body)
			}
			wantFired(t, wanted, 1)
		}
		if a := c.get(link); a.status != 200 {
			t.Errorf("%d", a.status)
		}
	})
	t.Run("foreign links lead to the listener that counts them", func(t *testing.T) {
		t.Parallel()
		c := fresh(t)
		foreign, err := c.server.Foreign()
		if err != nil {
			t.Fatal(err)
		}
		requests := 0
		own, _ := url.Parse(c.server.URL())
		for _, host := range []string{"host", "port", "http"} {
			link, _, _ := c.round(groupsDelta)
			for kind, read := range map[entrasim.FaultKind]func() string{
				entrasim.FaultForeignNext:     func() string { return c.get(usersDelta).link("nextLink") },
				entrasim.FaultForeignDelta:    func() string { return c.get(link).link("deltaLink") },
				entrasim.FaultForeignLocation: func() string { return c.get(link).header.Get("Location") },
			} {
				f := inject(t, c, entrasim.Fault{Kind: kind, Host: host, Times: 1})
				leads := read()
				wantFired(t, f, 1)
				u, err := url.Parse(leads)
				if err != nil || u.Host == own.Host || (u.Scheme == "http") != (host == "http") || (u.Hostname() == "localhost") != (host == "host") {
					t.Errorf("%s %s: %s", kind, host, leads)
				}
				requests++
				if a := c.get(leads); a.values()[0]["id"] != entrasim.PoisonID().String() {
					t.Errorf("no poison: %s", a.body)
				}
			}
		}
		if foreign.Requests() != requests || foreign.Authorized() != requests {
			t.Errorf("counted %d, %d of %d", foreign.Requests(), foreign.Authorized(), requests)
		}
	})
	t.Run("a claims challenge ends with a token for claims", func(t *testing.T) {
		t.Parallel()
		c := start(t, small)
		inject(t, c, entrasim.Fault{Kind: entrasim.FaultClaims})
		a := c.get(usersDelta)
		_, claims, _ := strings.Cut(a.header.Get("WWW-Authenticate"), `claims="`)
		text, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(claims, `"`))
		if a.status != 401 || err != nil || !strings.Contains(string(text), "access_token") {
			t.Fatalf("%d %v", a.status, a.header)
		}
		token := func(claims string) {
			c.token, _ = c.form(url.Values{"client_secret": {entrasim.DemoSecret}, "claims": {claims}}).json["access_token"].(string)
		}
		token(`{"access_token":{"xms_cc":{"values":["CP1"]}}}`)
		if a := c.get(usersDelta); a.status != 401 {
			t.Errorf("the client's capabilities pass for an answer: %d", a.status)
		}
		token(string(text))
		if a := c.get(usersDelta); a.status != 200 {
			t.Errorf("%d", a.status)
		}
	})
	t.Run("probability is seeded", func(t *testing.T) {
		t.Parallel()
		var runs []string
		for range 2 {
			c := start(t, small)
			inject(t, c, entrasim.Fault{Kind: entrasim.FaultStatus, Probability: 0.5, Seed: 11})
			var b strings.Builder
			for range 40 {
				fmt.Fprint(&b, c.get(usersDelta).status, " ")
			}
			runs = append(runs, b.String())
		}
		if runs[0] != runs[1] || !strings.Contains(runs[0], "200") || !strings.Contains(runs[0], "500") {
			t.Errorf("%v", runs)
		}
	})
	t.Run("an unknown fault is refused", func(t *testing.T) {
		t.Parallel()
		if _, err := start(t, small).server.Inject(entrasim.Fault{Kind: "gremlins"}); err == nil {
			t.Error("accepted")
		}
	})
}

func TestTheThrottleSpendsResourceUnits(t *testing.T) {
	t.Parallel()
	c := start(t, small)
	now := time.Now()
	c.tenant.SetClock(func() time.Time { return now })
	c.tenant.SetRules(func(r *entrasim.Rules) { r.Throttle, r.ResourceUnits = true, 10 })
	target := "/v1.0/groups/" + id("group Sales") + "/transitiveMembers" // 5 units
	for range 2 {
		if a := c.get(target); a.status != 200 || a.header.Get("x-ms-resource-unit") != "5" {
			t.Fatalf("%d %v", a.status, a.header)
		}
	}
	a := c.get(target)
	wait, err := strconv.ParseFloat(a.header.Get("Retry-After"), 64)
	if a.status != 429 || err != nil || wait <= 0 || wait > 10 || a.header.Get("x-ms-throttle-limit-percentage") == "" {
		t.Errorf("%d %v", a.status, a.header)
	}
	if c.server.Stats().Throttled != 1 {
		t.Errorf("%+v", c.server.Stats())
	}
	c.tenant.Advance(10 * time.Second)
	if a := c.get(target); a.status != 200 {
		t.Errorf("%d", a.status)
	}
}
