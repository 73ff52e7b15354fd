package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/vaultsync/vaultsync/pkg/schedule"
)

// version is set by the build; a plain build says what its module says.
var version string

func versionCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Say which version this is", Args: cobra.NoArgs,
		RunE: func(_ *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(s.out, "vaultsync %s (%s, %s/%s)\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			if err != nil {
				return fmt.Errorf("write: %w", err)
			}
			return nil
		},
	}
}

func versionText() string {
	if info, ok := debug.ReadBuildInfo(); version == "" && ok {
		return info.Main.Version
	}
	return version
}

func pauseCommand(s *session) *cobra.Command {
	return s.switchCommand("pause", "Switch a vault's scheduled runs off", true)
}

func resumeCommand(s *session) *cobra.Command {
	return s.switchCommand("resume", "Switch a vault's scheduled runs on again", false)
}

func (s *session) switchCommand(verb, short string, pause bool) *cobra.Command {
	return &cobra.Command{
		Use: verb + " VAULT", Short: short, Args: cobra.ExactArgs(1), ValidArgsFunction: s.completeVaults,
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.do(cmd.Context(), call{args: []string{verb, args[0]}, work: func(_ context.Context, a *app) error {
				names, err := a.names(args, false)
				if err != nil {
					return err
				}
				if err := a.setPaused(names[0], pause); err != nil {
					return err
				}
				fmt.Fprintf(s.out, "%s: %sd\n", names[0], verb) //nolint:errcheck // a remark
				return nil
			}})
		},
	}
}

// setPaused goes through the daemon's runner, or writes the file that the
// daemon reads when it starts.
func (a *app) setPaused(name string, paused bool) error {
	if a.runner != nil {
		if paused {
			return a.runner.Pause(name)
		}
		return a.runner.Resume(name)
	}
	times, err := schedule.OpenFile(a.timesPath())
	if err != nil {
		return err
	}
	past, err := times.Load()
	if err == nil {
		p := past[name]
		p.Paused = paused
		err = times.Save(map[string]schedule.Past{name: p})
	}
	return errors.Join(err, times.Close())
}

func reloadCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "reload", Short: "Have the daemon read the configuration again, all or nothing", Args: cobra.NoArgs,
		Long: `Has the running daemon read the configuration again. If anything in it is wrong,
nothing of it is taken over and the daemon goes on as before. A vault whose file
is gone is no longer synchronized; its state is kept.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.do(cmd.Context(), call{args: []string{"reload"}, anyConfig: true, work: func(context.Context, *app) error {
				return errors.New("no daemon is running: it reads the configuration when it starts")
			}})
		},
	}
}

// completeVaults completes the names of the configured vaults.
func (s *session) completeVaults(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	cfg, err := s.load()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, v := range cfg.Vaults {
		names = append(names, v.Name)
	}
	_ = args
	return names, cobra.ShellCompDirectiveNoFileComp
}

// ownFolder makes the data directory, for its owner alone.
func ownFolder(dir string) error {
	for _, d := range []string{dir, filepath.Join(dir, "vaults"), filepath.Join(dir, "directories")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return usageError{text: fmt.Sprintf("the data directory cannot be made: %v", err), hint: "set dataDir to a folder that this account may write"}
		}
	}
	return restrict(dir)
}
