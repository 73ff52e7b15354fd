package entra

import (
	"sync"
	"time"
)

// patience is the waiting that one call may do in all. Streams that wait side
// by side wait once: overlapping intervals count once.
type patience struct {
	mu      sync.Mutex
	left    time.Duration
	covered time.Time
}

func newPatience(d time.Duration) *patience { return &patience{left: d} }

// take asks for a wait of d from now on; false means that it does not fit, and
// takes nothing.
func (p *patience) take(d time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	cost := p.cost(now, now.Add(d))
	if cost > p.left {
		return false
	}
	p.cover(now.Add(d), cost)
	return true
}

// spent counts the time since start, which a failed attempt took.
func (p *patience) spent(start time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.cover(now, p.cost(start, now))
}

func (p *patience) cover(to time.Time, cost time.Duration) {
	if to.After(p.covered) {
		p.covered = to
	}
	p.left = max(p.left-cost, 0)
}

// cost is how much of an interval has not been counted yet.
func (p *patience) cost(from, to time.Time) time.Duration {
	if from.Before(p.covered) {
		from = p.covered
	}
	return max(to.Sub(from), 0)
}

func (p *patience) remaining() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left
}
