package entra

import (
	"context"
	"errors"
	"io"
	"time"
)

// minProgress is how many bytes a body must give within the idle time: a
// kilobyte a second in the program, which any line has and which ends a page
// that would take days.
const minProgress = 32 << 10

// drainLimit and drainTime bound what Close reads so that the connection can
// be used again.
const (
	drainLimit = 64 << 10
	drainTime  = time.Second
)

// watchedBody ends a body that stops flowing or is too large, and remembers
// that it failed, so that a decoder's error can be told from the network's.
// Only time spent inside Read counts.
type watchedBody struct {
	ctx      context.Context //nolint:containedctx // it is the request's own, needed for its cause
	cancel   context.CancelCauseFunc
	body     io.ReadCloser
	timer    *time.Timer
	idle     time.Duration
	left     time.Duration
	progress int
	total    int64
	limit    int64
	err      error // the first error of the network, io.EOF included
	closed   bool
}

func newWatchedBody(ctx context.Context, cancel context.CancelCauseFunc, body io.ReadCloser, idle time.Duration, limit int64) *watchedBody {
	timer := time.AfterFunc(idle, func() { cancel(errSlowBody) })
	timer.Stop()
	return &watchedBody{ctx: ctx, cancel: cancel, body: body, timer: timer, idle: idle, left: idle, limit: limit}
}

// Read reads on, or says why it could not.
func (b *watchedBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	start := time.Now()
	b.timer.Reset(max(b.left, time.Millisecond))
	n, err := b.body.Read(p)
	b.timer.Stop()
	b.progress += n
	b.total += int64(n)
	if b.progress >= minProgress {
		b.progress, b.left = 0, b.idle
	} else {
		b.left -= time.Since(start)
	}
	switch {
	case err == nil && b.total > b.limit:
		err = errTooLarge
	case err != nil && err != io.EOF && errors.Is(context.Cause(b.ctx), errSlowBody):
		err = errSlowBody
	}
	b.err = err
	return n, err
}

// Close drains a little, so that the connection lives on, and lets go.
func (b *watchedBody) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	if b.err == nil {
		b.timer.Reset(drainTime)
		_, _ = io.CopyN(io.Discard, b.body, drainLimit) // best effort
	}
	b.timer.Stop()
	err := b.body.Close()
	b.cancel(nil)
	return err
}

// failure is the error of the network that ended the body; nil when it was
// read to its end or is still open.
func (b *watchedBody) failure() error {
	if b.err == nil || errors.Is(b.err, io.EOF) {
		return nil
	}
	return b.err
}
