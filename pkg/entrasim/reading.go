package entrasim

import "slices"

// Life says whether an object is in the tenant.
type Life uint8

// The lives of an object.
const (
	Live Life = iota
	SoftDeleted
	Purged
)

// Person is a user as the model has it, for tests that feed a directory
// without Graph. A value that is cleared or was never set is absent.
type Person struct {
	ID         ID
	Life       Life
	Lagging    bool
	Attributes map[string]string // by source path
}

// Circle is a group as the model has it.
type Circle struct {
	ID      ID
	Life    Life
	Lagging bool
	Name    string
	Hidden  bool
	// Members are the direct members that have not been purged, by kind:
	// soft-deleted people stay listed.
	Members map[ID]Kind
}

// People are all users there ever were.
func (t *Tenant) People() []Person {
	t.settle()
	t.mu.RLock()
	defer t.mu.RUnlock()
	var people []Person
	for i := range t.objects {
		o := &t.objects[i]
		if o.kind != User {
			continue
		}
		p := Person{ID: o.id, Life: o.life(), Lagging: o.flags&flagLagging != 0, Attributes: map[string]string{}}
		for path, property := range t.userPaths() {
			if value, ok := o.value(property); ok && value != "" {
				p.Attributes[path] = value
			}
		}
		p.Attributes["accountEnabled"] = "true"
		if o.flags&flagDisabled != 0 {
			p.Attributes["accountEnabled"] = "false"
		}
		switch {
		case o.flags&flagGuest != 0:
			p.Attributes["userType"] = "Guest"
		case o.flags&flagNoType == 0:
			p.Attributes["userType"] = "Member"
		}
		people = append(people, p)
	}
	return people
}

// Circles are all groups there ever were.
func (t *Tenant) Circles() []Circle {
	t.settle()
	t.mu.RLock()
	defer t.mu.RUnlock()
	var groups []Circle
	for i := range t.objects {
		o := &t.objects[i]
		if o.kind != Group {
			continue
		}
		g := Circle{
			ID: o.id, Life: o.life(), Lagging: o.flags&flagLagging != 0,
			Name: o.name(), Hidden: o.flags&flagHidden != 0, Members: map[ID]Kind{},
		}
		for _, m := range o.group.members {
			if t.objects[m].state != purged && t.objects[m].flags&flagLagging == 0 || t.objects[m].kind == User && t.objects[m].state == live {
				g.Members[t.objects[m].id] = t.objects[m].kind
			}
		}
		groups = append(groups, g)
	}
	return groups
}

// MayReadHidden says whether some app may read hidden memberships.
func (t *Tenant) MayReadHidden() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, app := range t.apps {
		if slices.Contains(app.Roles, PermHidden) {
			return true
		}
	}
	return false
}

func (o *object) life() Life {
	switch o.state {
	case softDeleted:
		return SoftDeleted
	case purged:
		return Purged
	case live:
		return Live
	default:
		return Live
	}
}

// userPaths are the source paths of a user's properties in their spelling.
func (t *Tenant) userPaths() map[string]property {
	paths := map[string]property{}
	for i, name := range t.userSchema.names {
		paths[name] = property(i)
	}
	for i := range userExtCount {
		name := "extensionAttribute" + itoa(i+1)
		delete(paths, name)
		paths[extensionObject+"."+name] = userExt1 + property(i)
	}
	return paths
}
