package scim

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options say where the service is and how to speak to it. Exactly one of
// TokenFile, TokenEnv and OAuth says how to sign in.
type Options struct {
	// URL is the service's base, to which /Users is added: https, or http on
	// this machine.
	URL string
	// TokenFile or TokenEnv holds a bearer token; it is read again when it has
	// changed.
	TokenFile string
	TokenEnv  string
	OAuth     *OAuth
	// CAFile adds trust roots in PEM; "" is the machine's alone.
	CAFile string
	// Proxy is a proxy URL, which may carry user and password and is never
	// shown; "" takes the environment's.
	Proxy string
	// Bulk and Patch say whether the service is sent bulk requests and PATCH:
	// auto (as it says of itself), on or off.
	Bulk  string
	Patch string
	// Parallel is how many requests are under way at the same time.
	Parallel int
	// PageSize is how many resources are asked for at once.
	PageSize int
	// MemberChunk is how many members one request adds or removes at most.
	MemberChunk int
	// LicenseAttribute is the SCIM path that takes the licence type as text;
	// "" sends none.
	LicenseAttribute string
	// Attributes are the SCIM paths that callers use in vault.User.Attributes
	// and vault.Patch.Attributes.
	Attributes []string
	// LicenseExhausted is a part of what the service says when it has no licence
	// left, whatever its case; "" when it is not known.
	LicenseExhausted string
	// MembersHidden is what an earlier program has found out: the service shows
	// no members of groups. MembersFound hears whenever that changes; nil when
	// nobody keeps it.
	MembersHidden bool
	MembersFound  func(hidden bool)
	// Timeout is how long one request may take.
	Timeout time.Duration
	Logger  *slog.Logger

	// transport replaces the network in tests.
	transport http.RoundTripper
}

// OAuth is a client-credentials grant (RFC 6749 section 4.4). Exactly one of
// SecretFile and SecretEnv is set.
type OAuth struct {
	TokenURL   string
	ClientID   string
	SecretFile string
	SecretEnv  string
	Scope      string
}

// The defaults of options that are left at zero.
const (
	defaultParallel    = 4
	defaultPageSize    = 100
	defaultMemberChunk = 100
	defaultTimeout     = 30 * time.Second
)

// withDefaults checks the options and fills in what was left out.
func (o Options) withDefaults() (Options, error) {
	var errs []error
	o.URL = strings.TrimRight(o.URL, "/")
	if err := checkURL("url", o.URL); err != nil {
		errs = append(errs, err)
	}
	ways := 0
	for _, set := range []bool{o.TokenFile != "", o.TokenEnv != "", o.OAuth != nil} {
		if set {
			ways++
		}
	}
	if ways != 1 {
		errs = append(errs, errors.New("exactly one of tokenFile, tokenEnv and oauth says how to sign in"))
	}
	if o.OAuth != nil {
		if err := checkURL("oauth.tokenUrl", o.OAuth.TokenURL); err != nil {
			errs = append(errs, err)
		}
		if (o.OAuth.SecretFile == "") == (o.OAuth.SecretEnv == "") {
			errs = append(errs, errors.New("oauth: exactly one of secretFile and secretEnv is wanted"))
		}
	}
	for name, value := range map[string]*string{"bulk": &o.Bulk, "patch": &o.Patch} {
		switch *value {
		case "":
			*value = auto
		case auto, on, off:
		default:
			errs = append(errs, fmt.Errorf("%s is %q: write auto, on or off", name, *value))
		}
	}
	o.Parallel = orDefault(o.Parallel, defaultParallel)
	o.PageSize = orDefault(o.PageSize, defaultPageSize)
	o.MemberChunk = orDefault(o.MemberChunk, defaultMemberChunk)
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, errors.Join(errs...)
}

func orDefault(n, otherwise int) int {
	if n <= 0 {
		return otherwise
	}
	return n
}

// checkURL checks an address that a secret is sent to.
func checkURL(key, text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%s: write an address like https://scim.contoso.com/v2", key)
	}
	switch host := u.Hostname(); {
	case u.Scheme == "https":
	case u.Scheme == "http" && (host == "127.0.0.1" || host == "::1" || host == "localhost"):
	default:
		return fmt.Errorf("%s: %s is not https; http is taken for this machine alone", key, u.Redacted())
	}
	return nil
}

// The values of Options.Bulk and Options.Patch.
const (
	auto = "auto"
	on   = "on"
	off  = "off"
)
