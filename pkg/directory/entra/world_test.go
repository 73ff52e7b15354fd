package entra_test

import (
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/directory/entra"
	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

const small = `
user ann@contoso.com "Ann B" mail=ann@contoso.com department=Sales ext1=x
user bob@contoso.com "Bob C" enabled=false type=Guest
user eve@contoso.com "Eve D"
group Sales
group "Sales EU"
group Empty
device "Laptop 7"
member Sales: ann@contoso.com, group Sales EU, device Laptop 7
member Sales EU: bob@contoso.com, ann@contoso.com
`

const ext1 = "onPremisesExtensionAttributes.extensionAttribute1"

func attributes() []string {
	return []string{"accountEnabled", "department", "displayName", "mail", ext1, "userPrincipalName", "userType"}
}

// world is a simulated tenant and the real client against it.
type world struct {
	t      testing.TB
	server *entrasim.Server
	tenant *entrasim.Tenant
	dir    string
	client *entra.Client

	closeIdle func() // of a world under a synthetic clock
}

// open serves the tenant of a text; change may alter the client's options.
func open(t testing.TB, text string, change ...func(*entra.Options)) *world {
	t.Helper()
	tenant, err := entrasim.ParseTenant(text)
	if err != nil {
		t.Fatal(err)
	}
	server, err := entrasim.Start(entrasim.Options{}, tenant)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, server: server, tenant: tenant, dir: t.TempDir()}
	t.Cleanup(func() { _ = server.Close() })
	w.file("ca.pem", string(server.CAPEM()))
	w.file("secret", entrasim.DemoSecret+"\n")
	w.client = w.connect(change...)
	return w
}

// connect makes another client of the tenant.
func (w *world) connect(change ...func(*entra.Options)) *entra.Client {
	w.t.Helper()
	o := w.options()
	for _, c := range change {
		c(&o)
	}
	client, err := entra.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.Close)
	return client
}

func (w *world) options() entra.Options {
	return entra.Options{
		TenantID:      w.tenant.ID().String(),
		ClientID:      entrasim.DemoClientID,
		Credential:    entra.Credential{Type: entra.ClientSecret, SecretFile: filepath.Join(w.dir, "secret")},
		GraphURL:      w.server.URL(),
		AuthorityURL:  w.server.URL(),
		CAFile:        filepath.Join(w.dir, "ca.pem"),
		Patience:      20 * time.Second,
		HeaderTimeout: 20 * time.Second,
		IdleBody:      20 * time.Second,
		Backoff:       time.Millisecond,
		Logger:        slog.New(slog.DiscardHandler),
	}
}

func (w *world) file(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (w *world) apply(text string) {
	w.t.Helper()
	if err := w.tenant.Apply(text); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) inject(f entrasim.Fault) *entrasim.Fault {
	w.t.Helper()
	fault, err := w.server.Inject(f)
	if err != nil {
		w.t.Fatal(err)
	}
	return fault
}

func (w *world) id(ref string) identity.ObjectID {
	w.t.Helper()
	id, err := w.tenant.IDOf(ref)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) ids(refs ...string) []identity.ObjectID {
	ids := make([]identity.ObjectID, len(refs))
	for i, ref := range refs {
		ids[i] = w.id(ref)
	}
	return ids
}

// round is what one pull delivered.
type round struct {
	mu      sync.Mutex
	pages   []directory.Page
	links   map[int]string
	errs    map[int]error
	members map[identity.ObjectID]map[identity.ObjectID]directory.Kind
	groups  map[identity.ObjectID]directory.GroupChange
	people  map[identity.ObjectID]directory.PersonChange
}

func newRound() *round {
	return &round{
		links: map[int]string{}, errs: map[int]error{},
		members: map[identity.ObjectID]map[identity.ObjectID]directory.Kind{},
		groups:  map[identity.ObjectID]directory.GroupChange{},
		people:  map[identity.ObjectID]directory.PersonChange{},
	}
}

// take applies a page the way a local copy does.
func (r *round) take(p directory.Page) error {
	if !r.mu.TryLock() {
		return errors.New("two pages were delivered side by side")
	}
	defer r.mu.Unlock()
	r.pages = append(r.pages, p)
	if p.Err != nil {
		r.errs[p.Stream] = p.Err
		return nil
	}
	if p.Link != "" {
		r.links[p.Stream] = p.Link
	}
	for _, g := range p.Groups {
		r.groups[g.ID] = g
		set := r.members[g.ID]
		if set == nil {
			set = map[identity.ObjectID]directory.Kind{}
			r.members[g.ID] = set
		}
		for _, m := range g.Members {
			if m.Removed {
				delete(set, m.ID)
			} else {
				set[m.ID] = m.Kind
			}
		}
	}
	for _, c := range p.People {
		r.people[c.ID] = c
	}
	return nil
}

func (r *round) memberIDs(group identity.ObjectID) []identity.ObjectID {
	return slices.SortedFunc(maps.Keys(r.members[group]), identity.ObjectID.Compare)
}

// pull pulls and fails the test on an error of the whole.
func (w *world) pull(request directory.Request) *round {
	w.t.Helper()
	r, err := w.try(request)
	if err != nil {
		w.t.Fatalf("pull: %v", err)
	}
	return r
}

func (w *world) try(request directory.Request) (*round, error) {
	w.t.Helper()
	if request.Select == nil {
		request.Select = attributes()
	}
	r := newRound()
	err := w.client.Pull(w.t.Context(), request, r.take)
	return r, err
}

func sorted(ids ...identity.ObjectID) []identity.ObjectID {
	return slices.SortedFunc(slices.Values(ids), identity.ObjectID.Compare)
}
