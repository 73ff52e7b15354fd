package main

import (
	"fmt"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

// A vault of 10,000 people follows its tenant: users, groups and memberships
// are what plain recursion over the tenant gives, a quiet run costs next to
// nothing, and a changed tenant costs exactly the difference.
func TestTenThousandPeople(t *testing.T) {
	t.Parallel()
	s, groups := largeSetting(t)

	first := s.sync(t, exitDone)
	want := expected(t, s.tenant, groups)
	got, off := s.found(t)
	same(t, "after the first import", want, got)
	if len(off) > 0 {
		t.Errorf("a first import left %d disabled accounts", len(off))
	}
	if first.Mode != "initial" || first.Outcome != "ok" || first.Counts.Created != len(want) || first.Counts.GroupsCreated != len(groups) || first.Counts.MembersAdded != len(memberships(want)) {
		t.Errorf("the first import reports %+v, want %d people, %d groups and %d memberships", first, len(want), len(groups), len(memberships(want)))
	}

	s.graph.ResetStats()
	quiet := s.sync(t, exitDone)
	if total := s.graph.Stats().Total; total > 3 || quiet.Requests.Directory > 3 {
		t.Errorf("a quiet run made %d requests (and reports %d), want 3 at most: %v", total, quiet.Requests.Directory, s.graph.Stats().Last)
	}
	if quiet.Mode != "delta" || quiet.Counts.Made() != 0 || quiet.Requests.Store > 0 {
		t.Errorf("a quiet run is %+v", quiet)
	}

	if churned := s.tenant.Churn(5, 1).Total(); churned < 90 {
		t.Fatalf("the tenant made %d changes, want 1 %%", churned)
	}
	for i := range 20 {
		login := fmt.Sprintf("new.%d@contoso.com", i)
		if _, err := s.tenant.AddUser(entrasim.UserSpec{UPN: login, DisplayName: fmt.Sprintf("New %d", i)}); err != nil {
			t.Fatal(err)
		}
		if err := s.tenant.AddMember(groups[i].String(), login); err != nil {
			t.Fatal(err)
		}
	}
	before, wasOff := got, off
	want = expected(t, s.tenant, groups)
	second := s.sync(t, exitDone)
	got, off = s.found(t)
	same(t, "after 1 % of changes", want, got)

	var created, updated, disabled, enabled int
	for id, a := range want {
		old, was := before[id]
		away, left := wasOff[id]
		switch {
		case left:
			enabled++
			old = away
		case !was:
			created++
			continue
		}
		if old.login != a.login || old.name != a.name || old.email != a.email {
			updated++
		}
	}
	for id := range before {
		if _, stays := want[id]; !stays {
			disabled++
			if _, there := off[id]; !there {
				t.Errorf("%s left and has no account any more: disabled, never deleted", before[id].login)
			}
		}
	}
	added, removed := without(memberships(want), memberships(before)), without(memberships(before), memberships(want))
	c := second.Counts
	if c.Created != created || c.Updated != updated || c.Disabled != disabled || c.Enabled != enabled || c.MembersAdded != added || c.MembersRemoved != removed {
		t.Errorf("the run reports %+v, the difference is %d created, %d updated, %d disabled, %d enabled, %d added, %d removed", c, created, updated, disabled, enabled, added, removed)
	}
	if created == 0 || updated == 0 || disabled == 0 || added == 0 || removed == 0 {
		t.Errorf("the tenant's changes are not of every kind: %d created, %d updated, %d disabled, %d added, %d removed", created, updated, disabled, added, removed)
	}

	full := s.sync(t, exitDone, "--full")
	if full.Mode != "full" || full.Counts.Made() != 0 || full.Drift != 0 {
		t.Errorf("a full run after it is %+v, want nothing to do", full)
	}
}
