package entra

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxGate is the longest time for which one Retry-After shuts the gate.
	maxGate = time.Hour
	// unitSlots of unitSlot each are looked back upon, one more than the 10 s
	// for which the directory counts; unitLimit is below the smallest tenant's
	// allowance of 3,500 resource units in them (facts/graph.md, section 4),
	// whenever those 10 s begin.
	unitSlot  = time.Second
	unitSlots = 11
	unitLimit = 3000
	// growAfter is how many refusals in a row take the directory at its word;
	// from then on waits grow, for something else eats the allowance.
	growAfter = 3
)

// throttle is the one gate of a client: when the directory says wait, all
// callers wait.
type throttle struct {
	backoff time.Duration // the first pause

	mu       sync.Mutex
	until    time.Time // no request before
	since    time.Time // throttled since; zero when not
	refusals int       // in a row
	paced    time.Time // no request before, of our own accord
	units    [unitSlots]float64
	began    time.Time // when slot 0 did
	newest   int       // the slot that counts now
}

// state is since when the directory refuses requests, and when it may be asked
// again; zero when it does not, and now.
func (t *throttle) state() (since, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Now().Before(t.until) {
		until = t.until
	}
	return t.since, until
}

// delay is how long a request must wait now, and whether that is because the
// directory refused.
func (t *throttle) delay() (wait time.Duration, refused bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if d := t.until.Sub(now); d > 0 {
		return d, true
	}
	if d := t.paced.Sub(now); d > 0 {
		return d, false
	}
	t.roll(now)
	sum := 0.0
	for _, n := range t.units {
		sum += n
	}
	// The oldest slots pass first; when enough have, there is room again.
	for slot := max(t.newest-unitSlots+1, 0); sum >= unitLimit; slot++ {
		sum -= t.units[slot%unitSlots]
		wait = t.began.Add(time.Duration(slot+unitSlots) * unitSlot).Sub(now)
	}
	return wait, false
}

// roll empties the slots that began more than unitSlots ago.
func (t *throttle) roll(now time.Time) {
	if t.began.IsZero() {
		t.began = now
	}
	slot := int(now.Sub(t.began) / unitSlot) // by the monotonic clock
	for old := max(t.newest+1, slot-unitSlots+1); old <= slot; old++ {
		t.units[old%unitSlots] = 0
	}
	t.newest = max(slot, t.newest)
}

// refused shuts the gate. asked is what the reply asked for; 0 means that it
// named no time. It returns the wait.
func (t *throttle) refused(asked time.Duration) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.since.IsZero() {
		t.since = now
	}
	wait := asked
	if asked <= 0 || t.refusals >= growAfter {
		wait = max(asked, pause(t.backoff, t.refusals))
	}
	wait = min(wait, maxGate)
	// Refusals of requests that were under way together count once.
	if !now.Before(t.until) {
		t.refusals++
	}
	if until := now.Add(wait); until.After(t.until) {
		t.until = until
	}
	return wait
}

// answered notes a reply that was not a refusal: what it cost and how near the
// limit is.
func (t *throttle) answered(header http.Header) {
	units, err := strconv.ParseFloat(header.Get("x-ms-resource-unit"), 64)
	if err != nil || units < 0 || units > unitLimit {
		units = 1
	}
	share, err := strconv.ParseFloat(header.Get("x-ms-throttle-limit-percentage"), 64)
	if err != nil {
		share = 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if !now.Before(t.until) {
		t.since, t.refusals = time.Time{}, 0
	}
	t.roll(now)
	t.units[t.newest%unitSlots] += units
	// 0.8 is said from 80 % of the limit on, 1.0 is the limit.
	if share >= 0.8 {
		slow := time.Duration(min(share-0.7, 0.8) * 5 * float64(time.Second))
		if paced := now.Add(slow); paced.After(t.paced) {
			t.paced = paced
		}
	}
}

// pause is the nth wait of an exponential series with jitter, at most 30 s.
func pause(first time.Duration, n int) time.Duration {
	d := min(first<<min(n, 10), 30*time.Second)
	return d/2 + rand.N(d/2+1)
}

// retryAfter reads Retry-After: seconds, whole or decimal, or a date. 0 means
// absent, unreadable, zero or past.
func retryAfter(header http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(header.Get("Retry-After"))
	if text == "" {
		return 0
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		if !(seconds > 0) { // NaN as well
			return 0
		}
		return time.Duration(min(seconds, maxGate.Seconds()) * float64(time.Second))
	}
	if when, err := http.ParseTime(text); err == nil {
		return min(max(when.Sub(now), 0), maxGate)
	}
	return 0
}

// ended is nil while ctx lives, then its error together with the cause.
func ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if err == nil || errors.Is(cause, err) {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// sleep waits, or returns the reason why ctx ended.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ended(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ended(ctx)
	case <-timer.C:
		return nil
	}
}
