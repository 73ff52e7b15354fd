package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/vault"
	"github.com/vaultsync/vaultsync/pkg/vault/scim"
)

// checker is a store that can say more about its connection than an answer to
// a question does.
type checker interface {
	Check(ctx context.Context) error
}

// absentLogin is asked for when a store is tried; nobody is called so.
const absentLogin = "vaultsync-check@invalid"

// pinned is the group that a name was resolved to in an earlier run. Without
// the state, and before the first run, there is none.
func (c *checkup) pinned(d config.Directory, name string) (identity.ObjectID, bool) {
	if c.app == nil || !exists(filepath.Join(c.cfg.DataDir, "directories", d.Name+".db")) {
		return identity.ObjectID{}, false
	}
	dir, err := c.app.directory(d.Name)
	if err != nil {
		return identity.ObjectID{}, false // vaultState tells of it
	}
	id, ok, err := dir.Mirror.Pinned(name)
	return id, ok && err == nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// vaultState opens what is remembered of a vault. State that is not there yet
// is not made: it would be pinned to a tenant that may be wrong.
func (c *checkup) vaultState(ctx context.Context, v config.Vault) {
	about := "vault " + v.Name
	switch {
	case c.app == nil:
		c.warn(about, "state", "not looked at: it is in use", "")
		return
	case !exists(c.app.statePath(v.Name)):
		c.ok(about, "state", "none yet: the vault has not been imported")
		return
	}
	open, err := c.app.vault(v.Name)
	if err != nil {
		c.failed(ctx, about, "state", err)
		return
	}
	meta, err := open.Snapshot.Meta()
	if err != nil {
		c.failed(ctx, about, "state", err)
		return
	}
	if !meta.Imported {
		c.ok(about, "state", "the vault has not been imported yet")
		return
	}
	c.ok(about, "state", "last success %s", local(meta.LastSuccess))
	c.storeIdentity(ctx, about, v.Name, open.Store, meta)
}

// storeIdentity compares the store with the one that the state belongs to.
func (c *checkup) storeIdentity(ctx context.Context, about, name string, store vault.Store, meta snapshot.Meta) {
	id, err := store.Identity(ctx)
	if err != nil || meta.Store == "" || id == meta.Store {
		return // vaultStore tells of an error
	}
	c.fail(exitUsage, about, "store", fmt.Sprintf("the state belongs to the store %s, this one is %s", meta.Store, id),
		"if the vault was moved on purpose: vaultsync state rebind "+name+"; if this is a copy for tests: vaultsync state reset "+name)
}

// vaultStore tries a vault's user store.
func (c *checkup) vaultStore(ctx context.Context, v config.Vault) {
	about := "vault " + v.Name
	embedded := v.Store.Type == "embedded"
	switch {
	case embedded && c.app == nil:
		c.warn(about, "store", "not tried: the embedded store is in use", "")
		return
	case embedded && !exists(filepath.Join(c.cfg.DataDir, "embedded.db")):
		c.ok(about, "store", "embedded; it is made with the first run")
		return
	}
	store, err := c.store(v)
	if err != nil {
		c.failed(ctx, about, "store", err)
		return
	}
	c.tryStore(ctx, about, v.Store.Type, store)
}

// store is the vault's; without the state only drivers that keep none here.
func (c *checkup) store(v config.Vault) (vault.Store, error) {
	if c.app != nil {
		return c.app.store(v.Name)
	}
	return (&app{cfg: c.cfg}).openStore(v)
}

// tryStore asks a store who it is, for somebody who is not there, and for its
// licences.
func (c *checkup) tryStore(ctx context.Context, about, kind string, store vault.Store) {
	if service, ok := store.(*scim.Store); ok {
		c.scimService(ctx, about, service)
		return
	}
	began := time.Now()
	id, err := store.Identity(ctx)
	if err == nil {
		var found [][]vault.User
		found, err = store.Find(ctx, []vault.Query{{LoginName: absentLogin}})
		if err == nil && (len(found) != 1 || len(found[0]) > 0) {
			err = fmt.Errorf("%w: asked for a login name that nobody has, it answered with somebody", vault.ErrInvalid)
		}
	}
	took := time.Since(began)
	if err == nil {
		if more, ok := store.(checker); ok {
			err = more.Check(ctx)
		}
	}
	if err != nil {
		c.failed(ctx, about, "store", err)
		return
	}
	c.ok(about, "store", "%s, %s, answers in %s", kind, id, max(took.Round(time.Millisecond), time.Millisecond))
	licensed, ok := store.(vault.Licensed)
	if !ok {
		return
	}
	pools, err := licensed.Licenses(ctx)
	if err != nil {
		c.failed(ctx, about, "licences", err)
		return
	}
	if kind == "embedded" {
		if c.pooled {
			return
		}
		about, c.pooled = "embedded store", true // one server for all of its vaults
	}
	for _, p := range pools {
		c.pool(about, p)
	}
}

func (c *checkup) pool(about string, p vault.Pool) {
	check := "licences " + string(p.Type)
	switch {
	case p.Count < 0:
		c.ok(about, check, "%d used, unlimited", p.Used)
	case p.Free() == 0:
		c.warn(about, check, fmt.Sprintf("%d of %d used, none is left: newcomers wait", p.Used, p.Count), "get more, or see who needs none: accounts.releaseLicense, accounts.licenseFallback")
	default:
		c.ok(about, check, "%d of %d used", p.Used, p.Count)
	}
}
