package entra

import (
	"context"
	"net"
	"net/http"
)

// NewTransport is the program's own network for the settings, over connections
// that dial makes.
func NewTransport(o Options, dial func(ctx context.Context, network, address string) (net.Conn, error)) (*http.Transport, error) {
	transport, err := newTransport(o.withDefaults())
	if err == nil {
		transport.DialContext = dial
	}
	return transport, err
}
