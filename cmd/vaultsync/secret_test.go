package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/config"
)

func TestSecretSet(t *testing.T) {
	const canary = "canary-Secret~value"
	u := newUpkeep(t)
	file := filepath.Join(u.dir, "contoso.secret")
	for name, input := range map[string]string{"as it is": canary, "with a line end": canary + "\n", "with one of Windows": "\xef\xbb\xbf" + canary + "\r\n"} {
		t.Run("a secret from stdin is written, "+name, func(t *testing.T) {
			put(t, file, "the old one")
			u.input = input
			out := u.run(exitDone, "secret", "set", "contoso")
			got, err := os.ReadFile(file)
			if err != nil || string(got) != canary+"\n" {
				t.Errorf("%v: %q", err, got)
			}
			if strings.Contains(out, canary) {
				t.Errorf("it is shown: %s", out)
			}
			if info, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
				t.Errorf("%v %v", info.Mode(), err)
			}
		})
	}
	for name, input := range map[string]string{"nothing": "", "an empty line": "\n", "blanks": "  \n", "two lines": canary + "\nmore\n", "too much": strings.Repeat("x", secretAtMost+1)} {
		t.Run(name+" is refused, and the file stays", func(t *testing.T) {
			put(t, file, "the old one")
			u.input = input
			out := u.run(exitUsage, "secret", "set", "contoso")
			if got, err := os.ReadFile(file); err != nil || string(got) != "the old one" || strings.Contains(out, canary) {
				t.Errorf("%v: %q; %s", err, got, out)
			}
		})
	}
	t.Run("what has no secret is refused in words", func(*testing.T) {
		u.says(exitUsage, []string{"secret", "set", "sales"}, "needs no secret")
		u.says(exitUsage, []string{"secret", "set", "nobody"}, "no directory and no vault")
	})
	t.Run("a link is followed, not replaced", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("links need a right of their own")
		}
		real := filepath.Join(t.TempDir(), "real")
		put(t, real, "the old one")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(real, file); err != nil {
			t.Fatal(err)
		}
		u.input = canary
		u.run(exitDone, "secret", "set", "contoso")
		if got, err := os.ReadFile(real); err != nil || string(got) != canary+"\n" {
			t.Errorf("%v: %q", err, got)
		}
	})
	if left, err := filepath.Glob(filepath.Join(u.dir, "*contoso.secret*")); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestFindSecret(t *testing.T) {
	t.Parallel()
	cfg := &config.Config{
		Directories: []config.Directory{
			{Name: "certified", Credential: config.Credential{Type: "clientCertificate", CertificateFile: "c.pfx", CertificatePasswordFile: "c.password"}},
			{Name: "env", Credential: config.Credential{Type: "clientSecret", SecretEnv: "CONTOSO_SECRET"}},
			{Name: "managed", Credential: config.Credential{Type: "managedIdentity"}},
			{Name: "twice", Credential: config.Credential{Type: "clientSecret", SecretFile: "d.secret"}},
			{Name: "plain", Credential: config.Credential{Type: "clientSecret", SecretFile: "p.secret"}},
		},
		Vaults: []config.Vault{
			{Name: "token", Store: config.Store{Type: "scim", SCIM: &config.SCIM{TokenFile: "t.token"}}},
			{Name: "oauth", Store: config.Store{Type: "scim", SCIM: &config.SCIM{OAuth: &config.OAuth{SecretFile: "o.secret"}}}},
			{Name: "variable", Store: config.Store{Type: "scim", SCIM: &config.SCIM{TokenEnv: "T"}}},
			{Name: "twice", Store: config.Store{Type: "scim", SCIM: &config.SCIM{TokenFile: "t.token"}}},
			{Name: "plain", Store: config.Store{Type: "embedded"}},
		},
	}
	for name, want := range map[string]string{
		"certified": "c.password", "token": "t.token", "oauth": "o.secret", "plain": "p.secret",
		"env": "!CONTOSO_SECRET", "managed": "!managedIdentity", "variable": "!environment variable", "twice": "!a directory and a vault", "none": "!no directory and no vault",
	} {
		got, err := findSecret(cfg, name)
		says, refused := strings.CutPrefix(want, "!")
		if refused && (err == nil || !strings.Contains(err.Error(), says)) || !refused && (err != nil || got.file != want) {
			t.Errorf("%s: %v, %v; want %s", name, got, err, want)
		}
	}
}
