package scim

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"github.com/vaultsync/vaultsync/pkg/credential"
)

// newTransport is the network: TLS 1.2 or later, the machine's trust roots and
// those of the CA file, the proxy.
func newTransport(o Options) (http.RoundTripper, error) {
	if o.transport != nil {
		return o.transport, nil
	}
	roots, err := credential.Roots("store.caFile", o.CAFile)
	if err != nil {
		return nil, err
	}
	proxy, err := credential.Proxy("store.proxy", o.Proxy)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy: proxy, DialContext: dialer.DialContext, TLSHandshakeTimeout: 10 * time.Second,
		TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		ForceAttemptHTTP2: true, MaxIdleConns: 2 * o.Parallel, MaxIdleConnsPerHost: o.Parallel, IdleConnTimeout: 90 * time.Second,
		MaxResponseHeaderBytes: 1 << 20,
	}, nil
}

// noRedirect hands a redirect to the caller, who refuses it: a request carries
// a token and people's data, and neither goes anywhere but to the configured
// service.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
