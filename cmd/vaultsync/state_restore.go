package main

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/control"
)

func stateRestoreCommand(s *session) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put the state of a backup in place; the service must be stopped",
		Long: `Puts the state of a backup in place of what is there. The backup is unpacked and
verified first, file by file; nothing is changed if anything in it is wrong. What
was there before is kept in a folder beside it. The service must be stopped.

The directory says again what has happened since the backup, and the guards act
as ever.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return s.restore(cmd.Context(), args[0], yes) },
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "replace the state that is there without asking")
	return cmd
}

func (s *session) restore(ctx context.Context, file string, yes bool) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	release, err := holdGround(cfg)
	if errors.Is(err, control.ErrInUse) {
		return usageError{text: "the daemon is running on this state", hint: "vaultsync service stop, then restore, then vaultsync service start"}
	}
	if err != nil {
		return err
	}
	return errors.Join(s.restoreAlone(ctx, cfg, file, yes), release())
}

func (s *session) restoreAlone(ctx context.Context, cfg *config.Config, file string, yes bool) error {
	archive, err := zip.OpenReader(file)
	if err != nil {
		return usageError{text: fmt.Sprintf("the backup cannot be read: %v", err)}
	}
	defer archive.Close() //nolint:errcheck // was only read
	m, err := manifestOf(&archive.Reader)
	if err != nil {
		return err
	}
	if there, err := s.mayReplace(cfg, file, yes); err != nil || !there {
		return err
	}
	room, err := os.MkdirTemp(cfg.DataDir, ".restore-")
	if err != nil {
		return fmt.Errorf("make room for the backup: %w", err)
	}
	err = unpack(ctx, &archive.Reader, m, room)
	if err == nil {
		err = s.exchange(cfg.DataDir, room)
	}
	if err = errors.Join(err, os.RemoveAll(room)); err != nil {
		return fmt.Errorf("restore %s: %w", file, err)
	}
	s.say("%d files of the backup of %s are in place", len(m.Files), local(m.Created))
	s.say("see what the first run will do: vaultsync sync --all --full --dry-run")
	return nil
}

// stateEntries are the names of everything that makes up the state.
var stateEntries = []string{timesFile, embeddedFile, vaultsDir, directoriesDir, logDir} //nolint:gochecknoglobals // a constant list

// mayReplace asks before state is replaced, and refuses what is in use.
func (s *session) mayReplace(cfg *config.Config, file string, yes bool) (bool, error) {
	files, err := stateFiles(cfg.DataDir)
	if err != nil || len(files) == 0 {
		return err == nil, err
	}
	for _, f := range files {
		if f.kind != kindGuard && boltfile.InUse(f.path) {
			return false, &boltfile.Error{Path: f.path, Kind: boltfile.ErrLocked}
		}
	}
	if yes {
		return true, nil
	}
	s.say("there is state of %d files in %s", len(files), cfg.DataDir)
	return s.confirm("Set it aside, and put the backup in its place?", "vaultsync state restore "+file+" --yes")
}

// unpack writes the files of a backup below room and verifies them.
func unpack(ctx context.Context, archive *zip.Reader, m manifest, room string) error {
	for _, f := range m.Files {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		target := filepath.Join(room, filepath.FromSlash(f.Path))
		if err := unpackOne(archive, f, target); err != nil {
			return usageError{text: fmt.Sprintf("%s: %v", f.Path, err), hint: "the backup is damaged; take another one"}
		}
		kind, ok := kindOf(f.Path)
		if !ok {
			continue
		}
		e, err := examine(ctx, stateFile{kind: kind, path: target})
		if err != nil {
			return err
		}
		if e.code != exitDone {
			return &boltfile.Error{Path: f.Path + " in the backup", Kind: boltfile.ErrDamaged, Err: errors.New(strings.ReplaceAll(e.detail, target, f.Path))}
		}
	}
	return nil
}

// kindOf is the kind of the state file of a name; the provisioning log has
// none.
func kindOf(name string) (string, bool) {
	switch {
	case name == timesFile:
		return kindTimes, true
	case name == embeddedFile:
		return kindEmbedded, true
	case strings.HasPrefix(name, vaultsDir+"/"):
		return kindVault, true
	case strings.HasSuffix(name, guardSuffix):
		return kindGuard, true
	case strings.HasPrefix(name, directoriesDir+"/"):
		return kindDirectory, true
	default:
		return "", false
	}
}

func unpackOne(archive *zip.Reader, want manifestEntry, target string) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return err
	}
	content, err := archive.Open(want.Path)
	if err != nil {
		return err
	}
	defer content.Close()                                                      //nolint:errcheck // was only read
	file, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // checked by isStatePath
	if err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(file, sum), io.LimitReader(content, want.Bytes+1))
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if n != want.Bytes || hex.EncodeToString(sum.Sum(nil)) != want.SHA256 {
		return errors.New("its content is not what was backed up")
	}
	return nil
}

// exchange puts what is below room in place of the state, which goes to a
// folder of its own. If anything fails on the way, everything is put back.
func (s *session) exchange(dataDir, room string) error {
	before := filepath.Join(dataDir, "replaced-"+time.Now().UTC().Format(asideTime))
	var done [][2]string
	move := func(from, to string) error {
		if !exists(from) || isEmptyFolder(from) && os.Remove(from) == nil {
			return nil
		}
		if err := os.Rename(from, to); err != nil {
			return fmt.Errorf("put %s in place: %w", to, err)
		}
		done = append(done, [2]string{from, to})
		return nil
	}
	if err := os.Mkdir(before, 0o700); err != nil {
		return fmt.Errorf("make room for what is there: %w", err)
	}
	var err error
	for _, from := range []struct{ dir, to string }{{dataDir, before}, {room, dataDir}} {
		for _, name := range stateEntries {
			if err == nil {
				err = move(filepath.Join(from.dir, name), filepath.Join(from.to, name))
			}
		}
	}
	if err == nil {
		if err := os.Remove(before); err != nil { // empty when there was nothing
			s.say("what was there before is in %s", before)
		}
		return ownFolder(dataDir)
	}
	for _, d := range slices.Backward(done) {
		err = errors.Join(err, os.Rename(d[1], d[0]))
	}
	return errors.Join(err, os.Remove(before))
}

func isEmptyFolder(path string) bool {
	entries, err := os.ReadDir(path)
	return err == nil && len(entries) == 0
}
