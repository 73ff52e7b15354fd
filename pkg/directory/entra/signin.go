package entra

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/vaultsync/vaultsync/pkg/directory"
)

// exchange is what was seen on the wire while a token was asked for; the
// libraries between keep neither status nor cause.
type exchange struct {
	mu         sync.Mutex
	status     int
	retryAfter string
	code       string // AADSTS number without the prefix
	err        error
}

type exchangeKey struct{}

// recorder notes the last token call in the exchange of its context.
type recorder struct{ next http.RoundTripper }

// aadsts finds the number in an error_description.
var aadsts = regexp.MustCompile(`AADSTS(\d{4,8})`)

// RoundTrip passes on and notes.
func (r recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.next.RoundTrip(req)
	seen, ok := req.Context().Value(exchangeKey{}).(*exchange)
	if !ok {
		return resp, err
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if err != nil {
		seen.status, seen.code, seen.err = 0, "", err
		return resp, err
	}
	seen.status, seen.retryAfter, seen.code, seen.err = resp.StatusCode, resp.Header.Get("Retry-After"), "", nil
	if resp.StatusCode == http.StatusOK {
		resp.Body = newUnmarked(resp.Body)
		return resp, nil
	}
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // what was read is enough
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(raw))
	var body struct {
		Description string `json:"error_description"`
		Codes       []int  `json:"error_codes"`
	}
	if json.Unmarshal(raw, &body) == nil {
		if m := aadsts.FindStringSubmatch(body.Description); m != nil {
			seen.code = m[1]
		} else if len(body.Codes) > 0 {
			seen.code = fmt.Sprint(body.Codes[0])
		}
	}
	return resp, nil
}

// unmarked is a body without a byte order mark, which the library cannot read.
type unmarked struct {
	*bufio.Reader
	io.Closer
}

func newUnmarked(body io.ReadCloser) io.ReadCloser {
	r := bufio.NewReader(body)
	if head, err := r.Peek(3); err == nil && string(head) == "\xef\xbb\xbf" {
		_, _ = r.Discard(3) // they are buffered
	}
	return unmarked{r, body}
}

// refusals says in words what the sign-in service's numbers mean.
var refusals = map[string][2]string{ //nolint:gochecknoglobals // a table, never written
	"7000215": {"the client secret is wrong", "put the secret's value, not its id, into the secret file"},
	"7000222": {"the client secret has expired", "make a new client secret in the application's registration and put it into the secret file"},
	"7000216": {"the application must send a secret or certificate", "check credential.type"},
	"7000112": {"the application is disabled in the tenant", "enable the enterprise application in the tenant"},
	"700027":  {"the certificate is not the application's, or has expired", "upload the certificate to the application's registration, or configure the one that is registered"},
	"7000214": {"the certificate is not registered for the application", "upload the certificate to the application's registration"},
	"700016":  {"the tenant does not know the application", "check clientId and tenantId, and that the application is registered in this tenant"},
	"90002":   {"the tenant does not exist in this cloud", "check tenantId and cloud"},
	"900023":  {"tenantId is neither a tenant's id nor one of its domain names", "check tenantId"},
	"50034":   {"the account is not in the tenant", "check clientId and tenantId"},
	"53003":   {"a Conditional Access policy of the tenant blocks the sign-in", "let the tenant's administrator except the application"},
	"700211":  {"no federated credential matches the token's issuer", "check the federated credential of the application"},
	"700213":  {"no federated credential matches the token's subject", "check the federated credential of the application"},
	"700024":  {"the signed assertion is not valid at this time", "check this machine's clock"},
	"500011":  {"the tenant does not know Microsoft Graph under this address", "check cloud and endpoints.graph"},
	"1002012": {"the scope is not valid", "check endpoints.graph"},
}

// explain turns what happened while signing in into an *Error. The library's
// text is not used: it holds whole replies.
func (s *signIn) explain(err error, seen *exchange) error {
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if own, ok := errors.AsType[*Error](seen.err); ok {
		refused := *own
		refused.wide = true // without a token nothing can be read
		return &refused
	}
	if seen.err != nil {
		e := unreachable("the sign-in service", seen.err)
		e.wide = true
		return e
	}
	switch {
	case seen.status == http.StatusTooManyRequests, seen.status == http.StatusRequestTimeout, seen.status >= 500:
		wait := retryAfter(http.Header{"Retry-After": {seen.retryAfter}}, s.options.Now())
		return &Error{Kind: directory.ErrUnreachable, Status: seen.status, after: wait, wide: true, Text: fmt.Sprintf("the sign-in service answered with HTTP %d", seen.status)}
	case seen.status >= 300 && seen.status < 400:
		return &Error{Kind: directory.ErrUntrustedLink, Status: seen.status, wide: true, Text: fmt.Sprintf("the sign-in service answered with a redirect (HTTP %d), which is not followed", seen.status)}
	}
	e := &Error{Kind: directory.ErrSignIn, Status: seen.status, Text: "the sign-in failed"}
	if seen.code != "" {
		e.Code = "AADSTS" + seen.code
		e.Text = "the sign-in service refused with " + e.Code
		e.hint = "look the number up in the sign-in service's list of error codes"
		if words, ok := refusals[seen.code]; ok {
			e.Text = words[0] + " (" + e.Code + ")"
			e.hint = words[1]
		}
	} else if seen.status >= 400 {
		e.Text = fmt.Sprintf("the sign-in service answered with HTTP %d", seen.status)
		e.hint = "check tenantId, endpoints.authority and that nothing between rewrites its replies"
	} else if seen.status != 0 {
		// A login page of the network, a server between that answers all.
		return &Error{
			Kind: directory.ErrUnreachable, wide: true, Status: seen.status,
			Text: "the sign-in service's reply makes no sense", hint: "a proxy or login page may stand between; check endpoints and proxy",
		}
	} else {
		// Nothing was sent.
		e.Text = "the sign-in failed: " + s.withoutSecrets(err)
	}
	if s.options.Credential.Type == ManagedIdentity {
		e.Text = "the managed identity gave no token: " + s.withoutSecrets(err)
		e.hint = "check that this machine has a managed identity; with Azure Arc the service's account must be allowed to read the agent's keys (group himds on Linux)"
	}
	if _, _, ends := s.state(); !ends.IsZero() && s.options.Now().After(ends) {
		e.hint = "the certificate ended on " + ends.UTC().Format(time.DateOnly) + "; make a new one, register it and configure it"
	}
	return e
}

// withoutSecrets is the first line of a library's error, only for failures in
// which no request was refused, and without anything that looks like a token.
func (s *signIn) withoutSecrets(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return oneLine(jwtLike.ReplaceAllString(text, "…"), 200)
}

var jwtLike = regexp.MustCompile(`[A-Za-z0-9_\-]{20,}\.[A-Za-z0-9_\-]{10,}(\.[A-Za-z0-9_\-]*)?|[A-Za-z0-9_~.\-]{40,}`)

// unreachable says why there was no reply. Addresses with queries, and thereby
// links, are left out.
func unreachable(who string, err error) *Error {
	var wrapped *url.Error
	for errors.As(err, &wrapped) && wrapped.Err != nil {
		err = wrapped.Err
	}
	e := &Error{Kind: directory.ErrUnreachable, Cause: err}
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		verify   *tls.CertificateVerificationError
		dns      *net.DNSError
		op       *net.OpError
	)
	switch {
	case errors.As(err, &unknown):
		e.Text, e.final = who+"'s certificate is signed by an unknown authority", true
		e.hint = "if a proxy inspects TLS, name its root certificate in caFile"
	case errors.As(err, &hostname), errors.As(err, &invalid), errors.As(err, &verify):
		e.Text, e.final = who+"'s certificate is not valid", true
		e.hint = "check endpoints and this machine's clock; a proxy that inspects TLS needs caFile"
	case strings.Contains(err.Error(), "Proxy Authentication Required"):
		e.Text, e.final, e.Cause = "the proxy wants a sign-in (HTTP 407)", true, nil
		e.hint = "put user and password into the proxy's URL"
	case errors.As(err, &dns):
		e.Text = "the name of " + who + " cannot be resolved"
		e.hint = "check DNS, proxy and endpoints"
	case errors.As(err, &op) && op.Op == "proxyconnect":
		e.Text = "the proxy cannot be reached"
		e.hint = "check proxy, or HTTPS_PROXY and NO_PROXY"
	case errors.Is(err, errNoAnswer), errors.Is(err, errSlowBody), errors.Is(err, context.DeadlineExceeded):
		e.Text = who + " does not answer in time"
		e.hint = "check the network between; a firewall may drop connections silently"
	default:
		e.Text = who + " cannot be reached"
		e.hint = "check the network, proxy and firewall"
	}
	return e
}
