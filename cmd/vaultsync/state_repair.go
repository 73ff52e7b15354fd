package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/schedule"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
)

func stateRepairCommand(s *session) *cobra.Command {
	var rebuild, yes bool
	cmd := &cobra.Command{
		Use:   "repair [VAULT]",
		Short: "Set damaged files aside and rebuild what was in them",
		Long: `Sets damaged files aside, under another name beside them, and rebuilds them:

  the local copy of a directory   is read anew, in full, by the next run; groups
                                  that are configured by name are looked up anew
  what was applied to a vault     is rebuilt from the vault: the accounts and
                                  groups that carry an object id of the directory
                                  and are marked as ours. The next run looks at
                                  everybody, the guards acting as ever: whoever
                                  left meanwhile is disabled then. No field is
                                  written until its value changes in the
                                  directory; an account that is disabled counts
                                  as disabled by hand; accounts deleted by hand
                                  and rejected changes are forgotten
  the run times                   are taken from the vaults' states; pauses are
                                  forgotten
  the guard of a directory        forgets who left within the last day, and what
                                  was approved

The embedded store is the vaults' users themselves and cannot be rebuilt: restore
a backup. What is sound is left alone; --rebuild rebuilds the state of one vault
all the same.`,
		Example: `  vaultsync state check
  vaultsync state repair
  vaultsync plan sales`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: s.completeVaults,
		RunE: func(cmd *cobra.Command, args []string) error {
			if rebuild && len(args) == 0 {
				return usageError{text: "state repair: --rebuild goes with one vault", hint: "vaultsync state repair VAULT --rebuild"}
			}
			if rebuild && !yes && s.ground == nil {
				ok, err := s.confirm(fmt.Sprintf("Forget the state of vault %s and rebuild it from the vault?", args[0]), "vaultsync state repair "+args[0]+" --rebuild --yes")
				if err != nil || !ok {
					return err
				}
			}
			line := append([]string{"state", "repair"}, args...)
			if rebuild {
				line = append(line, "--rebuild", "--yes")
			}
			return s.still(cmd.Context(), line, func(ctx context.Context, cfg *config.Config) error {
				return s.repair(ctx, cfg, args, rebuild)
			})
		},
	}
	cmd.Flags().BoolVar(&rebuild, "rebuild", false, "rebuild the vault's state although it is sound")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func (s *session) repair(ctx context.Context, cfg *config.Config, args []string, rebuild bool) error {
	files, err := chosen(cfg, args)
	if err != nil {
		return err
	}
	worst := exitDone
	// The vaults' states are rebuilt from the embedded store and lead to the
	// run times: the order is the other way round.
	for _, f := range inRepairOrder(files) {
		if f.kind == kindTimes && s.underDaemon {
			s.say("%s: in use by the running daemon; stop it to have this file looked at", f)
			continue
		}
		e, err := examine(ctx, f)
		if err != nil {
			return err
		}
		code, err := s.repairFile(ctx, cfg, e, rebuild && f.kind == kindVault)
		if err != nil {
			return err
		}
		worst = gravest(worst, code)
	}
	if len(files) == 0 {
		s.say("there is no state yet in %s", cfg.DataDir)
	}
	return codeError(worst)
}

func inRepairOrder(files []stateFile) []stateFile {
	var ordered []stateFile
	for _, kind := range []string{kindEmbedded, kindDirectory, kindGuard, kindVault, kindTimes} {
		for _, f := range files {
			if f.kind == kind {
				ordered = append(ordered, f)
			}
		}
	}
	return ordered
}

// repairFile repairs one file. The code is what stays wrong.
func (s *session) repairFile(ctx context.Context, cfg *config.Config, e examined, rebuild bool) (int, error) {
	switch {
	case e.code == exitDone && !rebuild:
		s.say("%s: sound", e.stateFile)
		return exitDone, nil
	case e.code != exitDamaged && e.code != exitDone:
		s.say("%s: %s", e.stateFile, e.detail)
		return e.code, nil
	}
	if e.code == exitDamaged {
		s.say("%s: damaged: %s", e.stateFile, e.detail)
	}
	switch e.kind {
	case kindEmbedded:
		s.say("  it holds the vaults' users and cannot be rebuilt: %s", repairHint(e.stateFile))
		return exitDamaged, nil
	case kindVault:
		why := "damaged"
		if e.code == exitDone {
			why = "replaced"
		}
		return exitDone, s.rebuildVault(ctx, cfg, e.stateFile, why)
	case kindTimes:
		return exitDone, s.rebuildTimes(cfg, e.stateFile)
	}
	where, err := aside(e.path, "damaged", time.Now())
	if err != nil {
		return exitFailed, err
	}
	s.say("  set aside as %s", where)
	if e.kind == kindDirectory {
		s.say("  the next run reads the directory in full and evaluates every vault against it")
	} else {
		s.say("  the guard over all vaults of the directory begins anew")
	}
	return exitDone, nil
}

// rebuildVault makes a vault's state anew from the vault, and only then sets
// the old one aside.
func (s *session) rebuildVault(ctx context.Context, cfg *config.Config, f stateFile, why string) error {
	v, ok := cfg.Vault(f.name)
	if !ok {
		where, err := aside(f.path, why, time.Now())
		if err != nil {
			return err
		}
		s.say("  the vault is no longer configured; set aside as %s", where)
		return nil
	}
	a, err := openApp(cfg, s.logger(cfg))
	if err != nil {
		return err
	}
	fresh := f.path + ".rebuilt"
	done, err := rebuildTo(ctx, a, v, fresh)
	if err = errors.Join(err, a.Close()); err != nil {
		return errors.Join(fmt.Errorf("rebuild the state of vault %s; the old one stays where it is: %w", v.Name, err), removeIfThere(fresh))
	}
	where, err := aside(f.path, why, time.Now())
	if err != nil {
		return errors.Join(err, removeIfThere(fresh))
	}
	if err := os.Rename(fresh, f.path); err != nil {
		return fmt.Errorf("put the rebuilt state of vault %s in place (it is in %s, the old one in %s): %w", v.Name, fresh, where, err)
	}
	s.say("  set aside as %s", where)
	s.say("  rebuilt from the vault: %d accounts (%d of them disabled) and %d groups are ours, %d accounts are not", done.People, done.Disabled, done.Groups, done.Foreign)
	s.say("  the next run looks at everybody; see before what it will do: vaultsync plan %s", v.Name)
	return nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

func rebuildTo(ctx context.Context, a *app, v config.Vault, path string) (done reconcile.Rebuilt, err error) {
	if err := removeIfThere(path); err != nil {
		return done, err
	}
	tenant, err := a.tenant(v.Directory)
	if err != nil {
		return done, err
	}
	store, err := a.store(v.Name)
	if err != nil {
		return done, err
	}
	state, err := snapshot.Open(path, v.Name, tenant)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	return reconcile.Rebuild(ctx, store, state, time.Now().UTC())
}

// rebuildTimes makes the file of run times anew from what the vaults' states
// say of their last runs.
func (s *session) rebuildTimes(cfg *config.Config, f stateFile) error {
	past := map[string]schedule.Past{}
	for _, v := range cfg.Vaults {
		a := &app{cfg: cfg}
		path := a.statePath(v.Name)
		tenant, err := a.tenant(v.Directory)
		if err != nil || !exists(path) {
			continue // never imported
		}
		state, err := snapshot.Open(path, v.Name, tenant)
		if err != nil {
			s.say("  vault %s: its last run is not known: %v", v.Name, err)
			continue
		}
		meta, err := state.Meta()
		if err = errors.Join(err, state.Close()); err != nil {
			return err
		}
		if meta.Imported {
			past[v.Name] = schedule.Past{LastStart: meta.LastSuccess, LastFull: meta.LastFull, Imported: meta.LastSuccess}
		}
	}
	where, err := aside(f.path, "damaged", time.Now())
	if err != nil {
		return err
	}
	times, err := schedule.OpenFile(f.path)
	if err != nil {
		return err
	}
	if err := errors.Join(times.Save(past), times.Close()); err != nil {
		return err
	}
	s.say("  set aside as %s", where)
	s.say("  rebuilt from the states of %d imported vaults; vaults that were paused are not any more", len(past))
	return nil
}

func stateCompactCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "compact [VAULT]",
		Short: "Give the room that deleted records have left back to the disk",
		Long: `Writes the files of the state anew, without the room that deleted records have
left. The files keep their content; whatever it fails at, the old file stays.`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: s.completeVaults,
		RunE: func(cmd *cobra.Command, args []string) error {
			line := append([]string{"state", "compact"}, args...)
			return s.still(cmd.Context(), line, func(ctx context.Context, cfg *config.Config) error {
				return s.compact(ctx, cfg, args)
			})
		},
	}
}

func (s *session) compact(ctx context.Context, cfg *config.Config, args []string) error {
	files, err := chosen(cfg, args)
	if err != nil {
		return err
	}
	worst := exitDone
	for _, f := range files {
		if f.kind == kindGuard || f.kind == kindTimes && s.underDaemon {
			continue // small, and not this kind of file; in use
		}
		// A damaged file could end this process: it is examined first.
		e, err := examine(ctx, f)
		if err != nil {
			return err
		}
		if e.code != exitDone {
			s.say("%s: not compacted: %s", f, e.detail)
			worst = gravest(worst, e.code)
			continue
		}
		before, after, err := boltfile.Compact(f.path)
		if err != nil {
			return err
		}
		s.say("%s: %s before, %s now", f, sizeText(before), sizeText(after))
	}
	return codeError(worst)
}
