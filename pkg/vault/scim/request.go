package scim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vaultsync/vaultsync/pkg/vault"
)

const (
	// tries is how often a request is sent at most while the service or the
	// network fails; being throttled does not count.
	tries = 4
	// patience is how long one request waits for a throttling service in all.
	patience = 5 * time.Minute
	// longestPause is how long a service is left alone at most, whatever it asks
	// for: an hour without leavers is long enough.
	longestPause = time.Hour
	// grace is how long a write that is under way may go on after a stop: its
	// outcome is worth waiting for.
	grace = 5 * time.Second
	// maxAnswer is the longest answer read, in bytes.
	maxAnswer = 256 << 20
)

// request is one question or change.
type request struct {
	method string
	path   string // below the base, escaped
	query  url.Values
	body   any
	// repeatable requests do no harm when they are carried out twice.
	repeatable bool
	// single requests are tried once where the service fails: it may not know
	// what is asked of it.
	single bool
	// version is what If-Match says, "" for nothing.
	version string
}

// place is the request in words, without values that identify people.
func (r request) place() string { return r.method + " " + r.path }

func (r request) write() bool { return r.method != http.MethodGet }

// send sends a request until there is an answer. An answer of any status but
// those that ask for another try is returned without an error; an error is
// ctx's when nothing was sent, vault.ErrUnreachable when nothing was changed,
// and vault.ErrUnknownOutcome otherwise.
func (s *Store) send(ctx context.Context, r request) (answer, error) {
	var payload []byte
	if r.body != nil {
		var err error
		if payload, err = json.Marshal(r.body); err != nil {
			return answer{}, &Error{Place: r.place(), Text: "the request cannot be written as JSON", kind: vault.ErrInvalid, cause: err}
		}
	}
	x := exchange{Store: s, request: r, try: 1}
	for {
		a, token, sent, err := s.once(ctx, r, payload)
		if err != nil {
			err = x.afterError(ctx, sent, err)
		} else {
			var final bool
			if final, err = x.afterAnswer(ctx, a, token); final {
				a.doubt = x.doubt
				if a.ok() && r.write() && a.page() {
					return answer{}, s.pageError(r)
				}
				return a, nil
			}
		}
		if err != nil {
			return answer{}, s.unsettled(r, x.doubt, err)
		}
	}
}

// exchange is one request with all of its tries.
type exchange struct {
	*Store
	request

	try    int
	waited time.Duration // how long the service has kept it waiting
	// renewed says that another token was asked for; doubt, that a try may
	// have been carried out.
	renewed, doubt bool
}

// afterError waits for the next try, or gives the error that ends the exchange.
func (x *exchange) afterError(ctx context.Context, sent bool, err error) error {
	if _, told := errors.AsType[*Error](err); told || ctx.Err() != nil && !sent {
		return err
	}
	x.doubt = x.doubt || sent && x.write()
	if sent && x.write() && !x.repeatable || x.try >= tries || ctx.Err() != nil {
		return x.networkError(x.request, err)
	}
	return x.again(ctx)
}

// again waits before the next try.
func (x *exchange) again(ctx context.Context) error {
	x.try++
	return sleep(ctx, backoff(x.try-1))
}

// afterAnswer says whether an answer is final. Without an error and not final,
// the request is to be sent again, now.
func (x *exchange) afterAnswer(ctx context.Context, a answer, token string) (final bool, err error) {
	switch {
	case a.status == http.StatusUnauthorized && !x.renewed && x.signIn.refused(token):
		x.renewed = true
		return false, nil
	case a.status == http.StatusTooManyRequests, a.status == http.StatusServiceUnavailable && !x.single:
		return false, x.throttled(ctx, a)
	case a.status >= 500 && a.status != http.StatusNotImplemented && !x.single:
		x.doubt = x.doubt || x.write()
		if x.write() && !x.repeatable || x.try >= tries {
			return false, answerError(x.place(), a, false)
		}
		return false, x.again(ctx)
	default:
		return true, nil
	}
}

// throttled holds everything back for as long as the service asks; the gate
// then makes the next try wait.
func (x *exchange) throttled(ctx context.Context, a answer) error {
	x.doubt = x.doubt || a.status == http.StatusServiceUnavailable && x.write()
	pause := retryAfter(a.header, time.Now())
	if pause == 0 {
		pause = backoff(x.try)
		x.try = min(x.try+1, 7)
	}
	x.gate.pause(min(pause, longestPause))
	if x.waited += pause; x.waited > patience {
		e := answerError(x.place(), a, false)
		if pause > patience {
			e.Text += fmt.Sprintf("; it asks to be left alone for %s", pause)
		}
		return e
	}
	if pause > 5*time.Second {
		x.options.Logger.WarnContext(ctx, "the vault's service asks to wait", "service", x.base.Host, "status", a.status, "pause", pause.String())
	}
	return nil
}

// unsettled gives an error its kind: what may have been changed is not known,
// whatever the error says of itself.
func (s *Store) unsettled(r request, doubt bool, err error) error {
	if !doubt || !r.write() {
		return err
	}
	e := &Error{Place: r.place(), Text: "the answer is missing", kind: vault.ErrUnknownOutcome, cause: err}
	if inner, ok := errors.AsType[*Error](err); ok {
		// The kind of the inner error would contradict.
		e.Status, e.Fix, e.Text, e.cause = inner.Status, inner.Fix, inner.Text, inner.cause
	}
	return e
}

// once sends a request once. sent says that the service may have got it.
func (s *Store) once(ctx context.Context, r request, payload []byte) (a answer, token string, sent bool, err error) {
	if err := s.gate.enter(ctx); errors.Is(err, errPaused) {
		return answer{}, "", false, &Error{
			Place: r.place(), Text: "nothing was sent: " + err.Error(), kind: vault.ErrUnreachable,
			Fix: "let the service be until then; it has throttled us: lower store.parallel",
		}
	} else if err != nil {
		return answer{}, "", false, fmt.Errorf("%s: %w", r.place(), err)
	}
	defer s.gate.leave()
	ctx, cancel := s.window(ctx, r.write())
	defer cancel()
	if token, err = s.signIn.bearer(ctx); err != nil {
		return answer{}, "", false, err
	}
	target := s.base.String() + r.path
	if len(r.query) > 0 {
		target += "?" + strings.ReplaceAll(r.query.Encode(), "+", "%20")
	}
	var begun atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { begun.Store(true) }})
	var body io.Reader
	if payload != nil {
		body = bytes.NewReader(payload)
	}
	h, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return answer{}, "", false, fmt.Errorf("%s: %w", r.place(), err)
	}
	h.Header.Set("Authorization", "Bearer "+token)
	h.Header.Set("Accept", "application/scim+json, application/json;q=0.9")
	h.Header.Set("User-Agent", "vaultsync")
	if payload != nil {
		h.Header.Set("Content-Type", "application/scim+json")
	}
	if r.version != "" {
		h.Header.Set("If-Match", r.version)
	}
	s.requests.Add(1)
	response, err := s.client.Do(h)
	if err != nil {
		return answer{}, token, begun.Load(), plainCause(err)
	}
	defer response.Body.Close() //nolint:errcheck // read only
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return answer{}, token, true, fmt.Errorf("read the answer: %w", err)
	case len(text) > maxAnswer:
		return answer{}, token, true, errTooLong
	}
	if response.StatusCode >= 300 && len(token) >= 8 {
		text = bytes.ReplaceAll(text, []byte(token), []byte("<redacted>")) // it is shown to people
	}
	a = answer{status: response.StatusCode, header: response.Header, body: text}
	a.unmask()
	a.spent = s.options.outOfLicenses(a)
	s.keepSaid(r, a)
	return a, token, true, nil
}

// window is how long one request may take. A write that is under way when the
// caller stops has a little longer, so that its outcome is known.
func (s *Store) window(ctx context.Context, write bool) (context.Context, context.CancelFunc) {
	if !write {
		return context.WithTimeout(ctx, s.options.Timeout)
	}
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.options.Timeout)
	stop := context.AfterFunc(ctx, func() {
		if sleep(detached, grace) == nil {
			cancel()
		}
	})
	return detached, func() { stop(); cancel() }
}

// plainCause takes the address out of an error of net/http: it is in the place
// already, with its query, which names people.
func plainCause(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// errTooLong is an answer of more than maxAnswer.
var errTooLong = fmt.Errorf("the answer is longer than %d MiB", maxAnswer>>20)

func (s *Store) networkError(r request, cause error) error {
	e := &Error{Place: r.place(), Text: "no answer from " + s.base.Host, kind: vault.ErrUnreachable, cause: cause}
	switch text := cause.Error(); {
	case strings.Contains(text, "x509") || strings.Contains(text, "certificate"):
		e.Fix = "the service's certificate is not trusted: name its CA in store.caFile, or check the host name in store.url"
	case strings.Contains(text, "proxyconnect") || strings.Contains(text, "Proxy Authentication"):
		e.Fix = "the proxy refuses: check store.proxy or HTTPS_PROXY"
	case errors.Is(cause, errTooLong):
		e.Text, e.Fix = "the answer of "+s.base.Host+" cannot be taken", "lower store.pageSize: large groups make large pages"
	case errors.Is(cause, context.DeadlineExceeded):
		e.Text = fmt.Sprintf("no answer from %s within %s", s.base.Host, s.options.Timeout)
		e.Fix = "the service is slow or a firewall drops the connection: raise store.timeout, or ask for the way to be opened"
	default:
		e.Fix = "check store.url, the network and whether the service runs"
	}
	return e
}

// backoff grows with each try and varies, so that many clients do not return
// together.
func backoff(try int) time.Duration {
	base := 250 * time.Millisecond << min(try, 7)
	return base/2 + rand.N(base/2) //nolint:gosec // only spreads load
}

// retryAfter is the pause that an answer asks for, in seconds or as a date; 0
// when it does not say.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil && seconds >= 0 {
		return time.Duration(min(max(seconds, 1), 24*3600)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), time.Second)
	}
	return 0
}
