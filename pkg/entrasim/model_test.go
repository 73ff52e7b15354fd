package entrasim_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

// truth is the state of a tenant as a delta client should know it.
type truth struct {
	users   map[string]string   // id → sign-in name
	members map[string][]string // group → members, sorted
}

func read(t *testing.T, c *client) truth {
	t.Helper()
	s := truth{users: map[string]string{}, members: map[string][]string{}}
	for target := "/v1.0/users?$top=999&$select=userPrincipalName"; target != ""; {
		a := c.get(target)
		for _, e := range a.values() {
			s.users[fmt.Sprint(e["id"])] = fmt.Sprint(e["userPrincipalName"])
		}
		target = a.link("nextLink")
	}
	for _, g := range c.tenant.GroupIDs() {
		s.members[g.String()] = nil
		members, err := c.tenant.Members(g.String())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range members {
			s.members[g.String()] = append(s.members[g.String()], m.String())
		}
	}
	return s
}

// follower is a delta client with two streams.
type follower struct {
	users, groups         *view
	usersLink, groupsLink string
}

func follow(c *client) *follower {
	return &follower{
		users: newView(), groups: newView(),
		usersLink: "/v1.0/users/delta?$select=userPrincipalName", groupsLink: groupsDelta,
	}
}

func (f *follower) pull(c *client) {
	link, entries, _ := c.round(f.usersLink)
	f.users.apply(entries)
	f.usersLink = link
	link, entries, _ = c.round(f.groupsLink)
	f.groups.apply(entries)
	f.groupsLink = link
}

// check compares with the truth: a member who is soft-deleted stays listed, so
// groups are joined with users.
func (f *follower) check(t *testing.T, want truth, when string) {
	t.Helper()
	if len(f.users.objects) != len(want.users) {
		t.Fatalf("%s: %d users, want %d", when, len(f.users.objects), len(want.users))
	}
	for id, upn := range want.users {
		if got := f.users.objects[id]["userPrincipalName"]; got != upn {
			t.Fatalf("%s: user %s is %v, want %s", when, id, got, upn)
		}
	}
	if len(f.groups.objects) != len(want.members) {
		t.Fatalf("%s: %d groups, want %d", when, len(f.groups.objects), len(want.members))
	}
	for group, members := range want.members {
		var got []string
		for m := range f.groups.members[group] {
			if _, user := want.users[m]; user || want.members[m] != nil || f.groups.objects[m] != nil {
				got = append(got, m)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, members) {
			t.Fatalf("%s: group %s has %d members, want %d", when, group, len(got), len(members))
		}
	}
}

func TestEveryTokenLeadsToTheState(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 9))
			tenant := entrasim.Generate(entrasim.Spec{People: 120, Groups: 8, Nesting: 1, MembershipsPerPerson: 2, Seed: seed})
			c := serve(t, tenant)
			tenant.SetRules(func(r *entrasim.Rules) {
				r.ObjectsPerPage, r.MembersPerPage, r.MembersPerItem = 1+random.IntN(40), 1+random.IntN(60), 1+random.IntN(25)
				r.Interleave = random.IntN(2) == 0
				r.RemovedInInitial = random.IntN(2) == 0
			})
			// Followers that begin at different times and pull at different times
			// hold tokens of every age.
			followers := []*follower{follow(c)}
			followers[0].pull(c)
			for round := range 12 {
				tenant.Churn(seed*100+uint64(round), float64(random.IntN(30)))
				f := followers[random.IntN(len(followers))]
				if random.IntN(3) == 0 {
					f = follow(c)
					followers = append(followers, f)
				}
				f.pull(c)
				f.check(t, read(t, c), fmt.Sprintf("round %d", round))
			}
			for _, f := range followers {
				f.pull(c)
				f.check(t, read(t, c), "in the end")
			}
		})
	}
}

func TestChangesDuringARoundAreNotLost(t *testing.T) {
	t.Parallel()
	tenant := entrasim.Generate(entrasim.Spec{People: 200, Groups: 5, MembershipsPerPerson: 3, Seed: 4})
	c := serve(t, tenant)
	tenant.SetRules(func(r *entrasim.Rules) { r.ObjectsPerPage, r.MembersPerPage, r.MembersPerItem = 7, 30, 11 })
	f := follow(c)
	f.pull(c)
	for n := range uint64(5) {
		tenant.Churn(n, 15)
		for _, stream := range []struct {
			view *view
			link *string
		}{{f.users, &f.usersLink}, {f.groups, &f.groupsLink}} {
			for target, page := *stream.link, uint64(0); target != ""; page++ {
				a := c.get(target)
				stream.view.apply(a.values())
				target = a.link("nextLink")
				*stream.link = a.link("deltaLink")
				tenant.Churn(1000+n*100+page, 2)
			}
		}
	}
	f.pull(c)
	f.check(t, read(t, c), "after quiet")
}

func TestAFirstRoundDuringChangesIsNotLost(t *testing.T) {
	t.Parallel()
	tenant := entrasim.Generate(entrasim.Spec{People: 300, Groups: 6, MembershipsPerPerson: 4, Seed: 5})
	c := serve(t, tenant)
	tenant.SetRules(func(r *entrasim.Rules) { r.ObjectsPerPage, r.MembersPerPage, r.MembersPerItem = 20, 40, 15 })
	f := follow(c)
	for target, page := f.groupsLink, uint64(0); target != ""; page++ {
		a := c.get(target)
		f.groups.apply(a.values())
		target, f.groupsLink = a.link("nextLink"), a.link("deltaLink")
		tenant.Churn(page, 2)
	}
	f.pull(c)
	f.check(t, read(t, c), "after quiet")
}

func TestTheSameSpecMakesTheSameTenant(t *testing.T) {
	t.Parallel()
	spec := entrasim.Spec{People: 100, Groups: 4, Nesting: 1, MembershipsPerPerson: 2, Seed: 7}
	a, b := entrasim.Generate(spec), entrasim.Generate(spec)
	if x, y := a.Churn(1, 30), b.Churn(1, 30); x != y {
		t.Errorf("churn differs: %v %v", x, y)
	}
	if !slices.Equal(a.UserIDs(), b.UserIDs()) {
		t.Error("users differ")
	}
	for _, g := range a.GroupIDs() {
		x, errX := a.TransitiveUsers(g.String())
		y, errY := b.TransitiveUsers(g.String())
		if errX != nil || errY != nil || !slices.Equal(x, y) {
			t.Errorf("group %s differs (%v, %v)", g, errX, errY)
		}
	}
}
