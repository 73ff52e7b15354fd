package config

import (
	"strings"
	"testing"
)

func FuzzVaultFile(f *testing.F) {
	seed(f, "vaults.d/")
	f.Fuzz(func(t *testing.T, content []byte) {
		to := &findings{}
		doc, ok := parse("vaults.d/a.yaml", "/etc/vaultsync", content, to)
		var vault Vault
		if ok {
			vault = readVault(doc)
			l := &loader{findings: to, vaults: []vaultFile{{vault, doc}, {vault, doc}}}
			l.checkVaults([]Directory{{Name: "contoso"}})
		}
		checkReport(t, to.list, ok)
		if len(to.list) > 0 {
			return
		}
		// Two vaults of one name are never right.
		t.Errorf("nothing was found wrong with %+v twice", vault)
	})
}

func FuzzServerFile(f *testing.F) {
	seed(f, "vaultsync.yaml")
	f.Fuzz(func(t *testing.T, content []byte) {
		to := &findings{}
		doc, ok := parse("vaultsync.yaml", "/etc/vaultsync", content, to)
		var cfg Config
		if ok {
			readServer(doc, newSettings(Overrides{}, to), &cfg)
			l := &loader{findings: to, server: doc}
			l.checkDirectories(cfg.Directories)
		}
		checkReport(t, to.list, ok)
		if len(to.list) == 0 && len(cfg.Directories) == 0 {
			t.Error("a server without a directory was taken")
		}
	})
}

func FuzzCron(f *testing.F) {
	for _, spec := range []string{"*/15 6-20 * * MON-FRI", "TZ=0", "CRON_TZ=UTC * * * * *", "@every 1m", "0 0 31 2 *", "? ? ? ? ?", "1-2/3 * * * *"} {
		f.Add(spec)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		if got, wrong := cronText().parse(spec); wrong == nil && got != spec {
			t.Errorf("%q became %q", spec, got)
		}
	})
}

func seed(f *testing.F, prefix string) {
	f.Helper()
	for _, name := range append(corpus(f, "bad_"), corpus(f, "good_")...) {
		for _, file := range readArchive(f, name).Files {
			if strings.HasPrefix(file.Name, prefix) {
				f.Add(expand(file.Data))
			}
		}
	}
}

// checkReport is what holds for every report: a place in the file, a message,
// one line each.
func checkReport(t *testing.T, problems Problems, parsed bool) {
	t.Helper()
	t.Helper()
	if !parsed && len(problems) == 0 {
		t.Error("a file was refused without a word")
	}
	for _, p := range problems {
		if p.File == "" || p.Line < 1 || p.Column < 1 || p.Message == "" || p.Fix == "" {
			t.Errorf("problem without place, message or fix: %#v", p)
		}
		if strings.ContainsAny(p.String(), "\n\r\x1b") {
			t.Errorf("problem on more than one line: %q", p.String())
		}
	}
}
