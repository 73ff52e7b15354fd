package boltfile

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestDraftsOfCrashesAreCleared(t *testing.T) {
	t.Parallel()
	path := filled(t, 1, 1)
	folder := filepath.Dir(path)
	kept := []string{"state.db", "state.db.new-", "state.db.new-short", "state.db.new-" + filepath.Base(draftOf("x"))[6:] + ".db", "other.db.new-" + filepath.Base(draftOf("x"))[6:]}
	gone := []string{filepath.Base(draftOf(path)), filepath.Base(draftOf(path))}
	for _, name := range slices.Concat(kept[1:], gone) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("half a fi"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	names := func() (names []string) {
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	open := func(o Options) {
		db, err := Open(path, o, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// Who only reads holds no lock against one that is making it.
	open(Options{ReadOnly: true})
	if got := names(); len(got) != len(kept)+len(gone) {
		t.Errorf("a reader cleared: left are %q", got)
	}
	open(Options{})
	slices.Sort(kept)
	if got := names(); !slices.Equal(got, kept) {
		t.Errorf("left are %q, want %q", got, kept)
	}
}
