package config

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

func TestSamplesLoad(t *testing.T) {
	t.Parallel()
	cfg, err := Load(filepath.Join("..", "..", "configs", "vaultsync.yaml"), Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Vaults) != 3 || len(cfg.Directories) != 1 {
		t.Fatalf("%d vaults, %d directories", len(cfg.Vaults), len(cfg.Directories))
	}
	for name, want := range map[string]struct {
		first  FirstImport
		groups int
		repair bool
	}{
		"archive":     {FirstImport{Clock: "02:30"}, 1, false},
		"engineering": {FirstImport{After: 15 * time.Second}, 2, true},
		"sales":       {FirstImport{After: 5 * time.Second}, 2, true},
	} {
		v, found := cfg.Vault(name)
		if !found || v.Schedule.First != want.first || len(v.Groups) != want.groups || v.Repair != want.repair {
			t.Errorf("%s: %+v", name, v)
		}
	}
	archive, _ := cfg.Vault("archive")
	if archive.Accounts.License != identity.LicenseReadOnly {
		t.Errorf("the archive is to be read only: %+v", archive.Accounts)
	}
	if d := cfg.Directories[0]; d.Endpoints != (Endpoints{}) || filepath.Base(d.Credential.SecretFile) != "contoso.secret" {
		t.Errorf("%+v", d)
	}
}
