package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/config"
)

const (
	ownTenant = "11111111-0000-4000-8000-000000000001"
	ownClient = "22222222-0000-4000-8000-000000000002"
)

func TestInit(t *testing.T) {
	t.Parallel()
	t.Run("the files are the administrator's own, and load", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "new")
		code, out := printed(t, "init", dir, "--tenant-id", strings.ToUpper(ownTenant), "--client-id", ownClient, "--directory", "fabrikam", "--state", "state")
		if code != exitDone || !strings.Contains(out, "secret set fabrikam") {
			t.Fatalf("%d %s", code, out)
		}
		cfg, err := config.Load(filepath.Join(dir, "vaultsync.yaml"), config.Overrides{})
		if err != nil {
			t.Fatal(err)
		}
		d := cfg.Directories[0]
		if d.Name != "fabrikam" || d.TenantID != ownTenant || d.ClientID != ownClient || d.Credential.SecretFile != filepath.Join(dir, "fabrikam.secret") ||
			cfg.DataDir != filepath.Join(dir, "state") || len(cfg.Vaults) != 0 {
			t.Errorf("%+v", cfg)
		}
	})
	t.Run("each sample becomes a vault by taking its ending off", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		if code, out := printed(t, "init", dir, "--tenant-id", ownTenant, "--client-id", ownClient); code != exitDone {
			t.Fatal(out)
		}
		samples, err := filepath.Glob(filepath.Join(dir, "vaults.d", "*.yaml.sample"))
		if err != nil || len(samples) == 0 {
			t.Fatalf("%v %v", samples, err)
		}
		for _, s := range samples {
			if err := os.Rename(s, strings.TrimSuffix(s, ".sample")); err != nil {
				t.Fatal(err)
			}
		}
		cfg, err := config.Load(filepath.Join(dir, "vaultsync.yaml"), config.Overrides{})
		if err != nil || len(cfg.Vaults) != len(samples) {
			t.Errorf("%v: %d vaults of %d samples", err, len(cfg.Vaults), len(samples))
		}
	})
	t.Run("nothing is written over, not even by half", func(t *testing.T) {
		t.Parallel()
		for _, there := range []string{"vaultsync.yaml", filepath.Join("vaults.d", "sales.yaml.sample")} {
			dir := t.TempDir()
			put(t, filepath.Join(dir, there), "mine")
			code, out := printed(t, "init", dir, "--tenant-id", ownTenant, "--client-id", ownClient)
			text, err := os.ReadFile(filepath.Join(dir, there))
			if code != exitUsage || err != nil || string(text) != "mine" || !strings.Contains(out, "writes over nothing") {
				t.Errorf("%d %v %s", code, err, out)
			}
			entries := 0
			err = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					entries++
				}
				return err
			})
			if err != nil || entries != 1 {
				t.Errorf("%v: %d files", err, entries)
			}
		}
	})
	for name, args := range map[string][]string{
		"no id and no terminal": {},
		"an id that is none":    {"--tenant-id", "contoso.com", "--client-id", ownClient},
		"a name that is none":   {"--tenant-id", ownTenant, "--client-id", ownClient, "--directory", "a b"},
	} {
		t.Run(name+" is a usage error and leaves nothing", func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "new")
			code, out := printed(t, append([]string{"init", dir}, args...)...)
			if code != exitUsage || exists(filepath.Join(dir, "vaultsync.yaml")) {
				t.Errorf("%d %s", code, out)
			}
		})
	}
	t.Run("on a terminal it asks", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		var out strings.Builder
		s := &session{in: strings.NewReader(ownTenant + "\n" + ownClient + "\n"), out: &out, err: &out, inTerminal: true}
		if code := s.execute(t.Context(), []string{"init", dir}); code != exitDone || !strings.Contains(out.String(), "Directory (tenant) ID") {
			t.Errorf("%d %s", code, &out)
		}
	})
}

func TestExplain(t *testing.T) {
	u := newUpkeep(t)
	u.run(exitDone, "sync", "sales")
	u.says(exitDone, []string{"explain", "sales", "ann@contoso.com"}, "Sales", "member")
	u.says(exitDone, []string{"explain", "sales", "Ann B", "--json"}, `"standing":"in"`)
	u.says(exitFailed, []string{"explain", "sales", "nobody@contoso.com"}, "nobody")
	u.says(exitFailed, []string{"explain", "sales", "--", "--full"}, "Groups")
	u.says(exitUsage, []string{"explain", "seles", "ann@contoso.com"}, "no vault is called")
	defer u.daemon()()
	u.says(exitDone, []string{"explain", "sales", "ann@contoso.com"}, "member")
}

// The configuration that a command was given holds for the commands that it
// runs itself.
func TestPlanToAFileWithAConfiguration(t *testing.T) {
	u := newUpkeep(t)
	file := filepath.Join(u.dir, "sales.plan")
	u.run(exitDone, "plan", "sales", "-o", file)
	u.says(exitDone, []string{"apply", file}, "3 created")
}
