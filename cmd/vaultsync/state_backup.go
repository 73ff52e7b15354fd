package main

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// manifestName is the last entry of a backup: what is in it.
const manifestName = "manifest.json"

// manifestFormat is the version of the layout of a backup.
const manifestFormat = 1

// manifest says what a backup holds; one that is cut off has none.
type manifest struct {
	Format  int             `json:"format"`
	Program string          `json:"program"`
	Created time.Time       `json:"created"`
	Files   []manifestEntry `json:"files"`
}

type manifestEntry struct {
	Path   string `json:"path"` // below the data directory, with slashes
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

func stateBackupCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Write all of the state into one file, also while the daemon runs",
		Long: `Writes a consistent copy of every file of the state into one zip file: what was
applied to the vaults, the local copies of directories, the run times, the
embedded store, the provisioning log. Runs go on meanwhile. A file that is there
is not written over; - writes to stdout. Configuration and secrets are not part
of it.`,
		Example: `  vaultsync state backup /var/backups/vaultsync-monday.zip`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] != "-" {
				return s.backupTo(cmd.Context(), args[0])
			}
			if s.outTerminal {
				return usageError{text: "a backup is not for a terminal", hint: "vaultsync state backup FILE"}
			}
			return s.do(cmd.Context(), call{args: []string{"state", "backup", "-"}, work: s.backup})
		},
	}
}

// backupTo writes the backup to a file, whole or not at all.
func (s *session) backupTo(ctx context.Context, file string) error {
	if exists(file) {
		return usageError{text: file + " is there already: a backup writes over nothing", hint: "name another file"}
	}
	fresh, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return usageError{text: fmt.Sprintf("the backup cannot be written: %v", err)}
	}
	inner := *s
	inner.out, inner.outTerminal = fresh, false
	code := inner.execute(ctx, []string{"state", "backup", "-"})
	err = errors.Join(codeError(code), fresh.Sync(), fresh.Close())
	var m manifest
	if err == nil {
		m, err = readManifest(fresh.Name())
	}
	if err == nil {
		err = os.Rename(fresh.Name(), file)
	}
	if err != nil {
		if removeErr := removeIfThere(fresh.Name()); removeErr != nil {
			return errors.Join(err, removeErr)
		}
		return err
	}
	var total int64
	for _, f := range m.Files {
		total += f.Bytes
	}
	s.say("%s: %d files, %s of state", file, len(m.Files), sizeText(total))
	return nil
}

// readManifest reads what a finished backup says that it holds.
func readManifest(file string) (manifest, error) {
	archive, err := zip.OpenReader(file)
	if err != nil {
		return manifest{}, fmt.Errorf("read the backup: %w", err)
	}
	defer archive.Close() //nolint:errcheck // was only read
	return manifestOf(&archive.Reader)
}

// backup writes the archive to stdout.
func (s *session) backup(ctx context.Context, a *app) error {
	files, err := stateFiles(a.cfg.DataDir)
	if err != nil {
		return err
	}
	room, err := os.MkdirTemp(a.cfg.DataDir, ".backup-")
	if err != nil {
		return fmt.Errorf("make room for copies: %w", err)
	}
	w := &backupWriter{dataDir: a.cfg.DataDir, archive: zip.NewWriter(s.out), manifest: manifest{Format: manifestFormat, Program: versionText(), Created: time.Now().UTC(), Files: []manifestEntry{}}}
	err = w.all(ctx, a, files, filepath.Join(room, "copy"))
	return errors.Join(err, os.RemoveAll(room))
}

// backupWriter writes one archive.
type backupWriter struct {
	dataDir  string
	archive  *zip.Writer
	manifest manifest
}

func (w *backupWriter) all(ctx context.Context, a *app, files []stateFile, room string) error {
	for _, f := range files {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		source := f.path
		if f.kind != kindGuard {
			if err := a.copyState(ctx, f, room); err != nil {
				return fmt.Errorf("back up %s: %w", f, err)
			}
			source = room
		}
		if err := errors.Join(w.add(f.path, source), removeIfThere(room)); err != nil {
			return err
		}
	}
	if err := a.journal.Sync(); err != nil {
		return err
	}
	if err := w.addLog(ctx); err != nil {
		return err
	}
	return w.finish()
}

// addLog adds the files of the provisioning log. One that is being written is
// taken as far as it is; entries are written whole.
func (w *backupWriter) addLog(ctx context.Context) error {
	root := filepath.Join(w.dataDir, logDir)
	if !exists(root) {
		return nil
	}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !entry.Type().IsRegular():
			return nil
		default:
			return w.add(file, file)
		}
	})
	if err != nil {
		return fmt.Errorf("back up the provisioning log: %w", err)
	}
	return nil
}

// add puts the content of source under the name of file into the archive.
func (w *backupWriter) add(file, source string) error {
	name, err := filepath.Rel(w.dataDir, file)
	if err != nil {
		return fmt.Errorf("back up %s: %w", file, err)
	}
	content, err := os.Open(source) //nolint:gosec // in the data directory
	if err != nil {
		return fmt.Errorf("back up %s: %w", file, err)
	}
	defer content.Close() //nolint:errcheck // was only read
	info, err := content.Stat()
	if err != nil {
		return fmt.Errorf("back up %s: %w", file, err)
	}
	header := &zip.FileHeader{Name: filepath.ToSlash(name), Method: zip.Deflate, Modified: info.ModTime()}
	header.SetMode(0o600)
	entry, err := w.archive.CreateHeader(header)
	if err != nil {
		return fmt.Errorf("back up %s: %w", file, err)
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(entry, sum), io.LimitReader(content, info.Size()))
	if err != nil {
		return fmt.Errorf("back up %s: %w", file, err)
	}
	w.manifest.Files = append(w.manifest.Files, manifestEntry{Path: header.Name, Bytes: n, SHA256: hex.EncodeToString(sum.Sum(nil))})
	return nil
}

func (w *backupWriter) finish() error {
	text, err := json.MarshalIndent(w.manifest, "", "  ")
	if err != nil {
		return fmt.Errorf("finish the backup: %w", err)
	}
	entry, err := w.archive.Create(manifestName)
	if err == nil {
		_, err = entry.Write(text)
	}
	if err = errors.Join(err, w.archive.Close()); err != nil {
		return fmt.Errorf("finish the backup: %w", err)
	}
	return nil
}

// manifestAtMost bounds the manifest that is read, in bytes.
const manifestAtMost = 64 << 20

// manifestOf reads and checks the manifest: it names every other entry, each
// once, and nothing that is no state.
func manifestOf(archive *zip.Reader) (manifest, error) {
	var m manifest
	content, err := archive.Open(manifestName)
	if err != nil {
		return m, usageError{text: "the backup is not whole: it does not say what it holds", hint: "take another backup"}
	}
	defer content.Close() //nolint:errcheck // was only read
	if err := json.NewDecoder(io.LimitReader(content, manifestAtMost)).Decode(&m); err != nil {
		return m, usageError{text: fmt.Sprintf("the backup cannot be read: what it holds: %v", err)}
	}
	if m.Format != manifestFormat {
		return m, usageError{text: fmt.Sprintf("the backup was written by another version (format %d, this one reads %d)", m.Format, manifestFormat), hint: "restore it with the version that wrote it: " + m.Program}
	}
	entries := map[string]bool{}
	for _, f := range archive.File {
		if entries[f.Name] {
			return m, usageError{text: fmt.Sprintf("the backup holds %q twice", f.Name)}
		}
		entries[f.Name] = true
	}
	for _, f := range m.Files {
		if !isStatePath(f.Path) {
			return m, usageError{text: fmt.Sprintf("the backup holds %q, which is no state", f.Path)}
		}
		if !entries[f.Path] {
			return m, usageError{text: fmt.Sprintf("the backup does not hold %q, or holds it twice", f.Path)}
		}
		delete(entries, f.Path)
	}
	delete(entries, manifestName)
	for name := range entries {
		return m, usageError{text: fmt.Sprintf("the backup holds %q, of which it does not say what it is", name)}
	}
	return m, nil
}

// isStatePath says whether a name can be that of a file of the state.
func isStatePath(name string) bool {
	if name != path.Clean(name) || !filepath.IsLocal(filepath.FromSlash(name)) {
		return false
	}
	dir, base := path.Split(name)
	switch dir {
	case "":
		return base == timesFile || base == embeddedFile
	case vaultsDir + "/":
		return path.Ext(base) == ".db"
	case directoriesDir + "/":
		return path.Ext(base) == ".db" || strings.HasSuffix(base, guardSuffix)
	default:
		log, vault := path.Split(path.Clean(dir))
		return log == logDir+"/" && vault != "" && path.Ext(base) == ".jsonl"
	}
}
