package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// modelDirectory is a directory without Graph: it answers from the tenant's
// model. A delta link is the name of a picture of the model; what is delivered
// from it is the difference between that picture and now. It shares no code
// with the simulated service nor with its client.
type modelDirectory struct {
	tenant *entrasim.Tenant

	mu       sync.Mutex
	failure  error
	pictures map[string]picture
	requests uint64
}

type picture struct {
	people map[identity.ObjectID]entrasim.Person
	groups map[identity.ObjectID]entrasim.Circle
}

var _ directory.Directory = (*modelDirectory)(nil)

func newModelDirectory(t *entrasim.Tenant) *modelDirectory {
	return &modelDirectory{tenant: t, pictures: map[string]picture{}}
}

func (m *modelDirectory) take() picture {
	p := picture{people: map[identity.ObjectID]entrasim.Person{}, groups: map[identity.ObjectID]entrasim.Circle{}}
	for _, person := range m.tenant.People() {
		p.people[person.ID] = person
	}
	hidden := !m.tenant.MayReadHidden()
	for _, g := range m.tenant.Circles() {
		g.Hidden = g.Hidden && hidden
		p.groups[g.ID] = g
	}
	return p
}

func (m *modelDirectory) Pull(ctx context.Context, request directory.Request, deliver func(directory.Page) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests++
	if err := m.fails(ctx); err != nil {
		return err
	}
	now := m.take()
	for i, stream := range request.Streams {
		before, known := m.pictures[stream.Link]
		if stream.Link != "" && !known {
			if err := deliver(directory.Page{Stream: i, Err: directory.ErrTokenLost}); err != nil {
				return err
			}
			continue
		}
		page := directory.Page{Stream: i, Link: fmt.Sprintf("picture %d", len(m.pictures))}
		m.pictures[page.Link] = now
		if len(stream.Groups) == 0 {
			page.People = peopleSince(before, now, stream.Link == "")
		} else {
			page.Groups = groupsSince(before, now, stream.Groups)
		}
		if err := deliver(page); err != nil {
			return err
		}
	}
	page := directory.Page{Stream: directory.Profiles}
	for _, id := range request.Profiles {
		p, ok := now.people[id]
		switch {
		case !ok, p.Lagging: // 404: whether it is not there yet or gone, nobody can tell
			page.People = append(page.People, directory.PersonChange{ID: id, Removal: directory.Deleted})
		default:
			page.People = append(page.People, personNow(p))
		}
	}
	if len(page.People) == 0 {
		return nil
	}
	return deliver(page)
}

func personNow(p entrasim.Person) directory.PersonChange {
	if p.Life != entrasim.Live {
		return directory.PersonChange{ID: p.ID, Removal: removalOf(p.Life)}
	}
	return directory.PersonChange{ID: p.ID, Attributes: maps.Clone(p.Attributes)}
}

func removalOf(l entrasim.Life) directory.Removal {
	switch l {
	case entrasim.SoftDeleted:
		return directory.SoftDeleted
	case entrasim.Purged:
		return directory.Deleted
	case entrasim.Live:
		return directory.Present
	default:
		return directory.Present
	}
}

func peopleSince(before, now picture, all bool) []directory.PersonChange {
	var out []directory.PersonChange
	for _, id := range sorted(now.people) {
		p := now.people[id]
		old, had := before.people[id]
		there, was := p.Life == entrasim.Live && !p.Lagging, had && old.Life == entrasim.Live && !old.Lagging
		switch {
		case all && there, there && !was:
			out = append(out, personNow(p))
		case all:
		case !there && p.Life != old.Life:
			out = append(out, personNow(p))
		case there:
			changed := map[string]string{}
			for path, value := range p.Attributes {
				if old.Attributes[path] != value {
					changed[path] = value
				}
			}
			for path := range old.Attributes {
				if _, ok := p.Attributes[path]; !ok {
					changed[path] = ""
				}
			}
			if len(changed) > 0 {
				out = append(out, directory.PersonChange{ID: id, Attributes: changed})
			}
		}
	}
	return out
}

func groupsSince(before, now picture, ids []identity.ObjectID) []directory.GroupChange {
	var out []directory.GroupChange
	for _, id := range ids {
		g, ok := now.groups[id]
		old, had := before.groups[id]
		was := had && old.Life == entrasim.Live && !old.Lagging
		there := ok && g.Life == entrasim.Live && !g.Lagging
		switch {
		case !there && was:
			out = append(out, directory.GroupChange{ID: id, Removal: removalOf(g.Life)})
		case there && !was:
			out = append(out, directory.GroupChange{ID: id, Name: &g.Name, Hidden: &g.Hidden, Members: membersSince(nil, g)})
		case there:
			change := directory.GroupChange{ID: id}
			if old.Name != g.Name {
				change.Name = &g.Name
			}
			if old.Hidden != g.Hidden {
				change.Hidden = &g.Hidden
			}
			if change.Members = membersSince(old.Members, g); old.Hidden && !g.Hidden {
				change.Members = membersSince(nil, g)
			}
			if change.Name != nil || change.Hidden != nil || len(change.Members) > 0 {
				out = append(out, change)
			}
		}
	}
	return out
}

// membersSince is the members that joined and left; of a hidden group nothing.
func membersSince(old map[identity.ObjectID]entrasim.Kind, g entrasim.Circle) []directory.MemberChange {
	if g.Hidden {
		return nil
	}
	var out []directory.MemberChange
	for _, id := range sorted(g.Members) {
		if _, had := old[id]; had {
			continue
		}
		kind := directory.KindOther
		switch g.Members[id] {
		case entrasim.User:
			kind = directory.KindPerson
		case entrasim.Group:
			kind = directory.KindGroup
		case entrasim.Device, entrasim.ServicePrincipal, entrasim.OrgContact, entrasim.Other:
		}
		out = append(out, directory.MemberChange{ID: id, Kind: kind})
	}
	for _, id := range sorted(old) {
		if _, has := g.Members[id]; !has {
			out = append(out, directory.MemberChange{ID: id, Removed: true})
		}
	}
	return out
}

func sorted[T any](m map[identity.ObjectID]T) []identity.ObjectID {
	return slices.SortedFunc(maps.Keys(m), identity.ObjectID.Compare)
}

func (m *modelDirectory) Groups(ctx context.Context, ids []identity.ObjectID) ([]directory.GroupInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests++
	if err := m.fails(ctx); err != nil {
		return nil, err
	}
	now := m.take()
	infos := make([]directory.GroupInfo, 0, len(ids))
	for _, id := range ids {
		infos = append(infos, infoOf(now, id))
	}
	return infos, nil
}

func infoOf(now picture, id identity.ObjectID) directory.GroupInfo {
	g, ok := now.groups[id]
	switch {
	case !ok, g.Life != entrasim.Live:
		return directory.GroupInfo{ID: id, State: directory.GroupMissing, Members: -1, Why: "the directory has no such group"}
	case g.Hidden:
		return directory.GroupInfo{ID: id, Name: g.Name, State: directory.GroupUnreadable, Hidden: true, Members: -1, Why: "hidden membership: Member.Read.Hidden is missing"}
	default:
		return directory.GroupInfo{ID: id, Name: g.Name, State: directory.GroupPresent, Members: len(g.Members)}
	}
}

func (m *modelDirectory) Search(ctx context.Context, text string, exact bool, limit int) ([]directory.GroupInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests++
	if err := m.fails(ctx); err != nil {
		return nil, err
	}
	now := m.take()
	var found []directory.GroupInfo
	for _, id := range sorted(now.groups) {
		g := now.groups[id]
		match := identity.Fold(g.Name) == identity.Fold(text) || !exact && strings.Contains(identity.Fold(g.Name), identity.Fold(text))
		if g.Life == entrasim.Live && match && len(found) < limit {
			found = append(found, infoOf(now, id))
		}
	}
	return found, nil
}

func (m *modelDirectory) Check(ctx context.Context) (directory.Access, error) {
	return directory.Access{TenantID: m.tenant.ID().String()}, m.fails(ctx)
}

func (m *modelDirectory) Requests() uint64 { return m.requests }

func (m *modelDirectory) fails(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return m.failure
}
