package entrasim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Foreign is a listener that no client of the tenant has any business with:
// foreign links lead to it. It answers every request with a believable page, so
// that a client which follows one is found out by what it believed.
type Foreign struct {
	secure, plain *http.Server
	securePort    string
	plainPort     string

	mu         sync.Mutex
	requests   int
	authorized int
}

// PoisonID is the id of the user and group that only the foreign listener
// knows.
func PoisonID() ID { return derivedID(Other, "poison", 0) }

// Foreign starts the foreign listener, or returns the one that runs.
func (s *Server) Foreign() (*Foreign, error) {
	s.foreignMu.Lock()
	defer s.foreignMu.Unlock()
	if s.foreign != nil {
		return s.foreign, nil
	}
	secure, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the foreign listener: %w", err)
	}
	plain, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		_ = secure.Close()
		return nil, fmt.Errorf("start the foreign listener: %w", err)
	}
	certificate, err := s.root.serverCertificate(time.Now(), s.options.Hosts)
	if err != nil {
		_, _ = secure.Close(), plain.Close()
		return nil, err
	}
	f := &Foreign{}
	f.secure, f.plain = s.newHTTP(f), s.newHTTP(f)
	f.secure.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	_, f.securePort, _ = net.SplitHostPort(secure.Addr().String())
	_, f.plainPort, _ = net.SplitHostPort(plain.Addr().String())
	s.serving.Go(func() { _ = f.secure.ServeTLS(secure, "", "") })
	s.serving.Go(func() { _ = f.plain.Serve(plain) })
	s.foreign = f
	return f, nil
}

// foreignURL is scheme and host of a foreign link.
func (s *Server) foreignURL(host string) string {
	s.foreignMu.Lock()
	defer s.foreignMu.Unlock()
	if s.foreign == nil {
		return "https://foreign.invalid"
	}
	switch host {
	case "port":
		return "https://127.0.0.1:" + s.foreign.securePort
	case "http":
		return "http://127.0.0.1:" + s.foreign.plainPort
	}
	return "https://localhost:" + s.foreign.securePort
}

// Requests is how many requests arrived; Authorized how many of them bore an
// Authorization header.
func (f *Foreign) Requests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

// Authorized is how many requests bore an Authorization header.
func (f *Foreign) Authorized() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.authorized
}

// ServeHTTP answers with a page of poison.
func (f *Foreign) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests++
	if r.Header.Get("Authorization") != "" {
		f.authorized++
	}
	f.mu.Unlock()
	kind := "users"
	if strings.Contains(r.URL.Path, "groups") {
		kind = "groups"
	}
	b := []byte{'{'}
	b = appendField(b, "@odata.context", baseURL(r)+"/v1.0/$metadata#"+kind)
	b = appendField(b, "@odata.deltaLink", baseURL(r)+"/v1.0/"+kind+"/delta?$deltatoken=poison")
	b = append(b, `,"value":[{"displayName":"Poison","userPrincipalName":"poison@contoso.com","id":"`+PoisonID().String()+`"`...)
	b = append(b, `,"members@delta":[{"@odata.type":"#microsoft.graph.user","id":"`+PoisonID().String()+`"}]}]}`...)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b)
}

func (f *Foreign) close() error { return errors.Join(f.secure.Close(), f.plain.Close()) }
