package entra_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/directory/entra"
	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

func hint(err error) string {
	var hinted interface{ Hint() string }
	if !errors.As(err, &hinted) {
		return ""
	}
	return hinted.Hint()
}

func TestSignInErrorsAreInWords(t *testing.T) {
	t.Parallel()
	wrongSecret := func(w *world, o *entra.Options) {
		o.Credential.SecretFile = w.file("wrong", "not-the-secret-of-anybody")
	}
	cases := []struct {
		name   string
		change func(w *world, o *entra.Options)
		kind   error
		says   string
		hints  string
	}{
		{"a wrong secret", wrongSecret, directory.ErrSignIn, "AADSTS7000215", "value, not its id"},
		{"an expired secret", func(w *world, _ *entra.Options) {
			expire := func(a *entrasim.App) { a.Secrets[0].Expires = time.Now().Add(-time.Hour) }
			if err := w.tenant.UpdateApp(entrasim.DemoClientID, expire); err != nil {
				w.t.Fatal(err)
			}
		}, directory.ErrSignIn, "expired (AADSTS7000222)", "new client secret"},
		{
			"another tenant", func(_ *world, o *entra.Options) { o.TenantID = "8a4b0d3e-0000-4000-8000-0000000000ff" },
			directory.ErrSignIn, "AADSTS90002", "tenantId",
		},
		{
			"an unknown application", func(_ *world, o *entra.Options) { o.ClientID = "5d2f9c1a-0000-4000-8000-0000000000ff" },
			directory.ErrSignIn, "AADSTS700016", "clientId",
		},
		{
			"a missing secret file", func(_ *world, o *entra.Options) { o.Credential.SecretFile = "gone.secret" },
			directory.ErrSignIn, "gone.secret", "",
		},
		{
			"an empty secret file", func(w *world, o *entra.Options) { o.Credential.SecretFile = w.file("empty", "\n") },
			directory.ErrSignIn, "no secret", "",
		},
		{"a secret file for everybody", func(w *world, o *entra.Options) {
			if runtime.GOOS == "windows" {
				w.t.Skip("files have no such mode")
			}
			o.Credential.SecretFile = w.file("open", "x")
			if err := os.Chmod(o.Credential.SecretFile, 0o644); err != nil {
				w.t.Fatal(err)
			}
		}, directory.ErrSignIn, "every user of this machine", "chmod 600"},
		{
			"an unknown certificate authority", func(_ *world, o *entra.Options) { o.CAFile = "" },
			directory.ErrUnreachable, "unknown authority", "caFile",
		},
		{"a closed port", func(_ *world, o *entra.Options) {
			o.AuthorityURL, o.GraphURL = "https://127.0.0.1:1", "https://127.0.0.1:1"
		}, directory.ErrUnreachable, "cannot be reached", "firewall"},
		{"a proxy that wants a sign-in", func(w *world, o *entra.Options) {
			proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				rw.WriteHeader(http.StatusProxyAuthRequired)
			}))
			w.t.Cleanup(proxy.Close)
			o.Proxy = strings.Replace(proxy.URL, "http://", "http://user:canary-password@", 1)
		}, directory.ErrUnreachable, "407", "proxy"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := open(t, small)
			w.client = w.connect(func(o *entra.Options) {
				o.Patience = 200 * time.Millisecond
				c.change(w, o)
			})
			_, err := w.try(directory.Request{Streams: []directory.Stream{{}}})
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) || !strings.Contains(hint(err), c.hints) {
				t.Errorf("got %v (hint %q)\nwant %v, %q, hint %q", err, hint(err), c.kind, c.says, c.hints)
			}
			for _, secret := range []string{"not-the-secret-of-anybody", entrasim.DemoSecret, "canary-password"} {
				if err != nil && strings.Contains(err.Error()+hint(err), secret) {
					t.Errorf("the error shows a secret: %v", err)
				}
			}
		})
	}
}

func TestSignInServiceFails(t *testing.T) {
	t.Parallel()
	for _, f := range []entrasim.Fault{
		{Kind: entrasim.FaultStatus, Status: 503, RetryAfter: "0.01", Times: 2},
		{Kind: entrasim.FaultThrottle, Times: 2},
		{Kind: entrasim.FaultHTML, Status: 200, Times: 2},
		{Kind: entrasim.FaultReset, Times: 2},
		{Kind: entrasim.FaultBOM},
		{Kind: entrasim.FaultChunks, Delay: time.Millisecond},
		{Kind: entrasim.FaultGzip},
	} {
		t.Run(string(f.Kind)+" at the sign-in is lived through", func(t *testing.T) {
			t.Parallel()
			w := open(t, small)
			f.Path = "/token"
			fault := w.inject(f)
			if r := w.pull(directory.Request{Streams: []directory.Stream{{}}}); len(r.people) != 3 {
				t.Errorf("%v", r.errs)
			}
			if fault.Fired() == 0 {
				t.Error("the fault never struck")
			}
		})
	}
}

func TestNewSecretIsReadFromTheFile(t *testing.T) {
	t.Parallel()
	w := open(t, small)
	request := w.stored()
	if err := w.tenant.UpdateApp(entrasim.DemoClientID, func(a *entrasim.App) { a.Secrets = []entrasim.Secret{{Value: "the next secret"}} }); err != nil {
		t.Fatal(err)
	}
	w.server.RevokeAccess(w.tenant)
	if _, err := w.try(request); !errors.Is(err, directory.ErrSignIn) {
		t.Fatalf("with the old secret: %v", err)
	}
	w.file("secret", "the next secret\r\n")
	if r := w.pull(request); len(r.links) != 2 {
		t.Errorf("with the new secret: %v", r.errs)
	}
}

func TestSecretFromTheEnvironment(t *testing.T) {
	t.Parallel()
	w := open(t, small)
	w.client = w.connect(func(o *entra.Options) {
		o.Credential = entra.Credential{Type: entra.ClientSecret, SecretEnv: "CONTOSO_SECRET", LookupEnv: func(name string) (string, bool) {
			return entrasim.DemoSecret, name == "CONTOSO_SECRET"
		}}
	})
	w.pull(directory.Request{Streams: []directory.Stream{{}}})
}

// identityOf makes a key and a certificate of its own.
func identityOf(t *testing.T) (*rsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "vaultsync"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour).Truncate(time.Second),
	}
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

func TestCertificates(t *testing.T) {
	t.Parallel()
	key, cert := identityOf(t)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	asPEM := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
	modern, err := pkcs12.Modern.Encode(key, cert, nil, "canary-password")
	if err != nil {
		t.Fatal(err)
	}
	legacy, err := pkcs12.Legacy.Encode(key, cert, nil, "canary-password")
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name     string
		data     []byte
		password string
		says     string // "" signs in
	}{
		{"PEM", asPEM, "", ""},
		{"PKCS#12 with a SHA-256 MAC", modern, "canary-password", ""},
		{"PKCS#12 of old", legacy, "canary-password", ""},
		{"a wrong password", modern, "another", "password"},
		{"an encrypted PEM key", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}), "", "encrypted"},
		{"a certificate without key", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), "", "private key"},
		{"neither", []byte("not a certificate"), "", "neither PEM nor PKCS#12"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := open(t, small)
			if err := w.tenant.UpdateApp(entrasim.DemoClientID, func(a *entrasim.App) { a.Certificates = []*x509.Certificate{cert} }); err != nil {
				t.Fatal(err)
			}
			w.client = w.connect(func(o *entra.Options) {
				o.Credential = entra.Credential{Type: entra.ClientCertificate, CertificateFile: w.file("cert", string(c.data))}
				if c.password != "" {
					o.Credential.CertificatePasswordFile = w.file("password", c.password+"\n")
				}
			})
			access, err := w.client.Check(t.Context())
			if c.says != "" {
				if !errors.Is(err, directory.ErrSignIn) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "canary") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || !access.CredentialExpires.Equal(cert.NotAfter) || !slices.Equal(access.Permissions, []string{entrasim.PermMembers, entrasim.PermUsers}) {
				t.Errorf("%v; expires %v, want %v; may %v", err, access.CredentialExpires, cert.NotAfter, access.Permissions)
			}
			if r := w.pull(directory.Request{Streams: []directory.Stream{{}}}); len(r.people) != 3 {
				t.Errorf("read %d people", len(r.people))
			}
		})
	}
	t.Run("a certificate that the application does not have", func(t *testing.T) {
		t.Parallel()
		w := open(t, small)
		w.client = w.connect(func(o *entra.Options) {
			o.Credential = entra.Credential{Type: entra.ClientCertificate, CertificateFile: w.file("cert", string(asPEM))}
		})
		_, err := w.client.Check(t.Context())
		if !errors.Is(err, directory.ErrSignIn) || !strings.Contains(err.Error(), "AADSTS700027") {
			t.Errorf("got %v", err)
		}
	})
}

// trusting is a network that trusts the simulator.
func (w *world) trusting() *http.Transport {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(w.server.CAPEM())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	w.t.Cleanup(transport.CloseIdleConnections)
	return transport
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestClaimsChallenge(t *testing.T) {
	t.Parallel()
	good := base64.StdEncoding.EncodeToString([]byte(`{"access_token":{"nbf":{"essential":true,"value":"1"}}}`))
	for name, header := range map[string]string{
		"a claims challenge is answered":              `Bearer realm="", error="insufficient_claims", claims="` + good + `"`,
		"a challenge that cannot be read is survived": `Bearer realm="", claims=unquoted`,
		"a challenge that is not base64 is survived":  `Bearer claims="%%%"`,
		"a 401 without challenge is survived":         ``,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, small)
			network := w.trusting()
			var challenged, answered atomic.Int32
			w.client = w.connect(func(o *entra.Options) {
				o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
					if strings.HasSuffix(r.URL.Path, "/token") {
						raw, err := io.ReadAll(r.Body)
						if err != nil {
							return nil, err
						}
						r.Body = io.NopCloser(bytes.NewReader(raw))
						if form, err := url.ParseQuery(string(raw)); err == nil && strings.Contains(form.Get("claims"), "nbf") {
							answered.Add(1)
						}
					}
					if strings.HasPrefix(r.URL.Path, "/v1.0/") && challenged.Add(1) == 1 {
						return &http.Response{StatusCode: 401, Header: http.Header{"Www-Authenticate": {header}}, Body: io.NopCloser(strings.NewReader("{}")), Request: r}, nil
					}
					return network.RoundTrip(r)
				})
			})
			if r := w.pull(directory.Request{Streams: []directory.Stream{{}}}); r.links[0] == "" {
				t.Errorf("%v", r.errs)
			}
			if strings.Contains(header, good) != (answered.Load() > 0) {
				t.Errorf("claims were sent %d times", answered.Load())
			}
		})
	}
}

func TestTheTenantsOwnClaimsChallenge(t *testing.T) {
	t.Parallel()
	w := open(t, small)
	fault := w.inject(entrasim.Fault{Kind: entrasim.FaultClaims})
	if r := w.pull(directory.Request{Streams: []directory.Stream{{}}}); len(r.people) != 3 {
		t.Errorf("%v", r.errs)
	}
	if fault.Fired() == 0 {
		t.Error("the tenant never asked for claims")
	}
}

func TestTokensGoNowhereElse(t *testing.T) {
	t.Parallel()
	w := open(t, small)
	var log bytes.Buffer
	network := w.trusting()
	var elsewhere atomic.Int32
	host := strings.TrimPrefix(w.server.URL(), "https://")
	w.client = w.connect(func(o *entra.Options) {
		o.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host != host {
				elsewhere.Add(1)
			}
			return network.RoundTrip(r)
		})
	})
	for _, f := range []entrasim.FaultKind{entrasim.FaultForeignNext, entrasim.FaultForeignDelta, entrasim.FaultRedirect, entrasim.FaultForeignLocation} {
		fault := w.inject(entrasim.Fault{Kind: f, Path: "/users/delta"})
		_, _ = w.try(directory.Request{Streams: []directory.Stream{{}}}) // what matters is where it went
		w.server.Remove(fault)
	}
	foreign := w.inject(entrasim.Fault{Kind: entrasim.FaultRedirect, Path: "/token"})
	w.client = w.connect()
	if _, err := w.try(directory.Request{Streams: []directory.Stream{{}}}); err == nil || foreign.Fired() == 0 {
		t.Errorf("a redirected sign-in: %v", err)
	}
	if elsewhere.Load() != 0 {
		t.Errorf("%d requests left the directory", elsewhere.Load())
	}
	if text := log.String(); strings.Contains(text, "eyJ") || strings.Contains(text, entrasim.DemoSecret) {
		t.Errorf("the log shows a secret: %s", text)
	}
}

func TestWorkloadIdentity(t *testing.T) {
	w := open(t, small)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	federation := entrasim.Federated{Issuer: "https://cluster.contoso.com", Subject: "system:serviceaccount:sync", Audience: "api://AzureADTokenExchange", Key: key.Public()}
	if err := w.tenant.UpdateApp(entrasim.DemoClientID, func(a *entrasim.App) { a.Federated = []entrasim.Federated{federation} }); err != nil {
		t.Fatal(err)
	}
	token := func(subject string) string {
		text, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
			"iss": federation.Issuer, "sub": subject, "aud": federation.Audience, "exp": time.Now().Add(time.Hour).Unix(),
		}).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	connect := func() error {
		_, err := w.connect(func(o *entra.Options) { o.Credential = entra.Credential{Type: entra.WorkloadIdentity} }).Check(t.Context())
		return err
	}
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", w.file("federated", token(federation.Subject)))
	if err := connect(); err != nil {
		t.Errorf("a good token: %v", err)
	}
	bad := token("system:serviceaccount:other")
	w.file("federated", bad)
	if err := connect(); !errors.Is(err, directory.ErrSignIn) || !strings.Contains(err.Error(), "no federated credential matches") || strings.Contains(err.Error(), bad) {
		t.Errorf("a token of another: %v", err)
	}
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", filepath.Join(w.dir, "gone"))
	if err := connect(); !errors.Is(err, directory.ErrSignIn) || !strings.Contains(err.Error(), "gone") {
		t.Errorf("a missing file: %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	w := open(t, small)
	for says, change := range map[string]func(*entra.Options){
		"tenantId is missing":     func(o *entra.Options) { o.TenantID = "" },
		"clientId is missing":     func(o *entra.Options) { o.ClientID = "" },
		"cloud \"mars\"":          func(o *entra.Options) { o.Cloud = "mars" },
		"endpoints.graph":         func(o *entra.Options) { o.GraphURL = "http://graph.contoso.com" },
		"endpoints.authority":     func(o *entra.Options) { o.AuthorityURL = "https://user:canary@login.contoso.com" },
		"caFile":                  func(o *entra.Options) { o.CAFile = filepath.Join(w.dir, "secret") },
		"proxy":                   func(o *entra.Options) { o.Proxy = "user:canary@host" },
		"secretFile or secretEnv": func(o *entra.Options) { o.Credential.SecretEnv = "X" },
		"certificateFile":         func(o *entra.Options) { o.Credential = entra.Credential{Type: entra.ClientCertificate} },
		"credential type":         func(o *entra.Options) { o.Credential.Type = "password" },
	} {
		o := w.options()
		change(&o)
		_, err := entra.New(o)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "canary") {
			t.Errorf("got %v, want %q", err, says)
		}
	}
	for _, cloud := range []string{"", "public", "usGovernment", "usGovernmentDoD", "china"} {
		o := w.options()
		o.Cloud, o.GraphURL, o.AuthorityURL = cloud, "", ""
		if _, err := entra.New(o); err != nil {
			t.Errorf("%s: %v", cloud, err)
		}
	}
}
