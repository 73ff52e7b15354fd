package entrasim

import (
	"math/rand/v2"
	"strings"
)

// Churned counts what Churn did.
type Churned struct {
	Joined, Left, Renamed, Disabled, Enabled, Deleted, Restored, Purged, Hired, Nested int
}

// Total is the number of changes.
func (c Churned) Total() int {
	return c.Joined + c.Left + c.Renamed + c.Disabled + c.Enabled + c.Deleted + c.Restored + c.Purged + c.Hired + c.Nested
}

// Churn makes random changes, as many as percent of the people: joins, leaves,
// new names, disabled and enabled accounts, deletions, returns, newcomers,
// groups put inside groups. The same seed on the same tenant makes the same
// changes.
func (t *Tenant) Churn(seed uint64, percent float64) Churned {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &churner{t: t, random: rand.New(rand.NewPCG(seed, 2)), seed: seed}
	for n := range t.objects {
		switch t.objects[n].kind {
		case User:
			s.people = append(s.people, uint32(n))
		case Group:
			s.groups = append(s.groups, uint32(n))
		case Device, ServicePrincipal, OrgContact, Other:
		}
	}
	if len(s.people) == 0 {
		return s.done
	}
	wanted := int(float64(len(s.people)) * percent / 100)
	for tries := 0; s.done.Total() < wanted && tries < 20*wanted; tries++ {
		s.step()
	}
	return s.done
}

type churner struct {
	t              *Tenant
	random         *rand.Rand
	seed           uint64
	people, groups []uint32
	done           Churned
}

func (s *churner) step() {
	person := pick(s.random, s.people)
	switch dice := s.random.IntN(100); {
	case dice < 35 && len(s.groups) > 0:
		s.join(person)
	case dice < 65 && len(s.groups) > 0:
		s.leave()
	case dice < 78:
		s.rename(person)
	case dice < 86:
		s.toggle(person)
	case dice < 91:
		s.end(person)
	case dice < 95:
		s.comeBack(person)
	case dice < 98:
		s.hire()
	case len(s.groups) > 1:
		s.nest()
	}
}

func (s *churner) join(person uint32) {
	group := pick(s.random, s.groups)
	if s.alive(person) && s.alive(group) && s.t.setEdge(group, person, true) {
		s.done.Joined++
	}
}

func (s *churner) leave() {
	group := pick(s.random, s.groups)
	members := s.t.objects[group].group.members
	if s.alive(group) && len(members) > 0 && s.t.setEdge(group, pick(s.random, members), false) {
		s.done.Left++
	}
}

func (s *churner) rename(person uint32) {
	if !s.alive(person) {
		return
	}
	family := pick(s.random, familyNames())
	o := &s.t.objects[person]
	display, _ := o.value(userDisplayName)
	first, _, _ := strings.Cut(display, " ")
	s.t.unindexName(person)
	o.setValue(userDisplayName, first+" "+family)
	o.setValue(userSurname, family)
	o.setValue(userUPN, s.address(first, family))
	s.t.indexName(person)
	s.t.record(entry{obj: person, mask: userDisplayName.bit() | userSurname.bit() | userUPN.bit(), op: opObject})
	s.done.Renamed++
}

// address is a sign-in name that nobody has: it counts objects and changes.
func (s *churner) address(first, family string) string {
	return strings.ToLower(first+"."+family) + itoa(len(s.t.objects)) + "-" + itoa(int(s.seed)) + "-" + itoa(s.done.Total()) + "@contoso.com"
}

func (s *churner) toggle(person uint32) {
	if !s.alive(person) {
		return
	}
	o := &s.t.objects[person]
	o.flags ^= flagDisabled
	s.t.record(entry{obj: person, mask: userAccountEnabled.bit(), op: opObject})
	if o.flags&flagDisabled != 0 {
		s.done.Disabled++
	} else {
		s.done.Enabled++
	}
}

func (s *churner) end(person uint32) {
	if s.alive(person) && s.t.softDelete(person) == nil {
		s.done.Deleted++
	}
}

// comeBack restores or purges somebody in the recycle bin.
func (s *churner) comeBack(person uint32) {
	if s.t.objects[person].state != softDeleted {
		return
	}
	if s.random.IntN(2) == 0 {
		if s.t.purge(person) == nil {
			s.done.Purged++
		}
		return
	}
	if s.t.restore(person) == nil {
		s.done.Restored++
	}
}

func (s *churner) hire() {
	first, family := pick(s.random, givenNames()), pick(s.random, familyNames())
	o := newPerson(s.random, first, family, pick(s.random, departments()), pick(s.random, cities()), len(s.t.objects))
	o.setValue(userUPN, s.address(first, family))
	s.people = append(s.people, s.t.put(o))
	s.done.Hired++
}

func (s *churner) nest() {
	outer, inner := pick(s.random, s.groups), pick(s.random, s.groups)
	if !s.alive(outer) || !s.alive(inner) || outer == inner {
		return
	}
	if s.t.setEdge(outer, inner, true) || s.t.setEdge(outer, inner, false) {
		s.done.Nested++
	}
}

func (s *churner) alive(n uint32) bool { return s.t.objects[n].state == live }
