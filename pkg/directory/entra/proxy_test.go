package entra_test

import (
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/directory/entra"
)

// tunnels is a proxy that wants a user and a password, as a company has one.
type tunnels struct {
	*httptest.Server
	want    string // of Proxy-Authorization
	refused atomic.Int32

	mu    sync.Mutex
	hosts map[string]int
	seen  strings.Builder // what it can read
}

func newTunnels(t *testing.T, user, password string) *tunnels {
	t.Helper()
	p := &tunnels{want: "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)), hosts: map[string]int{}}
	p.Server = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.Close)
	return p
}

func (p *tunnels) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	_ = r.Header.WriteSubset(&p.seen, map[string]bool{"Proxy-Authorization": true})
	p.mu.Unlock()
	if r.Method != http.MethodConnect || r.Header.Get("Proxy-Authorization") != p.want {
		p.refused.Add(1)
		w.Header().Set("Proxy-Authenticate", `Basic realm="contoso"`)
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	var dialer net.Dialer
	there, err := dialer.DialContext(r.Context(), "tcp", r.Host)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer func() { _ = there.Close() }()
	here, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = here.Close() }()
	p.mu.Lock()
	p.hosts[r.Host]++
	p.mu.Unlock()
	_, _ = io.WriteString(here, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		_, _ = io.Copy(there, buffered) // ends with the connection
		_ = there.Close()
	}()
	_, _ = io.Copy(here, there) // ends with the connection
}

func TestAProxyWithUserAndPasswordCarriesEverything(t *testing.T) {
	t.Parallel()
	const user, password = "CONTOSO\\sync", "p@ss:w/rd %41"
	proxy := newTunnels(t, user, password)
	w := open(t, small)
	// Two names of one server, so that the two sorts of traffic can be told
	// apart.
	port := w.server.URL()[strings.LastIndex(w.server.URL(), ":"):]
	through := func(user, password string) func(*entra.Options) {
		return func(o *entra.Options) {
			o.AuthorityURL = "https://localhost" + port
			o.GraphURL = "https://127.0.0.1" + port
			o.Proxy = strings.Replace(proxy.URL, "http://", "http://"+escape(user)+":"+escape(password)+"@", 1)
		}
	}
	w.client = w.connect(through(user, password))
	if r := w.pull(directory.Request{Streams: []directory.Stream{{}, w.groupStream("", "group Sales")}}); len(r.people) != 3 || len(r.errs) != 0 {
		t.Errorf("%d people, %v", len(r.people), r.errs)
	}
	proxy.mu.Lock()
	if proxy.hosts["localhost"+port] == 0 || proxy.hosts["127.0.0.1"+port] == 0 || proxy.refused.Load() != 0 {
		t.Errorf("sign-in and directory did not both go through the proxy: %v, %d refused", proxy.hosts, proxy.refused.Load())
	}
	if text := proxy.seen.String(); strings.Contains(text, "eyJ") {
		t.Errorf("the proxy saw a token: %s", text)
	}
	proxy.mu.Unlock()
	w.client = w.connect(through(user, "canary-wrong"))
	_, err := w.try(directory.Request{Streams: []directory.Stream{{}}})
	if err == nil || !strings.Contains(err.Error(), "407") || strings.Contains(err.Error(), "canary") {
		t.Errorf("a wrong password: %v", err)
	}
}

// escape percent-encodes all but letters and digits, as an operator is told to.
func escape(text string) string {
	var out strings.Builder
	for _, b := range []byte(text) {
		if b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' {
			out.WriteByte(b)
			continue
		}
		out.WriteString("%" + strings.ToUpper(string("0123456789abcdef"[b>>4])+string("0123456789abcdef"[b&15])))
	}
	return out.String()
}

// endless is a reply without an end.
type endless struct{ closed atomic.Bool }

func (e *endless) Read(p []byte) (int, error) {
	if e.closed.Load() {
		return 0, net.ErrClosed
	}
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
func (e *endless) Close() error { e.closed.Store(true); return nil }

func TestRepliesWithoutEndAreRefused(t *testing.T) {
	t.Parallel()
	for where, path := range map[string]string{"the sign-in": "/oauth2/", "a page": "/users/delta", "a refusal": "/users/delta"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			w := open(t, small)
			network := w.trusting()
			body := &endless{}
			w.client = w.connect(func(o *entra.Options) {
				o.MaxPage, o.Patience = 1<<20, 1
				o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
					if !strings.Contains(r.URL.Path, path) {
						return network.RoundTrip(r)
					}
					status := http.StatusOK
					if where == "a refusal" {
						status = http.StatusForbidden
					}
					return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: body, Request: r}, nil
				})
			})
			r, err := w.try(directory.Request{Streams: []directory.Stream{{}}})
			if err == nil && r.errs[0] == nil || len(r.links) != 0 {
				t.Errorf("%v, %v", err, r.errs)
			}
			if !body.closed.Load() {
				t.Error("the connection was left to run")
			}
		})
	}
}
