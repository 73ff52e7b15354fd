package observe

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// well is a source that has nothing to complain about.
func well(edit func(*Source)) Source {
	s := Source{
		Alive:   time.Now,
		Ready:   func(context.Context) []string { return nil },
		Status:  func(context.Context) ([]any, error) { return []any{map[string]string{"vault": "sales"}}, nil },
		Metrics: NewMetrics("1.2.3"),
	}
	if edit != nil {
		edit(&s)
	}
	return s
}

func ask(t *testing.T, s Source, method, path string, edit func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:8390"+path, nil)
	if edit != nil {
		edit(r)
	}
	w := httptest.NewRecorder()
	Handler(s, slog.New(slog.DiscardHandler)).ServeHTTP(w, r)
	return w
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	reasons := func(lines ...string) Source {
		return well(func(s *Source) { s.Ready = func(context.Context) []string { return lines } })
	}
	status := func(elements []any, err error) Source {
		return well(func(s *Source) { s.Status = func(context.Context) ([]any, error) { return elements, err } })
	}
	for _, c := range []struct {
		name   string
		source Source
		path   string
		code   int
		want   string
	}{
		{"alive is healthy", well(nil), "/healthz", 200, "ok\n"},
		{"no sign of life yet is not healthy", well(func(s *Source) { s.Alive = func() time.Time { return time.Time{} } }), "/healthz", 503, "no sign of life yet\n"},
		{"nothing to wait for is ready", well(nil), "/readyz", 200, "ready\n"},
		{"each reason has its line", reasons("vault sales: failing", "starting"), "/readyz", 503, "vault sales: failing\nstarting\n"},
		{"a reason stays on its line and tells no secret", reasons("a\r\nb\x1b[2J client_secret=" + canary), "/readyz", 503, "a b\\x1b[2J client_secret=<redacted>\n"},
		{"status is one line an element", status([]any{map[string]string{"vault": "a&b\n"}, 2}, nil), "/status", 200, "{\"vault\":\"a&b\\n\"}\n2\n"},
		{"no vaults are no lines", status(nil, nil), "/status", 200, ""},
		{"a status that fails never reads as empty", status(nil, errors.New(canary)), "/status", 500, "the status could not be told; the log says why\n"},
		{"half a status is none", status([]any{1, func() {}}, nil), "/status", 500, "the status could not be told; the log says why\n"},
		{"elsewhere is nothing", well(nil), "/", 404, "404 page not found\n"},
		{"no profiles of the process", well(nil), "/debug/pprof/", 404, "404 page not found\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := ask(t, c.source, http.MethodGet, c.path, nil)
			if w.Code != c.code || w.Body.String() != c.want {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, c.code, c.want)
			}
			for _, header := range []string{"Cache-Control", "Content-Security-Policy", "X-Content-Type-Options", "X-Frame-Options", "Cross-Origin-Resource-Policy"} {
				if w.Header().Get(header) == "" {
					t.Errorf("no %s", header)
				}
			}
		})
	}
}

func TestManyReasonsAreCounted(t *testing.T) {
	t.Parallel()
	w := ask(t, well(func(s *Source) {
		s.Ready = func(context.Context) []string { return make([]string, reasonLines+7) }
	}), http.MethodGet, "/readyz", nil)
	if lines := strings.Split(strings.TrimSuffix(w.Body.String(), "\n"), "\n"); len(lines) != reasonLines+1 || lines[reasonLines] != "… and 7 more" {
		t.Errorf("%d lines, the last is %q", len(lines), lines[len(lines)-1])
	}
}

func TestMetricsAreServed(t *testing.T) {
	t.Parallel()
	s := well(nil)
	s.Metrics.RunEnded(full(nil))
	w := ask(t, s, http.MethodGet, "/metrics", nil)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `vaultsync_runs_total{outcome="ok",vault="sales"} 1`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestSilenceIsNotHealth(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		max     time.Duration
		silence time.Duration
		code    int
	}{
		{"as old as allowed is healthy", time.Minute, time.Minute, 200},
		{"older than allowed is not", time.Minute, time.Minute + 1, 503},
		{"two minutes are the default", 0, 2 * time.Minute, 200},
		{"more than the default is not", 0, 2*time.Minute + 1, 503},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sign := time.Now()
				s := well(func(s *Source) { s.Alive, s.MaxSilence = func() time.Time { return sign }, c.max })
				time.Sleep(c.silence) // the bubble's clock
				if w := ask(t, s, http.MethodGet, "/healthz", nil); w.Code != c.code {
					t.Errorf("got %d %s, want %d", w.Code, w.Body, c.code)
				}
			})
		})
	}
}

func TestReadinessThatCannotBeFoundOutIsNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := ask(t, well(func(s *Source) {
			s.Ready = func(ctx context.Context) []string { <-ctx.Done(); return nil }
		}), http.MethodGet, "/readyz", nil)
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	})
}

func TestOnlySoManyStatusAnswersAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := Handler(well(func(s *Source) {
			s.Status = func(context.Context) ([]any, error) { <-release; return nil, nil }
		}), slog.New(slog.DiscardHandler))
		get := func() int {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/status", nil))
			return w.Code
		}
		codes := make(chan int, statusAtOnce)
		for range statusAtOnce {
			go func() { codes <- get() }()
		}
		synctest.Wait()
		if code := get(); code != http.StatusServiceUnavailable {
			t.Errorf("one more got %d", code)
		}
		close(release)
		for range statusAtOnce {
			if code := <-codes; code != http.StatusOK {
				t.Errorf("got %d", code)
			}
		}
		if code := get(); code != http.StatusOK {
			t.Errorf("afterwards one got %d", code)
		}
	})
}

func TestWhoMayAsk(t *testing.T) {
	t.Parallel()
	host := func(h string) func(*http.Request) { return func(r *http.Request) { r.Host = h } }
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for _, c := range []struct {
		name   string
		method string
		edit   func(*http.Request)
		code   int
	}{
		{"localhost", "GET", host("localhost:8390"), 200},
		{"localhost without a port, in capitals, with a dot", "GET", host("LOCALHOST."), 200},
		{"any loopback address", "GET", host("127.9.9.9:1"), 200},
		{"loopback of IPv6", "GET", host("[::1]:8390"), 200},
		{"loopback of IPv6 without a port", "GET", host("[::1]"), 200},
		{"HEAD", "HEAD", nil, 200},
		{"typed into a browser", "GET", header("Sec-Fetch-Site", "none"), 200},
		{"a name that was rebound to us", "GET", host("evil.example:8390"), 421},
		{"a name that begins like ours", "GET", host("localhost.evil.example"), 421},
		{"a name that looks like an address", "GET", host("127.0.0.1.evil.example:8390"), 421},
		{"another machine's address", "GET", host("192.0.2.7:8390"), 421},
		{"the address of any", "GET", host("0.0.0.0:8390"), 421},
		{"no host", "GET", host(""), 421},
		{"half a bracket", "GET", host("[::1"), 421},
		{"a page of another origin", "GET", header("Origin", "https://evil.example"), 403},
		{"a page without an origin", "GET", header("Origin", "null"), 403},
		{"an empty origin", "GET", header("Origin", ""), 403},
		{"a script tag of another site", "GET", header("Sec-Fetch-Site", "cross-site"), 403},
		{"POST", "POST", nil, 405},
		{"DELETE", "DELETE", nil, 405},
		{"OPTIONS", "OPTIONS", nil, 405},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := well(nil)
			asked := false
			if c.code != http.StatusOK {
				s.Status = func(context.Context) ([]any, error) { asked = true; return nil, nil }
			}
			for _, path := range []string{"/healthz", "/readyz", "/metrics", "/status"} {
				w := ask(t, s, c.method, path, c.edit)
				if w.Code != c.code {
					t.Errorf("%s: got %d %s, want %d", path, w.Code, w.Body, c.code)
				}
				if c.code == http.StatusMethodNotAllowed && w.Header().Get("Allow") != "GET, HEAD" {
					t.Errorf("%s: Allow is %q", path, w.Header().Get("Allow"))
				}
				if w.Header().Get("Access-Control-Allow-Origin") != "" {
					t.Errorf("%s lets other origins read", path)
				}
			}
			if asked {
				t.Error("who may not ask was answered from the source")
			}
		})
	}
}

func TestListenSaysWhatToChange(t *testing.T) {
	t.Parallel()
	taken, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	for _, c := range []struct {
		name, addr string
		is         error
		hint       string
	}{
		{"an address in use", taken.Addr().String(), ErrAddressInUse, "another vaultsync"},
		{"an address that others could reach", "0.0.0.0:0", ErrNotLoopback, "api.listen"},
		{"an address of another machine", "192.0.2.1:8390", noSuchAddress, "no such address"},
		{"an address that is none", "127.0.0.1", nil, "api.listen"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l, err := Listen(t.Context(), c.addr)
			if err == nil {
				_ = l.Close()
				t.Fatal("it listens")
			}
			listen, ok := errors.AsType[*ListenError](err)
			if !ok || c.is != nil && !errors.Is(err, c.is) {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains(err.Error(), c.addr) || !strings.Contains(listen.Hint(), c.hint) || !strings.Contains(listen.Hint(), "api.listen") {
				t.Errorf("got %q, hint %q", err, listen.Hint())
			}
		})
	}
}

func TestServeLetsAnswersEndAndStops(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	asked, release := make(chan struct{}), make(chan struct{})
	l, err := Listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, l, well(func(s *Source) {
			s.Status = func(ctx context.Context) ([]any, error) {
				close(asked)
				<-release
				return []any{"whole"}, ctx.Err()
			}
		}), slog.New(slog.DiscardHandler))
	}()
	answer := make(chan string, 1)
	go func() {
		body, err := get(t.Context(), "http://"+l.Addr().String()+"/status")
		answer <- fmt.Sprint(body, err)
	}()
	<-asked
	stop()
	close(release)
	if got := <-answer; got != "\"whole\"\n<nil>" {
		t.Errorf("the answer under way was %q", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("a stop that was asked for is no error: %v", err)
	}
	if again, err := Listen(t.Context(), l.Addr().String()); err != nil {
		t.Errorf("the address is not free again: %v", err)
	} else {
		_ = again.Close()
	}
}

func get(ctx context.Context, url string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	reply, err := client.Do(r)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(reply.Body)
	return string(body), errors.Join(err, reply.Body.Close())
}

// pipes is a listener of connections in memory, for the bubble's clock.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { close(p.closed); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// The bubble ends only when no goroutine is left.
func TestNothingHoldsUpAStop(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, sends string }{
		{"who says nothing", ""},
		{"who never ends a header", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: "},
		{"who waits for an answer that does not come", "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
				ended := make(chan error, 1)
				go func() {
					ended <- Serve(ctx, l, well(func(s *Source) {
						s.Status = func(ctx context.Context) ([]any, error) { <-ctx.Done(); return nil, ctx.Err() }
					}), slog.New(slog.DiscardHandler))
				}()
				client, server := net.Pipe()
				l.conns <- server
				if _, err := io.WriteString(client, c.sends); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				began := time.Now()
				stop()
				if err := <-ended; err != nil {
					t.Errorf("got %v", err)
				}
				if took := time.Since(began); took > stopWithin+time.Second {
					t.Errorf("the stop took %s of the bubble's time", took)
				}
				_ = client.Close()
				synctest.Wait()
			})
		})
	}
}

func TestASlowHeaderIsCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		ended := make(chan error, 1)
		go func() { ended <- Serve(ctx, l, well(nil), slog.New(slog.DiscardHandler)) }()
		client, server := net.Pipe()
		l.conns <- server
		if _, err := io.WriteString(client, "GET / HTTP/1.1\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(bufio.NewReader(client)); err != nil {
			t.Errorf("got %v", err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestAListenerThatBreaksIsAnError(t *testing.T) {
	t.Parallel()
	l, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Serve(t.Context(), l, well(nil), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("got %v", err)
	}
}

func TestTheLogSaysWhyTheStatusFailed(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/status", nil)
	Handler(well(func(s *Source) {
		s.Status = func(context.Context) ([]any, error) { return nil, errors.New("the snapshot is damaged") }
	}), NewLogger(&b, "info", "text")).ServeHTTP(w, r)
	if !strings.Contains(b.String(), "the snapshot is damaged") || strings.Contains(w.Body.String(), "damaged") {
		t.Errorf("log %q, answer %q", &b, w.Body)
	}
}
