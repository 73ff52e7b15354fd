package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/directory/entra"
	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/mirror"
	"github.com/vaultsync/vaultsync/pkg/provlog"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/roster"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/vault"
	"github.com/vaultsync/vaultsync/pkg/vault/vaulttest"
)

// reporter is what the worlds of this package need of a test; a property's
// test is one too.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// openGuards lets every change pass.
const openGuards = `
guards:
  disables: {count: 100000000, percent: 100, minimum: 100000}
  creates: {count: 100000000}
  loginChanges: {count: 100000000, percent: 100, minimum: 1000000}
  vanished: {count: 100000000, percent: 100, minimum: 1000000}
  memberRemovals: {percent: 100, minimum: 1}
  emptyGroup: allow
  missingGroup: allow
`

// vaultSpec is one vault: its synchronized groups by name, the part of its
// file below them, and the user store.
type vaultSpec struct {
	name   string
	groups []string
	rest   string
}

// world is the whole engine over a simulated tenant that is served over HTTPS,
// read with the client that the program has.
type world struct {
	reporter
	ctx      context.Context //nolint:containedctx // a test's world lives as long as the test
	dir      string
	tenant   *entrasim.Tenant
	server   *entrasim.Server
	options  func(*entra.Options)
	profiles string
	specs    []vaultSpec

	client    *entra.Client
	directory *reconcile.Directory
	vaults    map[string]*reconcile.Vault
	stores    map[string]*vaulttest.Memory
	seam      func(name string, m *vaulttest.Memory) vault.Store
	portion   int               // people planned together, see SetPortion
	renamed   map[string]string // names of groups that the tenant has renamed
	logged    []provlog.Entry
	runs      int
}

// openWorld serves the tenant and opens the engine in dir.
func openWorld(ctx context.Context, r reporter, dir string, tenant *entrasim.Tenant, profiles string, options func(*entra.Options), specs ...vaultSpec) *world {
	r.Helper()
	w := &world{reporter: r, ctx: ctx, dir: dir, tenant: tenant, options: options, profiles: profiles, specs: specs, stores: map[string]*vaulttest.Memory{}}
	var err error
	if w.server, err = entrasim.Start(entrasim.Options{CAFile: filepath.Join(dir, "ca.pem")}, tenant); err != nil {
		r.Fatalf("%v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte(entrasim.DemoSecret), 0o600); err != nil {
		r.Fatalf("%v", err)
	}
	for _, s := range specs {
		w.stores[s.name] = vaulttest.NewMemory()
	}
	w.open()
	return w
}

// config writes the files as an operator would and reads them, so that every
// default is the program's own.
func (w *world) config() *config.Config {
	w.Helper()
	folder := filepath.Join(w.dir, "vaults.d")
	err := os.MkdirAll(folder, 0o700)
	for _, s := range w.specs {
		var b strings.Builder
		fmt.Fprintf(&b, "vault: %s\ndirectory: contoso\nstore: {type: embedded}\ngroups:\n", s.name)
		for _, g := range s.groups {
			id, idErr := w.tenant.IDOf("group " + w.nameOf(g))
			err = errors.Join(err, idErr)
			fmt.Fprintf(&b, "  - {id: %s, vaultGroup: %q, nested: true}\n", id, g)
		}
		b.WriteString(s.rest)
		err = errors.Join(err, os.WriteFile(filepath.Join(folder, s.name+".yaml"), []byte(b.String()), 0o600))
	}
	file := filepath.Join(w.dir, "vaultsync.yaml")
	err = errors.Join(err, os.WriteFile(file, []byte(fmt.Sprintf("dataDir: %q\nvaults: vaults.d\ndirectories:\n  - name: contoso\n    type: entra\n"+
		"    tenantId: %s\n    clientId: %s\n    credential: {type: clientSecret, secretFile: secret}\n",
		filepath.Join(w.dir, "data"), w.tenant.ID(), entrasim.DemoClientID)), 0o600))
	if err != nil {
		w.Fatalf("write the configuration: %v", err)
	}
	cfg, err := config.Load(file, config.Overrides{})
	if err != nil {
		w.Fatalf("read the configuration: %v", err)
	}
	return cfg
}

// open opens everything that a process has open.
func (w *world) open() {
	w.Helper()
	cfg := w.config()
	w.client = w.connect()
	w.directory = &reconcile.Directory{
		Name: "contoso", Client: w.client, Now: w.tenant.Now, FullEvery: 24 * time.Hour,
		Guard: reconcile.Guard{Limit: config.Guard{Count: 1 << 30, Percent: 100, Minimum: 1 << 30}, Path: filepath.Join(w.dir, "guard.json")},
	}
	w.vaults = map[string]*reconcile.Vault{}
	w.directory.Imported = func() []*reconcile.Vault { return w.directory.Vaults }
	var sources []string
	for _, v := range cfg.Vaults {
		rules, err := roster.Compile(v)
		if err != nil {
			w.Fatalf("compile the rules: %v", err)
		}
		state, err := snapshot.Open(filepath.Join(w.dir, v.Name+".state"), v.Name, w.tenant.ID().String())
		if err != nil {
			w.Fatalf("open the vault's state: %v", err)
		}
		var store vault.Store = w.stores[v.Name]
		if w.seam != nil {
			store = w.seam(v.Name, w.stores[v.Name])
		}
		w.vaults[v.Name] = &reconcile.Vault{
			Rules: rules, Directory: w.directory, Store: store, Snapshot: state, Now: w.tenant.Now,
			Journal: func(entries []provlog.Entry) error { w.logged = append(w.logged, entries...); return nil },
			Logger:  slog.New(slog.DiscardHandler), NewID: func() string { w.runs++; return fmt.Sprint("run-", w.runs) },
		}
		w.vaults[v.Name].SetPortion(w.portion)
		w.directory.Vaults = append(w.directory.Vaults, w.vaults[v.Name])
		sources = append(sources, rules.Sources()...)
	}
	var err error
	w.directory.Mirror, err = mirror.Open(w.mirrorPath(), mirror.Options{
		Tenant: w.tenant.ID().String(), Select: sources, Now: w.tenant.Now, Profiles: w.profiles,
	})
	if err != nil {
		w.Fatalf("open the mirror: %v", err)
	}
}

// connect makes a client of the tenant.
func (w *world) connect() *entra.Client {
	w.Helper()
	o := entra.Options{
		TenantID: w.tenant.ID().String(), ClientID: entrasim.DemoClientID,
		Credential: entra.Credential{Type: entra.ClientSecret, SecretFile: filepath.Join(w.dir, "secret")},
		GraphURL:   w.server.URL(), AuthorityURL: w.server.URL(), CAFile: filepath.Join(w.dir, "ca.pem"),
		Patience: 20 * time.Second, Backoff: time.Millisecond, MaxPages: 500, Now: w.tenant.Now,
	}
	if w.options != nil {
		w.options(&o)
	}
	client, err := entra.New(o)
	if err != nil {
		w.Fatalf("make the client: %v", err)
	}
	return client
}

func (w *world) mirrorPath() string { return filepath.Join(w.dir, "mirror") }

// shut closes what open has opened.
func (w *world) shut() {
	w.Helper()
	err := w.directory.Mirror.Close()
	for _, v := range w.vaults {
		err = errors.Join(err, v.Snapshot.Close())
	}
	w.client.Close()
	if err != nil {
		w.Errorf("close: %v", err)
	}
}

// Close closes the engine and the tenant.
func (w *world) Close() {
	w.shut()
	_ = w.server.Close()
}

func (w *world) reopen() {
	w.Helper()
	w.shut()
	w.open()
}

func (w *world) apply(text string) {
	w.Helper()
	if err := w.tenant.Apply(text); err != nil {
		w.Fatalf("change the tenant: %v", err)
	}
}

func (w *world) inject(f entrasim.Fault) *entrasim.Fault {
	w.Helper()
	fault, err := w.server.Inject(f)
	if err != nil {
		w.Fatalf("%v", err)
	}
	return fault
}

func (w *world) id(ref string) identity.ObjectID {
	w.Helper()
	id, err := w.tenant.IDOf(ref)
	if err != nil {
		w.Fatalf("%v", err)
	}
	return id
}

// groupID is the directory's group behind a vault group.
func (w *world) groupID(vaultGroup string) identity.ObjectID {
	w.Helper()
	return w.id("group " + w.nameOf(vaultGroup))
}

func (w *world) nameOf(vaultGroup string) string {
	if name, ok := w.renamed[vaultGroup]; ok {
		return name
	}
	return vaultGroup
}

// run makes one run of every vault; the errors are by vault, and joined.
func (w *world) run(o reconcile.Options) (reports []reconcile.Report, byVault map[string]error, joined error) {
	byVault = map[string]error{}
	for _, s := range w.specs {
		report, err := w.vaults[s.name].Run(w.ctx, o)
		reports = append(reports, report)
		byVault[s.name] = err
		joined = errors.Join(joined, err)
	}
	return reports, byVault, joined
}

// mustRun makes one run of every vault, which has to succeed.
func (w *world) mustRun(o reconcile.Options) []reconcile.Report {
	w.Helper()
	reports, _, err := w.run(o)
	if err != nil {
		w.Fatalf("run: %v", err)
	}
	return reports
}

// mustRest makes another run, which has to find nothing to do.
func (w *world) mustRest() {
	w.Helper()
	for _, m := range w.stores {
		m.Forget()
	}
	w.mustRun(reconcile.Options{})
	for name, m := range w.stores {
		for _, c := range m.Writes() {
			w.Errorf("vault %s: a run with nothing to do wrote %+v", name, c)
		}
	}
}

// truth is what the tenant says: who should be in a vault's groups, found by
// plain recursion over the model.
type truth struct {
	people map[identity.ObjectID]entrasim.Person
	groups map[identity.ObjectID]entrasim.Circle
}

func (w *world) truth() truth {
	t := truth{people: map[identity.ObjectID]entrasim.Person{}, groups: map[identity.ObjectID]entrasim.Circle{}}
	for _, p := range w.tenant.People() {
		t.people[p.ID] = p
	}
	for _, g := range w.tenant.Circles() {
		t.groups[g.ID] = g
	}
	return t
}

// in are the people of a group at any depth who may work: there, and enabled.
func (t truth) in(group identity.ObjectID) map[identity.ObjectID]bool {
	found, seen := map[identity.ObjectID]bool{}, map[identity.ObjectID]bool{}
	var visit func(identity.ObjectID)
	visit = func(g identity.ObjectID) {
		if seen[g] || t.groups[g].Life != entrasim.Live || t.groups[g].ID.IsZero() {
			return
		}
		seen[g] = true
		for id, kind := range t.groups[g].Members {
			p := t.people[id]
			switch {
			case kind == entrasim.Group:
				visit(id)
			case kind == entrasim.User && p.Life == entrasim.Live && p.Attributes[identity.AccountEnabled] == "true":
				found[id] = true
			}
		}
	}
	visit(group)
	return found
}

// held is what a vault holds, by the person's object id.
type held struct {
	users  map[string]vault.User
	groups map[string][]string // name → object ids
}

func look(r reporter, m *vaulttest.Memory) held {
	h := held{users: map[string]vault.User{}, groups: map[string][]string{}}
	byID := map[string]string{}
	for u, err := range m.Users(context.Background()) {
		if err != nil {
			r.Fatalf("look at the vault: %v", err)
		}
		key := u.ExternalID
		if key == "" {
			key = "hand-made " + u.LoginName
		}
		if _, twice := h.users[key]; twice {
			r.Errorf("two accounts are %s", key)
		}
		h.users[key], byID[u.ID] = u, key
	}
	for g, err := range m.Groups(context.Background()) {
		if err != nil {
			r.Fatalf("look at the vault: %v", err)
		}
		members := []string{}
		for _, id := range g.Members {
			members = append(members, byID[id])
		}
		slices.Sort(members)
		h.groups[g.Name] = members
	}
	return h
}

// check compares a vault without hand-made things with the truth: whoever
// should be in it is, with the directory's values, and nobody else is enabled
// or in a group.
func (w *world) check() {
	w.Helper()
	t := w.truth()
	for _, s := range w.specs {
		w.checkVault(t, s)
	}
}

func (w *world) checkVault(t truth, s vaultSpec) {
	w.Helper()
	h := look(w, w.stores[s.name])
	wanted := map[string]bool{}
	for _, g := range s.groups {
		var members []string
		for id := range t.in(w.groupID(g)) {
			members = append(members, id.String())
			wanted[id.String()] = true
		}
		slices.Sort(members)
		if got, ok := h.groups[g]; ok && !slices.Equal(got, members) || !ok && len(members) > 0 {
			w.Errorf("vault %s, group %s: got %d members, want %d: %s", s.name, g, len(got), len(members), difference(t, got, members))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(wanted)) {
		parsed, _ := identity.ParseObjectID(id)
		p := t.people[parsed].Attributes
		u, ok := h.users[id]
		switch {
		case !ok:
			w.Errorf("vault %s: %s has no account", s.name, p[identity.UserPrincipalName])
		case !u.Enabled:
			w.Errorf("vault %s: %s is disabled", s.name, p[identity.UserPrincipalName])
		case identity.Fold(u.LoginName) != identity.Fold(p[identity.UserPrincipalName]) || u.FullName != p[identity.DisplayName] || u.Email != p[identity.Mail]:
			w.Errorf("vault %s: %s says %q %q %q, the directory %q %q", s.name, p[identity.UserPrincipalName], u.LoginName, u.FullName, u.Email, p[identity.DisplayName], p[identity.Mail])
		}
	}
	for id, u := range h.users {
		if u.Enabled && !wanted[id] {
			w.Errorf("vault %s: %s is enabled and should not be", s.name, u.LoginName)
		}
	}
}

// difference names the first few people in whom two lists differ.
func difference(t truth, got, want []string) string {
	var texts []string
	name := func(id string) string {
		parsed, err := identity.ParseObjectID(id)
		if err != nil {
			return id
		}
		return t.people[parsed].Attributes[identity.UserPrincipalName]
	}
	for _, id := range got {
		if !slices.Contains(want, id) {
			texts = append(texts, "+"+name(id))
		}
	}
	for _, id := range want {
		if !slices.Contains(got, id) {
			texts = append(texts, "-"+name(id))
		}
	}
	return strings.Join(texts[:min(len(texts), 6)], " ")
}
