package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

func TestTheServiceReadsItsSecretsWhereSystemdPutsThem(t *testing.T) {
	tenant := entrasim.Generate(entrasim.Spec{People: 10, Groups: 1, MembershipsPerPerson: 1, Seed: 1})
	s := startSite(t, "contoso", tenant, "")
	f := &fleet{dir: t.TempDir(), sites: []*site{s}}
	f.write(t)
	f.vault(t, "sales", "contoso", "{every: 1h}", groupIDs(t, tenant, 1)...)
	handed := t.TempDir()
	put(t, filepath.Join(handed, "contoso.secret"), entrasim.DemoSecret)
	// The original is not what is signed in with.
	put(t, filepath.Join(f.dir, "contoso.secret"), "not the secret")
	inside := program{config: f.file(), env: []string{"CREDENTIALS_DIRECTORY=" + handed}}
	if r := inside.run(t, "sync", "sales"); r.code != exitDone {
		t.Errorf("with the secret that systemd hands over: exit code %d\n%s", r.code, r.err)
	}
	if r := inside.run(t, "check", "sales"); r.code != exitDone {
		t.Errorf("check: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	if r := (program{config: f.file()}).run(t, "sync", "sales"); r.code != exitUnreachable {
		t.Errorf("with the original, which is wrong: exit code %d\n%s", r.code, r.err)
	}
}

func TestTheUnitHandsOverEverySecretOfTheConfiguration(t *testing.T) {
	tenant := entrasim.Generate(entrasim.Spec{People: 1, Groups: 1, Seed: 1})
	s := startSite(t, "contoso", tenant, "")
	f := &fleet{dir: t.TempDir(), sites: []*site{s}}
	f.write(t)
	f.vault(t, "sales", "contoso", "{every: 1h}", groupIDs(t, tenant, 1)...)
	i, err := (&session{configPath: f.file(), out: os.Stdout, err: os.Stderr}).installation("")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{filepath.Join(f.dir, "contoso.secret")}; !slices.Equal(i.Credentials, want) {
		t.Errorf("credentials %q, want %q", i.Credentials, want)
	}
}
