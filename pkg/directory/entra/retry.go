package entra

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	abstractions "github.com/microsoft/kiota-abstractions-go"

	"github.com/vaultsync/vaultsync/pkg/directory"
)

// call is one request as it can be made again and again.
type call struct {
	what string // for messages, e.g. "reading group members"
	need string // the application permission that it takes
	// request makes the request anew for each attempt.
	request func(ctx context.Context) (*abstractions.RequestInformation, error)
	// use reads the body of a success. It may be called again with a new
	// reply when the network failed under it, so it keeps nothing of a
	// failed one. An error that is not of the network ends the call.
	use func(header http.Header, body *watchedBody) error
}

// maxGarbled is how often a reply that is cut short, although the network says
// that it is complete, is asked for again.
const maxGarbled = 2

// do makes a call until it succeeds, is refused or patience is used up. The
// reply is set when the directory refused; the error is for everything else.
//
//	reply                      | then
//	success                    | use
//	401, first time            | sign in anew, again
//	408 424 429 500 502–504 509| wait, again
//	network, slow, cut short   | wait, again
//	anything else              | the caller judges
func (c *Client) do(ctx context.Context, p *patience, call call) (*reply, error) {
	renewed, garbled := false, 0
	for try := 0; ; try++ {
		if err := c.gate(ctx, p, call.what); err != nil {
			return nil, err
		}
		start := time.Now()
		generation := c.signIn.generationNow()
		r, failure, err := c.attempt(ctx, p, call)
		switch {
		case err != nil:
			return nil, err
		case failure == nil && r == nil:
			return nil, nil
		case failure == nil && r.status == http.StatusUnauthorized && !renewed:
			renewed = true
			c.signIn.renew(generation)
			continue
		case failure == nil && !transient(r.status):
			return r, nil
		case failure == nil:
			failure = r.refusal(call.what, call.need)
			failure.after = retryAfter(r.header, c.options.Now())
			failure.wide = r.status == http.StatusTooManyRequests
		case errors.Is(failure, directory.ErrProtocol):
			if garbled++; garbled > maxGarbled {
				return nil, failure
			}
		}
		p.spent(start)
		if err := c.wait(ctx, p, failure, try); err != nil {
			return nil, err
		}
	}
}

// attempt makes a call once. failure is what may pass with time, err what does
// not, and a reply is one that is not a success.
func (c *Client) attempt(ctx context.Context, p *patience, call call) (r *reply, failure *Error, err error) {
	bounded := context.WithValue(ctx, headerTimeoutKey{}, c.headerTimeout(p.remaining()))
	info, err := call.request(bounded)
	var resp *http.Response
	if err == nil {
		resp, err = c.send(bounded, info)
	}
	if err != nil {
		if errors.As(err, &failure) && errors.Is(failure, directory.ErrUnreachable) && !failure.final {
			return nil, failure, nil
		}
		return nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, ok := resp.Body.(*watchedBody)
	if !ok {
		body = newWatchedBody(ctx, func(error) {}, resp.Body, c.options.IdleBody, c.options.MaxPage)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		got := readReply(resp.StatusCode, resp.Header, body)
		if got.status != http.StatusTooManyRequests {
			c.throttle.answered(resp.Header)
		}
		return &got, nil, nil
	}
	c.throttle.answered(resp.Header)
	err = call.use(resp.Header, body)
	if err == nil {
		return nil, nil, nil
	}
	if ctx.Err() != nil {
		return nil, nil, ended(ctx)
	}
	if broken := body.failure(); broken != nil {
		if errors.Is(broken, errTooLarge) {
			return nil, nil, protocol("%s: the reply is larger than %d MiB", call.what, c.options.MaxPage>>20)
		}
		failure = unreachable("the directory", broken)
		failure.Text = "the reply broke off while " + call.what
		failure.wide = true
		return nil, failure, nil
	}
	if errors.Is(err, errCutShort) {
		return nil, protocol("%s: %v", call.what, err), nil
	}
	return nil, nil, err
}

// transient reports whether a status may pass with time. 424 is what the
// documentation of throttling says of a throttled batch.
func transient(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusFailedDependency, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout, 509:
		return true
	default:
		return false
	}
}

// gate lets a request through when the directory, and our own pace, allow it.
func (c *Client) gate(ctx context.Context, p *patience, what string) error {
	for {
		if err := ended(ctx); err != nil {
			return err
		}
		wait, refused := c.throttle.delay()
		if wait <= 0 {
			return nil
		}
		if refused && !p.take(wait) {
			return c.outOfPatience(&Error{
				Kind: directory.ErrUnreachable, wide: true,
				Text: fmt.Sprintf("%s: the directory asked to wait another %s", what, wait.Round(time.Second)),
			})
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// wait is the pause after a failure. A refusal shuts the gate for everybody,
// other failures pause this call alone.
func (c *Client) wait(ctx context.Context, p *patience, failure *Error, try int) error {
	if failure.Status == http.StatusTooManyRequests || (failure.Status == http.StatusServiceUnavailable && failure.after > 0) {
		c.throttle.refused(failure.after)
		c.log.Debug("the directory throttles", "wait", failure.after)
		return nil // the gate waits, and counts
	}
	d := failure.after
	if d <= 0 {
		d = pause(c.options.Backoff, try)
	}
	if !p.take(d) {
		return c.outOfPatience(failure)
	}
	return sleep(ctx, d)
}

// outOfPatience is the error of a call whose waiting is used up.
func (c *Client) outOfPatience(last *Error) *Error {
	text := fmt.Sprintf("waited as long as patience (%s) allows", c.options.Patience)
	if since, _ := c.throttle.state(); !since.IsZero() {
		text = fmt.Sprintf("throttled since %s; %s", since.UTC().Format(time.RFC3339), text)
	}
	hint := last.hint
	if hint == "" {
		hint = "nothing was changed; the next run tries again"
	}
	return &Error{Kind: directory.ErrUnreachable, Text: text, Status: last.Status, Code: last.Code, Cause: last, hint: hint, wide: last.wide}
}
