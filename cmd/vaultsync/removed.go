package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
)

// removedState is the state of a vault whose file is gone from the
// configuration: its synchronization has ended, its state is kept.
const removedState = "removed"

// removedText says what that means, and what else could have been meant.
const removedText = "its file is gone from the configuration: nothing is synchronized, its accounts stay as they are; " +
	"to withdraw everybody put the file back with groups: [], synchronize and approve"

// removedVaults are the vaults that have been imported once and are not
// configured any more, sorted by name.
func (a *app) removedVaults() ([]vaultStatus, error) {
	folder := filepath.Dir(a.statePath(""))
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for the state of vaults that were removed: %w", err)
	}
	configured := map[string]bool{}
	for _, v := range a.cfg.Vaults {
		configured[filepath.Base(a.statePath(v.Name))] = true
	}
	var all []vaultStatus
	for _, e := range entries {
		if configured[e.Name()] || !e.Type().IsRegular() || filepath.Ext(e.Name()) != ".db" {
			continue
		}
		if st, ok := removedVault(filepath.Join(folder, e.Name())); ok {
			all = append(all, st)
		}
	}
	return all, nil
}

// removedVault describes the vault that a file was left by; one that was never
// imported has left nothing.
func removedVault(path string) (vaultStatus, bool) {
	st := vaultStatus{Vault: strings.TrimSuffix(filepath.Base(path), ".db"), State: removedState, Problem: removedText}
	meta, err := snapshot.Peek(path)
	if err != nil {
		st.Problem = err.Error()
		return st, true
	}
	if !meta.Imported {
		return st, false
	}
	var last reconcile.Report
	if len(meta.LastRun) > 0 && json.Unmarshal(meta.LastRun, &last) == nil {
		st.LastRun = &last
	}
	st.Vault, st.LastSuccess = meta.Vault, timeOrNil(meta.LastSuccess)
	return st, true
}

// statusOf is the status of the vaults that the arguments mean, all of them
// without: those that are configured, then those that were removed.
func (a *app) statusOf(args []string) ([]vaultStatus, error) {
	removed, err := a.removedVaults()
	if err != nil {
		return nil, err
	}
	if len(args) == 1 {
		for _, st := range removed {
			if _, configured := a.cfg.Vault(args[0]); !configured && strings.EqualFold(st.Vault, args[0]) {
				return []vaultStatus{st}, nil
			}
		}
		removed = nil
	}
	names, err := a.names(args, len(args) == 0)
	if err != nil {
		return nil, err
	}
	phases := a.phases()
	all := make([]vaultStatus, 0, len(names)+len(removed))
	for _, name := range names {
		all = append(all, a.vaultStatus(name, phases))
	}
	return append(all, removed...), nil
}
