package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/directory/entra"
	"github.com/vaultsync/vaultsync/pkg/mirror"
	"github.com/vaultsync/vaultsync/pkg/provlog"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/roster"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/vault/embedded"
)

// world is the engine wired as the daemon wires it: one directory, all vaults
// on one embedded server, the provisioning log.
type world struct {
	directory *reconcile.Directory
	client    *entra.Client
	server    *embedded.Server
	journal   *provlog.Log
	stores    []*watchedStore
	dir       string
}

// Files below the folder of a run.
const (
	mirrorFile = "mirror.db"
	storeFile  = "embedded.db"
	vaultsDir  = "vaults"
	logDir     = "log"
)

// openWorld opens, or makes, the state in dir.
func openWorld(dir string, facts tenantFacts, vaults int) (w *world, err error) {
	cfg, err := configure(dir, facts, vaults)
	if err != nil {
		return nil, err
	}
	w = &world{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
			w = nil
		}
	}()
	log := slog.New(slog.DiscardHandler)
	settings := cfg.Directories[0]
	w.client, err = entra.New(entra.Options{
		TenantID: settings.TenantID, ClientID: settings.ClientID, GraphURL: settings.Endpoints.Graph, AuthorityURL: settings.Endpoints.Authority,
		CAFile: settings.CAFile, Patience: settings.Patience, Logger: log,
		Credential: entra.Credential{Type: entra.ClientSecret, SecretFile: settings.Credential.SecretFile},
	})
	if err != nil {
		return w, fmt.Errorf("make the client: %w", err)
	}
	if w.journal, err = provlog.Open(filepath.Join(dir, logDir), provlog.Options{}); err != nil {
		return w, fmt.Errorf("open the provisioning log: %w", err)
	}
	if w.server, err = embedded.Open(filepath.Join(dir, storeFile), embedded.Options{Logger: log}); err != nil {
		return w, fmt.Errorf("open the user store: %w", err)
	}
	w.directory = &reconcile.Directory{
		Name: settings.Name, Client: w.client, Now: time.Now, FullEvery: 24 * time.Hour,
		// The guards are not what is measured here.
		Guard: reconcile.Guard{Limit: config.Guard{Count: 1 << 30, Percent: 100, Minimum: 1}, Path: filepath.Join(dir, "guard.json")},
	}
	w.directory.Imported = func() []*reconcile.Vault { return w.directory.Vaults }
	for _, v := range cfg.Vaults {
		if err := w.addVault(v, settings.TenantID, log); err != nil {
			return w, err
		}
	}
	w.directory.Mirror, err = mirror.Open(filepath.Join(dir, mirrorFile), mirror.Options{
		Tenant: settings.TenantID, Select: w.directory.Vaults[0].Rules.Sources(), Logger: log, Profiles: settings.Profiles,
	})
	if err != nil {
		return w, fmt.Errorf("open the mirror: %w", err)
	}
	return w, nil
}

func (w *world) addVault(v config.Vault, tenant string, log *slog.Logger) error {
	rules, err := roster.Compile(v)
	if err != nil {
		return fmt.Errorf("compile the rules: %w", err)
	}
	state, err := snapshot.Open(filepath.Join(w.dir, vaultsDir, v.Name+".db"), v.Name, tenant)
	if err != nil {
		return fmt.Errorf("open the vault's state: %w", err)
	}
	store := &watchedStore{Store: w.server.Vault(v.Name)}
	w.stores = append(w.stores, store)
	w.directory.Vaults = append(w.directory.Vaults, &reconcile.Vault{
		Rules: rules, Directory: w.directory, Store: store, Snapshot: state,
		Journal: w.journal.Append, Logger: log, Now: time.Now, NewID: func() string { return ulid.Make().String() },
	})
	return nil
}

// configure writes the configuration as an operator would and reads it, so
// that every default is the program's own. The top groups are dealt out among
// the vaults.
func configure(dir string, facts tenantFacts, vaults int) (*config.Config, error) {
	folder := filepath.Join(dir, "vaults.d")
	if err := errors.Join(os.MkdirAll(folder, 0o700), os.MkdirAll(filepath.Join(dir, vaultsDir), 0o700)); err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	groups := make([][]string, vaults)
	for i, id := range facts.Roots {
		groups[i%vaults] = append(groups[i%vaults], id)
	}
	for i, ids := range groups {
		var b strings.Builder
		fmt.Fprintf(&b, "vault: vault-%04d\ndirectory: contoso\nstore: {type: embedded}\ngroups:\n", i)
		for _, id := range ids {
			fmt.Fprintf(&b, "  - {id: %s, nested: %t}\n", id, facts.Nesting > 0)
		}
		const off = "{count: 100000000, percent: 100, minimum: 1}"
		b.WriteString("guards:\n  disables: " + off + "\n  loginChanges: " + off + "\n  vanished: " + off +
			"\n  creates: {count: 100000000}\n  memberRemovals: {percent: 100, minimum: 1}\n  emptyGroup: allow\n  missingGroup: allow\n")
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("vault-%04d.yaml", i)), []byte(b.String()), 0o600); err != nil {
			return nil, fmt.Errorf("write the configuration: %w", err)
		}
	}
	server := fmt.Sprintf("dataDir: %q\nvaults: vaults.d\ndirectories:\n  - name: contoso\n    type: entra\n    tenantId: %s\n    clientId: %s\n"+
		"    credential: {type: clientSecret, secretFile: %q}\n    endpoints: {graph: %q, authority: %q}\n    caFile: %q\n",
		dir, facts.TenantID, facts.ClientID, facts.SecretFile, facts.URL, facts.URL, facts.CAFile)
	file := filepath.Join(dir, "vaultsync.yaml")
	if err := os.WriteFile(file, []byte(server), 0o600); err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	cfg, err := config.Load(file, config.Overrides{})
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return cfg, nil
}

// Close closes every file that is open.
func (w *world) Close() error {
	var errs []error
	if w.directory != nil {
		for _, v := range w.directory.Vaults {
			errs = append(errs, v.Snapshot.Close())
		}
		if w.directory.Mirror != nil {
			errs = append(errs, w.directory.Mirror.Close())
		}
	}
	if w.server != nil {
		errs = append(errs, w.server.Close())
	}
	if w.client != nil {
		w.client.Close()
	}
	if w.journal != nil {
		errs = append(errs, w.journal.Close())
	}
	return errors.Join(errs...)
}
