package boltfile

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/wholefile"
)

// draftInfix and a random text are appended to the name of a file that is being
// made.
const draftInfix = ".new-"

// draftOf is a new name for a draft of path, in the same folder.
func draftOf(path string) string { return path + draftInfix + rand.Text() }

// isDraft says whether name could be one of draftOf(base). It asks for all of
// its form: a name that only begins so may be another's file.
func isDraft(base, name string) bool {
	random, found := strings.CutPrefix(name, base+draftInfix)
	return found && len(random) == len(rand.Text()) && strings.Trim(random, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// create makes a whole file under another name and then gives it its own, so
// that a crash, or a power failure during the first writes, leaves either no
// file or a whole one. A file that another process made meanwhile is kept.
func create(path string, initialize func(*bbolt.Tx) error) error {
	draft := draftOf(path)
	defer os.Remove(draft) //nolint:errcheck // gone already, or cleared when the file is next opened
	if err := fill(draft, initialize); err != nil {
		return err
	}
	// Linking, unlike renaming, never replaces a file; where the file system
	// has no links, renaming must do.
	if err := os.Link(draft, path); err != nil {
		if _, statErr := os.Stat(path); statErr == nil {
			return nil
		}
		if err := os.Rename(draft, path); err != nil {
			return err
		}
	}
	return wholefile.SyncDir(filepath.Dir(path))
}

// fill makes the draft.
func fill(draft string, initialize func(*bbolt.Tx) error) error {
	db, _, err := openOnce(draft, Options{}, openNew)
	if err != nil {
		return err
	}
	return errors.Join(db.Update(initialize), db.Sync(), db.Close())
}

// openNew opens a file that must not exist yet.
func openNew(path string, flag int, mode os.FileMode) (*os.File, error) {
	return os.OpenFile(path, flag|os.O_CREATE|os.O_EXCL, mode) //nolint:gosec // the data directory of the configuration
}

// clearDrafts removes the drafts of processes that died. The caller has path
// open for writing: whoever still works on a draft finds that path is there.
// What cannot be removed does no harm and is tried again next time.
func clearDrafts(path string) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return
	}
	for _, e := range entries {
		if isDraft(filepath.Base(path), e.Name()) {
			_ = os.Remove(filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
}
