package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/directory/entra"
	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/observe"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/schedule"
)

// site is one simulated tenant of a fleet and the directory's settings for it.
type site struct {
	name     string
	tenant   *entrasim.Tenant
	graph    *entrasim.Server
	settings string // further keys of the directory, YAML
}

// fleet is a configuration folder with many vaults on one or more directories.
type fleet struct {
	dir    string
	server string // further keys of vaultsync.yaml
	sites  []*site
	close  func() error // of what open has opened

	mu   sync.Mutex
	runs []reconcile.Report
}

// newSite makes a tenant whose server answers without a network.
func newSite(t *testing.T, name string, tenant *entrasim.Tenant, settings string) *site {
	t.Helper()
	graph, err := entrasim.NewServer(entrasim.Options{}, tenant)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = graph.Close() })
	return &site{name: name, tenant: tenant, graph: graph, settings: settings}
}

// startSite makes a tenant that answers over HTTPS.
func startSite(t *testing.T, name string, tenant *entrasim.Tenant, settings string) *site {
	t.Helper()
	graph, err := entrasim.Start(entrasim.Options{}, tenant)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = graph.Close() })
	return &site{name: name, tenant: tenant, graph: graph, settings: settings}
}

func (f *fleet) file() string { return filepath.Join(f.dir, "vaultsync.yaml") }

// write writes the server's file.
func (f *fleet) write(t *testing.T) {
	t.Helper()
	var b strings.Builder
	b.WriteString("dataDir: ./data\nvaults: vaults.d\napi: {listen: \"\"}\n" + f.server + "\ndirectories:\n")
	for _, s := range f.sites {
		url := s.graph.URL()
		if url == "" {
			url = "https://graph.contoso.com"
		}
		fmt.Fprintf(&b, `  - name: %s
    type: entra
    tenantId: %s
    clientId: %s
    credential: {type: clientSecret, secretFile: contoso.secret}
    endpoints: {graph: %q, authority: %q}
    caFile: %s.pem
`, s.name, s.tenant.ID(), entrasim.DemoClientID, url, url, s.name)
		for line := range lines(s.settings) {
			b.WriteString("    " + line + "\n")
		}
		put(t, filepath.Join(f.dir, s.name+".pem"), string(s.graph.CAPEM()))
	}
	put(t, filepath.Join(f.dir, "contoso.secret"), entrasim.DemoSecret)
	put(t, f.file(), b.String())
}

// vault writes a vault's file.
func (f *fleet) vault(t *testing.T, name, directory, schedule string, groups ...string) {
	t.Helper()
	text := fmt.Sprintf("vault: %s\ndirectory: %s\nstore: {type: embedded}\nschedule: %s\ngroups:\n", name, directory, schedule)
	for i, id := range groups {
		text += fmt.Sprintf("  - {id: %s, vaultGroup: Group %d}\n", id, i)
	}
	put(t, filepath.Join(f.dir, "vaults.d", name+".yaml"), text)
}

func (f *fleet) load() (*config.Config, error) { return config.Load(f.file(), config.Overrides{}) }

// told keeps the reports of all runs.
func (f *fleet) told(r reconcile.Report, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		r.Outcome = reconcile.Failed
	}
	f.runs = append(f.runs, r)
}

// take gives the runs since it was last called.
func (f *fleet) take() []reconcile.Report {
	f.mu.Lock()
	defer f.mu.Unlock()
	runs := f.runs
	f.runs = nil
	return runs
}

// open gives a daemon without its endpoint, whose directories answer without a
// network: what a synctest bubble can hold.
func (f *fleet) open(t *testing.T) *daemon {
	t.Helper()
	cfg, err := f.load()
	if err != nil {
		t.Fatal(err)
	}
	if err := ownFolder(cfg.DataDir); err != nil {
		t.Fatal(err)
	}
	d := &daemon{log: slog.New(slog.DiscardHandler), load: f.load, told: f.told, metrics: observe.NewMetrics("test")}
	d.idle = sync.NewCond(&d.mu)
	times, err := schedule.OpenFile((&app{cfg: cfg}).timesPath())
	if err != nil {
		t.Fatal(err)
	}
	if d.app, err = openApp(cfg, d.log); err != nil {
		t.Fatal(err)
	}
	f.close = func() error { return errors.Join(d.app.Close(), times.Close()) }
	d.runner, err = schedule.NewRunner(schedule.Options{Concurrency: cfg.Concurrency, Times: times}, d.jobs(cfg))
	if err != nil {
		t.Fatal(err)
	}
	d.app.runner = d.runner
	f.unplug(t, d.app)
	return d
}

// unplug puts clients without a network into all directories of an app.
func (f *fleet) unplug(t *testing.T, a *app) {
	t.Helper()
	for _, s := range f.sites {
		settings, ok := a.cfg.Directory(s.name)
		if !ok {
			continue
		}
		dir, err := a.directory(s.name)
		if err != nil {
			t.Fatal(err)
		}
		if c, ok := dir.Client.(*entra.Client); ok {
			c.Close()
		}
		dir.Client, err = entra.New(entra.Options{
			TenantID: settings.TenantID, ClientID: settings.ClientID, GraphURL: settings.Endpoints.Graph, AuthorityURL: settings.Endpoints.Authority,
			Credential: entra.Credential{Type: entra.ClientSecret, SecretFile: settings.Credential.SecretFile},
			Patience:   settings.Patience, Transport: abruptTransport{handlerTransport{s.graph.Handler()}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// abruptTransport lets a server break a connection, and a client give up.
type abruptTransport struct{ handlerTransport }

func (a abruptTransport) RoundTrip(r *http.Request) (response *http.Response, err error) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			response, err = nil, cmp.Or(r.Context().Err(), io.ErrUnexpectedEOF)
		default:
			panic(p)
		}
	}()
	return a.handlerTransport.RoundTrip(r)
}

// requests gives the Graph requests since it was last called, sign-ins apart.
func (s *site) requests() int {
	n := s.graph.Stats().Total
	s.graph.ResetStats()
	return n
}

// groupIDs are the ids of the tenant's groups "Group 0" and so on.
func groupIDs(t *testing.T, tenant *entrasim.Tenant, n int) []string {
	t.Helper()
	var ids []string
	for _, c := range tenant.Circles() {
		ids = append(ids, c.ID.String())
	}
	if len(ids) < n {
		t.Fatalf("the tenant has %d groups, not %d", len(ids), n)
	}
	return ids[:n]
}

// until waits for something that another goroutine or process brings about.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("did not come: %s", what)
		}
	}
}
