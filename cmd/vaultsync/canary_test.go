package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

// The canaries stand wherever a secret can stand. None may be seen anywhere
// but there.
const (
	canarySecret   = "canary-client-secret-Qx7~"
	canaryWrong    = "canary-wrong-secret-Zt4~"
	canaryPassword = "canary-certificate-password"
	canaryProxy    = "canary-proxy-password"
)

// aToken is the beginning of every signed token, the simulator's and those
// that the client makes of a certificate.
var aToken = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}`)

// canaryWorld is a tenant, a proxy before it, and a configuration.
type canaryWorld struct {
	t      *testing.T
	dir    string
	tenant *entrasim.Tenant
	server *entrasim.Server
	proxy  string // host and port
	api    string
	key    *rsa.PrivateKey
	cert   *x509.Certificate

	credential, tenantID, clientID, proxyURL string
	env                                      []string
}

const canaryTenant = `
user ann@contoso.com "Ann B" mail=ann@contoso.com
user bob@contoso.com "Bob C"
group Sales
member Sales: ann@contoso.com, bob@contoso.com
`

func newCanaryWorld(t *testing.T) *canaryWorld {
	t.Helper()
	tenant, err := entrasim.ParseTenant(canaryTenant)
	if err != nil {
		t.Fatal(err)
	}
	w := &canaryWorld{t: t, dir: t.TempDir(), tenant: tenant, tenantID: tenant.ID().String(), clientID: entrasim.DemoClientID}
	if w.server, err = entrasim.Start(entrasim.Options{CAFile: filepath.Join(w.dir, "ca.pem")}, tenant); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.server.Close() })
	w.key, w.cert = canaryIdentity(t, time.Now().Add(1000*time.Hour))
	w.app(func(a *entrasim.App) {
		a.Secrets = []entrasim.Secret{{Value: canarySecret}}
		a.Certificates = []*x509.Certificate{w.cert}
	})
	w.file("secret", canarySecret)
	w.credential = "{type: clientSecret, secretFile: secret}"
	w.proxy = strings.TrimPrefix(connectProxy(t).URL, "http://")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.api = listener.Addr().String()
	_ = listener.Close()
	return w
}

func (w *canaryWorld) app(change func(*entrasim.App)) {
	w.t.Helper()
	if err := w.tenant.UpdateApp(entrasim.DemoClientID, change); err != nil {
		w.t.Fatal(err)
	}
}

func (w *canaryWorld) file(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// program writes the configuration and is the program with it.
func (w *canaryWorld) program() program {
	w.t.Helper()
	id, err := w.tenant.IDOf("group Sales")
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(w.dir, "vaults.d"), 0o700); err != nil {
		w.t.Fatal(err)
	}
	w.file("vaults.d/sales.yaml", fmt.Sprintf("vault: sales\ndirectory: contoso\nstore: {type: embedded}\ngroups: [{id: %s}]\nschedule: {startTimeOfFirstImport: \"+0s\", every: 1m}\n", id))
	w.file("vaultsync.yaml", fmt.Sprintf("dataDir: ./data\nvaults: vaults.d\napi: {listen: %q}\ndirectories:\n  - name: contoso\n    type: entra\n    tenantId: %s\n    clientId: %s\n"+
		"    credential: %s\n    endpoints: {graph: %q, authority: %q}\n    caFile: ca.pem\n    patience: 2s\n    proxy: %q\n",
		w.api, w.tenantID, w.clientID, w.credential, w.server.URL(), w.server.URL(), w.proxyURL))
	return program{config: filepath.Join(w.dir, "vaultsync.yaml"), dir: w.dir, env: w.env}
}

// canaryIdentity is a key with a certificate that ends at a time.
func canaryIdentity(t *testing.T, end time.Time) (*rsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "vaultsync"}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert
}

func canaryPEM(t *testing.T, key *rsa.PrivateKey, cert *x509.Certificate) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// connectProxy is a proxy that wants a user and a password.
func connectProxy(t *testing.T) *httptest.Server {
	t.Helper()
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("proxyuser:"+canaryProxy))
	proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != want {
			rw.Header().Set("Proxy-Authenticate", "Basic")
			rw.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		there, err := net.Dial("tcp", r.Host)
		if err != nil {
			rw.WriteHeader(http.StatusBadGateway)
			return
		}
		rw.WriteHeader(http.StatusOK)
		here, _, err := rw.(http.Hijacker).Hijack() //nolint:forcetypeassert // HTTP/1 can
		if err != nil {
			return
		}
		var both sync.WaitGroup
		tunnel := func(to, from net.Conn) {
			_, _ = io.Copy(to, from)
			_ = to.Close()
		}
		both.Go(func() { tunnel(there, here) })
		both.Go(func() { tunnel(here, there) })
		both.Wait()
	}))
	t.Cleanup(proxy.Close)
	return proxy
}

// signIn is one way to sign in, or to fail to.
type signIn struct {
	name  string
	setUp func(w *canaryWorld)
	code  int
	says  []string // cause and fix
}

func signIns() []signIn {
	return []signIn{
		{"a secret in a file, through a proxy with a password", func(w *canaryWorld) {
			w.proxyURL = "http://proxyuser:" + canaryProxy + "@" + w.proxy
		}, exitDone, nil},
		{"a secret in the environment", func(w *canaryWorld) {
			w.credential, w.env = "{type: clientSecret, secretEnv: CANARY}", []string{"CANARY=" + canarySecret}
		}, exitDone, nil},
		{"a certificate as PEM", func(w *canaryWorld) {
			w.file("cert", canaryPEM(w.t, w.key, w.cert))
			w.credential = "{type: clientCertificate, certificateFile: cert}"
		}, exitDone, nil},
		{"a certificate as PKCS#12", func(w *canaryWorld) { w.pkcs12(canaryPassword) }, exitDone, nil},
		{"a wrong password of the certificate", func(w *canaryWorld) { w.pkcs12("canary-wrong-password") }, exitUnreachable, []string{"cert", "password"}},
		{"an expired certificate", func(w *canaryWorld) {
			key, cert := canaryIdentity(w.t, time.Now().Add(-24*time.Hour))
			w.app(func(a *entrasim.App) { a.Certificates = []*x509.Certificate{cert} })
			w.file("cert", canaryPEM(w.t, key, cert))
			w.credential = "{type: clientCertificate, certificateFile: cert}"
		}, exitUnreachable, []string{"certificate", "expired"}},
		{"a certificate that the application does not have", func(w *canaryWorld) {
			key, cert := canaryIdentity(w.t, time.Now().Add(time.Hour))
			w.file("cert", canaryPEM(w.t, key, cert))
			w.credential = "{type: clientCertificate, certificateFile: cert}"
		}, exitUnreachable, []string{"AADSTS700027", "certificate"}},
		{"a wrong secret", func(w *canaryWorld) { w.file("secret", canaryWrong) }, exitUnreachable, []string{"AADSTS7000215", "value, not its id"}},
		{"an expired secret", func(w *canaryWorld) {
			w.app(func(a *entrasim.App) { a.Secrets[0].Expires = time.Now().Add(-time.Hour) })
		}, exitUnreachable, []string{"expired", "AADSTS7000222", "new client secret"}},
		{"a missing secret file", func(w *canaryWorld) { w.credential = "{type: clientSecret, secretFile: gone}" }, exitUnreachable, []string{"gone"}},
		{"a wrong tenant", func(w *canaryWorld) { w.tenantID = "8a4b0d3e-0000-4000-8000-0000000000ff" }, exitUnreachable, []string{"AADSTS90002", "tenantId"}},
		{"an unknown application", func(w *canaryWorld) { w.clientID = "5d2f9c1a-0000-4000-8000-0000000000ff" }, exitUnreachable, []string{"AADSTS700016", "clientId"}},
		{"a missing consent", func(w *canaryWorld) { w.tenant.Revoke(entrasim.PermUsers) }, exitUnreachable, []string{entrasim.PermUsers, "consent"}},
		{"a wrong password of the proxy", func(w *canaryWorld) {
			w.proxyURL = "http://proxyuser:canary-proxy-wrong@" + w.proxy
		}, exitUnreachable, []string{"407", "proxy"}},
		{"a sign-in service that breaks", func(w *canaryWorld) {
			if _, err := w.server.Inject(entrasim.Fault{Kind: entrasim.FaultReset, Path: "/token"}); err != nil {
				w.t.Fatal(err)
			}
		}, exitUnreachable, []string{"out of reach"}},
		{"a sign-in service that shows what it was sent", func(w *canaryWorld) {
			// A proxy's page may repeat the request.
			if _, err := w.server.Inject(entrasim.Fault{
				Kind: entrasim.FaultStatus, Status: 400, Path: "/token", Code: "invalid_client",
				Message: "client_secret=" + canarySecret, Body: `{"error":"invalid_client","error_description":"AADSTS7000215: client_secret=` + canarySecret + ` is wrong"}`,
			}); err != nil {
				w.t.Fatal(err)
			}
		}, exitUnreachable, nil},
	}
}

func (w *canaryWorld) pkcs12(password string) {
	w.t.Helper()
	data, err := pkcs12.Modern.Encode(w.key, w.cert, nil, canaryPassword)
	if err != nil {
		w.t.Fatal(err)
	}
	w.file("cert", string(data))
	w.file("password", password)
	w.credential = "{type: clientCertificate, certificateFile: cert, certificatePasswordFile: password}"
}

func TestSigningInShowsNoSecret(t *testing.T) {
	t.Parallel()
	for _, c := range signIns() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newCanaryWorld(t)
			c.setUp(w)
			p := w.program()
			first := p.run(t, "--log-level", "debug", "sync", "sales")
			w.clean("sync", first.out, first.err)
			if first.code != c.code {
				t.Errorf("exit code %d, want %d\n%s%s", first.code, c.code, first.out, first.err)
			}
			for _, words := range c.says {
				if !strings.Contains(first.out+first.err, words) {
					t.Errorf("the message does not say %q:\n%s%s", words, first.out, first.err)
				}
			}
			for _, args := range [][]string{
				{"--log-level", "debug", "--log-format", "json", "sync", "sales", "--json", "--full"},
				{"--log-level", "debug", "check"},
				{"check", "--json"},
				{"plan", "sales", "--json"},
				{"status", "--json"},
				{"status"},
				{"log", "--json"},
				{"explain", "sales", "ann@contoso.com"},
				{"directory", "groups", "contoso", "Sales"},
				{"vault", "users", "sales", "--json"},
			} {
				r := p.run(t, args...)
				w.clean(strings.Join(args, " "), r.out, r.err)
			}
			w.cleanFiles()
		})
	}
}

func TestTheDaemonShowsNoSecret(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there is no /proc and no SIGQUIT")
	}
	for _, c := range signIns() {
		if c.name != "a secret in a file, through a proxy with a password" && c.name != "an expired secret" && c.name != "a certificate as PKCS#12" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newCanaryWorld(t)
			c.setUp(w)
			var out bytes.Buffer
			cmd := w.program().command(t, "--log-level", "debug", "run")
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			w.cleanPages(c.code == exitDone)
			line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", cmd.Process.Pid))
			if err != nil {
				t.Error(err)
			}
			w.clean("the process list", string(line))
			// A crash writes what every goroutine is doing.
			if err := cmd.Process.Signal(syscall.SIGQUIT); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if !strings.Contains(out.String(), "goroutine ") {
				t.Error("the program did not crash as it was told to")
			}
			w.clean("log and crash", out.String())
			w.cleanFiles()
		})
	}
}

// cleanPages looks at the pages of the API once a run has ended.
func (w *canaryWorld) cleanPages(good bool) {
	w.t.Helper()
	want := "failing"
	if good {
		want = `"outcome":"ok"`
	}
	var seen string
	for range 200 {
		for _, page := range []string{"/healthz", "/readyz", "/metrics", "/status", "/", "/debug/pprof/cmdline"} {
			resp, err := http.Get("http://" + w.api + page)
			if err != nil {
				break
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil {
				w.t.Fatal(err)
			}
			w.clean(page, string(body))
			if page == "/status" {
				seen = string(body)
			}
		}
		if flat := strings.ReplaceAll(seen, " ", ""); strings.Contains(flat, want) || !good && strings.Contains(flat, `"outcome":"failed"`) {
			return
		}
		time.Sleep(50 * time.Millisecond) // another process has no other sign
	}
	w.t.Errorf("no run has ended: %s", seen)
}

// clean complains of a secret in a text.
func (w *canaryWorld) clean(where string, texts ...string) {
	w.t.Helper()
	for _, text := range texts {
		for _, secret := range []string{"canary-", canarySecret[7:], base64.StdEncoding.EncodeToString([]byte("proxyuser:" + canaryProxy)), "BEGIN PRIVATE KEY"} {
			if i := strings.Index(text, secret); i >= 0 {
				w.t.Errorf("%s shows %q: …%s…", where, secret, text[max(0, i-120):min(len(text), i+80)])
			}
		}
		if token := aToken.FindString(text); token != "" {
			i := strings.Index(text, token)
			w.t.Errorf("%s shows a token: …%s…", where, text[max(0, i-120):min(len(text), i+40)])
		}
	}
}

// cleanFiles looks into every file of the data directory.
func (w *canaryWorld) cleanFiles() {
	w.t.Helper()
	files := 0
	err := filepath.WalkDir(filepath.Join(w.dir, "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		files++
		w.clean(filepath.Base(path), string(text))
		return err
	})
	if err != nil || files == 0 {
		w.t.Errorf("%d files looked at: %v", files, err)
	}
}
