package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// The corpus: one configuration a txtar. A good_ one must load; the comment of
// a bad_ one holds the report, to the letter. Files that are not given are
// those of testdata/common.txtar, so that a case shows its fault alone; a file
// with the content "absent" is left out.
func TestCorpus(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, entry := range entries {
		name := entry.Name()
		kind, _, _ := strings.Cut(name, "_")
		switch {
		case entry.IsDir() && name == "fuzz", name == "common.txtar":
			continue
		case filepath.Ext(name) != ".txtar" || (kind != "good" && kind != "bad"):
			t.Errorf("testdata/%s is neither a good_ nor a bad_ case", name)
			continue
		}
		counts[kind]++
		t.Run(strings.TrimSuffix(name, ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive := readArchive(t, name)
			_, err := loadArchive(t, archive)
			got := ""
			if err != nil {
				if _, ok := errors.AsType[Problems](err); !ok {
					t.Fatalf("the error is a %T, not Problems", err)
				}
				got = err.Error() + "\n"
			}
			if kind == "good" {
				if err != nil {
					t.Errorf("does not load:\n%s", got)
				}
				return
			}
			if got == "" {
				t.Fatal("loads, though it must not")
			}
			if *update {
				archive.Comment = []byte(got)
				if err := os.WriteFile(filepath.Join("testdata", name), txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := string(archive.Comment); got != want {
				t.Errorf("report:\n%swant:\n%s", got, want)
			}
		})
	}
	if counts["bad"] < 40 || counts["good"] < 5 {
		t.Errorf("the corpus has shrunk: %v", counts)
	}
}

var update = flag.Bool("update", false, "write the reports of testdata/bad_* anew")

func readArchive(tb testing.TB, name string) *txtar.Archive {
	tb.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return archive
}

// loadArchive loads a configuration laid out in a folder of its own, with the
// folder cut from the report.
func loadArchive(tb testing.TB, archive *txtar.Archive) (*Config, error) {
	tb.Helper()
	dir := tb.TempDir()
	files := map[string][]byte{}
	for _, f := range readArchive(tb, "common.txtar").Files {
		files[f.Name] = f.Data
	}
	for _, f := range archive.Files {
		files[f.Name] = f.Data
	}
	for name, content := range files {
		if string(content) == "absent\n" {
			continue
		}
		writeFile(tb, filepath.Join(dir, filepath.FromSlash(name)), expand(content))
	}
	cfg, err := Load(filepath.Join(dir, "vaultsync.yaml"), Overrides{})
	if problems, ok := errors.AsType[Problems](err); ok {
		for i := range problems {
			p := &problems[i]
			p.File = filepath.ToSlash(strings.TrimPrefix(p.File, dir+string(filepath.Separator)))
			p.Message = filepath.ToSlash(strings.ReplaceAll(p.Message, dir+string(filepath.Separator), ""))
		}
	}
	return cfg, err
}

// expand puts bytes that an editor would not leave alone into a case.
func expand(content []byte) []byte {
	return []byte(strings.NewReplacer("<TAB>", "\t", "<BOM>", "\uFEFF", "<FF>", "\xff", "<FE>", "\xfe", "<NUL>", "\x00", "<CR>", "\r", "<DEL>", "\x7f").Replace(string(content)))
}

func writeFile(tb testing.TB, path string, content []byte) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		tb.Fatal(err)
	}
}
