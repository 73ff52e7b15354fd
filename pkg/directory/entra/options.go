package entra

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// CredentialType is the way in which a directory is signed in to.
type CredentialType string

// The credential types of the contract.
const (
	ClientSecret      CredentialType = "clientSecret"
	ClientCertificate CredentialType = "clientCertificate"
	ManagedIdentity   CredentialType = "managedIdentity"  // Azure and Azure Arc
	WorkloadIdentity  CredentialType = "workloadIdentity" // federated token file of the platform
)

// Credential says where the secret is; it never holds it.
type Credential struct {
	Type CredentialType
	// SecretFile or SecretEnv names the client secret; exactly one is set for
	// ClientSecret.
	SecretFile string
	SecretEnv  string
	// CertificateFile is PEM (certificate and unencrypted key) or PKCS#12.
	CertificateFile         string
	CertificatePasswordFile string
	// LookupEnv reads an environment variable; nil is os.LookupEnv.
	LookupEnv func(name string) (string, bool)
}

// Options configure a Client. The zero value of every field but TenantID,
// ClientID and Credential is a sound default.
type Options struct {
	TenantID   string
	ClientID   string
	Credential Credential
	// Cloud is public, usGovernment, usGovernmentDoD or china; "" is public.
	Cloud string
	// GraphURL overrides the cloud's Graph root; "/v1.0" is added to a URL
	// without a path. AuthorityURL overrides the sign-in host. Both are https.
	GraphURL     string
	AuthorityURL string
	// CAFile is a PEM file of trust roots in addition to the system's.
	CAFile string
	// Proxy is a proxy URL, which may carry user and password and is never
	// printed; "" takes HTTPS_PROXY and NO_PROXY from the environment.
	Proxy string
	// Patience bounds all waiting of one call for a directory that fails,
	// hangs or throttles; 0 is two minutes.
	Patience time.Duration
	// HeaderTimeout bounds the wait for the head of one reply; 0 is 60 s.
	HeaderTimeout time.Duration
	// IdleBody bounds how long a body may make less than minimum progress
	// (32 KiB); 0 is 30 s. Time that the caller takes is not counted.
	IdleBody time.Duration
	// MaxPage is the largest body read, in bytes; 0 is 256 MiB.
	MaxPage int64
	// MaxPages ends a stream that never ends; 0 is 100,000.
	MaxPages int
	// Parallel is how many requests are under way at a time; 0 is 4.
	Parallel int
	// Backoff is the first pause after a failure that names no time; later
	// ones double, up to 30 s. 0 is 1 s.
	Backoff time.Duration
	// Logger may be nil.
	Logger *slog.Logger
	// Transport replaces the network (tests); TLS and proxy settings then do
	// not apply. It stays behind the guard.
	Transport http.RoundTripper
	// Now is the clock for dates; nil is time.Now.
	Now func() time.Time
}

// cloud is the addresses of one deployment (facts/graph.md, section 5).
type cloud struct {
	graph     string
	authority string
	// aliases are further sign-in hosts of the same cloud that its own
	// configuration document may name.
	aliases []string
}

func cloudNamed(name string) (cloud, error) {
	switch name {
	case "", "public":
		return cloud{"https://graph.microsoft.com", "https://login.microsoftonline.com", []string{"login.microsoft.com", "login.windows.net", "sts.windows.net"}}, nil
	case "usGovernment":
		return cloud{"https://graph.microsoft.us", "https://login.microsoftonline.us", []string{"login.usgovcloudapi.net"}}, nil
	case "usGovernmentDoD":
		return cloud{"https://dod-graph.microsoft.us", "https://login.microsoftonline.us", []string{"login.usgovcloudapi.net"}}, nil
	case "china":
		return cloud{"https://microsoftgraph.chinacloudapi.cn", "https://login.chinacloudapi.cn", []string{"login.partner.microsoftonline.cn"}}, nil
	default:
		return cloud{}, fmt.Errorf("cloud %q is not known: use public, usGovernment, usGovernmentDoD or china", name)
	}
}

// endpoints are the checked addresses of a client.
type endpoints struct {
	graph     base // with the version, e.g. https://graph.microsoft.com/v1.0
	scope     string
	authority base
	aliases   []string
}

func (o Options) endpoints() (endpoints, error) {
	c, err := cloudNamed(o.Cloud)
	if err != nil {
		return endpoints{}, err
	}
	e := endpoints{aliases: c.aliases}
	graph, authority := c.graph, c.authority
	if o.GraphURL != "" {
		graph = o.GraphURL
	}
	if o.AuthorityURL != "" {
		// The aliases belong to the cloud's own authority alone.
		authority, e.aliases = o.AuthorityURL, nil
	}
	if e.graph, err = parseBase("graph", graph); err != nil {
		return endpoints{}, err
	}
	if e.graph.path == "" {
		e.graph.path = "/v1.0"
	}
	if e.authority, err = parseBase("authority", authority); err != nil {
		return endpoints{}, err
	}
	e.scope = e.graph.origin() + "/.default"
	return e, nil
}

func (o Options) withDefaults() Options {
	if o.Patience <= 0 {
		o.Patience = 2 * time.Minute
	}
	if o.HeaderTimeout <= 0 {
		o.HeaderTimeout = time.Minute
	}
	if o.IdleBody <= 0 {
		o.IdleBody = 30 * time.Second
	}
	if o.MaxPage <= 0 {
		o.MaxPage = 256 << 20
	}
	if o.MaxPages <= 0 {
		o.MaxPages = 100_000
	}
	if o.Parallel <= 0 {
		o.Parallel = 4
	}
	if o.Backoff <= 0 {
		o.Backoff = time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Credential.LookupEnv == nil {
		o.Credential.LookupEnv = os.LookupEnv
	}
	return o
}

// check reports every problem of the settings at once.
func (o Options) check() error {
	var errs []error
	if o.TenantID == "" && o.Credential.Type != ManagedIdentity {
		errs = append(errs, errors.New("tenantId is missing"))
	}
	if strings.ContainsAny(o.TenantID, "/\\?#@ ") {
		errs = append(errs, errors.New("tenantId is neither an id nor a domain name"))
	}
	c := o.Credential
	switch c.Type {
	case ClientSecret:
		if (c.SecretFile == "") == (c.SecretEnv == "") {
			errs = append(errs, errors.New("credential: a clientSecret wants either secretFile or secretEnv"))
		}
	case ClientCertificate:
		if c.CertificateFile == "" {
			errs = append(errs, errors.New("credential: a clientCertificate wants certificateFile"))
		}
	case ManagedIdentity, WorkloadIdentity:
	default:
		errs = append(errs, fmt.Errorf("credential type %q is not known: use clientSecret, clientCertificate, managedIdentity or workloadIdentity", c.Type))
	}
	if o.ClientID == "" && (c.Type == ClientSecret || c.Type == ClientCertificate) {
		errs = append(errs, errors.New("clientId is missing"))
	}
	return errors.Join(errs...)
}

// isGUID reports whether s is a tenant id rather than a domain name.
func isGUID(s string) bool {
	_, err := identity.ParseObjectID(s)
	return err == nil
}
