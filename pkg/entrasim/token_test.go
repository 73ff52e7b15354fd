package entrasim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

func TestDeltaTokensAge(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		age      time.Duration
		rules    func(*entrasim.Rules)
		reset    bool
		status   int
		code     string
		location bool
	}{
		{name: "six days are fine", age: 6 * day, status: 200},
		{name: "eight days are lost with 400", age: 8 * day, status: 400, code: "syncStateNotFound"},
		{name: "or with 410 by rule", age: 8 * day, rules: func(r *entrasim.Rules) { r.ExpiredGone = true }, status: 410, code: "SyncStateNotFound", location: true},
		{name: "or not at all by rule", age: 30 * day, rules: func(r *entrasim.Rules) { r.Lenient = true }, status: 200},
		{name: "a reset is 410 with a Location", reset: true, status: 410, code: "SyncStateNotFound", location: true},
		{name: "without Location and body by rule", reset: true, rules: func(r *entrasim.Rules) { r.GoneLocation, r.GoneBody = false, false }, status: 410},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, small)
			if tt.rules != nil {
				c.tenant.SetRules(tt.rules)
			}
			link, _, _ := c.round(groupsDelta)
			c.tenant.Advance(tt.age)
			if tt.reset {
				apply(t, c, "reset tokens")
			}
			a := c.get(link)
			if a.status != tt.status || a.code() != tt.code {
				t.Errorf("%d %s", a.status, a.body)
			}
			location := a.header.Get("Location")
			if (location != "") != tt.location {
				t.Errorf("Location %q", location)
			}
			if tt.location {
				if again := c.get(location); again.status != 200 || len(again.values()) != 4 {
					t.Errorf("the Location is no new start: %d %s", again.status, again.body)
				}
			}
		})
	}
	t.Run("a token of an earlier process is lost, not malformed", func(t *testing.T) {
		t.Parallel()
		old := start(t, small)
		link, _, _ := old.round(groupsDelta)
		c := start(t, small)
		a := c.get(strings.Replace(link, old.server.URL(), c.server.URL(), 1))
		if a.status != 400 || a.code() != "syncStateNotFound" {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
	t.Run("a nextLink ages by its own rule", func(t *testing.T) {
		t.Parallel()
		c := start(t, small)
		c.tenant.SetRules(func(r *entrasim.Rules) { r.ObjectsPerPage, r.SkipTTL = 1, time.Hour })
		next := c.get(usersDelta).link("nextLink")
		if a := c.get(next); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		c.tenant.Advance(2 * time.Hour)
		if a := c.get(next); a.status != 400 || a.code() != "syncStateNotFound" {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}

func TestLifeInTheBin(t *testing.T) {
	t.Parallel()
	t.Run("thirty days after deletion a user is purged", func(t *testing.T) {
		t.Parallel()
		c := start(t, small)
		c.tenant.SetRules(func(r *entrasim.Rules) { r.Lenient = true })
		link, _, _ := c.round(groupsDelta)
		apply(t, c, "delete user bob@contoso.com\nadvance 31d")
		_, entries, _ := c.round(link)
		if entry(t, entries, "group Sales EU") == nil {
			t.Error("the group does not say that he left")
		}
		if err := c.tenant.RestoreUser("bob@contoso.com"); err == nil {
			t.Error("he can be restored")
		}
	})
	t.Run("a restored user is back in his groups without a word from them", func(t *testing.T) {
		t.Parallel()
		c := start(t, small)
		link, _, _ := c.round(groupsDelta)
		apply(t, c, "delete user bob@contoso.com")
		if users, _ := c.tenant.TransitiveUsers("Sales"); len(users) != 1 {
			t.Errorf("while he is away: %v", users)
		}
		apply(t, c, "restore user bob@contoso.com")
		if _, entries, _ := c.round(link); len(entries) != 0 {
			t.Errorf("got %v", entries)
		}
		if users, _ := c.tenant.TransitiveUsers("Sales"); len(users) != 2 {
			t.Errorf("after: %v", users)
		}
	})
	t.Run("soft deletion shows in members by rule", func(t *testing.T) {
		t.Parallel()
		c := start(t, small)
		c.tenant.SetRules(func(r *entrasim.Rules) { r.SoftDeleted = entrasim.MembersRemoved })
		link, entries, _ := c.round(groupsDelta)
		v := newView()
		v.apply(entries)
		for _, step := range []struct {
			change string
			there  bool
		}{{"delete user bob@contoso.com", false}, {"restore user bob@contoso.com", true}} {
			apply(t, c, step.change)
			link, entries, _ = c.round(link)
			v.apply(entries)
			if v.members[id("group Sales EU")][id("bob@contoso.com")] != step.there {
				t.Errorf("%s: %v", step.change, entries)
			}
		}
	})
	t.Run("soft-deleted members are omitted from a first round by rule", func(t *testing.T) {
		t.Parallel()
		c := start(t, small+"delete user bob@contoso.com\n")
		v := newView()
		_, entries, _ := c.round(groupsDelta)
		v.apply(entries)
		if !v.members[id("group Sales EU")][id("bob@contoso.com")] {
			t.Error("by default he stays listed")
		}
		c.tenant.SetRules(func(r *entrasim.Rules) { r.SoftDeleted = entrasim.MembersOmitted })
		v = newView()
		_, entries, _ = c.round(groupsDelta)
		v.apply(entries)
		if v.members[id("group Sales EU")][id("bob@contoso.com")] {
			t.Error("he is listed")
		}
	})
	t.Run("a purge is never reported in members, or late, by rule", func(t *testing.T) {
		t.Parallel()
		c := start(t, small)
		c.tenant.SetRules(func(r *entrasim.Rules) { r.PurgeSilent = true })
		link, _, _ := c.round(groupsDelta)
		apply(t, c, "purge user bob@contoso.com")
		link, entries, _ := c.round(link)
		if len(entries) != 0 {
			t.Errorf("got %v", entries)
		}
		c.tenant.SetRules(func(r *entrasim.Rules) { r.PurgeSilent, r.PurgeDelay = false, time.Hour })
		apply(t, c, "purge user ann@contoso.com")
		if link, entries, _ = c.round(link); len(entries) != 0 {
			t.Errorf("too early: %v", entries)
		}
		apply(t, c, "advance 2h")
		if _, entries, _ = c.round(link); len(entries) != 2 {
			t.Errorf("got %v", entries)
		}
	})
	t.Run("a lagging user is a member before he can be read", func(t *testing.T) {
		t.Parallel()
		c := start(t, small)
		users, _, _ := c.round(usersDelta)
		groups, _, _ := c.round(groupsDelta)
		apply(t, c, "user new@contoso.com lag=30s\n+member Sales: new@contoso.com")
		if _, entries, _ := c.round(groups); entry(t, entries, "group Sales") == nil {
			t.Error("the membership does not show")
		}
		users, entries, _ := c.round(users)
		if len(entries) != 0 || c.get("/v1.0/users/"+id("new@contoso.com")).status != 404 {
			t.Error("the profile shows")
		}
		apply(t, c, "advance 31s")
		_, entries, _ = c.round(users)
		if len(entries) != 1 || c.get("/v1.0/users/"+id("new@contoso.com")).status != 200 {
			t.Errorf("the profile does not show: %v", entries)
		}
	})
}
