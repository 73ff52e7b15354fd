package plan_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/roster"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// world is a directory, a vault and what is remembered of it, by name: all
// that a plan depends on and all that its changes move. People are called
// "ann", have the login name ann@contoso.com, and a number in the order in
// which they are first named.
type world struct {
	rules  config.Vault
	now    time.Time
	names  []string
	ids    map[string]uint32
	people map[string]*human
	teams  map[string]*team

	records map[identity.ObjectID]*snapshot.Account
	links   map[identity.ObjectID]*snapshot.Group
	users   map[string]*vault.User
	groups  map[string]*vault.Group
	lastID  int
	// logins are server accounts that are not users of the vault.
	logins []vault.User

	pools            []vault.Pool
	approved, pinned map[string]bool
	intents          map[string]bool
	recreate         string
	first, partial   bool
	insist, server   bool
	only             string // user mode: this person alone
}

// human is a person of the directory.
type human struct {
	in       map[string]bool
	away     bool // disabled, deleted or out of scope
	gone     bool // deleted
	pending  bool
	wantErr  error
	fields   map[string]string
	license  identity.License
	fallback []identity.License
}

// team is a group of the directory.
type team struct {
	id       identity.ObjectID
	name     string
	state    directory.GroupState
	removed  bool
	replaces string
}

func objectID(kind byte, n uint32) identity.ObjectID {
	id, err := identity.ParseObjectID(fmt.Sprintf("000000%02x-0000-4000-8000-%012d", kind, n))
	if err != nil {
		panic(err)
	}
	return id
}

func defaults() config.Vault {
	return config.Vault{
		Name: "sales", Repair: true,
		Accounts: config.Accounts{
			LoginName: "userPrincipalName", Match: []string{"externalId", "loginName"}, Adopt: true,
			DisabledInDirectory: "leave", EnableDisabledUsers: "own", License: identity.LicenseNamed, ReleaseLicenseAfter: -1,
			LicenseOrder: []identity.License{identity.LicenseNamed, identity.LicenseConcurrent, identity.LicenseReadOnly},
		},
		Guards: config.Guards{
			Disables:     config.Guard{Count: 100, Percent: 20, Minimum: 25},
			Creates:      config.Guard{Count: 1000},
			LoginChanges: config.Guard{Count: 100, Percent: 20, Minimum: 25}, Vanished: config.Guard{Count: 100, Percent: 20, Minimum: 25},
			MemberRemovals: config.Guard{Percent: 50, Minimum: 10}, EmptyGroup: true, MissingGroup: true,
		},
	}
}

func newWorld() *world {
	return &world{
		rules: defaults(), now: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC),
		ids: map[string]uint32{}, people: map[string]*human{}, teams: map[string]*team{},
		records: map[identity.ObjectID]*snapshot.Account{}, links: map[identity.ObjectID]*snapshot.Group{},
		users: map[string]*vault.User{}, groups: map[string]*vault.Group{}, intents: map[string]bool{},
	}
}

// with is a world in which everything is in step: the people are in the groups
// and the vault has them. Each spec is "ann:Sales,HR".
func with(specs ...string) *world {
	w := newWorld()
	w.add(specs...)
	w.settle()
	return w
}

// settle lets a first import happen.
func (w *world) settle() {
	w.first = true
	w.apply(w.plan())
	w.first = false
}

func (w *world) add(specs ...string) {
	for _, spec := range specs {
		name, groups, _ := strings.Cut(spec, ":")
		h := w.human(name)
		for g := range strings.SplitSeq(groups, ",") {
			if g != "" {
				w.team(g)
				h.in[g] = true
			}
		}
	}
}

func (w *world) human(name string) *human {
	if w.people[name] == nil {
		w.names = append(w.names, name)
		w.ids[name] = uint32(len(w.names))
		w.people[name] = &human{
			in: map[string]bool{}, license: identity.LicenseNamed,
			fields: map[string]string{"loginName": name + "@contoso.com", "fullName": name, "email": name + "@contoso.com"},
		}
	}
	return w.people[name]
}

func (w *world) team(name string) *team {
	if w.teams[name] == nil {
		w.teams[name] = &team{id: objectID('a', uint32(len(w.teams)+1)), name: name}
	}
	return w.teams[name]
}

func (w *world) number(name string) uint32 {
	w.human(name)
	return w.ids[name]
}

func (w *world) id(name string) identity.ObjectID { return objectID(0, w.number(name)) }

func (w *world) record(name string) *snapshot.Account { return w.records[w.id(name)] }

func (w *world) user(name string) *vault.User {
	if r := w.record(name); r != nil && r.UserID != "" {
		return w.users[r.UserID]
	}
	return nil
}

func (w *world) members(group string) string {
	for _, g := range w.groups {
		if g.Name == group {
			var names []string
			for _, id := range g.Members {
				names = append(names, short(w.users[id].LoginName))
			}
			slices.Sort(names)
			return strings.Join(names, " ")
		}
	}
	return "no group " + group
}

func (w *world) leave(group string, names ...string) {
	for _, n := range names {
		delete(w.human(n).in, group)
	}
}

// hand puts a user into the vault who is not ours.
func (w *world) hand(u vault.User) *vault.User {
	w.lastID++
	u.ID = strconv.Itoa(w.lastID)
	w.users[u.ID] = &u
	return &u
}

func (w *world) handGroup(name string, members ...*vault.User) *vault.Group {
	w.lastID++
	g := &vault.Group{ID: "g" + strconv.Itoa(w.lastID), Name: name}
	for _, u := range members {
		g.Members = append(g.Members, u.ID)
	}
	w.groups[g.ID] = g
	return g
}

// delete takes a user out of the vault as hands would.
func (w *world) delete(name string) {
	id := w.record(name).UserID
	delete(w.users, id)
	for _, g := range w.groups {
		g.Members = slices.DeleteFunc(g.Members, func(m string) bool { return m == id })
	}
}

// input is what a run would hand to the planner, a full one unless partial.
func (w *world) input() plan.Input {
	in := plan.Input{
		Rules: w.rules, Now: w.now, First: w.first, Full: !w.first && !w.partial, Pools: w.pools,
		Approved: w.approved, Pinned: w.pinned, Insist: w.insist, ServerHold: w.server,
	}
	present := roaring.New()
	away := roaring.New()
	for i, name := range w.names {
		if w.people[name].away || w.people[name].gone {
			away.Add(uint32(i + 1))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(w.teams)) {
		in.Groups = append(in.Groups, w.group(w.teams[key], key, away, present))
	}
	slices.SortStableFunc(in.Groups, func(a, b plan.Group) int { return strings.Compare(a.Name, b.Name) })
	in.Total = int(present.GetCardinality())
	owners := w.owners()
	for _, name := range w.names {
		p := w.person(name, present, owners)
		if p.Present || p.Record != nil || p.Intent {
			if w.only == "" || w.only == name {
				in.People = append(in.People, p)
			}
		}
		if p.Record != nil && (p.Record.State == snapshot.Active || p.Record.State == snapshot.Leaving) {
			in.Managed++
		}
	}
	return in
}

func (w *world) group(t *team, key string, away, present *roaring.Bitmap) plan.Group {
	g := plan.Group{ID: t.id, Name: t.name, State: t.state, Removed: t.removed, Want: roaring.New(), Record: clone(w.links[t.id])}
	if t.replaces != "" && g.Record == nil {
		old := w.teams[t.replaces].id
		if g.Record = clone(w.links[old]); g.Record != nil {
			g.Record.ID, g.Replaces = t.id, old
		}
	}
	if t.state != directory.GroupPresent {
		g.Why = "cannot be read"
	}
	direct := roaring.New()
	for i, name := range w.names {
		if w.people[name].in[key] {
			direct.Add(uint32(i + 1))
		}
	}
	switch {
	case t.removed:
	case t.state == directory.GroupUnreadable:
		// Part of the members is read; whoever was in it stays.
		if g.Record != nil {
			g.Want = roaring.AndNot(g.Record.Applied, away)
		}
		g.Want.Or(roaring.AndNot(direct, away))
	case t.state == directory.GroupPresent:
		g.Empty = direct.IsEmpty()
		g.Want = roaring.AndNot(direct, away)
	}
	present.Or(g.Want)
	if w.partial && g.Record != nil && g.Record.VaultID != "" {
		return g
	}
	for _, id := range slices.Sorted(maps.Keys(w.groups)) {
		actual := w.groups[id]
		byRecord := g.Record != nil && g.Record.VaultID == id
		byName := (g.Record == nil || g.Record.VaultID == "") && identity.Fold(actual.Name) == identity.Fold(t.name) && !w.linked(id)
		byLink := (g.Record == nil || g.Record.VaultID == "") && actual.ExternalID == t.id.String()
		if byRecord || byLink || byName && g.Actual == nil {
			copied := *actual
			copied.Members = slices.Clone(actual.Members)
			g.Actual = &copied
			g.Members = w.ours(actual.Members)
		}
	}
	return g
}

// ours are the numbers of the people whose accounts these are.
func (w *world) ours(users []string) *roaring.Bitmap {
	set := roaring.New()
	for i, name := range w.names {
		if r := w.record(name); r != nil && r.UserID != "" && slices.Contains(users, r.UserID) {
			set.Add(uint32(i + 1))
		}
	}
	return set
}

func (w *world) linked(id string) bool {
	for _, r := range w.links {
		if r.VaultID == id {
			return true
		}
	}
	return false
}

func clone(g *snapshot.Group) *snapshot.Group {
	if g == nil {
		return nil
	}
	c := *g
	c.Applied, c.Kept = g.Applied.Clone(), slices.Clone(g.Kept)
	return &c
}

// owners are the people who have each login name, as remembered.
func (w *world) owners() map[string][]string {
	all := map[string][]string{}
	for _, name := range w.names {
		if r := w.record(name); r != nil && r.UserID != "" && r.State != snapshot.Tombstone {
			all[identity.Fold(r.Login())] = append(all[identity.Fold(r.Login())], name)
		}
	}
	return all
}

func (w *world) person(name string, present *roaring.Bitmap, owners map[string][]string) plan.Person {
	h, n := w.people[name], w.number(name)
	p := plan.Person{ID: w.id(name), Number: n, Present: present.Contains(n), Intent: w.intents[name], Recreate: w.recreate == name, Why: "left the last synchronized group"}
	if r := w.records[p.ID]; r != nil {
		c := r.Clone()
		p.Record = &c
	}
	if p.Present {
		p.Why = "member"
		p.Pending = h.pending
		if !h.pending {
			p.Want = roster.Account{Fields: maps.Clone(h.fields), License: h.license, Fallback: h.fallback}
			p.WantErr = h.wantErr
		}
	} else if p.Intent {
		p.Want = roster.Account{Fields: maps.Clone(h.fields)}
	}
	for _, other := range owners[identity.Fold(p.Want.Login())] {
		if other != name && p.Want.Login() != "" {
			p.LoginOwner, p.LoginOwnerGone = w.id(other), w.people[other].gone
		}
	}
	look, byID := plan.NeedsLook(&p, w.rules, w.now)
	if !w.first && !w.partial && p.Record != nil && p.Record.UserID != "" && !p.Recreate {
		look, byID = true, true
	}
	if !look {
		return p
	}
	p.Looked = true
	if byID {
		if u := w.users[p.Record.UserID]; u != nil {
			p.Found = []vault.User{copied(*u)}
		}
		return p
	}
	all := slices.Clone(w.logins)
	for _, id := range slices.Sorted(maps.Keys(w.users)) {
		all = append(all, *w.users[id])
	}
	for _, u := range all {
		mail := slices.Contains(w.rules.Accounts.Match, "mail") && u.Email != "" && identity.Fold(u.Email) == identity.Fold(p.Want.Fields["email"])
		if u.ExternalID == p.ID.String() || identity.Fold(u.LoginName) == identity.Fold(p.Want.Login()) || mail {
			p.Found = append(p.Found, copied(u))
		}
	}
	return p
}

func copied(u vault.User) vault.User {
	u.Attributes = maps.Clone(u.Attributes)
	return u
}

func (w *world) plan() *plan.Plan { return plan.Compute(w.input()) }

// apply does what a plan says, as package apply does, without any failure.
func (w *world) apply(p *plan.Plan) {
	for _, id := range p.Forget {
		delete(w.records, id)
	}
	for _, r := range p.Records {
		w.records[r.Person] = &r
	}
	for _, g := range p.Groups {
		w.links[g.ID] = clone(&g)
	}
	for _, id := range p.ForgetGroups {
		delete(w.links, id)
	}
	for _, c := range p.Changes {
		if c.Held == "" {
			w.do(c)
		}
	}
	w.pinned = map[string]bool{}
	for _, key := range p.Pinned {
		w.pinned[key] = true
	}
	w.approved = nil
	clear(w.intents)
}

func (w *world) do(c plan.Change) {
	switch c.Kind {
	case plan.GroupCreate:
		g := w.handGroup(c.After["name"])
		g.ExternalID, g.Managed = c.After["externalId"], true
		w.links[c.GroupID].VaultID = g.ID
	case plan.GroupUpdate:
		g := w.groups[c.VaultGroup.VaultID]
		w.links[c.GroupID].VaultID = g.ID
		if name, ok := c.After["name"]; ok {
			g.Name, w.links[c.GroupID].Name = name, name
		}
		if id, ok := c.After["externalId"]; ok {
			g.ExternalID, g.Managed = id, true
		}
	case plan.MemberAdd, plan.MemberRemove:
		link := w.links[c.GroupID]
		g := w.groups[link.VaultID]
		id := c.UserID
		if id == "" {
			id = w.records[c.Person].UserID
		}
		g.Members = slices.DeleteFunc(g.Members, func(m string) bool { return m == id })
		if c.Kind == plan.MemberAdd {
			g.Members = append(g.Members, id)
			link.Applied.Add(c.Number)
		} else {
			link.Applied.Remove(c.Number)
		}
	case plan.Create:
		u := vault.User{Enabled: true}
		w.logins = slices.DeleteFunc(w.logins, func(l vault.User) bool {
			same := identity.Fold(l.LoginName) == identity.Fold(c.After["loginName"])
			if same {
				u = l
				u.Enabled = true
			}
			return same
		})
		if u.LoginName == "" {
			set(&u, c.After)
		}
		u.ExternalID, u.Managed = c.Person.String(), true
		made := w.hand(u)
		record := c.Record.Clone()
		record.UserID = made.ID
		w.records[c.Person] = &record
	case plan.Update, plan.Enable, plan.Disable:
		set(w.users[c.UserID], c.After)
		record := c.Record.Clone()
		if old := w.records[c.Person]; c.Kind != plan.Update && old != nil && old.UserID == record.UserID {
			kept := old.Clone()
			kept.Number, kept.State, kept.Since, kept.OwnDisable = record.Number, record.State, record.Since, record.OwnDisable
			if kept.Tries == 0 {
				kept.Problem = record.Problem
			}
			record = kept
		}
		delete(w.records, c.Replaces)
		w.records[c.Person] = &record
	}
}

func set(u *vault.User, after plan.Values) {
	for name, value := range after {
		switch name {
		case "loginName":
			u.LoginName = value
		case "fullName":
			u.FullName = value
		case "email":
			u.Email = value
		case "license":
			u.License = identity.License(value)
		case "enabled":
			u.Enabled = value == "true"
		case "externalId":
			u.ExternalID, u.Managed = value, true
		default:
			if u.Attributes == nil {
				u.Attributes = map[string]string{}
			}
			u.Attributes[strings.TrimPrefix(name, "attributes.")] = value
		}
	}
}

func short(login string) string { return strings.TrimSuffix(login, "@contoso.com") }

// lines are the changes, one a line:
//
//	create ann named · update ann fullName:Ann>Anna · memberAdd ann Sales · disable ann !disables
func lines(p *plan.Plan) []string {
	var out []string
	for _, c := range p.Changes {
		parts := []string{string(c.Kind)}
		switch c.Kind {
		case plan.Create:
			parts = append(parts, short(c.After["loginName"]))
			if c.After["license"] != "" {
				parts = append(parts, c.After["license"])
			}
		case plan.Update, plan.GroupUpdate:
			if c.Kind == plan.Update {
				parts = append(parts, short(c.Login))
			} else {
				parts = append(parts, c.Group)
			}
			for _, name := range slices.Sorted(maps.Keys(c.After)) {
				if name == "externalId" {
					parts = append(parts, "link")
					continue
				}
				parts = append(parts, fmt.Sprintf("%s:%s>%s", name, short(c.Before[name]), short(c.After[name])))
			}
		case plan.GroupCreate:
			parts = append(parts, c.After["name"])
		case plan.MemberAdd, plan.MemberRemove:
			parts = append(parts, short(c.Login), c.Group)
		case plan.Disable, plan.Enable:
			parts = append(parts, short(c.Login))
			if c.After["deleted"] != "" {
				parts[0] = "vanish"
			}
		}
		if c.Held != "" {
			parts = append(parts, "!"+c.Held)
		}
		out = append(out, strings.Join(parts, " "))
	}
	return out
}

func notes(p *plan.Plan) []string {
	var out []string
	for _, n := range p.Notes {
		out = append(out, strings.TrimSpace(string(n.Kind)+" "+short(n.Login)+n.Group))
	}
	return out
}

// wants checks the changes of the next plan.
func (w *world) wants(t *testing.T, want ...string) *plan.Plan {
	t.Helper()
	p := w.plan()
	if got := lines(p); !slices.Equal(got, want) {
		t.Errorf("changes:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	return p
}

// does checks the changes of the next plan, makes them, and checks that
// nothing but what is held is left to do.
func (w *world) does(t *testing.T, want ...string) *plan.Plan {
	t.Helper()
	p := w.wants(t, want...)
	w.apply(p)
	w.quiet(t)
	return p
}

// quiet checks that nothing is left to do but what guards hold.
func (w *world) quiet(t *testing.T) {
	t.Helper()
	p := w.plan()
	for i, c := range p.Changes {
		if c.Held == "" {
			t.Errorf("still to do: %s", lines(p)[i])
		}
	}
	w.apply(p)
}

func says(t *testing.T, p *plan.Plan, want ...string) {
	t.Helper()
	if got := notes(p); !slices.Equal(got, want) {
		t.Errorf("notes: %q\nwant:  %q", got, want)
	}
}

func crowd(prefix string, n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("%s%03d", prefix, i))
	}
	return all
}

func each(names []string, format string) []string {
	var all []string
	for _, n := range names {
		all = append(all, fmt.Sprintf(format, n))
	}
	return all
}
