package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vaultsync/vaultsync/pkg/reconcile"
)

// progress shows on stderr where a run stands: one line that is written over
// on a terminal, otherwise a plain line now and then.
type progress struct {
	mu       sync.Mutex
	w        io.Writer
	vault    string
	terminal bool
	began    time.Time
	shown    time.Time
	step     string
	stepAt   time.Time
	drawn    bool
}

// How often a line is written.
const (
	redraw  = 200 * time.Millisecond
	repeat  = 10 * time.Second
	patient = time.Second // a run that is over sooner needs no progress
)

func (s *session) newProgress(vault string) *progress {
	now := time.Now()
	return &progress{w: s.err, vault: vault, terminal: s.errTerminal, began: now, shown: now}
}

var stepTexts = map[string]string{"directory": "reading the directory", "store": "looking at the vault", "apply": "making changes"} //nolint:gochecknoglobals // a constant table

func (p *progress) show(at reconcile.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if at.Step != p.step {
		p.step, p.stepAt = at.Step, now
	}
	pause := repeat
	if p.terminal {
		pause = redraw
	}
	if now.Sub(p.began) < patient || now.Sub(p.shown) < pause {
		return
	}
	p.shown = now
	text := fmt.Sprintf("%s: %s: %d", p.vault, stepTexts[at.Step], at.Done)
	elapsed := now.Sub(p.stepAt)
	rate := float64(at.Done) / max(elapsed.Seconds(), 0.001)
	if at.Total > 0 {
		text += fmt.Sprintf(" of %d", at.Total)
	}
	switch {
	case !at.ThrottledSince.IsZero():
		text += throttledText(at.ThrottledSince, at.NextTry)
	case !at.QuietSince.IsZero():
		text += ", nothing has come since " + clock(at.QuietSince)
	default:
		text += fmt.Sprintf(", %.0f/s", rate)
	}
	if at.Total > at.Done && rate > 0 {
		left := time.Duration(float64(at.Total-at.Done) / rate * float64(time.Second))
		text += ", " + left.Round(time.Second).String() + " left"
	}
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s", text) //nolint:errcheck // progress
		p.drawn = true
		return
	}
	fmt.Fprintln(p.w, text) //nolint:errcheck // progress
}

func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K") //nolint:errcheck // progress
	}
}

// throttledText says that the directory asks for patience.
func throttledText(since, next time.Time) string {
	text := ", throttled since " + clock(since)
	if !next.IsZero() {
		text += ", next try at " + clock(next)
	}
	return text
}

// clock is a time of day; with the date when it is not within half a day.
func clock(t time.Time) string {
	if time.Until(t).Abs() > 12*time.Hour {
		return local(t)
	}
	return t.Local().Format(time.TimeOnly)
}
