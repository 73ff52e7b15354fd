package apply

import (
	"context"
	"errors"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// errNotTried answers a change whose foundation, the account or the group,
// could not be made; it is due again with the next run.
var errNotTried = errors.New("not tried: an earlier change failed")

// perform sends changes of one kind to the store and gives a result for each.
func (r *run) perform(ctx context.Context, changes []plan.Change) []vault.Result {
	switch changes[0].Kind {
	case plan.MemberAdd, plan.MemberRemove:
		return r.performMembers(ctx, changes)
	case plan.Create, plan.Update, plan.Enable, plan.Disable, plan.GroupCreate, plan.GroupUpdate:
	}
	results := make([]vault.Result, len(changes))
	send := make([]vault.Change, 0, len(changes))
	at := make([]int, 0, len(changes))
	for i := range changes {
		change := &changes[i]
		if r.failed[subject(change)] != nil {
			results[i].Err = errNotTried
			continue
		}
		send = append(send, storeChange(change))
		at = append(at, i)
	}
	for i, result := range r.Store.Apply(ctx, send) {
		results[at[i]] = result
	}
	for i := range changes {
		change := &changes[i]
		switch {
		case errors.Is(results[i].Err, errNotTried):
		case results[i].Err != nil && change.Kind == plan.GroupUpdate && change.After["externalId"] == "":
			// A group that keeps its old name can be joined and left.
		case results[i].Err != nil:
			r.failed[subject(change)] = results[i].Err
		case change.Kind == plan.Create:
			r.users[change.Person] = results[i].ID
		case change.Kind == plan.GroupCreate:
			r.groups[change.GroupID] = results[i].ID
		}
	}
	return results
}

// storeChange is a change in the words of the store.
func storeChange(change *plan.Change) vault.Change {
	switch change.Kind {
	case plan.GroupCreate:
		return vault.Change{Op: vault.CreateGroup, Group: vault.Group{
			Name: change.After["name"], ExternalID: change.After["externalId"], Managed: true,
		}}
	case plan.GroupUpdate:
		c := vault.Change{Op: vault.UpdateGroup, GroupID: change.VaultGroup.VaultID}
		if name, ok := change.After["name"]; ok {
			c.Patch.Name = &name
		}
		if id, ok := change.After["externalId"]; ok {
			c.Patch.ExternalID, c.Patch.Managed = &id, new(true)
		}
		return c
	case plan.Create:
		return vault.Change{Op: vault.CreateUser, User: newUser(change)}
	case plan.Update:
		return vault.Change{Op: vault.UpdateUser, UserID: change.UserID, Patch: patch(change.After)}
	case plan.Enable, plan.Disable:
		return vault.Change{Op: vault.UpdateUser, UserID: change.UserID, Patch: vault.Patch{Enabled: new(change.Kind == plan.Enable)}}
	case plan.MemberAdd, plan.MemberRemove:
	}
	panic("apply: memberships are sent by group") //nolint:forbidigo // unreachable: perform sends them elsewhere
}

func newUser(change *plan.Change) vault.User {
	u := vault.User{ExternalID: change.Person.String(), Managed: true, Attributes: map[string]string{}}
	for name, value := range change.After {
		switch name {
		case "loginName":
			u.LoginName = value
		case "fullName":
			u.FullName = value
		case "email":
			u.Email = value
		case "license":
			u.License = identity.License(value)
		case "enabled", "externalId":
		default:
			u.Attributes[name[len("attributes."):]] = value
		}
	}
	return u
}

func patch(after plan.Values) vault.Patch {
	var p vault.Patch
	for name, value := range after {
		switch name {
		case "loginName":
			p.LoginName = &value
		case "fullName":
			p.FullName = &value
		case "email":
			p.Email = &value
		case "license":
			p.License = new(identity.License(value))
		case "externalId":
			p.ExternalID, p.Managed = &value, new(true)
		default:
			if p.Attributes == nil {
				p.Attributes = map[string]string{}
			}
			p.Attributes[name[len("attributes."):]] = value
		}
	}
	return p
}

// performMembers sends one change for each group, however many join or leave
// it. When a group's change fails, its members are tried one by one, so that
// one bad member keeps nobody else out.
func (r *run) performMembers(ctx context.Context, changes []plan.Change) []vault.Result {
	results := make([]vault.Result, len(changes))
	op := vault.AddMembers
	if changes[0].Kind == plan.MemberRemove {
		op = vault.RemoveMembers
	}
	byGroup := map[identity.ObjectID][]int{}
	var order []identity.ObjectID
	for i := range changes {
		change := &changes[i]
		switch {
		case r.failed[change.GroupID] != nil:
			results[i].Err = errNotTried
		case r.failed[change.Person] != nil && change.Kind == plan.MemberAdd:
			results[i].Err = errNotTried
		default:
			if byGroup[change.GroupID] == nil {
				order = append(order, change.GroupID)
			}
			byGroup[change.GroupID] = append(byGroup[change.GroupID], i)
		}
	}
	send := make([]vault.Change, 0, len(order))
	for _, group := range order {
		c := vault.Change{Op: op, GroupID: r.groupID(&changes[byGroup[group][0]])}
		c.Members = make([]string, 0, len(byGroup[group]))
		for _, i := range byGroup[group] {
			c.Members = append(c.Members, r.userID(&changes[i]))
		}
		send = append(send, c)
	}
	for k, result := range r.Store.Apply(ctx, send) {
		indexes := byGroup[order[k]]
		single := result.Err != nil && len(indexes) > 1 && !untouched(result.Err)
		for j, i := range indexes {
			results[i].Err = result.Err
			if single {
				one := vault.Change{Op: op, GroupID: send[k].GroupID, Members: send[k].Members[j : j+1]}
				results[i].Err = r.Store.Apply(ctx, []vault.Change{one})[0].Err
			}
			if op == vault.RemoveMembers && errors.Is(results[i].Err, vault.ErrNotFound) {
				results[i].Err = nil // the group is gone, and the membership with it
			}
		}
	}
	return results
}

func (r *run) userID(change *plan.Change) string {
	if id, ok := r.users[change.Person]; ok {
		return id
	}
	return change.UserID
}

func (r *run) groupID(change *plan.Change) string {
	if id, ok := r.groups[change.GroupID]; ok {
		return id
	}
	return change.VaultGroup.VaultID
}
