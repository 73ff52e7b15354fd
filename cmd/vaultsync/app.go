package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/directory/entra"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/mirror"
	"github.com/vaultsync/vaultsync/pkg/provlog"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/roster"
	"github.com/vaultsync/vaultsync/pkg/schedule"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/vault"
	"github.com/vaultsync/vaultsync/pkg/vault/embedded"
	"github.com/vaultsync/vaultsync/pkg/vault/scim"
)

// app is the open state and everything wired to it. Files are opened when they
// are first needed, so that a command about one vault touches nothing else.
type app struct {
	cfg     *config.Config
	log     *slog.Logger
	journal *provlog.Log
	clock   func() time.Time

	// runner is set in the daemon.
	runner *schedule.Runner
	// times are the run times, which the daemon has open.
	times *schedule.File

	mu          sync.Mutex
	directories map[string]*reconcile.Directory
	vaults      map[string]*reconcile.Vault // by configured name
	opened      map[string]bool
	server      *embedded.Server
	scims       map[string]*scim.Store // by configured name
	reports     map[string]reconcile.Report
	// requests are those of a pull that was made for a vault's next run.
	requests  map[string]int
	listeners map[string]map[int]func(reconcile.Progress)
	nextID    int
}

func openApp(cfg *config.Config, log *slog.Logger) (*app, error) {
	if err := ownFolder(cfg.DataDir); err != nil {
		return nil, err
	}
	journal, err := provlog.Open(filepath.Join(cfg.DataDir, "log"), provlog.Options{})
	if err != nil {
		return nil, fmt.Errorf("open the provisioning log: %w", err)
	}
	a := &app{
		cfg: cfg, log: log, journal: journal, clock: time.Now,
		directories: map[string]*reconcile.Directory{}, vaults: map[string]*reconcile.Vault{}, opened: map[string]bool{},
		reports: map[string]reconcile.Report{}, requests: map[string]int{}, listeners: map[string]map[int]func(reconcile.Progress){},
	}
	return a, a.compile()
}

// time is now, as the runs of this app see it.
func (a *app) time() time.Time { return a.clock() }

// compile checks the expressions of all vaults; every problem is reported.
func (a *app) compile() error {
	var problems []error
	for _, v := range a.cfg.Vaults {
		rules, err := roster.Compile(v)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		a.vaults[v.Name] = &reconcile.Vault{
			Rules: rules, Journal: a.journal.Append, Logger: a.log, Now: a.time,
			NewID: func() string { return ulid.Make().String() }, Classify: func(err error) int { return exitCode(context.Background(), err) },
		}
	}
	if err := errors.Join(problems...); err != nil {
		return usageError{text: "the configuration cannot be used:\n" + err.Error()}
	}
	return nil
}

// Close closes every file.
func (a *app) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var errs []error
	for _, v := range a.vaults {
		if v.Snapshot != nil {
			errs = append(errs, v.Snapshot.Close())
		}
	}
	for _, d := range a.directories {
		errs = append(errs, d.Mirror.Close())
		if c, ok := d.Client.(*entra.Client); ok {
			c.Close()
		}
	}
	if a.server != nil {
		errs = append(errs, a.server.Close())
	}
	for _, s := range a.scims {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, a.journal.Close(), handOver(a.cfg.DataDir))...)
}

// names are the configured vaults that the arguments mean, all of them with
// all; an unknown one is a usage error that names those there are.
func (a *app) names(args []string, all bool) ([]string, error) {
	if all {
		var names []string
		for _, v := range a.cfg.Vaults {
			names = append(names, v.Name)
		}
		return names, nil
	}
	var names []string
	for _, arg := range args {
		v, ok := a.cfg.Vault(arg)
		if !ok {
			return nil, a.unknownVault(arg)
		}
		if !slices.Contains(names, v.Name) {
			names = append(names, v.Name)
		}
	}
	return names, nil
}

func (a *app) unknownVault(name string) error {
	var known []string
	for _, v := range a.cfg.Vaults {
		known = append(known, v.Name)
	}
	return usageError{text: fmt.Sprintf("no vault is called %q", name), hint: "one of the configured vaults: " + strings.Join(known, ", ")}
}

// vault opens what a run of a vault needs.
func (a *app) vault(name string) (*reconcile.Vault, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v, ok := a.vaults[name]
	if !ok {
		return nil, a.unknownVault(name)
	}
	if a.opened[name] {
		return v, nil
	}
	rules := v.Rules.Vault
	tenant, err := a.tenant(rules.Directory)
	if err != nil {
		return nil, err
	}
	if v.Directory == nil {
		if _, err := a.openDirectory(rules.Directory); err != nil {
			return nil, fmt.Errorf("directory %s: %w", rules.Directory, err)
		}
	}
	if v.Store == nil {
		store, err := a.openStore(rules)
		if err != nil {
			return nil, fmt.Errorf("vault %s: %w", name, err)
		}
		v.Store = store
	}
	state, err := snapshot.Open(a.statePath(name), name, tenant)
	if err != nil {
		return nil, err
	}
	v.Snapshot = state
	a.opened[name] = true
	return v, nil
}

func (a *app) statePath(name string) string {
	return filepath.Join(a.cfg.DataDir, "vaults", strings.ToLower(name)+".db")
}

func (a *app) tenant(directory string) (string, error) {
	d, ok := a.cfg.Directory(directory)
	if !ok {
		return "", usageError{text: fmt.Sprintf("no directory is called %q", directory)}
	}
	return strings.ToLower(d.TenantID), nil
}

// directory opens the local copy of a directory and its client.
func (a *app) directory(name string) (*reconcile.Directory, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.openDirectory(name)
}

// openDirectory is directory with a.mu held.
func (a *app) openDirectory(name string) (*reconcile.Directory, error) {
	if d := a.directories[name]; d != nil {
		return d, nil
	}
	settings, ok := a.cfg.Directory(name)
	if !ok {
		return nil, usageError{text: fmt.Sprintf("no directory is called %q", name)}
	}
	client, err := newClient(settings, a.log)
	if err != nil {
		return nil, err
	}
	d := &reconcile.Directory{
		Name: name, Client: client, Now: a.time, Imported: func() []*reconcile.Vault { return a.importedVaultsOf(name) },
		Guard: reconcile.Guard{Limit: a.cfg.Disables, Path: filepath.Join(a.cfg.DataDir, "directories", name+".guard.json")},
	}
	sources := map[string]bool{}
	for _, v := range a.cfg.Vaults {
		if v.Directory != name {
			continue
		}
		member := a.vaults[v.Name]
		member.Directory = d
		d.Vaults = append(d.Vaults, member)
		for _, source := range member.Rules.Sources() {
			sources[source] = true
		}
		if every := v.Schedule.ReconcileEvery; d.FullEvery == 0 || every < d.FullEvery {
			d.FullEvery = every
		}
	}
	var list []string
	for source := range sources {
		list = append(list, source)
	}
	slices.Sort(list)
	d.Mirror, err = mirror.Open(filepath.Join(a.cfg.DataDir, "directories", name+".db"), mirror.Options{
		Tenant: strings.ToLower(settings.TenantID), Select: list, Logger: a.log, Profiles: settings.Profiles,
	})
	if err != nil {
		client.Close()
		return nil, err
	}
	a.directories[name] = d
	return d, nil
}

// importedVaultsOf opens every vault of a directory that has state; one whose
// state cannot be opened is left to its own runs to say so.
func (a *app) importedVaultsOf(directory string) []*reconcile.Vault {
	var vaults []*reconcile.Vault
	for _, v := range a.cfg.Vaults {
		if v.Directory != directory {
			continue
		}
		if _, err := os.Stat(a.statePath(v.Name)); err != nil {
			continue
		}
		open, err := a.vault(v.Name)
		if err != nil {
			a.log.Warn("a vault does not count for the directory's guard", "vault", v.Name, "error", err)
			continue
		}
		vaults = append(vaults, open)
	}
	return vaults
}

func newClient(d config.Directory, log *slog.Logger) (*entra.Client, error) {
	client, err := entra.New(entra.Options{
		TenantID: d.TenantID, ClientID: d.ClientID, Cloud: d.Cloud,
		GraphURL: d.Endpoints.Graph, AuthorityURL: d.Endpoints.Authority,
		CAFile: d.CAFile, Proxy: d.Proxy.Reveal(), Patience: d.Patience, Logger: log,
		Credential: entra.Credential{
			Type: entra.CredentialType(d.Credential.Type), SecretFile: credentialFile(d.Credential.SecretFile), SecretEnv: d.Credential.SecretEnv,
			CertificateFile: credentialFile(d.Credential.CertificateFile), CertificatePasswordFile: credentialFile(d.Credential.CertificatePasswordFile),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("directory %s: %w", d.Name, err)
	}
	return client, nil
}

// openStore opens a vault's user store; a.mu is held.
func (a *app) openStore(v config.Vault) (vault.Store, error) {
	switch v.Store.Type {
	case "embedded":
		if err := a.openServer(); err != nil {
			return nil, err
		}
		return a.server.Vault(v.Name), nil
	case "scim":
		return a.openSCIM(v)
	default:
		return nil, usageError{text: fmt.Sprintf("vault %s: store.type %q has no driver", v.Name, v.Store.Type)}
	}
}

func (a *app) openServer() error {
	if a.server != nil {
		return nil
	}
	var pools []embedded.Pool
	for _, p := range a.cfg.EmbeddedStore.Licenses {
		pools = append(pools, embedded.Pool(p))
	}
	server, err := embedded.Open(filepath.Join(a.cfg.DataDir, "embedded.db"), embedded.Options{Licenses: pools, Logger: a.log})
	if err != nil {
		return err
	}
	a.server = server
	return nil
}

// embeddedStore is a vault's store for administration by hand.
func (a *app) embeddedStore(name string) (*embedded.Store, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v, ok := a.cfg.Vault(name)
	switch {
	case !ok:
		return nil, a.unknownVault(name)
	case v.Store.Type != "embedded":
		return nil, usageError{text: fmt.Sprintf("vault %s has a %s store: administer it with its own tools", v.Name, v.Store.Type)}
	}
	if err := a.openServer(); err != nil {
		return nil, err
	}
	return a.server.Vault(v.Name), nil
}

// store is a vault's store, whatever its driver, without its state.
func (a *app) store(name string) (vault.Store, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v, ok := a.cfg.Vault(name)
	if !ok {
		return nil, a.unknownVault(name)
	}
	return a.openStore(v)
}

// run makes one run of a vault; everybody who watches the vault sees its
// progress.
func (a *app) run(ctx context.Context, name string, o reconcile.Options) (reconcile.Report, error) {
	v, err := a.vault(name)
	if err != nil {
		a.failed(name, err)
		return a.lastReport(name), err
	}
	o.Progress = func(p reconcile.Progress) { a.tell(name, p) }
	report, err := v.Run(ctx, o)
	if o.Prepared {
		report.Requests.Directory += a.takeRequests(name)
	}
	a.keep(report)
	if report.Counts.Made() > 0 {
		err = errors.Join(err, a.journal.Sync())
	}
	if a.runner == nil && !o.DryRun && o.Person.IsZero() && o.Only == nil && err == nil {
		err = a.recordRun(report)
	}
	return report, err
}

// recordRun tells a daemon that is started later that the vault has been
// imported, and when: it is then due like any other, and does not wait for the
// start time of its first import.
func (a *app) recordRun(report reconcile.Report) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	times, err := schedule.OpenFile(a.timesPath())
	if err != nil {
		return err
	}
	past, err := times.Load()
	if err == nil {
		p := past[report.Vault]
		p.LastStart, p.Failures = report.Started, 0
		if p.Imported.IsZero() {
			p.Imported = report.Started
		}
		if report.Mode == "full" || report.Mode == "initial" {
			p.LastFull = report.Started
		}
		err = times.Save(map[string]schedule.Past{report.Vault: p})
	}
	return errors.Join(err, times.Close())
}

// prepared keeps what the pull for a vault's next run has cost.
func (a *app) prepared(name string, requests int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests[name] += requests
}

func (a *app) takeRequests(name string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.requests[name]
	delete(a.requests, name)
	return n
}

// failed keeps that a run did not come to its vault, and gives its report.
func (a *app) failed(name string, err error) reconcile.Report {
	now := a.time().UTC()
	report := reconcile.Report{Vault: name, Mode: "delta", Outcome: reconcile.Failed, Error: err.Error(), Started: now, Finished: now}
	a.keep(report)
	return report
}

func (a *app) keep(report reconcile.Report) {
	if report.DryRun {
		return
	}
	report.Plan = nil // a plan can be large, and is never looked at again
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reports[report.Vault] = report
}

func (a *app) lastReport(name string) reconcile.Report {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reports[name]
}

// watch calls f with the progress of a vault's runs until the returned
// function is called.
func (a *app) watch(name string, f func(reconcile.Progress)) (end func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.listeners[name] == nil {
		a.listeners[name] = map[int]func(reconcile.Progress){}
	}
	id := a.nextID
	a.nextID++
	a.listeners[name][id] = f
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.listeners[name], id)
	}
}

func (a *app) tell(name string, p reconcile.Progress) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.listeners[name] {
		f(p)
	}
}

// personID finds a person of a vault by object id or login name.
func (a *app) personID(v *reconcile.Vault, who string) (identity.ObjectID, error) {
	if id, err := identity.ParseObjectID(who); err == nil {
		return id, nil
	}
	return v.FindPerson(who)
}
