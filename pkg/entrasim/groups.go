package entrasim

import (
	"fmt"
	"slices"
)

// GroupSpec describes a new group.
type GroupSpec struct {
	ID          ID // zero: derived from Name
	Name        string
	Description string
	Mail        string
	Kind        GroupKind
	// Hidden is hidden membership: Member.Read.Hidden is needed to read it.
	Hidden bool
	// Rule is the membership rule of a dynamic group. The simulator shows it
	// and does not follow it.
	Rule string
}

// AddGroup puts a group into the tenant. Names need not be unique; ids must.
func (t *Tenant) AddGroup(spec GroupSpec) (ID, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, err := t.addGroup(spec)
	if err != nil {
		return ID{}, err
	}
	return t.objects[n].id, nil
}

func (t *Tenant) addGroup(spec GroupSpec) (uint32, error) {
	if spec.Name == "" {
		return 0, fmt.Errorf("a group needs a name")
	}
	o := object{id: spec.ID, kind: Group, group: &groupPart{kind: spec.Kind, rule: spec.Rule != ""}}
	o.setValue(groupDisplayName, spec.Name)
	o.setValue(groupDescription, spec.Description)
	o.setValue(groupMail, spec.Mail)
	o.setValue(groupMembershipRule, spec.Rule)
	if spec.Hidden {
		o.flags |= flagHidden
	}
	return t.add(o)
}

// AddObject puts a device, service principal, contact, or something of a type
// yet unknown into the tenant. A zero id is derived from the name.
func (t *Tenant) AddObject(kind Kind, name string, id ID) (ID, error) {
	if kind == User || kind == Group {
		return ID{}, fmt.Errorf("AddObject is not for a %s", kind)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n, err := t.addObject(kind, name, id)
	if err != nil {
		return ID{}, err
	}
	return t.objects[n].id, nil
}

func (t *Tenant) addObject(kind Kind, name string, id ID) (uint32, error) {
	o := object{id: id, kind: kind}
	o.setValue(groupDisplayName, name)
	return t.add(o)
}

// UpdateGroup sets displayName, description or mail; nil clears one.
func (t *Tenant) UpdateGroup(ref string, changes map[string]*string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.updateGroup(ref, changes)
}

func (t *Tenant) updateGroup(ref string, changes map[string]*string) error {
	n, err := t.findKind(Group, ref)
	if err != nil {
		return err
	}
	var mask uint64
	for path, value := range changes {
		p, ok := t.groupSchema.byPath[path]
		if path == "displayName" {
			p, ok = groupDisplayName, value != nil && *value != ""
		}
		if !ok || p > groupMail {
			return fmt.Errorf("group %q: cannot set %q so", ref, path)
		}
		text := ""
		if value != nil {
			text = *value
		}
		t.unindexName(n)
		if t.objects[n].setValue(p, text) {
			mask |= p.bit()
		}
		t.indexName(n)
	}
	if mask != 0 {
		t.record(entry{obj: n, mask: mask, op: opObject})
	}
	return nil
}

// RenameGroup gives a group another display name.
func (t *Tenant) RenameGroup(ref, name string) error {
	return t.UpdateGroup(ref, map[string]*string{"displayName": &name})
}

// HideGroup switches hidden membership on or off. The service allows it only
// at creation; here it is a lever for tests.
func (t *Tenant) HideGroup(ref string, hidden bool) error {
	return t.withObject(Group, ref, func(n uint32) error {
		t.objects[n].flags &^= flagHidden
		if hidden {
			t.objects[n].flags |= flagHidden
		}
		t.record(entry{obj: n, mask: groupVisibility.bit(), op: opObject})
		return nil
	})
}

// ForbidGroup makes the service refuse everything that names the group, as it
// does for a group that an administrative unit shields from the application;
// it is no change that a delta round tells of.
func (t *Tenant) ForbidGroup(ref string, forbidden bool) error {
	return t.withObject(Group, ref, func(n uint32) error {
		t.objects[n].flags &^= flagForbidden
		if forbidden {
			t.objects[n].flags |= flagForbidden
		}
		return nil
	})
}

// forbidden says whether any of the groups is refused.
func (t *Tenant) forbidden(ids ...ID) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.ContainsFunc(ids, func(id ID) bool {
		n, ok := t.byID[id]
		return ok && t.objects[n].flags&flagForbidden != 0
	})
}

// DeleteGroup deletes a group: to the recycle bin, or for good where the kind
// has none (distribution groups [DOC], security groups by rule).
func (t *Tenant) DeleteGroup(ref string) error {
	return t.withObject(Group, ref, t.deleteGroup)
}

func (t *Tenant) deleteGroup(n uint32) error {
	o := &t.objects[n]
	if o.state != live {
		return fmt.Errorf("group %q is already deleted: %w", o.name(), ErrUnknown)
	}
	switch o.group.kind {
	case Distribution:
		return t.purge(n)
	case Security, MailSecurity:
		if t.rules.SecurityGroupsPurged {
			return t.purge(n)
		}
	case Microsoft365:
	}
	return t.softDelete(n)
}

// RestoreGroup brings a group back from the recycle bin.
func (t *Tenant) RestoreGroup(ref string) error { return t.withObject(Group, ref, t.restore) }

// PurgeGroup deletes a group for good.
func (t *Tenant) PurgeGroup(ref string) error { return t.withObject(Group, ref, t.purge) }

// AddMember makes member a direct member of the group. member is a reference:
// "ann@contoso.com", "group Sales EU", an id.
func (t *Tenant) AddMember(group, member string) error { return t.setMember(group, member, true) }

// RemoveMember ends a direct membership.
func (t *Tenant) RemoveMember(group, member string) error { return t.setMember(group, member, false) }

func (t *Tenant) setMember(group, member string, in bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	g, err := t.findKind(Group, group)
	if err != nil {
		return err
	}
	m, err := t.resolve(member)
	if err != nil {
		return fmt.Errorf("group %q: %w", group, err)
	}
	if !t.setEdge(g, m, in) {
		if in {
			return fmt.Errorf("group %q: member %q is %w", group, member, ErrExists)
		}
		return fmt.Errorf("group %q: member %q is %w", group, member, ErrUnknown)
	}
	return nil
}

// setEdge adds or removes a membership and says whether that changed anything.
func (t *Tenant) setEdge(group, member uint32, in bool) bool {
	part := t.objects[group].group
	var changed bool
	how := opAdd
	if in {
		part.members, changed = insertSorted(part.members, member)
	} else {
		part.members, changed = deleteSorted(part.members, member)
		how = opRemove
	}
	if changed {
		t.record(entry{obj: group, member: member, op: how})
	}
	return changed
}

// Members lists the direct members of a group that are not deleted.
func (t *Tenant) Members(group string) ([]ID, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g, err := t.findKind(Group, group)
	if err != nil {
		return nil, err
	}
	var ids []ID
	for _, m := range t.objects[g].group.members {
		if t.objects[m].state == live {
			ids = append(ids, t.objects[m].id)
		}
	}
	slices.SortFunc(ids, ID.Compare)
	return ids, nil
}

// TransitiveUsers is the plain answer to who is in a group, at any depth: the
// oracle of tests. It follows only groups that are there, counts each user
// once, leaves deleted users out and disabled ones in. Sorted by id.
func (t *Tenant) TransitiveUsers(group string) ([]ID, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g, err := t.findKind(Group, group)
	if err != nil {
		return nil, err
	}
	var ids []ID
	for n := range t.closure(g) {
		if o := &t.objects[n]; o.kind == User && o.state == live {
			ids = append(ids, o.id)
		}
	}
	slices.SortFunc(ids, ID.Compare)
	return ids, nil
}

// closure is everything reachable from a group through groups that are there,
// the group itself only when it is a member of its own descendants.
func (t *Tenant) closure(group uint32) map[uint32]bool {
	reached := map[uint32]bool{}
	var visit func(g uint32)
	visit = func(g uint32) {
		if t.objects[g].state != live {
			return
		}
		for _, m := range t.objects[g].group.members {
			if reached[m] {
				continue
			}
			reached[m] = true
			if t.objects[m].group != nil {
				visit(m)
			}
		}
	}
	visit(group)
	return reached
}
