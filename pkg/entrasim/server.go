package entrasim

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options shape a server.
type Options struct {
	// Listen is the address; "127.0.0.1:0" when empty.
	Listen string
	// Hosts are further names that the certificate is good for; it covers
	// localhost and the loopback addresses anyway.
	Hosts []string
	// Admin serves /_sim/…, which anybody who reaches the listener may call.
	Admin bool
	// CAFile, when set, receives the authority's certificate in PEM.
	CAFile string
	// PlainHTTP serves without TLS, for listeners in memory.
	PlainHTTP bool
	// HTTP1 serves no HTTP/2, like many a proxy that inspects TLS.
	HTTP1 bool
}

// Server serves tenants. Its methods are safe for use by several goroutines.
type Server struct {
	options Options
	tenants map[ID]*Tenant
	root    *root
	key     []byte // signs access tokens
	serial  atomic.Uint64

	faults faultSet
	stats  statistics

	http     *http.Server
	listener net.Listener
	url      string
	stop     context.CancelFunc
	stopped  context.Context //nolint:containedctx // ends hanging requests at Close
	serving  sync.WaitGroup
	zippers  sync.Pool

	foreignMu sync.Mutex
	foreign   *Foreign
}

// NewServer is a server that does not listen: use Handler, or Serve.
func NewServer(options Options, tenants ...*Tenant) (*Server, error) {
	authority, err := newRoot(time.Now())
	if err != nil {
		return nil, err
	}
	s := &Server{options: options, tenants: map[ID]*Tenant{}, root: authority, key: make([]byte, 32)}
	if _, err := rand.Read(s.key); err != nil {
		return nil, fmt.Errorf("make the simulator's key: %w", err)
	}
	for _, t := range tenants {
		if _, twice := s.tenants[t.id]; twice {
			return nil, fmt.Errorf("tenant %s is %w", t.id, ErrExists)
		}
		s.tenants[t.id] = t
	}
	s.stopped, s.stop = context.WithCancel(context.Background())
	if options.CAFile != "" {
		if err := os.WriteFile(options.CAFile, authority.pem, 0o600); err != nil {
			return nil, fmt.Errorf("write the simulator's authority: %w", err)
		}
	}
	return s, nil
}

// Start serves tenants on loopback until Close.
func Start(options Options, tenants ...*Tenant) (*Server, error) {
	s, err := NewServer(options, tenants...)
	if err != nil {
		return nil, err
	}
	address := options.Listen
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("start the simulated tenant: %w", err)
	}
	if err := s.Serve(listener); err != nil {
		_ = listener.Close()
		return nil, err
	}
	return s, nil
}

// Serve begins to serve a listener, with TLS unless Options.PlainHTTP, and
// returns. It is called once.
func (s *Server) Serve(listener net.Listener) error {
	if s.http != nil {
		return errors.New("the simulated tenant already serves")
	}
	s.listener = listener
	s.http = s.newHTTP(s.Handler())
	if s.options.HTTP1 {
		s.http.Protocols = new(http.Protocols)
		s.http.Protocols.SetHTTP1(true)
	}
	s.url = "http://" + listener.Addr().String()
	if !s.options.PlainHTTP {
		certificate, err := s.root.serverCertificate(time.Now(), s.options.Hosts)
		if err != nil {
			return err
		}
		s.url = "https://" + listener.Addr().String()
		s.http.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	}
	s.serving.Go(func() {
		if s.options.PlainHTTP {
			_ = s.http.Serve(listener)
			return
		}
		_ = s.http.ServeTLS(listener, "", "")
	})
	return nil
}

func (s *Server) newHTTP(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // refused handshakes are the client's to report
		BaseContext:       func(net.Listener) context.Context { return s.stopped },
	}
}

// Close ends every request, hanging ones included, and the listeners.
func (s *Server) Close() error {
	s.stop()
	var errs []error
	if s.http != nil {
		errs = append(errs, s.http.Close())
	}
	s.foreignMu.Lock()
	if s.foreign != nil {
		errs = append(errs, s.foreign.close())
	}
	s.foreignMu.Unlock()
	s.serving.Wait()
	return errors.Join(errs...)
}

// URL is the address of authority and Graph alike, without a path: what
// endpoints.graph and endpoints.authority of a configuration take.
func (s *Server) URL() string { return s.url }

// CAPEM is the certificate of the authority that signed the server's.
func (s *Server) CAPEM() []byte { return s.root.pem }

// Tenant is the tenant with the id, nil when the server has none such.
func (s *Server) Tenant(id ID) *Tenant { return s.tenants[id] }

// Inject orders a fault. Faults of one kind apply in the order in which they
// were ordered. A fault that leads elsewhere starts the foreign listener.
func (s *Server) Inject(f Fault) (*Fault, error) {
	if err := f.validate(); err != nil {
		return nil, err
	}
	if f.needsForeign() {
		if _, err := s.Foreign(); err != nil {
			return nil, err
		}
	}
	return s.faults.add(f), nil
}

// Remove ends a fault.
func (s *Server) Remove(f *Fault) { s.faults.remove(f) }

// ClearFaults ends all faults.
func (s *Server) ClearFaults() { s.faults.clear() }

// Stats is what the server was asked since the start or the last ResetStats.
func (s *Server) Stats() Stats {
	found := s.stats.read()
	found.Faults = s.faults.counts()
	return found
}

// ResetStats begins to count anew. Faults keep their own counts.
func (s *Server) ResetStats() { s.stats.reset() }

// Handler is the server without a listener.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	switch {
	case strings.HasPrefix(path, "/_sim/") && s.options.Admin:
		s.serveAdmin(w, r)
	case path == "/v1.0" || strings.HasPrefix(path, "/v1.0/"):
		s.serveGraph(w, r)
	case s.serveAuthority(w, r):
	default:
		s.stats.count("other")
		http.NotFound(w, r)
	}
}

func baseURL(r *http.Request) string {
	if r.TLS == nil {
		return "http://" + r.Host
	}
	return "https://" + r.Host
}

func (s *Server) newRequestID() string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], s.serial.Add(1))
	sum := sha256.Sum256(append(b[:], s.key...))
	id := ID(sum[:16])
	return id.String()
}
