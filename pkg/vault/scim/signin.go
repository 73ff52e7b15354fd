package scim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/vaultsync/vaultsync/pkg/credential"
)

// maxTokenAnswer is how much of a token endpoint's answer is read, in bytes; what
// is cut there is no JSON.
const maxTokenAnswer = 1 << 20

// signIn gives out the bearer token that a request carries.
type signIn struct {
	secret *credential.Secret
	oauth  *OAuth // nil: the secret is the token itself
	client *http.Client
	count  func()
	// timeout bounds one request for a token.
	timeout time.Duration

	mu      sync.Mutex
	token   string
	made    string // the secret that the token was given for
	expires time.Time
	// inBody sends id and secret in the form: some token endpoints refuse them
	// in the header, where RFC 6749 wants them.
	inBody bool
}

// bearer is a token that should be good now.
func (s *signIn) bearer(ctx context.Context) (string, error) {
	secret, err := s.secret.Read()
	if err != nil {
		return "", unread(err)
	}
	if s.oauth == nil {
		return strings.TrimSpace(secret), nil // no token has blanks at its ends
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token != "" && s.made == secret && time.Now().Before(s.expires) {
		return s.token, nil
	}
	return s.fetch(ctx, secret)
}

// unread is an error of reading a secret, which is one of signing in.
func unread(err error) error {
	e, ok := errors.AsType[*credential.Error](err)
	if !ok {
		return err
	}
	return &Error{Place: e.Place, Text: e.Text, Fix: e.Fix, kind: errSignIn, cause: e.Cause}
}

// refused says that the service did not take a token. It reports whether
// another try makes sense: there is another token by now, or can be.
func (s *signIn) refused(token string) bool {
	s.secret.Forget()
	if s.oauth == nil {
		now, err := s.secret.Read()
		return err == nil && strings.TrimSpace(now) != token
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == token {
		s.token = ""
	}
	return true
}

// fetch asks the token endpoint; s.mu is held, so that one request serves all.
func (s *signIn) fetch(ctx context.Context, secret string) (string, error) {
	a, err := s.ask(ctx, secret)
	if err == nil && (a.status == http.StatusUnauthorized || a.status == http.StatusBadRequest) && !s.inBody {
		s.inBody = true
		if a, err = s.ask(ctx, secret); err == nil && a.status != http.StatusOK {
			s.inBody = false
		}
	}
	if err != nil {
		return "", &Error{Place: "POST " + s.oauth.TokenURL, Text: "no token could be had", Fix: "check store.oauth.tokenUrl, and whether a proxy or firewall is in the way", kind: errSignIn, cause: err}
	}
	var given struct {
		Token   string      `json:"access_token"`
		Expires json.Number `json:"expires_in"`
		Type    string      `json:"token_type"`
	}
	if a.status != http.StatusOK {
		detail, _ := a.detail()
		return "", &Error{
			Place: "POST " + s.oauth.TokenURL, Status: a.status, kind: errSignIn,
			Text: fmt.Sprintf("the token endpoint answered %d (%s)", a.status, strings.ReplaceAll(detail, secret, "<redacted>")),
			Fix:  "check store.oauth: tokenUrl, clientId, scope and the secret, which may have expired",
		}
	}
	if err := json.Unmarshal(a.body, &given); err != nil || given.Token == "" || strings.ContainsAny(given.Token, "\r\n\x00") {
		return "", &Error{Place: "POST " + s.oauth.TokenURL, Text: "the answer holds no token", Fix: "check store.oauth.tokenUrl", kind: errSignIn}
	}
	if given.Type != "" && !strings.EqualFold(given.Type, "bearer") {
		return "", &Error{Place: "POST " + s.oauth.TokenURL, Text: fmt.Sprintf("the token is of type %q, not bearer", oneLine(given.Type)), Fix: "configure the client for bearer tokens", kind: errSignIn}
	}
	lasts, err := given.Expires.Int64()
	if err != nil || lasts <= 0 {
		lasts = 300
	}
	life := time.Duration(min(lasts, 7*24*3600)) * time.Second
	s.token, s.made, s.expires = given.Token, secret, time.Now().Add(life-min(life/4, time.Minute))
	return s.token, nil
}

func (s *signIn) ask(ctx context.Context, secret string) (answer, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if s.oauth.Scope != "" {
		form.Set("scope", s.oauth.Scope)
	}
	if s.inBody {
		form.Set("client_id", s.oauth.ClientID)
		form.Set("client_secret", secret)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.oauth.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, fmt.Errorf("make the request: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	if !s.inBody {
		r.SetBasicAuth(url.QueryEscape(s.oauth.ClientID), url.QueryEscape(secret))
	}
	s.count()
	response, err := s.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close() //nolint:errcheck // read only
	body, err := io.ReadAll(io.LimitReader(response.Body, maxTokenAnswer))
	if err != nil {
		return answer{}, fmt.Errorf("read the answer: %w", err)
	}
	return answer{status: response.StatusCode, body: body}, nil
}
