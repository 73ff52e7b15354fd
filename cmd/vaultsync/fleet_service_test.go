package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/observe"
	"github.com/vaultsync/vaultsync/pkg/service"
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
	for _, want := range []string{f.file(), filepath.Join(f.dir, "vaults.d"), filepath.Join(f.dir, "vaults.d", "sales.yaml")} {
		if !slices.Contains(i.Files, want) {
			t.Errorf("the files that the service must be able to read are %q, without %s", i.Files, want)
		}
	}
	if slices.ContainsFunc(i.Files, func(file string) bool { return !filepath.IsAbs(file) }) {
		t.Errorf("relative paths among %q", i.Files)
	}
}

func TestAScheduledRunThatFailsIsLoggedOnce(t *testing.T) {
	tenant := entrasim.Generate(entrasim.Spec{People: 1, Groups: 1, MembershipsPerPerson: 1, Seed: 1})
	for name, c := range map[string]struct {
		spoil func(t *testing.T, f *fleet)
		want  string
	}{
		"a directory that refuses the sign-in": {func(t *testing.T, f *fleet) {
			t.Helper()
			put(t, filepath.Join(f.dir, "contoso.secret"), "not the secret")
		}, "the client secret is wrong"},
		"a store that does not open": {func(t *testing.T, f *fleet) {
			t.Helper()
			put(t, filepath.Join(f.dir, "data", "embedded.db"), "this is no database")
		}, "embedded.db"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startSite(t, "contoso", tenant, "")
			f := &fleet{dir: t.TempDir(), sites: []*site{s}}
			f.write(t)
			f.vault(t, "sales", "contoso", "{startTimeOfFirstImport: +0s, every: 12h}", groupIDs(t, tenant, 1)...)
			c.spoil(t, f)
			cfg, err := f.load()
			if err != nil {
				t.Fatal(err)
			}
			var said output
			log := observe.NewLogger(&said, "info", "text")
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- runDaemon(ctx, cfg, f.load, log, logRun(log), func(*daemon) {}) }()
			until(t, "the run has failed", func() bool { return strings.Contains(said.String(), "level=ERROR") })
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if text := said.String(); strings.Count(text, "level=ERROR") != 1 || !strings.Contains(text, c.want) || !strings.Contains(text, "vault=sales") {
				t.Errorf("want one error of sales with %q:\n%s", c.want, text)
			}
		})
	}
}

func TestACrashOfTheServiceIsNoWrongConfiguration(t *testing.T) {
	t.Parallel()
	unit, err := service.Unit(service.Installation{Executable: "/usr/local/bin/vaultsync", ConfigFile: "/etc/vaultsync/vaultsync.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	_, prevented, _ := strings.Cut(unit, "RestartPreventExitStatus=")
	prevented, _, _ = strings.Cut(prevented, "\n")
	// Go ends a panic, and the watchdog's SIGABRT, with 2.
	if want := fmt.Sprintf("%d %d", serviceCode(exitUsage), exitDamaged); prevented != want || serviceCode(exitUsage) == 2 {
		t.Errorf("the unit is not started again after %q, want %q", prevented, want)
	}
}

func TestTheServiceSaysWhyItDoesNotStart(t *testing.T) {
	r := program{config: filepath.Join(t.TempDir(), "gone.yaml")}.run(t, "run", "--service")
	if r.code != exitServiceUsage || !strings.Contains(r.err, "gone.yaml") || !strings.Contains(r.err, "level=ERROR") {
		t.Errorf("exit code %d\n%s", r.code, r.err)
	}
}
