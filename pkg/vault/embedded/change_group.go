package embedded

import (
	"fmt"

	"github.com/vaultsync/vaultsync/pkg/vault"
)

func (w *writer) createGroup(c vault.Group) (uint64, error) {
	g := group{name: c.Name, external: c.ExternalID, managed: c.Managed}
	if err := w.checkGroup(g); err != nil {
		return 0, fmt.Errorf("create group %q: %w", c.Name, err)
	}
	var err error
	if g.id, err = w.people.groups.next(); err != nil {
		w.write(err)
		return 0, err
	}
	return g.id, w.putGroup(group{}, g)
}

func (w *writer) updateGroup(id string, p vault.Patch) error {
	g, err := w.mustGroup(id)
	if err != nil {
		return fmt.Errorf("update group %q: %w", id, err)
	}
	next := g
	set(&next.name, p.Name)
	set(&next.external, p.ExternalID)
	set(&next.managed, p.Managed)
	if err := w.checkGroup(next); err != nil {
		return fmt.Errorf("update group %s (%s): %w", id, g.name, err)
	}
	return w.putGroup(g, next)
}

// checkGroup answers whether a group, new when its id is 0, can have its name
// and external id.
func (w *writer) checkGroup(g group) error {
	if err := checkName("the group's name", g.name); err != nil {
		return err
	}
	if err := checkKey("the external id", g.external); err != nil {
		return err
	}
	other, taken, err := w.people.groupByName(g.name)
	if err != nil {
		return err
	}
	if taken && other.id != g.id {
		return fmt.Errorf("%w: group %d is called %q", vault.ErrExists, other.id, other.name)
	}
	id, taken, err := w.people.groupExternals.getID(externalKey(g.external))
	if err != nil {
		return err
	}
	if taken && id != g.id {
		return fmt.Errorf("%w: group %d has external id %q", vault.ErrExists, id, g.external)
	}
	return nil
}

func (w *writer) addMembers(id string, userIDs []string) error {
	g, err := w.mustGroup(id)
	if err != nil {
		return fmt.Errorf("add members to group %q: %w", id, err)
	}
	numbers := make([]uint64, 0, len(userIDs))
	for _, userID := range userIDs {
		number, ok := parseID(userID)
		if !ok || !w.people.users.has(key(number)) {
			return fmt.Errorf("add user %q to group %s (%s): %w", userID, id, g.name, vault.ErrNotFound)
		}
		numbers = append(numbers, number)
	}
	return w.join(g, numbers)
}

func (w *writer) removeMembers(id string, userIDs []string) error {
	g, err := w.mustGroup(id)
	if err != nil {
		return fmt.Errorf("remove members from group %q: %w", id, err)
	}
	numbers := make([]uint64, 0, len(userIDs))
	for _, userID := range userIDs {
		if number, ok := parseID(userID); ok {
			numbers = append(numbers, number)
		}
	}
	return w.leave(g, numbers)
}

func (w *writer) mustGroup(id string) (group, error) {
	number, ok := parseID(id)
	if !ok {
		return group{}, vault.ErrNotFound
	}
	g, found, err := w.people.group(number)
	if err == nil && !found {
		err = vault.ErrNotFound
	}
	return g, err
}
