package entra

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azcloud "github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/vaultsync/vaultsync/pkg/credential"
	"github.com/vaultsync/vaultsync/pkg/directory"
)

// signIn hands out tokens and makes a new credential when its files change or
// the directory refuses a token. It is the azcore.TokenCredential that the
// SDK's auth provider asks.
type signIn struct {
	options Options
	tokens  *http.Client // pinned to the sign-in addresses
	cloud   azcloud.Configuration

	mu         sync.Mutex
	current    azcore.TokenCredential
	generation int
	stamps     [2]credential.Stamp // of its files
	digest     [32]byte
	certEnds   time.Time
	token      string
	claims     claims
	expires    time.Time
}

var _ azcore.TokenCredential = (*signIn)(nil)

func newSignIn(o Options, e endpoints, network http.RoundTripper) *signIn {
	g := &guard{
		allow:         e.allowSignIn,
		next:          network,
		headerTimeout: o.HeaderTimeout,
		idle:          o.IdleBody,
		maxBody:       4 << 20,
	}
	if o.Credential.Type == ManagedIdentity {
		g.allow = allowIdentityEndpoint(o.Credential.LookupEnv)
	}
	return &signIn{
		options: o,
		tokens: &http.Client{
			Transport:     recorder{g},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		cloud: azcloud.Configuration{ActiveDirectoryAuthorityHost: e.authority.String() + "/"},
	}
}

// allowSignIn pins token calls to the authority, or to another name of it in
// the same cloud.
func (e endpoints) allowSignIn(u *url.URL) error {
	if e.authority.covers(u) {
		return nil
	}
	for _, alias := range e.aliases {
		if (base{host: alias + ":443"}).covers(u) {
			return nil
		}
	}
	return e.authority.refusal(u)
}

// allowIdentityEndpoint pins token calls of a managed identity to the
// endpoints that the platform names, all of them on the machine or link-local.
func allowIdentityEndpoint(lookup func(string) (string, bool)) func(*url.URL) error {
	hosts := map[string]bool{"169.254.169.254:80": true, "127.0.0.1:40342": true, "localhost:40342": true}
	for _, name := range []string{"IDENTITY_ENDPOINT", "IMDS_ENDPOINT", "MSI_ENDPOINT", "AZURE_POD_IDENTITY_AUTHORITY_HOST"} {
		if value, ok := lookup(name); ok {
			if u, err := url.Parse(value); err == nil && u.Host != "" {
				hosts[hostPort(u)] = true
			}
		}
	}
	return func(u *url.URL) error {
		if u.User == nil && hosts[hostPort(u)] {
			return nil
		}
		return &Error{Kind: directory.ErrUntrustedLink, Text: fmt.Sprintf("the managed identity's endpoint points to %.200q; nothing was sent there", u.Scheme+"://"+u.Host)}
	}
}

// GetToken is a token for the scope asked for. Its errors are *Error.
func (s *signIn) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	present, err := s.credential()
	if err != nil {
		return azcore.AccessToken{}, err
	}
	seen := &exchange{}
	token, err := present.GetToken(context.WithValue(ctx, exchangeKey{}, seen), options)
	if err != nil {
		if ctx.Err() != nil {
			return azcore.AccessToken{}, ended(ctx)
		}
		return azcore.AccessToken{}, s.explain(err, seen)
	}
	return token, s.note(token)
}

// note keeps what the newest token says, and refuses one of another tenant.
func (s *signIn) note(token azcore.AccessToken) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if token.Token != s.token {
		s.token, s.claims, s.expires = token.Token, parseClaims(token.Token), token.ExpiresOn
	}
	got := s.claims.tenant
	if got != "" && isGUID(s.options.TenantID) && !strings.EqualFold(got, s.options.TenantID) {
		return &Error{
			Kind: directory.ErrSignIn,
			Text: fmt.Sprintf("the sign-in led to tenant %.50q, the configuration names %s", got, s.options.TenantID),
			hint: "check tenantId; a managed identity always signs in to the tenant of its machine",
		}
	}
	return nil
}

// credential is the present credential, made anew when its files changed. A
// file that cannot be read just now does not end a credential that works.
func (s *signIn) credential() (azcore.TokenCredential, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.options.Credential
	now := [2]credential.Stamp{credential.StampOf(c.SecretFile)}
	if c.Type == ClientCertificate {
		now = [2]credential.Stamp{credential.StampOf(c.CertificateFile), credential.StampOf(c.CertificatePasswordFile)}
	}
	if s.current != nil && now == s.stamps && c.SecretEnv == "" {
		return s.current, nil
	}
	m, err := s.material()
	if err != nil {
		if s.current != nil {
			s.options.Logger.Warn("the credential's file cannot be read again; the one in use stays", slog.Any("error", err))
			s.stamps = now
			return s.current, nil
		}
		return nil, &Error{Kind: directory.ErrSignIn, Text: "the credential cannot be read", Cause: err, hint: fixOf(err), final: true}
	}
	if s.current != nil && m.digest == s.digest {
		s.stamps = now
		return s.current, nil
	}
	made, err := s.make(m)
	if err != nil {
		return nil, &Error{Kind: directory.ErrSignIn, Text: "the credential cannot be used: " + oneLine(err.Error(), 300), final: true}
	}
	s.current, s.stamps, s.digest, s.certEnds = made, now, m.digest, m.expires()
	s.generation++
	return made, nil
}

// fixOf is what to do about an error of reading a credential.
func fixOf(err error) string {
	if e, ok := errors.AsType[*credential.Error](err); ok {
		return e.Fix
	}
	return ""
}

func (s *signIn) material() (material, error) {
	switch s.options.Credential.Type {
	case ClientSecret:
		return readClientSecret(s.options.Credential)
	case ClientCertificate:
		return readCertificate(s.options.Credential)
	case ManagedIdentity, WorkloadIdentity:
		return material{}, nil
	default:
		return material{}, errors.New("unknown credential type")
	}
}

func (s *signIn) make(m material) (azcore.TokenCredential, error) {
	o := s.options
	client := azcore.ClientOptions{
		Cloud:     s.cloud,
		Transport: s.tokens,
		Retry:     policy.RetryOptions{MaxRetries: -1}, // ours
		Telemetry: policy.TelemetryOptions{Disabled: true},
	}
	// The authority is fixed by the configuration and pinned by the guard, so
	// there is nothing to discover.
	const noDiscovery = true
	switch o.Credential.Type {
	case ClientSecret:
		return azidentity.NewClientSecretCredential(o.TenantID, o.ClientID, m.secret,
			&azidentity.ClientSecretCredentialOptions{ClientOptions: client, DisableInstanceDiscovery: noDiscovery})
	case ClientCertificate:
		return azidentity.NewClientCertificateCredential(o.TenantID, o.ClientID, m.certs, m.key,
			&azidentity.ClientCertificateCredentialOptions{ClientOptions: client, DisableInstanceDiscovery: noDiscovery})
	case WorkloadIdentity:
		return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions: client, ClientID: o.ClientID, TenantID: o.TenantID, DisableInstanceDiscovery: noDiscovery,
		})
	case ManagedIdentity:
		options := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: client}
		if o.ClientID != "" {
			options.ID = azidentity.ClientID(o.ClientID)
		}
		return azidentity.NewManagedIdentityCredential(options)
	default:
		return nil, errors.New("unknown credential type")
	}
}

// generationNow is the generation of the credential, to be handed to renew.
func (s *signIn) generationNow() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.generation
}

// renew forgets the tokens of a generation: the next call signs in anew. A
// generation that is gone already is left alone, so that requests refused
// together sign in once. (Tokens of a managed identity are kept by the library
// for the whole process; there a claims challenge alone brings a new one.)
func (s *signIn) renew(generation int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation == generation {
		s.current = nil
	}
}

// state is the newest token's claims, its end and the certificate's end.
func (s *signIn) state() (c claims, expires, certEnds time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.claims, s.expires, s.certEnds
}
