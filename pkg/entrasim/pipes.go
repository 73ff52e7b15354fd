package entrasim

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
)

// Pipes is a network in memory: what Serve listens on and a client dials in
// tests under a synthetic clock, where waits of hours pass at once and time
// stands still while anybody works. Its address is that of the loopback
// interface, for which the server's certificate is good.
type Pipes struct {
	accept        chan net.Conn
	closed        chan struct{}
	once          sync.Once
	opened, alive atomic.Int64
}

// NewPipes is a network without connections.
func NewPipes() *Pipes { return &Pipes{accept: make(chan net.Conn), closed: make(chan struct{})} }

// Accept waits for the next connection.
func (p *Pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accept:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close ends the listening; connections live on.
func (p *Pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr is 127.0.0.1:443.
func (p *Pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443} }

// Dial makes a connection to whoever accepts, whatever the address.
func (p *Pipes) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.accept <- theirs:
		p.opened.Add(1)
		p.alive.Add(1)
		return &countedConn{Conn: ours, alive: &p.alive}, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Connections is how many were made, and how many of them the dialling side
// has not closed.
func (p *Pipes) Connections() (opened, alive int) {
	return int(p.opened.Load()), int(p.alive.Load())
}

// countedConn tells when it is closed.
type countedConn struct {
	net.Conn
	alive *atomic.Int64
	once  sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.alive.Add(-1) })
	return c.Conn.Close()
}
