package apply_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/apply"
	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/roster"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/vault"
	"github.com/vaultsync/vaultsync/pkg/vault/vaulttest"
)

var epoch = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// world is what several runs share: a directory by names, a store and a
// snapshot on disk.
type world struct {
	path  string
	store *vaulttest.Memory
	now   time.Time
	adopt bool
	// in are the groups of each person; names keeps their numbers.
	in     map[string][]string
	names  []string
	fields map[string]map[string]string
}

func newWorld(t *testing.T) *world {
	return &world{
		path: filepath.Join(t.TempDir(), "sales.db"), store: vaulttest.NewMemory(), now: epoch,
		in: map[string][]string{}, fields: map[string]map[string]string{},
	}
}

// put says which groups people are in: "ann:Sales,HR".
func (w *world) put(specs ...string) {
	for _, spec := range specs {
		name, groups, _ := strings.Cut(spec, ":")
		if w.fields[name] == nil {
			w.names = append(w.names, name)
			w.fields[name] = map[string]string{"loginName": name + "@contoso.com", "fullName": name, "email": ""}
		}
		w.in[name] = strings.FieldsFunc(groups, func(r rune) bool { return r == ',' })
	}
}

func objectID(kind, n int) identity.ObjectID {
	id, err := identity.ParseObjectID(fmt.Sprintf("%08d-0000-4000-8000-%012d", kind, n))
	if err != nil {
		panic(err)
	}
	return id
}

func (w *world) id(name string) identity.ObjectID { return objectID(0, slices.Index(w.names, name)+1) }

var teams = []string{"HR", "Sales"}

func (w *world) rules() config.Vault {
	return config.Vault{
		Name: "sales", Repair: true,
		Accounts: config.Accounts{EnableDisabledUsers: "own", Adopt: w.adopt, ReleaseLicenseAfter: -1, Match: []string{"externalId", "loginName"}},
		Guards: config.Guards{
			Disables: config.Guard{Count: 1000, Percent: 100}, Creates: config.Guard{Count: 1000}, LoginChanges: config.Guard{Count: 1000, Percent: 100},
			Vanished: config.Guard{Count: 1000, Percent: 100}, MemberRemovals: config.Guard{Percent: 100},
		},
	}
}

// look makes a full run's input from snapshot and store, as package reconcile
// does.
func (w *world) look(ctx context.Context, s *snapshot.Snapshot, store vault.Store, full bool) (plan.Input, error) {
	in := plan.Input{Rules: w.rules(), Now: w.now, Full: full, Managed: 1000}
	err := s.Read(func(tx *snapshot.Tx) error {
		for i, team := range teams {
			g := plan.Group{ID: objectID(9, i+1), Name: team, Want: roaring.New()}
			for n, name := range w.names {
				if slices.Contains(w.in[name], team) {
					g.Want.Add(uint32(n + 1))
				}
			}
			if rec, ok, err := tx.Group(g.ID); err != nil {
				return err
			} else if ok {
				g.Record = &rec
			}
			for actual, err := range store.Groups(ctx) {
				if err != nil {
					return err
				}
				byID := g.Record != nil && g.Record.VaultID == actual.ID
				byLink := (g.Record == nil || g.Record.VaultID == "") && (actual.ExternalID == g.ID.String() || actual.Name == team)
				if byID || byLink {
					g.Actual = &actual
				}
			}
			in.Groups = append(in.Groups, g)
		}
		intents := tx.Intents()
		for n, name := range w.names {
			p := plan.Person{ID: w.id(name), Number: uint32(n + 1), Present: len(w.in[name]) > 0, Why: "member", Intent: slices.Contains(intents, w.id(name))}
			p.Want = roster.Account{Fields: maps.Clone(w.fields[name]), License: identity.LicenseNamed}
			if rec, ok, err := tx.Account(p.ID); err != nil {
				return err
			} else if ok {
				p.Record = &rec
			}
			if owner, ok, err := tx.LoginOwner(p.Want.Login()); err != nil {
				return err
			} else if ok && owner != p.ID {
				p.LoginOwner = owner
			}
			if p.Record == nil && !p.Present && !p.Intent {
				continue
			}
			in.People = append(in.People, p)
		}
		return nil
	})
	if err != nil {
		return in, err
	}
	for i := range in.People {
		p := &in.People[i]
		look, byID := plan.NeedsLook(p, in.Rules, w.now)
		if full && p.Record != nil && p.Record.UserID != "" {
			look, byID = true, true
		}
		if !look {
			continue
		}
		p.Looked = true
		queries := []vault.Query{{ExternalID: p.ID.String()}, {LoginName: p.Want.Login()}}
		if byID {
			queries = []vault.Query{{ID: p.Record.UserID}}
		}
		found, err := store.Find(ctx, queries)
		if err != nil {
			return in, err
		}
		for _, users := range found {
			for _, u := range users {
				if !slices.ContainsFunc(p.Found, func(o vault.User) bool { return o.LoginName == u.LoginName }) {
					p.Found = append(p.Found, u)
				}
			}
		}
	}
	if licensed, ok := store.(vault.Licensed); ok {
		if in.Pools, err = licensed.Licenses(ctx); err != nil {
			return in, err
		}
	}
	return in, nil
}

// outcome is what one run reported.
type outcome struct {
	counts apply.Counts
	failed []string
	plan   *plan.Plan
}

func (w *world) open(t testing.TB) *snapshot.Snapshot {
	t.Helper()
	s, err := snapshot.Open(w.path, "sales", "tenant")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run makes one run over a store, on the snapshot opened anew.
func (w *world) run(ctx context.Context, t testing.TB, store vault.Store, full bool) (o outcome, err error) {
	t.Helper()
	s := w.open(t)
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	in, err := w.look(ctx, s, store, full)
	if err != nil {
		return o, err
	}
	o.plan = plan.Compute(in)
	a := apply.Applier{
		Store: store, Snapshot: s, Now: func() time.Time { return w.now }, Progress: func(int, int) {},
		Report: func(c plan.Change, err error) {
			if err != nil {
				o.failed = append(o.failed, fmt.Sprintf("%s %s%s", c.Kind, strings.TrimSuffix(c.Login, "@contoso.com"), c.Group))
			}
		},
	}
	o.counts, err = a.Apply(ctx, o.plan)
	return o, err
}

// must makes a run that ends well.
func (w *world) must(t testing.TB, full bool) outcome {
	t.Helper()
	o, err := w.run(context.Background(), t, w.store, full)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// state is store and snapshot in words, without the ids that the store gives.
func (w *world) state(t testing.TB) string {
	t.Helper()
	var out []string
	logins := map[string]string{}
	for u, err := range w.store.Users(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		logins[u.ID] = u.LoginName
		out = append(out, fmt.Sprintf("user %s %q enabled=%v license=%s ext=%s managed=%v", u.LoginName, u.FullName, u.Enabled, u.License, u.ExternalID, u.Managed))
	}
	for g, err := range w.store.Groups(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		var members []string
		for _, id := range g.Members {
			members = append(members, logins[id])
		}
		slices.Sort(members)
		out = append(out, fmt.Sprintf("group %s %s %v", g.Name, g.ExternalID, members))
	}
	s := w.open(t)
	defer s.Close() //nolint:errcheck // only read
	if err := s.Read(func(tx *snapshot.Tx) error {
		for a, err := range tx.Accounts() {
			if err != nil {
				return err
			}
			out = append(out, fmt.Sprintf("record %s %s user=%s own=%v adopted=%v written=%v problem=%q", a.Login(), a.State, logins[a.UserID], a.OwnDisable, a.Adopted, a.Fields["fullName"].Written, a.Problem))
		}
		groups, err := tx.Groups()
		for _, g := range groups {
			out = append(out, fmt.Sprintf("link %s linked=%v %v kept=%d", g.Name, g.VaultID != "", g.Applied.ToArray(), len(g.Kept)))
		}
		if left := tx.Intents(); len(left) > 0 {
			out = append(out, fmt.Sprintf("open intents: %v", left))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

var errDied = errors.New("the process died")
