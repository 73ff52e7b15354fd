package entrasim_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

func wantRefusal(t *testing.T, a answer, status, code int, kind string) {
	t.Helper()
	if a.status != status || !strings.HasPrefix(fmt.Sprint(a.json["error_description"]), fmt.Sprintf("AADSTS%d: ", code)) ||
		fmt.Sprint(a.json["error_codes"]) != fmt.Sprintf("[%d]", code) && fmt.Sprint(a.json["error_codes"]) != fmt.Sprintf("[%g]", float64(code)) ||
		a.json["error"] != kind {
		t.Errorf("want %d AADSTS%d %s, got %d %s", status, code, kind, a.status, a.body)
	}
}

func TestSignInWithASecret(t *testing.T) {
	t.Parallel()
	c := start(t, small)
	t.Run("a token tells its roles", func(t *testing.T) {
		var claims jwt.MapClaims
		if _, _, err := jwt.NewParser().ParseUnverified(c.token, &claims); err != nil {
			t.Fatal(err)
		}
		if roles := fmt.Sprint(claims["roles"]); roles != "[GroupMember.Read.All User.Read.All]" {
			t.Errorf("roles %s", roles)
		}
		if claims["tid"] != c.tenant.ID().String() || claims["appid"] != entrasim.DemoClientID {
			t.Errorf("claims %v", claims)
		}
	})
	t.Run("a wrong secret is AADSTS7000215", func(t *testing.T) {
		wantRefusal(t, c.form(url.Values{"client_secret": {"wrong"}}), 401, 7000215, "invalid_client")
	})
	t.Run("an unknown client is AADSTS700016", func(t *testing.T) {
		wantRefusal(t, c.form(url.Values{"client_id": {id("nobody")}, "client_secret": {"x"}}), 400, 700016, "unauthorized_client")
	})
	t.Run("a wrong tenant is AADSTS90002", func(t *testing.T) {
		wantRefusal(t, c.formTo(id("nowhere"), url.Values{}), 400, 90002, "invalid_tenant")
	})
	t.Run("a scope without .default is AADSTS1002012", func(t *testing.T) {
		wantRefusal(t, c.form(url.Values{"client_secret": {entrasim.DemoSecret}, "scope": {"User.Read"}}), 400, 1002012, "invalid_scope")
	})
	t.Run("no credential is AADSTS7000218", func(t *testing.T) {
		wantRefusal(t, c.form(nil), 401, 7000218, "invalid_client")
	})
	t.Run("an expired secret is AADSTS7000222", func(t *testing.T) {
		soon := c.tenant.Now().Add(time.Hour)
		if err := c.tenant.UpdateApp(entrasim.DemoClientID, func(a *entrasim.App) {
			a.Secrets[0].Expires = soon
		}); err != nil {
			t.Fatal(err)
		}
		if a := c.form(url.Values{"client_secret": {entrasim.DemoSecret}}); a.status != 200 {
			t.Errorf("before: %d %s", a.status, a.body)
		}
		c.tenant.Advance(2 * time.Hour)
		wantRefusal(t, c.form(url.Values{"client_secret": {entrasim.DemoSecret}}), 401, 7000222, "invalid_client")
	})
	t.Run("discovery names the token endpoint", func(t *testing.T) {
		a := c.get("/" + c.tenant.ID().String() + "/v2.0/.well-known/openid-configuration")
		if a.json["token_endpoint"] != c.server.URL()+"/"+c.tenant.ID().String()+"/oauth2/v2.0/token" {
			t.Errorf("%s", a.body)
		}
	})
}

func TestAccessTokens(t *testing.T) {
	t.Parallel()
	unauthorized := func(t *testing.T, c *client) {
		t.Helper()
		a := c.get("/v1.0/users/delta")
		if a.status != 401 || a.code() != "InvalidAuthenticationToken" || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("%d %v %s", a.status, a.header, a.body)
		}
	}
	t.Run("none, a foreign one, and a tampered one are refused", func(t *testing.T) {
		t.Parallel()
		c := start(t, small)
		good := c.token
		foreign, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"tid": c.tenant.ID().String()}).SignedString([]byte("another key"))
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(good, ".")
		none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
		for _, token := range []string{"", "x", foreign, none, parts[0] + "." + parts[1] + "." + parts[0]} {
			c.token = token
			unauthorized(t, c)
		}
	})
	t.Run("one that is past its hour is refused by the clock", func(t *testing.T) {
		t.Parallel()
		c := start(t, small)
		c.tenant.SetClock(func() time.Time { return time.Now().Add(2 * time.Hour) })
		unauthorized(t, c)
		c.signIn()
		if a := c.get("/v1.0/users/delta"); a.status != 200 {
			t.Errorf("%d", a.status)
		}
	})
	t.Run("Advance does not age access tokens, RevokeAccess ends them", func(t *testing.T) {
		t.Parallel()
		c := start(t, small)
		c.tenant.Advance(8 * day)
		if a := c.get("/v1.0/users/delta"); a.status != 200 {
			t.Errorf("%d", a.status)
		}
		c.server.RevokeAccess(c.tenant)
		unauthorized(t, c)
		c.signIn()
		if a := c.get("/v1.0/users/delta"); a.status != 200 {
			t.Errorf("%d", a.status)
		}
	})
	t.Run("permissions are enforced call by call and at once", func(t *testing.T) {
		t.Parallel()
		c := start(t, small)
		apply(t, c, "revoke User.Read.All")
		for target, status := range map[string]int{
			"/v1.0/users/delta": 403, "/v1.0/groups/delta": 200, "/v1.0/users": 403, "/v1.0/users/" + id("ann@contoso.com"): 403,
			"/v1.0/groups": 200, "/v1.0/groups/" + id("group Sales") + "/members": 200,
		} {
			a := c.get(target)
			if a.status != status || status == 403 && (a.code() != "Authorization_RequestDenied" || a.message() != "Insufficient privileges to complete the operation.") {
				t.Errorf("%s: %d %s", target, a.status, a.body)
			}
		}
		members := c.get("/v1.0/groups/" + id("group Sales EU") + "/members").values()
		if len(members) != 2 || len(members[0]) != 2 || members[0]["@odata.type"] != "#microsoft.graph.user" {
			t.Errorf("members without User.Read.All are type and id: %v", members)
		}
		apply(t, c, "grant User.Read.All\nrevoke GroupMember.Read.All")
		if a := c.get("/v1.0/groups/delta"); a.status != 403 {
			t.Errorf("%d", a.status)
		}
		if a := c.get("/v1.0/users/delta"); a.status != 200 {
			t.Errorf("%d", a.status)
		}
	})
	t.Run("several tenants are kept apart", func(t *testing.T) {
		t.Parallel()
		one, err := entrasim.ParseTenant(small)
		if err != nil {
			t.Fatal(err)
		}
		two, err := entrasim.ParseTenant("tenant " + id("other") + "\nuser zoe@contoso.com\n")
		if err != nil {
			t.Fatal(err)
		}
		c := serve(t, one)
		server, err := entrasim.Start(entrasim.Options{}, one, two)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = server.Close() })
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(server.CAPEM())
		transport, _ := c.http.Transport.(*http.Transport)
		transport.TLSClientConfig.RootCAs = pool
		c.server = server
		for _, tenant := range []*entrasim.Tenant{one, two} {
			c.tenant = tenant
			c.signIn()
			people, _, _ := tenant.Size()
			if got := len(c.get("/v1.0/users").values()); got != people {
				t.Errorf("tenant %s: %d users, want %d", tenant.ID(), got, people)
			}
		}
	})
}

// certificate is a self-signed one with its key.
func certificate(t *testing.T, expires time.Time) (*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "vaultsync"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: expires,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return parsed, key
}

func sign(t *testing.T, method jwt.SigningMethod, key crypto.PrivateKey, header map[string]any, claims jwt.MapClaims) url.Values {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	maps.Copy(token.Header, header)
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return url.Values{
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {text},
	}
}

func TestSignInWithACertificate(t *testing.T) {
	t.Parallel()
	c := start(t, small)
	cert, key := certificate(t, time.Now().Add(time.Hour))
	old, oldKey := certificate(t, time.Now().Add(-time.Minute))
	stranger, strangerKey := certificate(t, time.Now().Add(time.Hour))
	if err := c.tenant.UpdateApp(entrasim.DemoClientID, func(a *entrasim.App) {
		a.Certificates = []*x509.Certificate{cert, old}
	}); err != nil {
		t.Fatal(err)
	}
	short := func(c *x509.Certificate) map[string]any {
		sum := sha1.Sum(c.Raw)
		return map[string]any{"x5t": base64.RawURLEncoding.EncodeToString(sum[:])}
	}
	long := func(c *x509.Certificate) map[string]any {
		sum := sha256.Sum256(c.Raw)
		return map[string]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])}
	}
	padded := func(c *x509.Certificate) map[string]any {
		sum := sha256.Sum256(c.Raw)
		return map[string]any{"x5t#S256": base64.StdEncoding.EncodeToString(sum[:])}
	}
	claims := func(change func(jwt.MapClaims)) jwt.MapClaims {
		m := jwt.MapClaims{
			"aud": c.server.URL() + "/" + c.tenant.ID().String() + "/oauth2/v2.0/token",
			"iss": entrasim.DemoClientID, "sub": entrasim.DemoClientID, "jti": "1",
			"nbf": time.Now().Unix(), "exp": time.Now().Add(10 * time.Minute).Unix(),
		}
		if change != nil {
			change(m)
		}
		return m
	}
	for _, tt := range []struct {
		name string
		form url.Values
		code int // 0: accepted
	}{
		{"a SHA-1 thumbprint with RS256 is accepted", sign(t, jwt.SigningMethodRS256, key, short(cert), claims(nil)), 0},
		{"a SHA-256 thumbprint with PS256 is accepted", sign(t, jwt.SigningMethodPS256, key, long(cert), claims(nil)), 0},
		{"a thumbprint in plain base64 with padding is accepted", sign(t, jwt.SigningMethodPS256, key, padded(cert), claims(nil)), 0},
		{"a thumbprint that is not base64 is AADSTS700027", sign(t, jwt.SigningMethodPS256, key, map[string]any{"x5t#S256": "%"}, claims(nil)), 700027},
		{"an unregistered certificate is AADSTS700027", sign(t, jwt.SigningMethodPS256, strangerKey, long(stranger), claims(nil)), 700027},
		{"another key under a registered thumbprint is AADSTS700027", sign(t, jwt.SigningMethodPS256, strangerKey, long(cert), claims(nil)), 700027},
		{"an expired certificate is AADSTS700027", sign(t, jwt.SigningMethodPS256, oldKey, long(old), claims(nil)), 700027},
		{"an expired assertion is AADSTS700024", sign(t, jwt.SigningMethodPS256, key, long(cert), claims(func(m jwt.MapClaims) { m["exp"] = time.Now().Add(-time.Hour).Unix() })), 700024},
		{"an assertion for somebody else is AADSTS700023", sign(t, jwt.SigningMethodPS256, key, long(cert), claims(func(m jwt.MapClaims) { m["aud"] = "https://elsewhere.invalid/" })), 700023},
		{"an assertion of another client is AADSTS700021", sign(t, jwt.SigningMethodPS256, key, long(cert), claims(func(m jwt.MapClaims) { m["sub"] = id("other") })), 700021},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := c.form(tt.form)
			if tt.code == 0 {
				if a.status != 200 {
					t.Errorf("%d %s", a.status, a.body)
				}
				return
			}
			wantRefusal(t, a, 401, tt.code, "invalid_client")
		})
	}
	t.Run("garbage is AADSTS50027", func(t *testing.T) {
		wantRefusal(t, c.form(url.Values{"client_assertion": {"x.y"}}), 400, 50027, "invalid_request")
	})
}

func TestSignInWithAWorkloadIdentity(t *testing.T) {
	t.Parallel()
	c := start(t, small)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const issuer, subject, audience = "https://cluster.contoso.com", "system:serviceaccount:sync:vaultsync", "api://AzureADTokenExchange"
	if err := c.tenant.UpdateApp(entrasim.DemoClientID, func(a *entrasim.App) {
		a.Federated = []entrasim.Federated{{Issuer: issuer, Subject: subject, Audience: audience, Key: &key.PublicKey}}
	}); err != nil {
		t.Fatal(err)
	}
	claims := func(subject string, exp time.Time) jwt.MapClaims {
		return jwt.MapClaims{"iss": issuer, "sub": subject, "aud": audience, "exp": exp.Unix()}
	}
	soon := time.Now().Add(time.Hour)
	if a := c.form(sign(t, jwt.SigningMethodES256, key, nil, claims(subject, soon))); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	wantRefusal(t, c.form(sign(t, jwt.SigningMethodES256, key, nil, claims("somebody", soon))), 401, 700213, "invalid_client")
	wantRefusal(t, c.form(sign(t, jwt.SigningMethodES256, key, nil, claims(subject, time.Now().Add(-time.Hour)))), 401, 700024, "invalid_client")
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, c.form(sign(t, jwt.SigningMethodES256, other, nil, claims(subject, soon))), 401, 7000272, "invalid_client")
	if !slices.Contains([]int{401}, c.form(sign(t, jwt.SigningMethodHS256, []byte("secret"), nil, claims(subject, soon))).status) {
		t.Error("a symmetric signature is accepted")
	}
}
