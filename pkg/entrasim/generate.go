package entrasim

import (
	"math/rand/v2"
	"slices"
)

// Spec is the shape of a generated tenant.
type Spec struct {
	People int
	Groups int
	// Nesting is how many levels of groups lie inside a top group.
	Nesting int
	// MembershipsPerPerson is how many groups each person is a direct member
	// of.
	MembershipsPerPerson int
	Seed                 uint64
}

// Generate makes a tenant of contoso.com: the same Spec makes the same ids. The
// groups are called "Group 0", "Group 1" and so on; with Nesting n, group i is
// a member of group i-1 unless n+1 divides i.
func Generate(spec Spec) *Tenant {
	t := NewTenant(DemoTenantID())
	t.AddApp(DemoApp())
	t.mu.Lock()
	defer t.mu.Unlock()
	random := rand.New(rand.NewPCG(spec.Seed, 1))
	given, family, depts, towns := givenNames(), familyNames(), departments(), cities()

	t.objects = make([]object, 0, spec.People+spec.Groups)
	t.byID = make(map[ID]uint32, spec.People+spec.Groups)
	parts := make([]groupPart, spec.Groups)
	for i := range spec.Groups {
		o := object{id: randomID(random), kind: Group, group: &parts[i]}
		o.setValue(groupDisplayName, "Group "+itoa(i))
		t.put(o)
	}
	for i := range spec.People {
		t.put(newPerson(random, pick(random, given), pick(random, family), pick(random, depts), pick(random, towns), i))
	}
	if spec.Groups > 0 {
		for person := range spec.People {
			for range spec.MembershipsPerPerson {
				part := &parts[random.IntN(spec.Groups)]
				part.members = append(part.members, uint32(spec.Groups+person))
			}
		}
		for i := 1; i < spec.Groups; i++ {
			if spec.Nesting > 0 && i%(spec.Nesting+1) != 0 {
				parts[i-1].members = append(parts[i-1].members, uint32(i))
			}
		}
	}
	for i := range parts {
		slices.Sort(parts[i].members)
		parts[i].members = slices.Clip(slices.Compact(parts[i].members))
	}
	return t
}

// put is add without the questions: generated ids do not collide.
func (t *Tenant) put(o object) uint32 {
	n := uint32(len(t.objects))
	t.objects = append(t.objects, o)
	t.byID[o.id] = n
	t.indexName(n)
	t.record(entry{obj: n, mask: allBits, op: opObject})
	return n
}

// GroupIDs lists the groups that are there, in the order of their making.
func (t *Tenant) GroupIDs() []ID { return t.ids(Group) }

// UserIDs lists the users that are there, in the order of their making.
func (t *Tenant) UserIDs() []ID { return t.ids(User) }

func (t *Tenant) ids(kind Kind) []ID {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var ids []ID
	for i := range t.objects {
		if o := &t.objects[i]; o.kind == kind && o.state == live {
			ids = append(ids, o.id)
		}
	}
	return ids
}
