package embedded

import (
	"context"
	"fmt"

	"github.com/vaultsync/vaultsync/pkg/vault"
)

// AddUser makes a vault user by hand and answers with the user as it is
// stored: an existing login account keeps its names and licence, whatever u
// says.
func (s *Store) AddUser(ctx context.Context, u vault.User) (vault.User, error) {
	var stored vault.User
	err := s.byHand(ctx, func(w *writer) error {
		if _, err := w.createUser(u); err != nil {
			return err
		}
		created, a, err := w.userByLogin(u.LoginName)
		stored = a.asUser(created)
		return err
	})
	return stored, err
}

// SetUser writes the fields that the patch names to the user with a login
// name. Names, e-mail, licence and attributes are those of the login account
// and so change in all vaults of the server.
func (s *Store) SetUser(ctx context.Context, login string, p vault.Patch) error {
	return s.byHand(ctx, func(w *writer) error {
		u, _, err := w.userByLogin(login)
		if err != nil {
			return err
		}
		return w.updateUser(formatID(u.id), p)
	})
}

// EnableUser lets a user work in this vault.
func (s *Store) EnableUser(ctx context.Context, login string) error {
	return s.SetUser(ctx, login, vault.Patch{Enabled: new(true)})
}

// DisableUser stops a user from working in this vault; other vaults and the
// licence are not touched.
func (s *Store) DisableUser(ctx context.Context, login string) error {
	return s.SetUser(ctx, login, vault.Patch{Enabled: new(false)})
}

// DeleteUser takes a user out of the vault and all its groups for good: the id
// is never used again. The login account stays, with its licence.
func (s *Store) DeleteUser(ctx context.Context, login string) error {
	return s.byHand(ctx, func(w *writer) error {
		u, _, err := w.userByLogin(login)
		if err != nil {
			return err
		}
		return w.dropUser(u)
	})
}

// AddGroup makes a group by hand and answers with its id.
func (s *Store) AddGroup(ctx context.Context, name string) (string, error) {
	var id uint64
	err := s.byHand(ctx, func(w *writer) (err error) {
		id, err = w.createGroup(vault.Group{Name: name})
		return err
	})
	if err != nil {
		return "", err
	}
	return formatID(id), nil
}

// DeleteGroup deletes the group with a name; its members stay users.
func (s *Store) DeleteGroup(ctx context.Context, name string) error {
	return s.byHand(ctx, func(w *writer) error {
		g, err := w.groupByName(name)
		if err != nil {
			return err
		}
		return w.dropGroup(g)
	})
}

// Join puts users into a group, all of them or, when one is not a user of the
// vault, none.
func (s *Store) Join(ctx context.Context, groupName string, logins ...string) error {
	return s.byHand(ctx, func(w *writer) error {
		g, ids, err := w.groupAndUsers(groupName, logins)
		if err != nil {
			return err
		}
		return w.join(g, ids)
	})
}

// Leave takes users out of a group likewise; one who is not in it is no fault.
func (s *Store) Leave(ctx context.Context, groupName string, logins ...string) error {
	return s.byHand(ctx, func(w *writer) error {
		g, ids, err := w.groupAndUsers(groupName, logins)
		if err != nil {
			return err
		}
		return w.leave(g, ids)
	})
}

func (s *Store) byHand(ctx context.Context, fn func(*writer) error) error {
	if err := s.edit(ctx, fn); err != nil {
		return fmt.Errorf("vault %s: %w", s.name, err)
	}
	return nil
}

func (w *writer) groupAndUsers(groupName string, logins []string) (group, []uint64, error) {
	g, err := w.groupByName(groupName)
	if err != nil {
		return group{}, nil, err
	}
	ids := make([]uint64, 0, len(logins))
	for _, login := range logins {
		u, _, err := w.userByLogin(login)
		if err != nil {
			return group{}, nil, err
		}
		ids = append(ids, u.id)
	}
	return g, ids, nil
}

func (w *writer) userByLogin(login string) (user, account, error) {
	a, found, err := w.accounts.byLogin(login)
	if err != nil {
		return user{}, account{}, err
	}
	if !found {
		return user{}, account{}, fmt.Errorf("user %q: %w", login, vault.ErrNotFound)
	}
	u, found, err := w.people.userOf(a.id)
	if err == nil && !found {
		err = fmt.Errorf("user %q: %w (the login account exists on the server)", login, vault.ErrNotFound)
	}
	return u, a, err
}

func (w *writer) groupByName(name string) (group, error) {
	g, found, err := w.people.groupByName(name)
	if err == nil && !found {
		err = fmt.Errorf("group %q: %w", name, vault.ErrNotFound)
	}
	return g, err
}
