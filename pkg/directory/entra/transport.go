package entra

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"github.com/vaultsync/vaultsync/pkg/credential"
)

// newTransport is the network: TLS 1.2 or later, always verified, with the
// proxy and the trust roots of the settings.
func newTransport(o Options) (*http.Transport, error) {
	proxy, err := credential.Proxy("proxy", o.Proxy)
	if err != nil {
		return nil, err
	}
	roots, err := credential.Roots("caFile", o.CAFile)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:               proxy,
		DialContext:         dialer.DialContext,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout: 15 * time.Second,
		ForceAttemptHTTP2:   true,
		// Far more than are in use at a time: over HTTP/1, connections that
		// come back at the same moment are then kept, not closed and dialled
		// anew, when a throttled directory is asked again and again.
		MaxIdleConnsPerHost:   4 * o.Parallel,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
		// A connection that died without a word is found by a ping.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}, nil
}
