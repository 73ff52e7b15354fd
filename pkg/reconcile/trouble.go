package reconcile

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// firstPause is for how long a failed pull answers for the directory; each
	// further one doubles it, up to maxPause, within which a directory that is
	// back is found.
	firstPause = time.Minute
	maxPause   = 15 * time.Minute
	// tellEvery is how often those who wait for a pull hear of it while the
	// directory says nothing.
	tellEvery = time.Second
	// quietAfter is when silence is worth a word.
	quietAfter = 5 * time.Second
)

// trouble is the memory of pulls that failed one after the other.
type trouble struct {
	err      error     // of the last one; nil when it was good
	since    time.Time // when the first one ended
	began    time.Time // when the last one began
	until    time.Time // not asked again before
	failures int
}

// note keeps how a pull ended.
func (t *trouble) note(err error, began, now time.Time) {
	if err == nil {
		*t = trouble{}
		return
	}
	if t.err == nil {
		t.since = now
	}
	t.err, t.began, t.until = err, began, now.Add(min(firstPause<<min(t.failures, 10), maxPause))
	t.failures++
}

// recent is the last failure while it answers for the directory. A clock that
// was put back makes no longer pause.
func (t *trouble) recent(now time.Time) error {
	left := t.until.Sub(now)
	if t.err == nil || left <= 0 || left > maxPause {
		return nil
	}
	return fmt.Errorf("%w (the directory is asked again at %s)", t.err, t.until.UTC().Format(time.RFC3339))
}

// Problem is since when pulls fail, and why; nil when the last one was good.
func (d *Directory) Problem() (since time.Time, problem error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.trouble.since, d.trouble.err
}

// Throttled is since when the directory asks for patience, and when it may be
// asked again; zero when it does not.
func (d *Directory) Throttled() (since, until time.Time) {
	if c, ok := d.Client.(interface {
		Throttled() (since, until time.Time)
	}); ok {
		return c.Throttled()
	}
	return time.Time{}, time.Time{}
}

// watched tells those who wait for f what has been read, and, while nothing
// comes, that the directory throttles or is silent.
func (d *Directory) watched(ctx context.Context, f *flight) (news func(objects int), stop func()) {
	var (
		mu   sync.Mutex
		now  = Progress{Step: "directory"}
		last = d.Now()
	)
	tell := func(p Progress) {
		d.mu.Lock()
		listeners := f.progress
		d.mu.Unlock()
		for _, listener := range listeners {
			listener(p)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(tellEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			mu.Lock()
			p := now
			if d.Now().Sub(last) >= quietAfter {
				p.QuietSince = last
			}
			mu.Unlock()
			p.ThrottledSince, p.NextTry = d.Throttled()
			if !p.ThrottledSince.IsZero() || !p.QuietSince.IsZero() {
				tell(p)
			}
		}
	})
	news = func(objects int) {
		mu.Lock()
		now.Done, last = objects, d.Now()
		p := now
		mu.Unlock()
		tell(p)
	}
	return news, func() { cancel(); watching.Wait() }
}
