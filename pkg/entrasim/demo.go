package entrasim

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// The groups of the demo tenant that a configuration names.
const (
	DemoSalesID          = "0c1f6a52-0000-4000-8000-00000000000a"
	DemoEngineeringID    = "0c1f6a52-0000-4000-8000-00000000000b"
	DemoArchiveReadersID = "0c1f6a52-0000-4000-8000-00000000000c"
)

const demoPeople = 3000

// demoGroup is one group of the demo tenant: its id where a configuration needs
// it, what it is nested in, how many people are in it directly.
type demoGroup struct {
	name, id, in string
	people       int
}

// demoGroups lists a group after the one that it is nested in.
func demoGroups() []demoGroup {
	return []demoGroup{
		{"Sales", DemoSalesID, "", 12},
		{"Sales EU", "", "Sales", 60},
		{"Sales Nordics", "", "Sales EU", 18},
		{"Sales US", "", "Sales", 50},
		{"Sales APAC", "", "Sales", 25},
		{"Engineering", DemoEngineeringID, "", 20},
		{"Platform", "", "Engineering", 120},
		{"Platform On Call", "", "Platform", 25},
		{"Product", "", "Engineering", 150},
		{"Quality", "", "Engineering", 60},
		{"Archive Readers", DemoArchiveReadersID, "", 30},
		{"Finance", "", "Archive Readers", 90},
		{"Legal", "", "Archive Readers", 40},
		{"People Team", "", "Archive Readers", 45},
		{"Operations", "", "", 400},
		{"Marketing", "", "", 180},
		{"Support", "", "", 350},
		{"Contractors", "", "", 120},
		{"All Employees", "", "", 2800},
	}
}

// Demo is the tenant of `vaultsync demo`: about 3,000 people of contoso.com,
// nested groups, an app that may read them. It is the same at every start.
func Demo() *Tenant {
	t := NewTenant(DemoTenantID())
	t.AddApp(DemoApp())
	t.mu.Lock()
	defer t.mu.Unlock()
	random := rand.New(rand.NewPCG(2026, 3))
	given, family := givenNames(), familyNames()
	people := make([]uint32, 0, demoPeople)
	used := map[string]int{}
	for range demoPeople {
		first, last := pick(random, given), pick(random, family)
		o := newPerson(random, first, last, pick(random, departments()), pick(random, cities()), 0)
		address := strings.ToLower(first + "." + last)
		if used[address]++; used[address] > 1 {
			address += itoa(used[address])
		}
		o.setValue(userUPN, address+"@contoso.com")
		o.setValue(userMail, address+"@contoso.com")
		switch dice := random.IntN(100); {
		case dice < 2:
			o.flags |= flagDisabled
		case dice < 5:
			o.flags |= flagGuest
		}
		people = append(people, t.put(o))
	}
	groups := map[string]uint32{}
	for _, g := range demoGroups() {
		spec := GroupSpec{Name: g.name, Description: g.name + " of Contoso"}
		if g.id != "" {
			spec.ID, _ = identity.ParseObjectID(g.id) // constants, checked by a test
		}
		n, err := t.addGroup(spec)
		if err != nil {
			panic(err) //nolint:forbidigo // the list above names each group once; a test makes the tenant
		}
		groups[g.name] = n
		if g.in != "" {
			t.setEdge(groups[g.in], n, true)
		}
		for range g.people {
			t.setEdge(n, pick(random, people), true)
		}
	}
	return t
}

// DemoChange makes one believable change to the demo tenant, or to any other
// that has people and groups, and says in a sentence what it was.
func (t *Tenant) DemoChange(random *rand.Rand) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for range 200 {
		if said := t.demoChange(random); said != "" {
			return said
		}
	}
	return "Nothing happened: the tenant has nobody left to change."
}

// demoChange tries one change; "" means that it did not fit.
func (t *Tenant) demoChange(random *rand.Rand) string {
	group, person := t.demoPick(random)
	if group == noObject || person == noObject {
		return ""
	}
	g, p := &t.objects[group], &t.objects[person]
	name, _ := p.value(userDisplayName)
	first, last, _ := strings.Cut(name, " ")
	inGroup := t.demoMember(random, group)
	switch dice := random.IntN(100); {
	case dice < 35:
		if !t.setEdge(group, person, true) {
			return ""
		}
		return fmt.Sprintf("%s joined %s.", name, g.name())
	case dice < 60:
		if inGroup == noObject {
			return ""
		}
		t.setEdge(group, inGroup, false)
		return fmt.Sprintf("%s left %s.", t.display(inGroup), g.name())
	case dice < 70:
		family := pick(random, familyNames())
		if family == last {
			return ""
		}
		p.setValue(userDisplayName, first+" "+family)
		p.setValue(userSurname, family)
		t.record(entry{obj: person, mask: userDisplayName.bit() | userSurname.bit(), op: opObject})
		return fmt.Sprintf("%s is now called %s %s.", name, first, family)
	case dice < 78:
		department := pick(random, departments())
		if !p.setValue(userDepartment, department) {
			return ""
		}
		t.record(entry{obj: person, mask: userDepartment.bit(), op: opObject})
		return fmt.Sprintf("%s moved to the department %s.", name, department)
	case dice < 86:
		if inGroup == noObject {
			return ""
		}
		t.objects[inGroup].flags ^= flagDisabled
		t.record(entry{obj: inGroup, mask: userAccountEnabled.bit(), op: opObject})
		if t.objects[inGroup].flags&flagDisabled != 0 {
			return fmt.Sprintf("The account of %s was disabled.", t.display(inGroup))
		}
		return fmt.Sprintf("The account of %s was enabled again.", t.display(inGroup))
	case dice < 94:
		return t.demoHire(random, group)
	}
	if inGroup == noObject || t.softDelete(inGroup) != nil {
		return ""
	}
	return fmt.Sprintf("%s left the company.", t.display(inGroup))
}

func (t *Tenant) display(n uint32) string {
	name, _ := t.objects[n].value(userDisplayName)
	return name
}

// demoHire adds a newcomer to a group.
func (t *Tenant) demoHire(random *rand.Rand, group uint32) string {
	first, last := pick(random, givenNames()), pick(random, familyNames())
	n := t.put(newPerson(random, first, last, pick(random, departments()), pick(random, cities()), len(t.objects)))
	t.setEdge(group, n, true)
	return fmt.Sprintf("%s %s was hired and joined %s.", first, last, t.objects[group].name())
}

// demoPick draws a group that a demo vault synchronizes, where there is one,
// and somebody who is there.
func (t *Tenant) demoPick(random *rand.Rand) (group, person uint32) {
	group, person = noObject, noObject
	var groups []uint32
	for n := range t.objects {
		o := &t.objects[n]
		if o.group == nil || o.state != live {
			continue
		}
		if name := o.name(); name != "All Employees" && name != "Operations" && name != "Support" && name != "Marketing" && name != "Contractors" {
			groups = append(groups, uint32(n))
		}
	}
	if len(groups) > 0 {
		group = pick(random, groups)
	}
	for range 50 {
		if n := uint32(random.IntN(max(len(t.objects), 1))); int(n) < len(t.objects) && t.objects[n].kind == User && t.objects[n].state == live {
			return group, n
		}
	}
	return group, person
}

// demoMember draws a direct member of the group who is there.
func (t *Tenant) demoMember(random *rand.Rand, group uint32) uint32 {
	members := t.objects[group].group.members
	for range min(len(members), 20) {
		if n := pick(random, members); t.objects[n].kind == User && t.objects[n].state == live {
			return n
		}
	}
	return noObject
}
