package entrasim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// accessTokenLife is how long an access token is good, in seconds.
const accessTokenLife = 3599

// signInError is a refusal of the token endpoint.
type signInError struct {
	status      int
	kind        string // invalid_client
	code        int    // 7000215
	description string
}

func (e *signInError) Error() string { return fmt.Sprintf("AADSTS%d: %s", e.code, e.description) }

func refuse(status int, kind string, code int, format string, args ...any) *signInError {
	return &signInError{status: status, kind: kind, code: code, description: fmt.Sprintf(format, args...)}
}

// serveAuthority answers /<tenant>/v2.0/.well-known/openid-configuration and
// /<tenant>/oauth2/v2.0/token [RAN graph.md 6.7].
func (s *Server) serveAuthority(w http.ResponseWriter, r *http.Request) bool {
	path := strings.Trim(r.URL.Path, "/")
	tenantName, rest, _ := strings.Cut(path, "/")
	var kind string
	switch strings.ToLower(rest) {
	case "v2.0/.well-known/openid-configuration":
		kind = "discovery"
	case "oauth2/v2.0/token":
		kind = "token"
	default:
		return false
	}
	s.stats.count(kind)
	tenant := s.tenantNamed(tenantName)
	var rep reply
	switch {
	case tenant == nil:
		rep = s.signInFailure(r, time.Now(), refuse(http.StatusBadRequest, "invalid_tenant", 90002,
			"Tenant '%s' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.", tenantName))
	case kind == "discovery":
		rep = s.discovery(r, tenant)
	case r.Method != http.MethodPost:
		rep = newReply(http.StatusMethodNotAllowed, nil)
	default:
		rep = s.token(r, tenant)
	}
	if tenant != nil {
		now := tenant.Now()
		c := &call{server: s, tenant: tenant, rules: tenant.Rules(), now: now, request: r, path: "/" + kind, base: baseURL(r), query: query{}}
		c.rawURL = r.URL.RequestURI()
		if failed, ok := c.orderedFailure(); ok {
			rep = failed
		}
	}
	s.send(w, r, rep, "/"+kind)
	return true
}

// discovery is the OpenID document, as far as clients read it.
func (s *Server) discovery(r *http.Request, t *Tenant) reply {
	authority := baseURL(r) + "/" + t.id.String()
	b := []byte{'{'}
	b = appendField(b, "token_endpoint", authority+"/oauth2/v2.0/token")
	b = append(b, `,"token_endpoint_auth_methods_supported":["client_secret_post","private_key_jwt","client_secret_basic"]`...)
	b = appendField(b, "jwks_uri", authority+"/discovery/v2.0/keys")
	b = append(b, `,"response_modes_supported":["query","fragment","form_post"],"subject_types_supported":["pairwise"],"id_token_signing_alg_values_supported":["RS256"]`...)
	b = appendField(b, "issuer", authority+"/v2.0")
	b = appendField(b, "authorization_endpoint", authority+"/oauth2/v2.0/authorize")
	b = appendField(b, "device_authorization_endpoint", authority+"/oauth2/v2.0/devicecode")
	b = appendField(b, "tenant_region_scope", "EU")
	b = appendField(b, "msgraph_host", r.Host)
	rep := newReply(http.StatusOK, append(b, '}'))
	rep.header.Set("Content-Type", "application/json; charset=utf-8")
	return rep
}

// token is the client credentials grant.
func (s *Server) token(r *http.Request, t *Tenant) reply {
	if err := r.ParseForm(); err != nil {
		return s.signInFailure(r, t.Now(), refuse(http.StatusBadRequest, "invalid_request", 900144, "The request body cannot be read."))
	}
	app, refusal := s.signIn(r, t)
	if refusal != nil {
		return s.signInFailure(r, t.Now(), refusal)
	}
	return s.issue(baseURL(r), t, app, answersChallenge(r.PostForm.Get("claims")))
}

// answersChallenge reports whether a token request's claims ask for what a
// claims challenge names. Every request of the client library has claims: its
// capabilities (xms_cc) [RAN].
func answersChallenge(claims string) bool {
	var wanted struct {
		AccessToken map[string]json.RawMessage `json:"access_token"`
	}
	if json.Unmarshal([]byte(claims), &wanted) != nil {
		return false
	}
	_, ok := wanted.AccessToken["nbf"]
	return ok
}

// signIn checks the form of a token request.
func (s *Server) signIn(r *http.Request, t *Tenant) (App, *signInError) {
	form := r.PostForm
	if form.Get("grant_type") != "client_credentials" {
		return App{}, refuse(http.StatusBadRequest, "unsupported_grant_type", 70003, "The app requested an unsupported grant type '%s'.", form.Get("grant_type"))
	}
	clientID := form.Get("client_id")
	app, ok := t.app(clientID)
	if !ok {
		return App{}, refuse(http.StatusBadRequest, "unauthorized_client", 700016,
			"Application with identifier '%s' was not found in the directory '%s'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant.", clientID, t.id)
	}
	if !hasDefaultScope(form.Get("scope")) {
		return App{}, refuse(http.StatusBadRequest, "invalid_scope", 1002012,
			"The provided value for scope %s is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).", form.Get("scope"))
	}
	now := t.signInTime()
	switch {
	case form.Get("client_assertion") != "":
		return app, s.checkAssertion(baseURL(r), t, app, form.Get("client_assertion"), now)
	case form.Get("client_secret") != "":
		return app, checkSecret(app, form.Get("client_secret"), t.Now())
	}
	return App{}, refuse(http.StatusUnauthorized, "invalid_client", 7000218,
		"The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
}

// hasDefaultScope accepts "https://graph…/.default openid offline_access
// profile", which the client library sends [RAN].
func hasDefaultScope(scope string) bool {
	for part := range strings.FieldsSeq(scope) {
		if strings.HasPrefix(part, "https://") && strings.HasSuffix(part, "/.default") {
			return true
		}
	}
	return false
}

// checkSecret refuses a wrong secret (AADSTS7000215) and an expired one
// (AADSTS7000222) [CODE TROUBLESHOOTING.md].
func checkSecret(app App, secret string, now time.Time) *signInError {
	for _, s := range app.Secrets {
		if s.Value != secret {
			continue
		}
		if !s.Expires.IsZero() && now.After(s.Expires) {
			return refuse(http.StatusUnauthorized, "invalid_client", 7000222,
				"The provided client secret keys for app '%s' are expired. Visit the portal to create new keys for your app, or consider using certificate credentials for added security.", app.ClientID)
		}
		return nil
	}
	return refuse(http.StatusUnauthorized, "invalid_client", 7000215,
		"Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '%s'.", app.ClientID)
}

func (s *Server) signInFailure(r *http.Request, now time.Time, e *signInError) reply {
	s.stats.count("tokenRefused")
	trace, correlation := s.newRequestID(), r.Header.Get("client-request-id")
	if correlation == "" {
		correlation = s.newRequestID()
	}
	stamp := now.UTC().Format("2006-01-02 15:04:05Z")
	b := []byte{'{'}
	b = appendField(b, "error", e.kind)
	b = appendField(b, "error_description", fmt.Sprintf("%s Trace ID: %s Correlation ID: %s Timestamp: %s", e.Error(), trace, correlation, stamp))
	b = append(appendKey(b, "error_codes"), fmt.Sprintf("[%d]", e.code)...)
	b = appendField(b, "timestamp", stamp)
	b = appendField(b, "trace_id", trace)
	b = appendField(b, "correlation_id", correlation)
	b = appendField(b, "error_uri", fmt.Sprintf("%s/error?code=%d", baseURL(r), e.code))
	rep := newReply(e.status, append(b, '}'))
	rep.header.Set("Content-Type", "application/json; charset=utf-8")
	return rep
}

// issue makes an access token. It is signed for the simulator's own eyes;
// clients may read its roles and must treat the rest as opaque.
func (s *Server) issue(base string, t *Tenant, app App, claims bool) reply {
	text := s.accessToken(base, t, app, claims)
	b := []byte(`{"token_type":"Bearer","expires_in":` + itoa(accessTokenLife) + `,"ext_expires_in":` + itoa(accessTokenLife))
	b = appendField(b, "access_token", text)
	rep := newReply(http.StatusOK, append(b, '}'))
	rep.header.Set("Content-Type", "application/json; charset=utf-8")
	rep.header.Set("Cache-Control", "no-store, no-cache")
	return rep
}

func (s *Server) accessToken(base string, t *Tenant, app App, claims bool) string {
	now := t.signInTime()
	content := jwt.MapClaims{
		"aud": base, "iss": "https://sts.windows.net/" + t.id.String() + "/",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(accessTokenLife * time.Second).Unix(),
		"appid": app.ClientID, "idtyp": "app", "tid": t.id.String(), "roles": app.Roles,
		"oid": derivedID(ServicePrincipal, app.ClientID, 0).String(), "ver": "1.0",
		"serial": float64(s.serial.Add(1)),
	}
	if len(app.Roles) == 0 {
		delete(content, "roles") // a token without consent has no such claim
	}
	if claims {
		content["xms_claims"] = true
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, content).SignedString(s.key)
	if err != nil {
		panic(err) //nolint:forbidigo // HMAC over a map of plain values cannot fail
	}
	return text
}

// bearer is what a request's token says.
type bearer struct {
	tenant *Tenant
	app    App
	claims bool
}

// authenticate reads the Authorization header; nil when the token is missing,
// not ours, expired or revoked.
func (s *Server) authenticate(header http.Header) *bearer {
	text, ok := strings.CutPrefix(header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil
	}
	var content struct {
		jwt.RegisteredClaims
		Tenant string  `json:"tid"`
		App    string  `json:"appid"`
		Serial float64 `json:"serial"`
		Claims bool    `json:"xms_claims"`
	}
	var tenant *Tenant
	_, err := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithoutClaimsValidation()).
		ParseWithClaims(text, &content, func(*jwt.Token) (any, error) { return s.key, nil })
	if err != nil {
		return nil
	}
	if tenant = s.tenantNamed(content.Tenant); tenant == nil {
		return nil
	}
	if content.ExpiresAt == nil || !tenant.signInTime().Before(content.ExpiresAt.Time) || tenant.accessRevoked(uint64(content.Serial)) {
		return nil
	}
	app, ok := tenant.app(content.App)
	if !ok {
		return nil
	}
	return &bearer{tenant: tenant, app: app, claims: content.Claims}
}

// signInTime is the clock without what Advance added: client and server must
// agree on the age of an access token, and the client does not see Advance.
func (t *Tenant) signInTime() time.Time {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.clock()
}

func (t *Tenant) accessRevoked(serial uint64) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return serial <= t.revokedSerial
}

// RevokeAccess makes every access token issued so far worthless: requests that
// bear one are answered with 401.
func (s *Server) RevokeAccess(t *Tenant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.revokedSerial = s.serial.Load()
}

func (s *Server) tenantNamed(name string) *Tenant {
	id, err := identity.ParseObjectID(name)
	if err != nil {
		return nil
	}
	return s.tenants[id]
}
