package entrasim

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // x5t is defined over SHA-1; it names a key and protects nothing
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// assertionMethods are the signatures that an assertion may have.
func assertionMethods() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"}
}

// checkAssertion verifies a client assertion: one that names a certificate by
// its thumbprint against the registered certificates, any other against the
// federated credentials.
func (s *Server) checkAssertion(base string, t *Tenant, app App, text string, now time.Time) *signInError {
	unverified, _, err := jwt.NewParser().ParseUnverified(text, jwt.MapClaims{})
	if err != nil {
		return refuse(http.StatusBadRequest, "invalid_request", 50027, "JWT token is invalid or malformed.")
	}
	x5t, _ := unverified.Header["x5t"].(string)
	x5t256, _ := unverified.Header["x5t#S256"].(string)
	if x5t == "" && x5t256 == "" {
		return checkFederated(app, unverified, text, now)
	}
	badKey := func(reason string) *signInError { // [CODE TROUBLESHOOTING.md]
		return refuse(http.StatusUnauthorized, "invalid_client", 700027,
			"The certificate with identifier used to sign the client assertion is not registered on application. [Reason - %s, Thumbprint of key used by client: '%s']", reason, x5t+x5t256)
	}
	certificate := findCertificate(app.Certificates, x5t, x5t256)
	if certificate == nil {
		return badKey("The key was not found.")
	}
	if now.After(certificate.NotAfter) {
		return badKey("The key used is expired.")
	}
	token, err := parseAssertion(text, certificate.PublicKey, now)
	switch {
	case errors.Is(err, jwt.ErrTokenExpired), errors.Is(err, jwt.ErrTokenNotValidYet):
		return refuse(http.StatusUnauthorized, "invalid_client", 700024, "Client assertion is not within its valid time range.")
	case err != nil:
		return badKey("The provided signature value did not match the expected signature value.")
	}
	return checkAssertionClaims(base, t, app, token)
}

func checkAssertionClaims(base string, t *Tenant, app App, token *jwt.Token) *signInError {
	audience, _ := token.Claims.GetAudience()
	authority := base + "/" + t.id.String()
	if !slices.ContainsFunc(audience, func(a string) bool {
		return a == authority+"/oauth2/v2.0/token" || a == authority+"/v2.0" || a == authority
	}) {
		return refuse(http.StatusUnauthorized, "invalid_client", 700023, "Client assertion audience claim does not match Realm issuer.")
	}
	issuer, _ := token.Claims.GetIssuer()
	subject, _ := token.Claims.GetSubject()
	if issuer != app.ClientID || subject != app.ClientID {
		return refuse(http.StatusUnauthorized, "invalid_client", 700021, "Client assertion application identifier doesn't match 'client_id' parameter.")
	}
	return nil
}

func parseAssertion(text string, key any, now time.Time) (*jwt.Token, error) {
	token, err := jwt.NewParser(
		jwt.WithValidMethods(assertionMethods()),
		jwt.WithTimeFunc(func() time.Time { return now }),
		jwt.WithExpirationRequired(),
		jwt.WithLeeway(5*time.Minute), // the service allows for clocks that differ [INFER]
	).Parse(text, func(*jwt.Token) (any, error) { return key, nil })
	if err != nil {
		return nil, fmt.Errorf("client assertion: %w", err)
	}
	return token, nil
}

// findCertificate looks a thumbprint up: SHA-1 for x5t, SHA-256 for x5t#S256.
func findCertificate(certificates []*x509.Certificate, x5t, x5t256 string) *x509.Certificate {
	for _, c := range certificates {
		old, current := sha1.Sum(c.Raw), sha256.Sum256(c.Raw) //nolint:gosec // see the import
		if x5t256 != "" && isThumbprint(x5t256, current[:]) || x5t256 == "" && isThumbprint(x5t, old[:]) {
			return c
		}
	}
	return nil
}

// isThumbprint compares a header with a hash. RFC 7515 wants base64url without
// padding; the client library sends plain base64 with it, which the service
// takes [CODE].
func isThumbprint(text string, sum []byte) bool {
	plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	got, err := base64.RawStdEncoding.DecodeString(plain)
	return err == nil && bytes.Equal(got, sum)
}

// checkFederated verifies a token of another issuer (workload identity).
func checkFederated(app App, unverified *jwt.Token, text string, now time.Time) *signInError {
	issuer, _ := unverified.Claims.GetIssuer()
	subject, _ := unverified.Claims.GetSubject()
	audience, _ := unverified.Claims.GetAudience()
	for _, f := range app.Federated {
		if f.Issuer != issuer || f.Subject != subject || !slices.Contains(audience, f.Audience) {
			continue
		}
		_, err := parseAssertion(text, f.Key, now)
		switch {
		case errors.Is(err, jwt.ErrTokenExpired), errors.Is(err, jwt.ErrTokenNotValidYet):
			return refuse(http.StatusUnauthorized, "invalid_client", 700024, "Client assertion is not within its valid time range.")
		case err != nil:
			return refuse(http.StatusUnauthorized, "invalid_client", 7000272, "The signature of the federated assertion could not be verified.")
		}
		return nil
	}
	return refuse(http.StatusUnauthorized, "invalid_client", 700213,
		"No matching federated identity record found for presented assertion subject '%s'.", subject)
}
