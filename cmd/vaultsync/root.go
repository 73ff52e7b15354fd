package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func newRoot(s *session) *cobra.Command {
	root := &cobra.Command{
		Use:   "vaultsync",
		Short: "Brings the users of document vaults to what the groups of a directory say",
		Long: `vaultsync pulls the members of Microsoft Entra ID groups and brings the users,
groups and memberships of document vaults to them: as a service, or one run at
a time. What it does to whom is in "vaultsync manual lifecycle".

Begin with a trial that needs nothing else:   vaultsync demo
Begin for real:                               vaultsync init, vaultsync check`,
		SilenceErrors: true, SilenceUsage: true,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetIn(s.in)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{text: err.Error(), hint: cmd.CommandPath() + " --help"}
	})
	addGlobalFlags(root, s)
	root.AddGroup(
		&cobra.Group{ID: "sync", Title: "Synchronize:"},
		&cobra.Group{ID: "look", Title: "Look:"},
		&cobra.Group{ID: "run", Title: "Run as a service:"},
		&cobra.Group{ID: "manage", Title: "Set up and look after:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("sync", syncCommand(s), planCommand(s), applyCommand(s), approveCommand(s), rejectCommand(s))
	add("look", checkCommand(s), statusCommand(s), explainCommand(s), logCommand(s), vaultCommand(s), directoryCommand(s))
	add("run", runCommand(s), serviceCommand(s), pauseCommand(s), resumeCommand(s), reloadCommand(s))
	add("manage", demoCommand(s), initCommand(s), secretCommand(s), stateCommand(s), notifyCommand(), manualCommand(s), versionCommand(s))
	root.SetHelpCommandGroupID("manage")
	root.SetCompletionCommandGroupID("manage")
	usageOf(root)
	return root
}

// usageOf turns what cobra says about arguments into usage errors, exit code 2.
func usageOf(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			var usage usageError
			if err == nil || errors.As(err, &usage) {
				return err
			}
			hint := cmd.UseLine()
			if !cmd.HasParent() {
				hint = "vaultsync --help"
			}
			return usageError{text: fmt.Sprintf("%s: %s", cmd.CommandPath(), err), hint: hint}
		}
	}
	for _, sub := range c.Commands() {
		usageOf(sub)
	}
}

func addGlobalFlags(root *cobra.Command, s *session) {
	flags := root.PersistentFlags()
	flags.StringVarP(&s.configPath, "config", "c", s.configPath, "the server's `FILE` (default: $VAULTSYNC_CONFIG, ./vaultsync.yaml, the platform's place)")
	text := func(target **string, name, usage string) {
		flags.Func(name, usage, func(v string) error {
			*target = &v
			return nil
		})
	}
	text(&s.overrides.DataDir, "data-dir", "the `FOLDER` of the state, instead of dataDir")
	text(&s.overrides.Vaults, "vaults", "the `FOLDER` of the vaults' files, instead of vaults")
	text(&s.overrides.LogLevel, "log-level", "debug, info, warn or error, instead of log.level")
	text(&s.overrides.LogFormat, "log-format", "text or json, instead of log.format")
	text(&s.overrides.APIListen, "api-listen", "the `ADDRESS` of health and metrics, instead of api.listen")
	flags.Func("concurrency", "how many vaults at the same time, instead of concurrency", func(v string) error {
		var n int
		if _, err := fmt.Sscanf(v, "%d", &n); err != nil {
			return fmt.Errorf("%q is not a whole number", v)
		}
		s.overrides.Concurrency = &n
		return nil
	})
}
