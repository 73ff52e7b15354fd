package credential_test

import (
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/credential"
)

const canary = "canary-of-a-secret"

func write(t *testing.T, data string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// refused checks that an error names the setting, the cause and a fix, and
// shows no secret.
func refused(t *testing.T, err error, text string) {
	t.Helper()
	e, ok := errors.AsType[*credential.Error](err)
	if !ok || e.Place != "store.tokenFile" || e.Hint() == "" || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v (%+v), want %q with place and fix", err, e, text)
	}
	if err != nil && (strings.Contains(err.Error(), canary) || strings.Contains(e.Hint(), canary)) {
		t.Errorf("the error shows the secret: %v", err)
	}
}

func TestLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, data, want, refusal string }{
		{"a secret alone", canary, canary, ""},
		{"a line end is no part of it", canary + "\r\n", canary, ""},
		{"nor are several", canary + "\n\n", canary, ""},
		{"nor is a byte order mark", "\xef\xbb\xbf" + canary, canary, ""},
		{"blanks may be", " a b ", " a b ", ""},
		{"nothing is no secret", "", "", "no secret"},
		{"blanks alone are none", " \t\n", "", "no secret"},
		{"two lines are refused", canary + "\n" + canary, "", "more than one line"},
		{"a NUL is refused", canary + "\x00", "", "more than one line"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := credential.Line("store.tokenFile", []byte(c.data))
			if c.refusal != "" {
				refused(t, err, c.refusal)
				return
			}
			if err != nil || got != c.want {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

func FuzzLine(f *testing.F) {
	f.Add([]byte("\xef\xbb\xbfa\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		line, err := credential.Line("key", data)
		if err != nil {
			return
		}
		if line == "" || strings.ContainsAny(line, "\r\n\x00") {
			t.Errorf("%q is not one line", line)
		}
	})
}

func TestFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct{ name, path, text string }{
		{"a file that is gone", filepath.Join(dir, "gone"), "cannot be read"},
		{"a folder", dir, "not a file"},
		{"a file of more than 1 MiB, which is never cut", write(t, strings.Repeat("x", 1<<20+1)), "larger than 1 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := credential.ReadFile("store.tokenFile", c.path)
			refused(t, err, c.text)
			_, err = (&credential.Secret{Key: "store.tokenFile", File: c.path}).Read()
			refused(t, err, c.text)
		})
	}
	t.Run("a file for everybody", func(t *testing.T) {
		t.Parallel()
		if runtime.GOOS == "windows" {
			t.Skip("files have no such mode")
		}
		path := write(t, canary)
		if err := os.Chmod(path, 0o604); err != nil {
			t.Fatal(err)
		}
		_, err := credential.ReadFile("store.tokenFile", path)
		refused(t, err, "every user of this machine")
	})
	t.Run("a file of 1 MiB is whole", func(t *testing.T) {
		t.Parallel()
		data, err := credential.ReadFile("store.tokenFile", write(t, strings.Repeat("x", 1<<20)))
		if err != nil || len(data) != 1<<20 {
			t.Errorf("%d bytes, %v", len(data), err)
		}
	})
}

func TestSecretIsReadAgainWhenItsFileChanged(t *testing.T) {
	t.Parallel()
	path := write(t, "first\n")
	s := &credential.Secret{Key: "store.tokenFile", File: path}
	want := func(want string) {
		t.Helper()
		if got, err := s.Read(); err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	want("first")
	if err := os.WriteFile(path, []byte("the second\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want("the second")

	// One of the same length and time, as a copy tool leaves it.
	old, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("the third!\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, old.ModTime()); err != nil {
		t.Fatal(err)
	}
	want("the second")
	s.Forget()
	want("the third!")

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	_, err = s.Read()
	refused(t, err, "cannot be read")
}

func TestSecretFromTheEnvironment(t *testing.T) {
	t.Parallel()
	value, set := canary+"\n", true
	s := &credential.Secret{Key: "store.tokenFile", Env: "TOKEN", LookupEnv: func(name string) (string, bool) { return value, set && name == "TOKEN" }}
	if got, err := s.Read(); err != nil || got != canary {
		t.Errorf("got %q, %v", got, err)
	}
	value = ""
	_, err := s.Read()
	refused(t, err, "no secret")
	set = false
	_, err = s.Read()
	refused(t, err, "TOKEN is not set")
}

func TestRoots(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	pool, err := credential.Roots("store.tokenFile", write(t, string(cert)))
	if err != nil || pool == nil {
		t.Fatal(err)
	}
	if pool, err := credential.Roots("store.tokenFile", ""); pool != nil || err != nil {
		t.Errorf("without a file the roots are the system's: %v, %v", pool, err)
	}
	_, err = credential.Roots("store.tokenFile", write(t, canary))
	refused(t, err, "no certificate")
	_, err = credential.Roots("store.tokenFile", filepath.Join(t.TempDir(), "gone"))
	refused(t, err, "cannot be read")
}

func TestProxy(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "https://scim.contoso.com/v2/Users", nil)
	for _, text := range []string{
		"http://proxy.contoso.com:8080", "https://proxy.contoso.com", "socks5://127.0.0.1:1080", "http://user:" + canary + "@proxy.contoso.com:8080",
	} {
		t.Run("taken: "+text, func(t *testing.T) {
			t.Parallel()
			choose, err := credential.Proxy("store.tokenFile", text)
			if err != nil {
				t.Fatal(err)
			}
			if u, err := choose(r); err != nil || u.String() != text {
				t.Errorf("got %v, %v", u, err)
			}
		})
	}
	for _, text := range []string{
		"proxy.contoso.com:8080", "socks4://127.0.0.1:1080", "ftp://proxy.contoso.com", "file:///etc/proxy", "http://", "http://:8080",
		"http://user:" + canary + "\x7f@proxy.contoso.com", "gopher://user:" + canary + "@proxy.contoso.com",
	} {
		t.Run("refused: "+text, func(t *testing.T) {
			t.Parallel()
			_, err := credential.Proxy("store.tokenFile", text)
			refused(t, err, "")
		})
	}
}
