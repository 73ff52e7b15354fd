package plan_test

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
)

// withoutSettled is the input of a run that leaves out whom it may.
func withoutSettled(in plan.Input) (few plan.Input, left int) {
	moved := plan.Moved(in.Groups, in.Full)
	wanted := map[identity.ObjectID]bool{}
	out := make([]bool, len(in.People))
	for i := range in.People {
		p := &in.People[i]
		out[i] = plan.Settled(p, in.Rules, in.Full, in.Now) && !moved.Contains(p.Number)
		if !out[i] {
			wanted[p.LoginOwner] = true
		}
	}
	few = in
	few.People = nil
	for i, p := range in.People {
		if out[i] && !wanted[p.ID] {
			left++
			continue
		}
		few.People = append(few.People, p)
	}
	return few, left
}

// told is all that a plan says, in a form that can be compared.
func told(p *plan.Plan) []any {
	groups := func(list []snapshot.Group) (all []any) {
		for _, g := range list {
			applied := g.Applied.ToArray()
			g.Applied = nil
			all = append(all, g, applied)
		}
		return all
	}
	changes := append([]plan.Change{}, p.Changes...)
	for i := range changes {
		changes[i].VaultGroup = nil
	}
	return []any{
		p.Digest(), p.HeldDigest(), changes, p.Notes, p.Trips, p.Records, p.Forget, groups(p.Groups), p.ForgetGroups,
		p.Pinned, p.Settled, p.Unchanged, p.Drift,
	}
}

// sameWithoutSettled checks that the plan of a world is the same without the
// people who are settled, and gives how many they are.
func sameWithoutSettled(t *rapid.T, w *world) int {
	few, left := withoutSettled(w.input())
	whole, part := told(plan.Compute(w.input())), told(plan.Compute(few))
	for i := range whole {
		if !reflect.DeepEqual(whole[i], part[i]) {
			t.Fatalf("without %d settled people, part %d is\n%+v\nand with them\n%+v", left, i, part[i], whole[i])
		}
	}
	return left
}

// sameApart checks that the people who are alone get the same changes when they
// are planned apart from the others, and nothing that a guard counts.
func sameApart(t *rapid.T, w *world) {
	in := w.input()
	if !in.Full {
		return
	}
	losing := plan.Losing(in.Groups)
	first, second := w.input(), w.input()
	first.People, second.People = nil, nil
	wanted := map[identity.ObjectID]bool{}
	alone := func(p *plan.Person) bool { return plan.Alone(p) && !losing.Contains(p.Number) }
	for i := range in.People {
		if p := &in.People[i]; !alone(p) {
			wanted[p.LoginOwner] = true
		}
	}
	for i := range in.People {
		if p := &in.People[i]; alone(p) && !wanted[p.ID] {
			second.People = append(second.People, *p)
		} else {
			first.People = append(first.People, *p)
		}
	}
	whole, most, rest := plan.Compute(in), plan.Compute(first), plan.Compute(second)
	want, got := map[string]int{}, map[string]int{}
	for _, c := range whole.Changes {
		want[c.Key()+c.Held]++
	}
	for _, c := range most.Changes {
		got[c.Key()+c.Held]++
	}
	for _, c := range rest.Changes {
		if c.Kind != plan.Update && c.Kind != plan.MemberAdd && !c.Person.IsZero() || c.Held != "" {
			t.Fatalf("somebody who is alone is to be changed by %s, held by %q", c.Kind, c.Held)
		}
		if !c.Person.IsZero() {
			got[c.Key()]++
		}
	}
	if !reflect.DeepEqual(want, got) {
		t.Fatalf("planned whole %q, apart %q and %q", lines(whole), lines(most), lines(rest))
	}
	if !reflect.DeepEqual(whole.Trips, most.Trips) || len(rest.Trips) > 0 {
		t.Fatalf("guards hold %v whole, apart %v and %v", whole.Trips, most.Trips, rest.Trips)
	}
	if len(whole.Records) != len(most.Records)+len(rest.Records) {
		t.Fatalf("%d records are remembered whole, apart %d and %d", len(whole.Records), len(most.Records), len(rest.Records))
	}
}

func TestSettled(t *testing.T) {
	t.Parallel()
	for _, full := range []bool{false, true} {
		w := with("ann:Sales", "bob:Sales,HR", "cid:HR")
		w.partial = !full
		in, left := withoutSettled(w.input())
		if left != 3 || len(in.People) != 0 {
			t.Errorf("full %v: %d people of three who are as they should be are settled", full, left)
		}
	}
	w := with("ann:Sales", "bob:Sales,HR", "cid:HR")
	w.leave("Sales", "ann")
	w.apply(w.plan())
	if _, left := withoutSettled(w.input()); left != 3 {
		t.Errorf("%d people are settled, with one who left and is disabled", left)
	}
	w.user("ann").Enabled = true
	w.user("bob").FullName = "By hand"
	w.delete("cid")
	if _, left := withoutSettled(w.input()); left != 0 {
		t.Errorf("%d people are settled whom hands have changed", left)
	}
}
