package explain

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/mirror"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/provlog"
	"github.com/vaultsync/vaultsync/pkg/roster"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
)

// What the program passes is what this package asks for.
var (
	_ View = (*mirror.View)(nil)
	_ Log  = (*provlog.Log)(nil)
)

const epoch = "epoch-1"

var (
	now  = time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	pull = now.Add(-time.Minute)
	past = time.Date(2026, 10, 1, 6, 30, 0, 0, time.UTC)
)

func person(n int) identity.ObjectID { return identity.ObjectID{0: 0xa0, 15: byte(n)} }
func group(n int) identity.ObjectID  { return identity.ObjectID{0: 0x60, 15: byte(n)} }

// view is a local copy in memory; person n has the number n.
type view struct {
	epoch    string
	pulledAt time.Time
	groups   map[identity.ObjectID]mirror.Group
	people   map[uint32]identity.Person
	known    map[identity.ObjectID]uint32

	gone, disabled, profiled *roaring.Bitmap

	failure error
}

func (v *view) Epoch() string             { return v.epoch }
func (v *view) PulledAt() time.Time       { return v.pulledAt }
func (v *view) Gone() *roaring.Bitmap     { return v.gone }
func (v *view) Disabled() *roaring.Bitmap { return v.disabled }
func (v *view) Profiled() *roaring.Bitmap { return v.profiled }

func (v *view) Group(id identity.ObjectID) (mirror.Group, bool, error) {
	g, ok := v.groups[id]
	return g, ok, v.failure
}

func (v *view) Number(id identity.ObjectID) (uint32, bool, error) {
	n, ok := v.known[id]
	return n, ok, v.failure
}

func (v *view) Person(n uint32) (identity.Person, bool, error) {
	p, ok := v.people[n]
	return p, ok, v.failure
}

func (v *view) Members(root identity.ObjectID, nested bool) (*roaring.Bitmap, bool, string, error) {
	people, complete, why := roaring.New(), true, ""
	queue := []identity.ObjectID{root}
	for i := 0; i < len(queue); i++ {
		g, ok := v.groups[queue[i]]
		switch {
		case !ok:
			complete, why = false, "group "+queue[i].String()+" has not been read yet"
			continue
		case g.State == directory.GroupMissing && i > 0:
			continue
		case g.State != directory.GroupPresent:
			complete, why = false, g.Why
		}
		people.Or(g.Members)
		for _, child := range g.Children {
			if nested && !slices.Contains(queue, child) {
				queue = append(queue, child)
			}
		}
	}
	return people, complete, why, v.failure
}

func (v *view) Path(root identity.ObjectID, n uint32) ([]identity.ObjectID, bool) {
	g := v.groups[root]
	if g.Members != nil && g.Members.Contains(n) {
		return []identity.ObjectID{root}, true
	}
	for _, child := range g.Children {
		if path, ok := v.Path(child, n); ok {
			return append([]identity.ObjectID{root}, path...), true
		}
	}
	return nil, false
}

// setup is one vault with its directory:
//
//	Sales (1) ⊃ Sales EU (2) ⊃ Helsinki (3), configured with licence named
//	Archive Readers (4), configured with licence readOnly
//
// Somebody (8) is in all of them, Ann (1) is in Helsinki, Bob (2) in Archive Readers, Cy (3) in no group of the
// vault, Dee (4) in none and without a profile.
type setup struct {
	t      *testing.T
	view   *view
	vault  config.Vault
	ids    []identity.ObjectID
	meta   snapshot.Meta
	report map[string]any
	people []snapshot.Account
	groups []snapshot.Group
	intent []identity.ObjectID
	log    Log
}

func newSetup(t *testing.T) *setup {
	t.Helper()
	s := &setup{
		t: t,
		view: &view{
			epoch: epoch, pulledAt: pull, groups: map[identity.ObjectID]mirror.Group{}, people: map[uint32]identity.Person{},
			known: map[identity.ObjectID]uint32{}, gone: roaring.New(), disabled: roaring.New(), profiled: roaring.New(),
		},
		ids: []identity.ObjectID{group(1), group(4)},
	}
	s.group(1, "Sales", []int{2})
	s.group(2, "Sales EU", []int{3})
	s.group(3, "Helsinki", nil, 1, 8)
	s.group(4, "Archive Readers", nil, 2, 8)
	s.person(1, "Ann B", "ann@contoso.com")
	s.person(2, "Bob C", "bob@contoso.com")
	s.person(3, "Cy D", "cy@contoso.com")
	s.view.known[person(4)] = 4
	s.vault = config.Vault{
		Name: "sales", Directory: "contoso",
		Groups: []config.Group{{ID: group(1), Nested: true}, {ID: group(4), Nested: true, License: identity.LicenseReadOnly}},
		Accounts: config.Accounts{
			LoginName: identity.UserPrincipalName, Adopt: true, DisabledInDirectory: "leave", EnableDisabledUsers: "own", License: identity.LicenseNamed,
			LicenseOrder:        []identity.License{identity.LicenseNamed, identity.LicenseConcurrent, identity.LicenseReadOnly},
			ReleaseLicenseAfter: -1,
		},
		Schedule: config.Schedule{Every: 15 * time.Minute},
		Guards:   config.Guards{EmptyGroup: true, MissingGroup: true},
	}
	s.meta = snapshot.Meta{Imported: true, Epoch: epoch}
	return s
}

func (s *setup) group(n int, name string, children []int, members ...int) {
	g := mirror.Group{ID: group(n), Name: name, Members: roaring.New()}
	for _, c := range children {
		g.Children = append(g.Children, group(c))
	}
	for _, m := range members {
		g.Members.Add(uint32(m))
	}
	s.view.groups[g.ID] = g
}

func (s *setup) state(n int, state directory.GroupState, why string) {
	g := s.view.groups[group(n)]
	g.State, g.Why = state, why
	s.view.groups[group(n)] = g
}

func (s *setup) person(n int, name, login string) {
	s.view.known[person(n)] = uint32(n)
	s.view.profiled.Add(uint32(n))
	s.view.people[uint32(n)] = identity.Person{ID: person(n), Attributes: map[string]string{
		identity.UserPrincipalName: login, identity.DisplayName: name, identity.Mail: login, identity.AccountEnabled: "true", identity.UserType: "Member",
	}}
}

// leaves takes a person out of all groups.
func (s *setup) leaves(n int) {
	for _, g := range s.view.groups {
		g.Members.Remove(uint32(n))
	}
}

// account is what was applied for a person.
func (s *setup) account(n int, state snapshot.State, change func(*snapshot.Account)) {
	p := s.view.people[uint32(n)]
	a := snapshot.Account{
		Person: person(n), Number: uint32(n), State: state, UserID: "17", License: identity.LicenseNamed, Since: past,
		Fields: map[string]snapshot.Field{
			"loginName": {Value: p.Value(identity.UserPrincipalName), Written: true},
			"fullName":  {Value: p.Value(identity.DisplayName), Written: true},
			"email":     {Value: p.Value(identity.Mail), Written: true},
		},
	}
	if change != nil {
		change(&a)
	}
	s.people = append(s.people, a)
}

func (s *setup) applied(n int, name string, members ...uint32) {
	s.groups = append(s.groups, snapshot.Group{ID: group(n), VaultID: "g" + name, Name: name, Applied: roaring.BitmapOf(members...), Configured: true})
}

func (s *setup) hold(guard string, changes ...snapshot.HeldChange) {
	for i := range changes {
		changes[i].Guard = guard
	}
	s.meta.Held = &snapshot.Held{Digest: "5f1c", Since: past, Guards: []string{guard}, Changes: changes}
}

func (s *setup) note(n int, kind plan.NoteKind, text string) {
	s.report = map[string]any{"outcome": "partial", "finished": past, "waiting": []plan.Note{{Kind: kind, Person: person(n), Text: text}}}
}

// question writes the state and compiles the rules.
func (s *setup) ask(query string) (Explanation, error) {
	s.t.Helper()
	rules, err := roster.Compile(s.vault)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.meta.Rules == "" {
		s.meta.Rules = s.vault.Digest()
	}
	if s.report != nil {
		if s.meta.LastRun, err = json.Marshal(s.report); err != nil {
			s.t.Fatal(err)
		}
	}
	state, err := snapshot.Open(filepath.Join(s.t.TempDir(), "sales.state"), "sales", "tenant")
	if err != nil {
		s.t.Fatal(err)
	}
	defer state.Close()
	err = state.Write(func(tx *snapshot.Tx) error {
		for _, a := range s.people {
			if err := tx.PutAccount(a); err != nil {
				return err
			}
		}
		for _, g := range s.groups {
			if err := tx.PutGroup(g); err != nil {
				return err
			}
		}
		for _, id := range s.intent {
			if err := tx.Intend(snapshot.Intent{Person: id}); err != nil {
				return err
			}
		}
		return tx.PutMeta(s.meta)
	})
	if err != nil {
		s.t.Fatal(err)
	}
	var e Explanation
	err = state.Read(func(tx *snapshot.Tx) error {
		var err error
		e, err = Explain(s.t.Context(), Question{View: s.view, Tx: tx, Rules: rules, GroupIDs: s.ids, Log: s.log, Query: query, Now: now})
		return err
	})
	return e, err
}
