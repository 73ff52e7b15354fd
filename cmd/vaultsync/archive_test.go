package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// archive is a zip file of a manifest and entries.
func archive(t *testing.T, manifest string, names ...string) *zip.Reader {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range names {
		if _, err := w.Create(name); err != nil {
			t.Fatal(err)
		}
	}
	if manifest != "" {
		entry, err := w.Create(manifestName)
		if err == nil {
			_, err = entry.Write([]byte(manifest))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestManifest(t *testing.T) {
	t.Parallel()
	listing := func(paths ...string) string {
		var entries []string
		for _, p := range paths {
			entries = append(entries, fmt.Sprintf(`{"path":%q,"bytes":0,"sha256":""}`, p))
		}
		return `{"format":1,"files":[` + strings.Join(entries, ",") + `]}`
	}
	for _, tc := range []struct {
		name, manifest string
		entries        []string
		says           string // "" is accepted
	}{
		{
			"a backup of all kinds of files", listing("schedule.db", "vaults/sales.db", "directories/contoso.guard.json", "log/sales/1.jsonl"),
			[]string{"schedule.db", "vaults/sales.db", "directories/contoso.guard.json", "log/sales/1.jsonl"},
			"",
		},
		{"an empty one", listing(), nil, ""},
		{"no manifest", "", []string{"schedule.db"}, "not whole"},
		{"a manifest that is no JSON", "{", nil, "cannot be read"},
		{"another format", `{"format":2}`, nil, "another version"},
		{"an entry that is not listed", listing(), []string{"schedule.db"}, "does not say"},
		{"a listed file that is not there", listing("schedule.db"), nil, "does not hold"},
		{"a file listed twice", listing("schedule.db", "schedule.db"), []string{"schedule.db"}, "twice"},
		{"an entry there twice", listing("schedule.db"), []string{"schedule.db", "schedule.db"}, "twice"},
		{"a way out of the folder", listing("../schedule.db"), []string{"../schedule.db"}, "no state"},
		{"a way out further down", listing("vaults/../../x.db"), []string{"vaults/../../x.db"}, "no state"},
		{"an absolute path", listing("/etc/x.db"), []string{"/etc/x.db"}, "no state"},
		{"a drive", listing(`C:\x.db`), []string{`C:\x.db`}, "no state"},
		{"a file that is no state", listing("vaultsync.yaml"), []string{"vaultsync.yaml"}, "no state"},
		{"a log too deep", listing("log/sales/x/1.jsonl"), []string{"log/sales/x/1.jsonl"}, "no state"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := manifestOf(archive(t, tc.manifest, tc.entries...))
			if tc.says == "" && err != nil || tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says)) {
				t.Errorf("got %v, want %q", err, tc.says)
			}
		})
	}
}

func FuzzStatePath(f *testing.F) {
	for _, seed := range []string{"schedule.db", "vaults/sales.db", "log/a/b.jsonl", "../x.db", "vaults/..", `vaults\..\x.db`, "vaults//x.db"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if isStatePath(name) && (strings.Contains(name, "..") && strings.Contains("/"+name+"/", "/../") || strings.HasPrefix(name, "/")) {
			t.Errorf("%q leads out of the data directory", name)
		}
	})
}
