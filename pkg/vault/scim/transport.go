package scim

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

// newTransport is the network: TLS 1.2 or later, the machine's trust roots and
// those of the CA file, the proxy.
func newTransport(o Options) (http.RoundTripper, error) {
	if o.transport != nil {
		return o.transport, nil
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, &Error{Place: "store.caFile", Text: "the trust roots cannot be read", Fix: "check the file and who may read it", cause: err}
		}
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool()
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, &Error{Place: "store.caFile", Text: fmt.Sprintf("there is no certificate in %s", o.CAFile), Fix: "write the CA's certificate in PEM, beginning with -----BEGIN CERTIFICATE-----"}
		}
		settings.RootCAs = roots
	}
	proxy := http.ProxyFromEnvironment
	if o.Proxy != "" {
		u, err := url.Parse(o.Proxy)
		if err != nil || u.Host == "" {
			return nil, &Error{Place: "store.proxy", Text: "it is not an address", Fix: "write it like http://proxy.contoso.com:3128"}
		}
		proxy = http.ProxyURL(u)
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy: proxy, DialContext: dialer.DialContext, TLSClientConfig: settings, TLSHandshakeTimeout: 10 * time.Second,
		ForceAttemptHTTP2: true, MaxIdleConns: 2 * o.Parallel, MaxIdleConnsPerHost: o.Parallel, IdleConnTimeout: 90 * time.Second,
		MaxResponseHeaderBytes: 1 << 20,
	}, nil
}

// noRedirect hands a redirect to the caller, who refuses it: a request carries
// a token and people's data, and neither goes anywhere but to the configured
// service.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
