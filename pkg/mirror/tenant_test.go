package mirror

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// tenant is a directory in memory: its present state, a log of what happened,
// and links that are places in the log.
type tenant struct {
	rng    *rand.Rand
	groups map[identity.ObjectID]*tenantGroup
	users  map[identity.ObjectID]*tenantUser
	log    []event
	links  map[string]int

	pageSize int
	// emitSoft: memberships are reported as removed when a user is
	// soft-deleted, and come back silently.
	emitSoft bool
	// removedFirst: a first round names removed members that were never there.
	removedFirst bool
	// replay: every round from a link begins this many events too early.
	replay int
	// lost: links that are no longer good.
	lost func(users bool, groups []identity.ObjectID) bool
	// fail is asked before each page.
	fail func(page int) error
	// pageErr is asked once for each stream.
	pageErr func(directory.Stream) error
	// hidePeople are not in a first round of users, nor answered by id.
	hidePeople map[identity.ObjectID]bool
	groupsErr  error

	pulls    []directory.Request
	asked    []identity.ObjectID // by Groups
	answered int                 // profiles delivered by id
}

type tenantGroup struct {
	name      string
	removal   directory.Removal
	hidden    bool
	forbidden bool
	lagging   bool // there, but not in delta yet
	members   map[identity.ObjectID]directory.Kind
}

type tenantUser struct {
	removal    directory.Removal
	attributes map[string]string
}

type event struct {
	group  *directory.GroupChange
	person *directory.PersonChange
}

func newTenant(seed uint64) *tenant {
	return &tenant{
		rng: rand.New(rand.NewPCG(seed, 1)), groups: map[identity.ObjectID]*tenantGroup{},
		users: map[identity.ObjectID]*tenantUser{}, links: map[string]int{}, pageSize: 3,
	}
}

// oid makes ids that are easy to read: kind 1 people, 2 groups, 3 devices.
func oid(kind byte, n int) identity.ObjectID {
	return identity.ObjectID{0: kind, 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}
}

func u(n int) identity.ObjectID { return oid(1, n) }
func g(n int) identity.ObjectID { return oid(2, n) }
func d(n int) identity.ObjectID { return oid(3, n) }

func (t *tenant) user(n int) *tenantUser {
	id := u(n)
	if t.users[id] == nil {
		t.users[id] = &tenantUser{attributes: map[string]string{
			identity.UserPrincipalName: fmt.Sprintf("user%d@contoso.com", n),
			identity.Mail:              fmt.Sprintf("user%d@contoso.com", n),
			identity.DisplayName:       fmt.Sprintf("User %d", n),
			identity.AccountEnabled:    "true",
		}}
		t.log = append(t.log, event{person: &directory.PersonChange{ID: id, Attributes: maps.Clone(t.users[id].attributes)}})
	}
	return t.users[id]
}

func (t *tenant) group(n int) *tenantGroup {
	id := g(n)
	if t.groups[id] == nil {
		name := fmt.Sprintf("Group %d", n)
		t.groups[id] = &tenantGroup{name: name, members: map[identity.ObjectID]directory.Kind{}}
		t.log = append(t.log, event{group: &directory.GroupChange{ID: id, Name: &name}})
	}
	return t.groups[id]
}

func (t *tenant) add(group int, ids ...identity.ObjectID) {
	t.group(group)
	for _, id := range ids {
		kind := directory.KindOther
		switch id[0] {
		case 1:
			kind = directory.KindPerson
			t.user(int(id[13])<<16 | int(id[14])<<8 | int(id[15]))
		case 2:
			kind = directory.KindGroup
		}
		t.groups[g(group)].members[id] = kind
		t.member(group, directory.MemberChange{ID: id, Kind: kind})
	}
}

func (t *tenant) remove(group int, ids ...identity.ObjectID) {
	for _, id := range ids {
		delete(t.groups[g(group)].members, id)
		t.member(group, directory.MemberChange{ID: id, Removed: true}) // no kind: the id decides
	}
}

func (t *tenant) member(group int, c directory.MemberChange) {
	t.log = append(t.log, event{group: &directory.GroupChange{ID: g(group), Members: []directory.MemberChange{c}}})
}

func (t *tenant) rename(group int, name string) {
	t.groups[g(group)].name = name
	t.log = append(t.log, event{group: &directory.GroupChange{ID: g(group), Name: &name}})
}

func (t *tenant) removeGroup(group int, how directory.Removal) {
	t.groups[g(group)].removal = how
	t.log = append(t.log, event{group: &directory.GroupChange{ID: g(group), Removal: how}})
}

func (t *tenant) hide(group int, hidden bool) {
	t.groups[g(group)].hidden = hidden
	t.log = append(t.log, event{group: &directory.GroupChange{ID: g(group), Hidden: &hidden}})
}

func (t *tenant) set(user int, name, value string) {
	x := t.user(user)
	if value == "" {
		delete(x.attributes, name)
	} else {
		x.attributes[name] = value
	}
	if x.removal == directory.Present {
		t.log = append(t.log, event{person: &directory.PersonChange{ID: u(user), Attributes: map[string]string{name: value}}})
	}
}

func (t *tenant) removeUser(user int, how directory.Removal) {
	x := t.user(user)
	was := x.removal
	x.removal = how
	c := &directory.PersonChange{ID: u(user), Removal: how}
	if how == directory.Present {
		c.Attributes = maps.Clone(x.attributes)
	}
	t.log = append(t.log, event{person: c})
	if how == directory.Deleted || (how == directory.SoftDeleted && t.emitSoft && was == directory.Present) {
		for id, group := range t.groups {
			if _, in := group.members[u(user)]; in {
				t.log = append(t.log, event{group: &directory.GroupChange{ID: id, Members: []directory.MemberChange{{ID: u(user), Kind: directory.KindPerson, Removed: true}}}})
				if how == directory.Deleted {
					delete(group.members, u(user))
				}
			}
		}
	}
}

func (t *tenant) link() string {
	link := fmt.Sprintf("link-%d-%d", len(t.links), len(t.log))
	t.links[link] = len(t.log)
	return link
}

func (t *tenant) Pull(ctx context.Context, request directory.Request, deliver func(directory.Page) error) error {
	t.pulls = append(t.pulls, request)
	queues := make([][]directory.Page, 0, len(request.Streams)+1)
	for i, s := range request.Streams {
		queues = append(queues, t.stream(i, s))
	}
	queues = append(queues, t.profiles(request.Profiles))
	for sent := 0; ; sent++ {
		queues = slices.DeleteFunc(queues, func(q []directory.Page) bool { return len(q) == 0 })
		if len(queues) == 0 {
			return ctx.Err()
		}
		if t.fail != nil {
			if err := t.fail(sent); err != nil {
				return err
			}
		}
		i := t.rng.IntN(len(queues))
		if err := deliver(queues[i][0]); err != nil {
			return err
		}
		queues[i] = queues[i][1:]
	}
}

func (t *tenant) stream(i int, s directory.Stream) []directory.Page {
	if t.pageErr != nil {
		if err := t.pageErr(s); err != nil {
			return []directory.Page{{Stream: i, Err: err}}
		}
	}
	var events []event
	if s.Link == "" {
		events = t.first(s)
	} else {
		at, known := t.links[s.Link]
		if !known || (t.lost != nil && t.lost(len(s.Groups) == 0, s.Groups)) {
			return []directory.Page{{Stream: i, Err: fmt.Errorf("410: %w", directory.ErrTokenLost)}}
		}
		for _, e := range t.log[max(0, at-t.replay):] {
			if (e.person != nil) == (len(s.Groups) == 0) {
				events = append(events, e)
			}
		}
	}
	var pages []directory.Page
	page := directory.Page{Stream: i}
	n := 0
	for _, e := range events {
		switch {
		case e.person != nil:
			page.People = append(page.People, *e.person)
		case e.group != nil:
			// A link's filter is inside it; this one lets all through, so
			// that the mirror has to know what it asked for.
			if x := t.groups[e.group.ID]; x == nil || (!x.lagging && (s.Link != "" || slices.Contains(s.Groups, e.group.ID))) {
				page.Groups = append(page.Groups, *e.group)
			}
		}
		if n++; n%t.pageSize == 0 {
			pages = append(pages, page)
			page = directory.Page{Stream: i}
		}
	}
	page.Link = t.link()
	return append(pages, page)
}

// first is a first round: the present state, in no order.
func (t *tenant) first(s directory.Stream) []event {
	var events []event
	if len(s.Groups) == 0 {
		for id, x := range t.users {
			switch {
			case t.hidePeople[id]:
			case x.removal == directory.Present:
				events = append(events, event{person: &directory.PersonChange{ID: id, Attributes: maps.Clone(x.attributes)}})
			case x.removal == directory.SoftDeleted && t.removedFirst:
				events = append(events, event{person: &directory.PersonChange{ID: id, Removal: x.removal}})
			}
		}
	}
	for _, id := range s.Groups {
		x := t.groups[id]
		if x == nil || (x.removal != directory.Present && !t.removedFirst) || x.lagging {
			continue
		}
		head := directory.GroupChange{ID: id, Name: &x.name, Removal: x.removal}
		if x.hidden {
			head.Hidden = &x.hidden
		}
		if t.removedFirst {
			head.Members = []directory.MemberChange{{ID: u(60000), Removed: true}, {ID: u(60001), Kind: directory.KindPerson, Removed: true}}
		}
		events = append(events, event{group: &head})
		if x.hidden {
			continue
		}
		for m, kind := range x.members {
			if x := t.users[m]; x != nil && x.removal != directory.Present && t.emitSoft {
				continue
			}
			events = append(events, event{group: &directory.GroupChange{ID: id, Removal: x.removal, Members: []directory.MemberChange{{ID: m, Kind: kind}}}})
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return compareEvents(a, b) })
	t.rng.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	return events
}

// compareEvents takes the randomness of map order out.
func compareEvents(a, b event) int {
	key := func(e event) string {
		if e.person != nil {
			return e.person.ID.String()
		}
		s := e.group.ID.String()
		for _, m := range e.group.Members {
			s += m.ID.String()
		}
		return s
	}
	ka, kb := key(a), key(b)
	switch {
	case ka < kb:
		return -1
	case ka > kb:
		return 1
	default:
		return 0
	}
}

func (t *tenant) profiles(ids []identity.ObjectID) []directory.Page {
	var pages []directory.Page
	for part := range slices.Chunk(ids, 1000) {
		page := directory.Page{Stream: directory.Profiles}
		for _, id := range part {
			x := t.users[id]
			switch {
			case t.hidePeople[id]:
			case x == nil:
				page.People = append(page.People, directory.PersonChange{ID: id, Removal: directory.Deleted})
			case x.removal != directory.Present:
				page.People = append(page.People, directory.PersonChange{ID: id, Removal: x.removal})
			default:
				t.answered++
				page.People = append(page.People, directory.PersonChange{ID: id, Attributes: maps.Clone(x.attributes)})
			}
		}
		pages = append(pages, page)
	}
	return pages
}

func (t *tenant) Groups(_ context.Context, ids []identity.ObjectID) ([]directory.GroupInfo, error) {
	t.asked = append(t.asked, ids...)
	if t.groupsErr != nil {
		return nil, t.groupsErr
	}
	var infos []directory.GroupInfo
	for _, id := range ids {
		info := directory.GroupInfo{ID: id, State: directory.GroupMissing}
		if x := t.groups[id]; x != nil && x.removal == directory.Present {
			info = directory.GroupInfo{ID: id, Name: x.name, Hidden: x.hidden, Members: len(x.members)}
			if x.forbidden {
				info.State, info.Why = directory.GroupUnreadable, "403"
			}
		}
		infos = append(infos, info)
	}
	return infos, nil
}

func (t *tenant) Search(context.Context, string, bool, int) ([]directory.GroupInfo, error) {
	return nil, nil
}

func (t *tenant) Check(context.Context) (directory.Access, error) { return directory.Access{}, nil }

// refuseForbidden is a pageErr that refuses a stream with a forbidden group.
func (t *tenant) refuseForbidden(s directory.Stream) error {
	for _, id := range s.Groups {
		if x := t.groups[id]; x != nil && x.forbidden {
			return directory.ErrForbidden
		}
	}
	return nil
}
