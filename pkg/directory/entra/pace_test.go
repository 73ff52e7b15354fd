package entra_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/directory/entra"
	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

// TestRetryAfterIsObeyed is graph.md 4 and scenarios 39, 40 and 43 with the
// waits that the program has.
func TestRetryAfterIsObeyed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		fault    entrasim.Fault
		patience time.Duration
		min, max time.Duration
		want     error
	}{
		{"7 is seven seconds", entrasim.Fault{Kind: entrasim.FaultThrottle, RetryAfter: "7", Times: 1}, 0, 7 * time.Second, 7 * time.Second, nil},
		{"2.128 is not two seconds", entrasim.Fault{Kind: entrasim.FaultThrottle, RetryAfter: "2.128", Times: 1}, 0, 2128 * time.Millisecond, 2128 * time.Millisecond, nil},
		{"a date is waited for", entrasim.Fault{Kind: entrasim.FaultThrottle, RetryAfter: "date", Delay: 30 * time.Second, Times: 1}, 0, 29 * time.Second, 30 * time.Second, nil},
		{"503 names its time too", entrasim.Fault{Kind: entrasim.FaultStatus, Status: 503, RetryAfter: "45", Times: 1}, 0, 45 * time.Second, 45 * time.Second, nil},
		{"nothing named begins at a second", entrasim.Fault{Kind: entrasim.FaultThrottle, Times: 1}, 0, 500 * time.Millisecond, time.Second, nil},
		{"zero again and again grows", entrasim.Fault{Kind: entrasim.FaultThrottle, RetryAfter: "0", Times: 6}, 0, 31 * time.Second, 63 * time.Second, nil},
		{"an hour is more than two minutes of patience", entrasim.Fault{Kind: entrasim.FaultThrottle, RetryAfter: "3600", Times: 1}, 0, 0, 0, directory.ErrUnreachable},
		{"an hour is waited for when patience allows", entrasim.Fault{Kind: entrasim.FaultThrottle, RetryAfter: "3600", Times: 1}, 2 * time.Hour, time.Hour, time.Hour, nil},
		{"two hours of refusals are lived through", entrasim.Fault{Kind: entrasim.FaultThrottle, RetryAfter: "60", Times: 120}, 3 * time.Hour, 2 * time.Hour, 2*time.Hour + time.Second, nil},
		{"refusals without end use up two minutes and no more", entrasim.Fault{Kind: entrasim.FaultThrottle, RetryAfter: "5"}, 0, time.Minute, 2 * time.Minute, directory.ErrUnreachable},
		{"silence uses up two minutes and no more", entrasim.Fault{Kind: entrasim.FaultHang}, 0, time.Minute, 2*time.Minute + 5*time.Second, directory.ErrUnreachable},
		{"a body that drips a byte a second ends", entrasim.Fault{Kind: entrasim.FaultDrip, Delay: time.Second}, 0, 30 * time.Second, 3 * time.Minute, directory.ErrUnreachable},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synthetic(t, small, func(o *entra.Options) { o.Patience = c.patience }, func(t *testing.T, w *world, _ *entrasim.Pipes) {
				w.pull(directory.Request{Streams: []directory.Stream{{}}}) // signed in
				c.fault.Path = "/groups/delta"
				fault := w.inject(c.fault)
				began := time.Now()
				r, err := w.try(directory.Request{Streams: []directory.Stream{w.groupStream("", "group Sales", "group Sales EU")}})
				took := time.Since(began)
				if !errors.Is(err, c.want) || fault.Fired() == 0 || took < c.min || took > c.max {
					t.Errorf("%v after %s, struck %d times", err, took, fault.Fired())
				}
				if err == nil && (r.links[0] == "" || len(r.members[w.id("group Sales")]) != 3) {
					t.Errorf("read %+v, %v", r.members, r.errs)
				}
				if since, until := w.client.Throttled(); c.want == nil && (!since.IsZero() || !until.IsZero()) {
					t.Errorf("still throttled after a good read: since %s until %s", since, until)
				}
			})
		})
	}
}

// people is a tenant of n people, each with some to read.
func people(n int) string {
	var text strings.Builder
	text.WriteString("group All\n")
	for i := range n {
		fmt.Fprintf(&text, "user u%d@contoso.com \"U %d\"\nmember All: u%d@contoso.com\n", i, i, i)
	}
	return text.String()
}

// TestTheLimitIsRespectedBeforeItIsHit reads more than the allowance of a
// tenant in pages that cost a lot, and is refused nothing.
func TestTheLimitIsRespectedBeforeItIsHit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		people int
		rule   func(*entrasim.Rules)
		atMost int // refusals
		least  time.Duration
	}{
		{"a small tenant allows 3,500 units, x-ms-resource-unit says what a page costs", 40, func(r *entrasim.Rules) {
			r.ShareUnsaid, r.UnitFactor = true, 250
		}, 0, 20 * time.Second},
		{"a tenant of middle size allows 5,000", 60, func(r *entrasim.Rules) { r.UnitFactor = 250 }, 0, 30 * time.Second},
		{"a large tenant allows 8,000", 510, func(r *entrasim.Rules) { r.UnitFactor = 100 }, 0, 100 * time.Second},
		{"another application leaves little, x-ms-throttle-limit-percentage says so", 100, func(r *entrasim.Rules) { r.ResourceUnits = 60 }, 0, 10 * time.Second},
		{"another application leaves little and nothing says so", 100, func(r *entrasim.Rules) {
			r.ResourceUnits, r.ShareUnsaid = 60, true
		}, 8, 10 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synthetic(t, people(c.people), nil, func(t *testing.T, w *world, _ *entrasim.Pipes) {
				w.tenant.SetRules(func(r *entrasim.Rules) {
					r.Throttle, r.ObjectsPerPage = true, 1
					c.rule(r)
				})
				began := time.Now()
				r := w.pull(directory.Request{Streams: []directory.Stream{{}, w.groupStream("", "group All")}})
				took := time.Since(began)
				if n := w.server.Stats().Throttled; n > c.atMost || took < c.least {
					t.Errorf("%d refusals in %s", n, took)
				}
				if len(r.errs) != 0 || len(r.people) != c.people || len(r.members[w.id("group All")]) != c.people {
					t.Errorf("%v, %d people", r.errs, len(r.people))
				}
				t.Logf("%d pages in %s, %d refusals", len(r.pages), took, w.server.Stats().Throttled)
			})
		})
	}
}
