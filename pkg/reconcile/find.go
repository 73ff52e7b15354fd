package reconcile

import (
	"fmt"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
)

// FindPerson finds a person by the login name or mail address that the vault
// or the directory has for them, from local state. More than one is an error
// that names them.
func (v *Vault) FindPerson(who string) (identity.ObjectID, error) {
	var found []identity.ObjectID
	wanted := identity.Fold(who)
	err := v.Snapshot.Read(func(tx *snapshot.Tx) error {
		if id, ok, err := tx.LoginOwner(who); err != nil {
			return err
		} else if ok {
			found = append(found, id)
			return nil
		}
		for a, err := range tx.Accounts() {
			if err != nil {
				return err
			}
			if identity.Fold(a.Login()) == wanted || identity.Fold(a.Fields["email"].Value) == wanted {
				found = append(found, a.Person)
			}
		}
		return nil
	})
	if err != nil {
		return identity.ObjectID{}, err
	}
	if len(found) == 0 {
		if found, err = v.findMember(wanted); err != nil {
			return identity.ObjectID{}, err
		}
	}
	switch len(found) {
	case 0:
		return identity.ObjectID{}, fmt.Errorf("%w: nobody in the groups of vault %s is called %q; name the person's object id if the directory has just been changed", ErrNoSuchPerson, v.Name(), who)
	case 1:
		return found[0], nil
	default:
		return identity.ObjectID{}, fmt.Errorf("%w: %q is several people, name one by object id: %v", ErrNoSuchPerson, who, found)
	}
}

// findMember looks through the members of the vault's groups.
func (v *Vault) findMember(wanted string) ([]identity.ObjectID, error) {
	view, err := v.Directory.Mirror.View()
	if err != nil {
		return nil, fmt.Errorf("read the local copy of %s: %w", v.Directory.Name, err)
	}
	defer view.Close()
	var found []identity.ObjectID
	seen := map[uint32]bool{}
	for i, id := range v.groupIDs() {
		if id.IsZero() {
			continue
		}
		members, _, _, err := view.Members(id, v.Rules.Vault.Groups[i].Nested)
		if err != nil {
			return nil, fmt.Errorf("read group %s: %w", id, err)
		}
		for it := members.Iterator(); it.HasNext(); {
			n := it.Next()
			if seen[n] {
				continue
			}
			seen[n] = true
			p, ok, err := view.Person(n)
			if err != nil {
				return nil, fmt.Errorf("read a person: %w", err)
			}
			if ok && (identity.Fold(p.Value(identity.UserPrincipalName)) == wanted || identity.Fold(p.Value(identity.Mail)) == wanted) {
				found = append(found, p.ID)
			}
		}
	}
	return found, nil
}
