//go:build !windows

package service

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func sample() Installation {
	return Installation{Executable: "/usr/local/bin/vaultsync", ConfigFile: "/etc/vaultsync/vaultsync.yaml"}
}

func TestShippedUnitIsTheGeneratedOne(t *testing.T) {
	t.Parallel()
	want, err := Unit(sample())
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join("..", "..", "scripts", "vaultsync.service"))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("scripts/vaultsync.service differs from what Unit makes; it should be:\n%s", want)
	}
}

func TestUnitRefusesWhatCouldNotRun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*Installation)
		want   string
	}{
		"a relative program":             {func(i *Installation) { i.Executable = "vaultsync" }, "absolute"},
		"a program in a home":            {func(i *Installation) { i.Executable = "/home/ann/vaultsync" }, "cannot see"},
		"a configuration in root's":      {func(i *Installation) { i.ConfigFile = "/root/vaultsync.yaml" }, "cannot see"},
		"a hidden path behind dots":      {func(i *Installation) { i.ConfigFile = "/etc/../root/vaultsync.yaml" }, "cannot see"},
		"another data directory":         {func(i *Installation) { i.DataDir = "/srv/data" }, StateDir},
		"two secrets of one name":        {func(i *Installation) { i.Credentials = []string{"/etc/a/s", "/etc/b/s"} }, "two secret files"},
		"a relative secret":              {func(i *Installation) { i.Credentials = []string{"s"} }, "absolute"},
		"a path that would add a line":   {func(i *Installation) { i.ConfigFile = "/etc/x\nExecStartPre=/bin/sh" }, "control characters"},
		"a secret that would add a line": {func(i *Installation) { i.Credentials = []string{"/etc/x\nUser=root"} }, "colon"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := sample()
			c.change(&i)
			if text, err := Unit(i); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Unit = %v, want an error with %q; unit:\n%s", err, c.want, text)
			}
		})
	}
}

func TestUnitQuotesPaths(t *testing.T) {
	t.Parallel()
	text, err := Unit(Installation{Executable: `/opt/vault sync/100%/$HOME/"x"`, ConfigFile: "/etc/vaultsync/v.yaml", DataDir: "/var/lib/vaultsync/", Credentials: []string{"/etc/vaultsync/contoso.secret"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`ExecStart="/opt/vault sync/100%%/$$HOME/\"x\"" -c "/etc/vaultsync/v.yaml" run --service` + "\n",
		"LoadCredential=contoso.secret:/etc/vaultsync/contoso.secret\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the unit lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "{{") {
		t.Errorf("a place is left open:\n%s", text)
	}
}

func TestSystemdTakesTheUnit(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not on this machine")
	}
	program, err := exec.LookPath("true") // verify wants a program that is there
	if err != nil {
		t.Skip(err)
	}
	text, err := Unit(Installation{Executable: program, ConfigFile: "/etc/vaultsync/vaultsync.yaml", Credentials: []string{"/etc/vaultsync/contoso.secret"}})
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "vaultsync.service")
	if err := os.WriteFile(unit, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// Its exit code is 0 whatever it finds: only silence is consent.
	out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", unit).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	out, err = exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--threshold=20", unit).CombinedOutput()
	if err != nil {
		t.Errorf("the unit is exposed more than 2.0: %v\n%s", err, out)
	}
}

// host is a machine with systemd, or without, whose systemctl is recorded.
func host(t *testing.T, booted bool, answer func(args []string) (string, error)) (s systemd, calls *[]string) {
	t.Helper()
	dir := t.TempDir()
	calls = new([]string)
	s = systemd{unit: filepath.Join(dir, "vaultsync.service"), booted: filepath.Join(dir, "booted")}
	if booted {
		if err := os.Mkdir(s.booted, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.systemctl = func(_ context.Context, args ...string) (string, error) {
		*calls = append(*calls, strings.Join(args, " "))
		return answer(args)
	}
	return s, calls
}

func fine([]string) (string, error) { return "", nil }

func TestWithoutSystemdItSaysSo(t *testing.T) {
	t.Parallel()
	s, calls := host(t, false, fine)
	_, queried := s.Query(t.Context())
	for _, err := range []error{s.Install(t.Context(), sample()), s.Uninstall(t.Context()), s.Start(t.Context()), s.Stop(t.Context()), queried} {
		if !errors.Is(err, ErrNoManager) {
			t.Errorf("error is %v, want ErrNoManager", err)
		}
	}
	if len(*calls) > 0 {
		t.Errorf("systemctl was called: %q", *calls)
	}
}

func TestInstallAndUninstall(t *testing.T) {
	t.Parallel()
	s, calls := host(t, true, fine)
	for _, err := range []error{s.Start(t.Context()), s.Stop(t.Context()), s.Uninstall(t.Context())} {
		if !errors.Is(err, ErrNotInstalled) {
			t.Errorf("before install: %v, want ErrNotInstalled", err)
		}
	}
	if err := s.Install(t.Context(), sample()); err != nil {
		t.Fatal(err)
	}
	if err := s.Install(t.Context(), sample()); !errors.Is(err, ErrInstalled) {
		t.Errorf("a second install = %v, want ErrInstalled", err)
	}
	if err := errors.Join(s.Start(t.Context()), s.Stop(t.Context()), s.Uninstall(t.Context())); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.unit); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the unit is still there: %v", err)
	}
	want := []string{"daemon-reload", "enable vaultsync", "start vaultsync", "stop vaultsync", "disable --now vaultsync", "daemon-reload"}
	if !slices.Equal(*calls, want) {
		t.Errorf("systemctl calls %q, want %q", *calls, want)
	}
}

func TestInstallThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	s, _ := host(t, true, func(args []string) (string, error) {
		if args[0] == "enable" {
			return "Access denied\n", errors.New("exit status 1")
		}
		return "", nil
	})
	if err := s.Install(t.Context(), sample()); err == nil || !strings.Contains(err.Error(), "Access denied") {
		t.Errorf("Install = %v, want what systemctl said", err)
	}
	if _, err := os.Stat(s.unit); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a unit that was not enabled is left: %v", err)
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	down := errors.New("exit status 3")
	for word, want := range map[string]State{"active": Running, "activating": StartPending, "deactivating": StopPending, "inactive": Stopped, "failed": Stopped, "": 0, "maintenance": 0} {
		s, _ := host(t, true, func([]string) (string, error) { return word + "\n", down })
		if err := os.WriteFile(s.unit, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Query(t.Context()); got != want || (err == nil) != (want != 0) {
			t.Errorf("is-active %q: %v, %v; want %v", word, got, err, want)
		}
	}
}

func TestInstallRefusesWhatTheServiceCouldNotRead(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "readable") //nolint:usetesting // others may pass through a temporary folder, not through t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.Chmod(dir, 0o755),                                                                                                     //nolint:gosec // that is what is tested
		os.Mkdir(at("closed"), 0o700), os.WriteFile(at("closed/open.yaml"), nil, 0o600), os.Chmod(at("closed/open.yaml"), 0o644), //nolint:gosec // the same
		os.WriteFile(at("own.yaml"), nil, 0o600),
		os.WriteFile(at("open.yaml"), nil, 0o600), os.Chmod(at("open.yaml"), 0o644), //nolint:gosec // the same
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		change func(*Installation)
		want   string
	}{
		"a file of root's alone":     {func(i *Installation) { i.Files = []string{at("own.yaml")} }, "chmod o+r " + at("own.yaml")},
		"a file in a closed folder":  {func(i *Installation) { i.Files = []string{at("closed/open.yaml")} }, "chmod o+x " + at("closed")},
		"a folder that is closed":    {func(i *Installation) { i.Files = []string{at("closed")} }, "chmod o+rx " + at("closed")},
		"a file that is not there":   {func(i *Installation) { i.Files = []string{at("gone.pem")} }, "gone.pem"},
		"a secret that is not there": {func(i *Installation) { i.Credentials = []string{at("gone.secret")} }, "vaultsync secret set"},
		"what everybody may read, and a secret that only root may": {func(i *Installation) {
			i.Files, i.Credentials = []string{dir, at("open.yaml")}, []string{at("own.yaml")}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, calls := host(t, true, fine)
			i := sample()
			c.change(&i)
			err := s.Install(t.Context(), i)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || len(*calls) > 0 {
				t.Errorf("Install = %v, systemctl %q; want an error with %q", err, *calls, c.want)
			}
		})
	}
}
