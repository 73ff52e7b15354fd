package entra_test

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/directory/entra"
	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

// agent is the identity endpoint of Azure Arc's agent: it names a file that
// only the agent's own group may read, and gives a token for what is in it.
type agent struct {
	w       *world
	keyFile string
	key     string
	// asked counts requests without a key, trusted those with the right one.
	asked, trusted atomic.Int32
}

func (a *agent) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Metadata") != "true" || r.URL.Query().Get("resource") != a.w.server.URL() {
		rw.WriteHeader(http.StatusBadRequest)
		return
	}
	if r.Header.Get("Authorization") == "" {
		a.asked.Add(1)
		rw.Header().Set("WWW-Authenticate", "Basic realm="+a.keyFile)
		rw.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.Header.Get("Authorization") != "Basic "+a.key {
		rw.WriteHeader(http.StatusForbidden)
		return
	}
	a.trusted.Add(1)
	token, err := a.token()
	if err != nil {
		rw.WriteHeader(http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(map[string]string{ // a test's server
		"access_token": token, "token_type": "Bearer", "resource": a.w.server.URL(),
		"expires_on": strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10), "expires_in": "3600",
	})
}

// token is one of the simulated tenant.
func (a *agent) token() (string, error) {
	client := &http.Client{Transport: a.w.trusting()}
	resp, err := client.PostForm(a.w.server.URL()+"/"+a.w.tenant.ID().String()+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {entrasim.DemoClientID}, "client_secret": {entrasim.DemoSecret},
		"scope": {a.w.server.URL() + "/.default"},
	})
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	var body struct {
		Token string `json:"access_token"`
	}
	err = json.NewDecoder(resp.Body).Decode(&body)
	return body.Token, err
}

// arcKeyFolder is where the library accepts a key from: fixed on Linux, below
// %ProgramData% on Windows. It makes the folder, or skips the test.
func arcKeyFolder(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		base := t.TempDir()
		t.Setenv("ProgramData", base)
		dir := filepath.Join(base, "AzureConnectedMachineAgent", "Tokens")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	const home, dir = "/var/opt/azcmagent", "/var/opt/azcmagent/tokens"
	if _, err := os.Stat(home); err == nil {
		t.Skip("this machine has the agent itself")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Skipf("the library takes keys from %s alone, which cannot be made: %v", dir, err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	return dir
}

// arc starts the agent and gives the way to connect to the tenant by it.
func arc(t *testing.T, w *world, keyFile string) (*agent, func() (*entra.Client, directory.Access, error)) {
	t.Helper()
	a := &agent{w: w, keyFile: keyFile, key: rand.Text()}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	t.Setenv("IDENTITY_ENDPOINT", server.URL+"/metadata/identity/oauth2/token")
	t.Setenv("IMDS_ENDPOINT", server.URL)
	return a, func() (*entra.Client, directory.Access, error) {
		client := w.connect(func(o *entra.Options) {
			o.ClientID, o.Patience = "", 200*time.Millisecond
			o.Credential = entra.Credential{Type: entra.ManagedIdentity}
		})
		access, err := client.Check(t.Context())
		return client, access, err
	}
}

func TestAzureArc(t *testing.T) {
	t.Run("a key outside the agent's folder is not read and not sent", func(t *testing.T) {
		w := open(t, small)
		agent, connect := arc(t, w, w.file("stolen.key", "canary-content-of-another-file"))
		_, _, err := connect()
		if !errors.Is(err, directory.ErrSignIn) || !strings.Contains(hint(err), "himds") || strings.Contains(err.Error(), "canary") {
			t.Errorf("got %v (hint %q)", err, hint(err))
		}
		if agent.asked.Load() == 0 || agent.trusted.Load() != 0 {
			t.Errorf("asked %d times, trusted %d times", agent.asked.Load(), agent.trusted.Load())
		}
	})
	t.Run("the two steps of the challenge end with a token that reads the tenant", func(t *testing.T) {
		dir := arcKeyFolder(t)
		w := open(t, small)
		keyFile := filepath.Join(dir, "vaultsync-test.key")
		agent, connect := arc(t, w, keyFile)
		if err := os.WriteFile(keyFile, []byte(agent.key), 0o600); err != nil {
			t.Fatal(err)
		}
		client, access, err := connect()
		if err != nil || access.TenantID != w.tenant.ID().String() || agent.trusted.Load() == 0 {
			t.Fatalf("%v; tenant %q, trusted %d times (hint %q)", err, access.TenantID, agent.trusted.Load(), hint(err))
		}
		w.client = client
		if r := w.pull(directory.Request{Streams: []directory.Stream{{}}}); len(r.people) != 3 {
			t.Errorf("read %d people", len(r.people))
		}
	})
}
