package entrasim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// UserSpec describes a new user.
type UserSpec struct {
	ID          ID // zero: derived from UPN
	UPN         string
	DisplayName string
	Disabled    bool
	Type        string // Member (also when empty) or Guest
	// Attributes are further properties by path, as Graph spells them:
	// mail, department, onPremisesExtensionAttributes.extensionAttribute1.
	Attributes map[string]string
}

// AddUser puts a user into the tenant. A sign-in name is unique among the users
// that are not deleted.
func (t *Tenant) AddUser(spec UserSpec) (ID, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, err := t.addUser(spec)
	if err != nil {
		return ID{}, err
	}
	return t.objects[n].id, nil
}

func (t *Tenant) addUser(spec UserSpec) (uint32, error) {
	if spec.UPN == "" {
		return 0, fmt.Errorf("a user needs a sign-in name")
	}
	if err := t.freeUPN(spec.UPN, noObject); err != nil {
		return 0, err
	}
	o := object{id: spec.ID, kind: User}
	o.setValue(userUPN, spec.UPN)
	o.setValue(userDisplayName, spec.DisplayName)
	for _, path := range slices.Sorted(maps.Keys(spec.Attributes)) {
		if _, err := t.assign(&o, path, spec.Attributes[path]); err != nil {
			return 0, fmt.Errorf("user %q: %w", spec.UPN, err)
		}
	}
	if spec.Disabled {
		o.flags |= flagDisabled
	}
	if spec.Type != "" {
		if _, err := t.assign(&o, "userType", spec.Type); err != nil {
			return 0, fmt.Errorf("user %q: %w", spec.UPN, err)
		}
	}
	return t.add(o)
}

const noObject = ^uint32(0)

// freeUPN refuses a sign-in name that another user has.
func (t *Tenant) freeUPN(upn string, except uint32) error {
	for _, n := range t.named(User, upn) {
		if n != except && t.objects[n].state == live {
			return fmt.Errorf("user %q is %w", upn, ErrExists)
		}
	}
	return nil
}

// assign sets one property of a user by path and says which bits changed.
func (t *Tenant) assign(o *object, path, value string) (uint64, error) {
	p, ok := t.userSchema.byPath[strings.ToLower(path)]
	if !ok {
		return 0, fmt.Errorf("a user has no property %q", path)
	}
	before := o.flags
	switch p {
	case userAccountEnabled:
		switch value {
		case "true":
			o.flags &^= flagDisabled
		case "false":
			o.flags |= flagDisabled
		default:
			return 0, fmt.Errorf("accountEnabled is true or false, not %q", value)
		}
	case userType:
		o.flags &^= flagGuest | flagNoType
		switch value {
		case "Member":
		case "Guest":
			o.flags |= flagGuest
		case "":
			o.flags |= flagNoType
		default:
			return 0, fmt.Errorf("userType is Member, Guest or nothing, not %q", value)
		}
	case userUPN:
		if value == "" {
			return 0, fmt.Errorf("userPrincipalName cannot be cleared")
		}
		fallthrough
	default:
		if o.setValue(p, value) {
			return p.bit(), nil
		}
		return 0, nil
	}
	if o.flags != before {
		return p.bit(), nil
	}
	return 0, nil
}

// UpdateUser sets properties by path; nil clears one. ref is the sign-in name
// or the id.
func (t *Tenant) UpdateUser(ref string, changes map[string]*string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.updateUser(ref, changes)
}

func (t *Tenant) updateUser(ref string, changes map[string]*string) error {
	n, err := t.findKind(User, ref)
	if err != nil {
		return err
	}
	var mask uint64
	changed := t.objects[n]
	changed.attrs = slices.Clone(changed.attrs)
	for _, path := range slices.Sorted(maps.Keys(changes)) {
		value := ""
		if changes[path] != nil {
			value = *changes[path]
		}
		if strings.EqualFold(path, "userPrincipalName") {
			if err := t.freeUPN(value, n); err != nil {
				return err
			}
		}
		bits, err := t.assign(&changed, path, value)
		if err != nil {
			return fmt.Errorf("user %q: %w", ref, err)
		}
		mask |= bits
	}
	if mask == 0 {
		return nil
	}
	t.unindexName(n)
	t.objects[n] = changed
	t.indexName(n)
	t.record(entry{obj: n, mask: mask, op: opObject})
	return nil
}

// DeleteUser moves a user to the recycle bin. Memberships survive there [DOC].
func (t *Tenant) DeleteUser(ref string) error { return t.withObject(User, ref, t.softDelete) }

// RestoreUser brings a user back from the recycle bin, memberships included.
func (t *Tenant) RestoreUser(ref string) error { return t.withObject(User, ref, t.restore) }

// PurgeUser deletes a user for good, whether in the recycle bin or not.
func (t *Tenant) PurgeUser(ref string) error { return t.withObject(User, ref, t.purge) }

// RecreateUser soft-deletes a user and adds another with the same properties
// and a new id, without memberships: what people do when they start again.
func (t *Tenant) RecreateUser(ref string) (ID, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, err := t.findKind(User, ref)
	if err != nil {
		return ID{}, err
	}
	if t.objects[n].state == live {
		if err := t.softDelete(n); err != nil {
			return ID{}, err
		}
	}
	old := t.objects[n]
	if err := t.freeUPN(old.name(), n); err != nil {
		return ID{}, err
	}
	twin := object{kind: User, flags: old.flags &^ flagLagging, attrs: slices.Clone(old.attrs)}
	m, err := t.add(twin)
	if err != nil {
		return ID{}, err
	}
	return t.objects[m].id, nil
}

func (t *Tenant) withObject(kind Kind, ref string, do func(uint32) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, err := t.findKind(kind, ref)
	if err != nil {
		return err
	}
	return do(n)
}

func (t *Tenant) softDelete(n uint32) error {
	o := &t.objects[n]
	if o.state != live {
		return fmt.Errorf("%s %q is already deleted: %w", o.kind, o.name(), ErrUnknown)
	}
	o.state = softDeleted
	t.binned[n] = t.now()
	t.record(entry{obj: n, mask: allBits, op: opObject})
	t.announceMember(n)
	return nil
}

func (t *Tenant) restore(n uint32) error {
	o := &t.objects[n]
	if o.state != softDeleted {
		return fmt.Errorf("%s %q is not in the recycle bin: %w", o.kind, o.name(), ErrUnknown)
	}
	if o.kind == User {
		if err := t.freeUPN(o.name(), n); err != nil {
			return err
		}
	}
	o.state = live
	delete(t.binned, n)
	t.record(entry{obj: n, mask: allBits, op: opObject})
	t.announceMember(n)
	if o.group != nil && t.rules.GroupRestoreReplays {
		for _, m := range o.group.members {
			t.record(entry{obj: n, member: m, op: opAnnounce})
		}
	}
	return nil
}

func (t *Tenant) purge(n uint32) error {
	o := &t.objects[n]
	if o.state == purged {
		return fmt.Errorf("%s %q is already purged: %w", o.kind, o.name(), ErrUnknown)
	}
	o.state = purged
	delete(t.binned, n)
	t.record(entry{obj: n, mask: allBits, op: opObject})
	switch {
	case t.rules.PurgeSilent: // [ISSUE docs#14708]
		t.dropMember(n, opVanish)
	case t.rules.PurgeDelay > 0:
		t.pending = append(t.pending, pendingEvent{at: t.now().Add(t.rules.PurgeDelay), obj: n, kind: pendingPurge})
	default: // [DOC]
		t.dropMember(n, opRemove)
	}
	return nil
}

// announceMember repeats the member's edges where soft deletion shows in
// members@delta; where it does not [DOC] nothing is said.
func (t *Tenant) announceMember(n uint32) {
	if t.rules.SoftDeleted != MembersRemoved || !t.tracking || t.objects[n].kind != User {
		return
	}
	t.eachGroupOf(n, func(g uint32) { t.record(entry{obj: g, member: n, op: opAnnounce}) })
}

// dropMember takes an object out of every group.
func (t *Tenant) dropMember(n uint32, how op) {
	t.eachGroupOf(n, func(g uint32) {
		part := t.objects[g].group
		part.members, _ = deleteSorted(part.members, n)
		t.record(entry{obj: g, member: n, op: how})
	})
}

// eachGroupOf calls do for the groups that the object is a direct member of.
func (t *Tenant) eachGroupOf(n uint32, do func(group uint32)) {
	for g := range t.objects {
		if part := t.objects[g].group; part != nil {
			if _, found := slices.BinarySearch(part.members, n); found {
				do(uint32(g))
			}
		}
	}
}
