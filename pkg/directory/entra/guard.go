package entra

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"time"
)

// Why the guard ended a request.
var (
	errNoAnswer = errors.New("no answer within the time allowed")
	errSlowBody = errors.New("the reply stopped flowing")
	errTooLarge = errors.New("the reply is larger than allowed")
)

// guard is the round tripper next to the wire. Nothing reaches the network
// past it, whatever middleware or a library would ask for: addresses are
// checked first, waits for heads and bodies are bounded, replies are bounded
// in size.
type guard struct {
	allow         func(*url.URL) error
	next          http.RoundTripper
	headerTimeout time.Duration
	idle          time.Duration
	maxBody       int64
	requests      *atomic.Uint64 // counted when set
}

// headerTimeoutKey carries a shorter wait for the head of one reply.
type headerTimeoutKey struct{}

// RoundTrip refuses, or passes on and watches.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := g.allow(req.URL); err != nil {
		closeBody(req)
		return nil, err
	}
	timeout := g.headerTimeout
	if d, ok := req.Context().Value(headerTimeoutKey{}).(time.Duration); ok && d < timeout {
		timeout = d
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	timer := time.AfterFunc(timeout, func() { cancel(errNoAnswer) })
	if g.requests != nil {
		g.requests.Add(1)
	}
	resp, err := g.next.RoundTrip(req.WithContext(ctx))
	timer.Stop()
	if err != nil {
		if errors.Is(context.Cause(ctx), errNoAnswer) {
			err = errNoAnswer
		}
		cancel(nil)
		return nil, err
	}
	dropBadChallenge(resp)
	resp.Body = newWatchedBody(ctx, cancel, resp.Body, g.idle, g.maxBody)
	return resp, nil
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // nothing was read from it
	}
}

// quoted is how the SDK finds the value of a challenge parameter.
var quoted = regexp.MustCompile(`"([^"]*)"`)

// dropBadChallenge removes a WWW-Authenticate header whose claims the SDK
// could not read: it indexes a match that may be missing, which panics.
func dropBadChallenge(resp *http.Response) {
	if resp.StatusCode != http.StatusUnauthorized {
		return
	}
	for part := range strings.SplitSeq(resp.Header.Get("WWW-Authenticate"), ",") {
		part = strings.TrimSpace(part)
		if rest, ok := cutPrefixFold(part, "bearer "); ok {
			part = strings.TrimSpace(rest)
		}
		if !strings.HasPrefix(part, "claims") {
			continue
		}
		match := quoted.FindStringSubmatch(part)
		if match == nil {
			resp.Header.Del("WWW-Authenticate")
			return
		}
		if _, err := base64.StdEncoding.DecodeString(match[1]); err != nil {
			resp.Header.Del("WWW-Authenticate")
		}
		return
	}
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
