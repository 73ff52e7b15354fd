package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
)

// resetText says what a reset means, before it is confirmed.
const resetText = `vault %s: its state is set aside, and the next run is a first import:
  - accounts that carry a person's object id, or match by accounts.match, are
    taken over as they are (accounts.adopt: %v)%s
  - accounts that were deleted by hand are made again; what guards hold, what was
    rejected, and who was disabled by synchronization is forgotten
  - nobody is disabled by that run: accounts of people who are in no group any
    more stay as they are. If that is not what you want, rebuild the state from
    the vault instead: vaultsync state repair %s --rebuild
`

func stateResetCommand(s *session) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "reset VAULT",
		Short: "Forget what was applied to a vault; the next run is a first import",
		Long: `Sets the state of a vault aside, under another name beside it, so that the next
run is a first import: for a copy of a vault, or a vault that was emptied. It
asks before, or takes --yes.

To mend damaged or lost state use state repair instead: a first import disables
nobody, so that people who left meanwhile would keep their access.`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: s.completeVaults,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes && s.ground == nil {
				if ok, err := s.confirmReset(args[0]); err != nil || !ok {
					return err
				}
			}
			return s.still(cmd.Context(), []string{"state", "reset", args[0], "--yes"}, func(_ context.Context, cfg *config.Config) error {
				return s.reset(cfg, args[0])
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func (s *session) confirmReset(name string) (bool, error) {
	cfg, err := s.load()
	if err != nil {
		return false, err
	}
	v, ok := cfg.Vault(name)
	if !ok {
		return false, (&app{cfg: cfg}).unknownVault(name)
	}
	more := ""
	if !v.Accounts.Adopt {
		more = ":\n    those that exist wait as conflicts"
	}
	fmt.Fprintf(s.err, resetText, v.Name, v.Accounts.Adopt, more, v.Name) //nolint:errcheck // a remark
	return s.confirm("Forget it?", "vaultsync state reset "+v.Name+" --yes")
}

func (s *session) reset(cfg *config.Config, name string) error {
	a := &app{cfg: cfg}
	v, ok := cfg.Vault(name)
	if !ok {
		return a.unknownVault(name)
	}
	path := a.statePath(v.Name)
	switch {
	case !exists(path):
		s.say("%s: there is no state to forget", v.Name)
		return nil
	case boltfile.InUse(path):
		return &boltfile.Error{Path: path, Kind: boltfile.ErrLocked}
	}
	where, err := aside(path, "reset", time.Now())
	if err != nil {
		return err
	}
	s.say("%s: forgotten, and set aside as %s", v.Name, where)
	s.say("%s: the next run is a first import; see before what it will do: vaultsync plan %s", v.Name, v.Name)
	return nil
}

func stateRebindCommand(s *session) *cobra.Command {
	var yes, show bool
	cmd := &cobra.Command{
		Use:   "rebind VAULT",
		Short: "Accept that a vault's user store is another one now",
		Long: `Accepts the store that the configuration leads to as the one that the vault's
state belongs to, after the vault was moved to another server on purpose. It
shows both and asks, or takes --yes. The next run looks at everybody: accounts
that did not come along count as vanished, which a guard holds.

For a copy of a vault, beside which the first one lives on, use state reset.`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: s.completeVaults,
		RunE: func(cmd *cobra.Command, args []string) error {
			if show {
				return s.do(cmd.Context(), call{args: []string{"state", "rebind", args[0], "--show"}, work: func(ctx context.Context, a *app) error {
					both, err := bothStores(ctx, a, args[0])
					return errors.Join(err, printJSON(s.out, both))
				}})
			}
			if !yes && s.ground == nil {
				if ok, err := s.confirmRebind(cmd.Context(), args[0]); err != nil || !ok {
					return err
				}
			}
			return s.still(cmd.Context(), []string{"state", "rebind", args[0], "--yes"}, func(ctx context.Context, cfg *config.Config) error {
				a, err := openApp(cfg, s.logger(cfg))
				if err != nil {
					return err
				}
				return errors.Join(s.rebind(ctx, a, args[0]), a.Close())
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&show, "show", false, "print both stores as JSON and do nothing")
	return cmd
}

// stores are the one that a vault's state belongs to and the one that the
// configuration leads to.
type stores struct {
	Vault string `json:"vault"`
	State string `json:"state"`
	Store string `json:"store"`
}

func (s *session) showStores(both stores) {
	s.say("%s: the state belongs to   %s", both.Vault, cmp.Or(both.State, "(none yet)"))
	s.say("%s: the configuration has  %s", both.Vault, both.Store)
	if both.State == both.Store {
		s.say("%s: they are the same; there is nothing to do", both.Vault)
	}
}

func (s *session) confirmRebind(ctx context.Context, name string) (bool, error) {
	text, code := s.capture(ctx, "state", "rebind", name, "--show")
	if code != exitDone {
		return false, exitError{code}
	}
	var both stores
	if err := json.Unmarshal(text, &both); err != nil {
		return false, fmt.Errorf("read the stores: %w", err)
	}
	s.showStores(both)
	if both.State == both.Store {
		return false, nil
	}
	return s.confirm("Take the store that is configured now for the one of this state?", "vaultsync state rebind "+name+" --yes")
}

// bothStores asks a vault's state and its store.
func bothStores(ctx context.Context, a *app, name string) (both stores, err error) {
	names, err := a.names([]string{name}, false)
	if err != nil {
		return both, err
	}
	both.Vault = names[0]
	if !exists(a.statePath(both.Vault)) {
		return both, usageError{text: fmt.Sprintf("vault %s has no state yet: it takes the store that it finds", both.Vault)}
	}
	v, err := a.vault(both.Vault)
	if err != nil {
		return both, err
	}
	meta, err := v.Snapshot.Meta()
	if err != nil {
		return both, err
	}
	both.State = meta.Store
	if both.Store, err = v.Store.Identity(ctx); err != nil {
		return both, fmt.Errorf("vault %s: ask the user store who it is: %w", both.Vault, err)
	}
	return both, nil
}

func (s *session) rebind(ctx context.Context, a *app, name string) error {
	both, err := bothStores(ctx, a, name)
	if err != nil {
		return err
	}
	s.showStores(both)
	if both.State == both.Store {
		return nil
	}
	v, err := a.vault(both.Vault)
	if err != nil {
		return err
	}
	err = v.Snapshot.Write(func(tx *snapshot.Tx) error {
		meta, err := tx.Meta()
		if err != nil {
			return err
		}
		// Without the digest of the rules the next run looks at everybody.
		meta.Store, meta.Rules = both.Store, ""
		return tx.PutMeta(meta)
	})
	if err != nil {
		return err
	}
	s.say("%s: the state belongs to that store from now on; see what the next run will do: vaultsync plan %s", both.Vault, both.Vault)
	return nil
}
