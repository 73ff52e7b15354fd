package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/control"
)

func stateCommand(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "state", Short: "Look after the local state: check, repair, compact, back up, restore",
		Long: `Looks after the files in the data directory: the local copy of each directory,
what was last applied to each vault, the run times, the embedded store and the
provisioning log. Nothing is ever deleted: what is replaced or set aside keeps
its content under another name beside it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(stateCheckCommand(s), stateExamineCommand(s), stateRepairCommand(s), stateCompactCommand(s),
		stateResetCommand(s), stateRebindCommand(s), stateBackupCommand(s), stateRestoreCommand(s))
	return cmd
}

// stateFile is one file of the state.
type stateFile struct {
	kind string // one of the kinds below
	name string // the directory's or vault's
	path string
}

// The kinds of state files.
const (
	kindTimes     = "times"     // run times of all vaults
	kindEmbedded  = "embedded"  // the embedded store
	kindDirectory = "directory" // local copy of a directory
	kindGuard     = "guard"     // what the guard over all vaults of a directory remembers
	kindVault     = "vault"     // what was last applied to a vault
)

func (f stateFile) String() string {
	switch f.kind {
	case kindTimes:
		return "run times"
	case kindEmbedded:
		return "embedded store"
	default:
		return f.kind + " " + f.name
	}
}

// Names of the state below the data directory.
const (
	timesFile      = "schedule.db"
	embeddedFile   = "embedded.db"
	guardSuffix    = ".guard.json"
	vaultsDir      = "vaults"
	directoriesDir = "directories"
	logDir         = "log"
)

// stateFiles are the files of the state that are there, vaults first: a copy
// made in this order has no vault that has seen more than its directory.
func stateFiles(dataDir string) ([]stateFile, error) {
	var files []stateFile
	for _, dir := range []struct{ name, suffix, kind string }{
		{vaultsDir, ".db", kindVault}, {directoriesDir, ".db", kindDirectory}, {directoriesDir, guardSuffix, kindGuard},
	} {
		entries, err := os.ReadDir(filepath.Join(dataDir, dir.name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("look for the state: %w", err)
		}
		for _, e := range entries {
			if name, ok := strings.CutSuffix(e.Name(), dir.suffix); ok && e.Type().IsRegular() {
				files = append(files, stateFile{dir.kind, name, filepath.Join(dataDir, dir.name, e.Name())})
			}
		}
	}
	for name, kind := range map[string]string{timesFile: kindTimes, embeddedFile: kindEmbedded} {
		if path := filepath.Join(dataDir, name); exists(path) {
			files = append(files, stateFile{kind: kind, path: path})
		}
	}
	return files, nil
}

// chosen are the files that a command is about: all of them, or those of one
// vault: its own, its directory's and its embedded store's.
func chosen(cfg *config.Config, args []string) ([]stateFile, error) {
	files, err := stateFiles(cfg.DataDir)
	if err != nil || len(args) == 0 {
		return files, err
	}
	v, configured := cfg.Vault(args[0])
	name := args[0]
	if configured {
		name = v.Name
	}
	var some []stateFile
	for _, f := range files {
		switch {
		case f.kind == kindVault && strings.EqualFold(f.name, name),
			configured && (f.kind == kindDirectory || f.kind == kindGuard) && f.name == v.Directory,
			configured && f.kind == kindEmbedded && v.Store.Type == "embedded":
			some = append(some, f)
		}
	}
	if !configured && len(some) == 0 {
		return nil, (&app{cfg: cfg}).unknownVault(name)
	}
	return some, nil
}

// still does work on the files of the state while nobody has them open: the
// running daemon waits until no run is under way and lets go of them;
// otherwise this process does, and keeps a daemon from starting meanwhile.
func (s *session) still(ctx context.Context, args []string, work func(ctx context.Context, cfg *config.Config) error) error {
	if s.ground != nil {
		return work(ctx, s.ground)
	}
	cfg, err := s.load()
	if err != nil {
		return err
	}
	code, err := control.Call(ctx, endpoint(cfg), control.Request{Args: args, ConfigDigest: cfg.Digest, StdoutTerminal: s.outTerminal, StderrTerminal: s.errTerminal}, s.out, s.err)
	switch {
	case err == nil:
		return codeError(code)
	case !errors.Is(err, control.ErrNoDaemon):
		return err
	}
	release, err := holdGround(cfg)
	if err != nil {
		return err
	}
	return errors.Join(work(ctx, cfg), release())
}

// holdGround takes the daemon's endpoint, so that none can start.
func holdGround(cfg *config.Config) (release func() error, err error) {
	if err := ownFolder(cfg.DataDir); err != nil {
		return nil, err
	}
	server, err := control.Listen(endpoint(cfg), control.Options{ConfigDigest: func() string { return cfg.Digest }})
	if err != nil {
		return nil, err
	}
	return func() error { return errors.Join(handOver(cfg.DataDir), server.Close()) }, nil
}

// needsGround says whether a command needs the files of the state for itself.
func needsGround(args []string) bool {
	if len(args) < 2 || args[0] != "state" || slices.Contains(args, "--show") {
		return false
	}
	switch args[1] {
	case "repair", "compact", "reset", "rebind":
		return true
	default:
		return false
	}
}

// asideTime is the time in the name of what was set aside.
const asideTime = "20060102T150405.000Z"

// aside renames a file so that it is out of the way, and says where it is.
func aside(path, why string, now time.Time) (string, error) {
	target := fmt.Sprintf("%s.%s-%s", path, why, now.UTC().Format(asideTime))
	if exists(target) {
		return "", fmt.Errorf("%s is there already: try again in a second", target)
	}
	if err := os.Rename(path, target); err != nil {
		return "", fmt.Errorf("set %s aside: %w", path, err)
	}
	return target, nil
}

// confirm asks a question on the terminal. Without one it is a usage error
// that names what to write instead.
func (s *session) confirm(question, instead string) (bool, error) {
	if !s.inTerminal {
		return false, usageError{text: "this wants to be confirmed, and there is no terminal to ask on", hint: instead}
	}
	fmt.Fprintf(s.err, "%s [y/N] ", question) //nolint:errcheck // a question
	answer, err := bufio.NewReader(s.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("read the answer: %w", err)
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a == "y" || a == "yes" {
		return true, nil
	}
	fmt.Fprintln(s.err, "nothing was done") //nolint:errcheck // a remark
	return false, nil
}

// say prints a sentence of a command.
func (s *session) say(format string, args ...any) {
	fmt.Fprintln(s.out, printable(fmt.Sprintf(format, args...))) //nolint:errcheck // terminal output
}
