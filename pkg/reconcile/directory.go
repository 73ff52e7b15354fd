package reconcile

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/mirror"
)

// Directory is one tenant with its local copy, shared by all vaults on it.
type Directory struct {
	Name   string
	Client directory.Directory
	Mirror *mirror.Mirror
	// Vaults are all vaults on this directory, whether they run now or not:
	// the mirror follows the groups of all of them.
	Vaults []*Vault
	// FullEvery is the smallest reconcileEvery of the vaults.
	FullEvery time.Duration
	// Guard counts the people who leave any of the vaults; Imported gives
	// those of them that have state, with it opened.
	Guard    Guard
	Imported func() []*Vault
	Now      func() time.Time

	guardMu sync.Mutex // guards the guard's file and progressed
	progressed

	mu     sync.Mutex
	flight *flight
	// last and lastFull are when the last good pull began, and the last one that
	// read everything.
	last, lastFull time.Time
	// covered says that the local copy has all configured groups; it lacks
	// none until names are resolved anew.
	covered bool
	trouble trouble
}

// Pull says what a run needs of the local copy.
type Pull struct {
	// MaxAge is how old it may be. Without it the directory must have been asked
	// after Asked, which is now when it is zero.
	MaxAge time.Duration
	Asked  time.Time
	// Full reads everything from the start.
	Full     bool
	Progress func(Progress)
}

// Pulled is what a pull cost.
type Pulled struct {
	// Own says that this call asked the directory; otherwise the copy was
	// fresh, somebody else asked, or it is too early to ask again.
	Own      bool
	Requests int
	Report   mirror.Report
}

// flight is one pull under way, with those who wait for it.
type flight struct {
	began    time.Time
	full     bool
	done     chan struct{}
	cancel   context.CancelFunc
	waiters  int
	left     bool // nobody waits for it any more: it is being cut short
	progress []func(Progress)
	err      error
	pulled   Pulled
}

// Pull brings the local copy up to date. Vaults that ask at the same time
// share one pull; it ends early only when nobody waits for it any more. Who
// asks the directory now is not served by a pull that began earlier, and may
// have read past what has just been changed, but shares any later one. The
// request counts go to whoever caused it. After a pull that failed, those that
// would take a copy of some age share the failure too, for a pause that grows:
// two hundred vaults of a directory in trouble ask it as often as one.
func (d *Directory) Pull(ctx context.Context, p Pull) (Pulled, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p.MaxAge == 0 && p.Asked.IsZero() {
		p.Asked = d.Now()
	}
	for d.flight != nil && (d.flight.left || p.Full && !d.flight.full || !p.served(d.flight.began)) {
		if err := d.wait(ctx, d.flight, p.Progress); err != nil {
			return Pulled{}, err
		}
	}
	f, own := d.flight, d.flight == nil
	if own {
		if done, err := d.known(p); done || err != nil {
			return Pulled{}, err
		}
		f = d.start(ctx, p)
	}
	f.waiters++
	if err := d.wait(ctx, f, p.Progress); err != nil {
		if f.waiters--; f.waiters == 0 {
			f.left = true
			f.cancel()
		}
		return Pulled{}, err
	}
	if own {
		return f.pulled, f.err
	}
	return Pulled{}, f.err
}

// served says whether a pull that began then is recent enough.
func (p Pull) served(began time.Time) bool { return p.MaxAge > 0 || began.After(p.Asked) }

// known says whether the directory need not be asked: the local copy is recent
// enough, or the directory was in trouble a moment ago. d.mu is held.
func (d *Directory) known(p Pull) (done bool, err error) {
	now := d.Now()
	if p.MaxAge > 0 {
		if !p.Full && now.Sub(d.Mirror.PulledAt()) <= p.MaxAge && !d.newGroups() {
			return true, nil
		}
		return false, d.trouble.recent(now)
	}
	last := d.last
	if p.Full {
		last = d.lastFull
	}
	if p.served(last) && !d.newGroups() {
		return true, nil
	}
	if p.served(d.trouble.began) {
		return false, d.trouble.err
	}
	return false, nil
}

// wait waits until a pull is over, and hears of its progress. d.mu is held, but
// not while it waits.
func (d *Directory) wait(ctx context.Context, f *flight, progress func(Progress)) error {
	if progress != nil {
		f.progress = append(f.progress, progress)
	}
	d.mu.Unlock()
	defer d.mu.Lock()
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// start begins a pull; d.mu is held.
func (d *Directory) start(ctx context.Context, p Pull) *flight {
	pullCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &flight{began: d.Now(), full: p.Full, done: make(chan struct{}), cancel: cancel}
	d.flight = f
	_, before := d.Mirror.Position()
	go func() {
		defer cancel()
		pulled, err := d.pull(pullCtx, f)
		pulled.Own = true
		d.mu.Lock()
		defer d.mu.Unlock()
		if _, now := d.Mirror.Position(); now != before {
			d.covered = false // groups may have come, or gone
		}
		f.pulled, f.err = pulled, err
		d.flight = nil
		if pullCtx.Err() == nil { // nobody waited: that says nothing of the directory
			d.trouble.note(err, f.began, d.Now())
		}
		if err == nil {
			if d.last = f.began; pulled.Report.Full {
				d.lastFull = f.began
			}
		}
		close(f.done)
	}()
	return f
}

func (d *Directory) pull(ctx context.Context, f *flight) (Pulled, error) {
	before := d.requests()
	if err := d.resolveNames(ctx); err != nil {
		return Pulled{Requests: d.requests() - before}, err
	}
	news, stop := d.watched(ctx, f)
	defer stop()
	report, err := d.Mirror.Refresh(ctx, d.Client, mirror.Refresh{
		Roots: d.roots(), Full: f.full, FullEvery: d.FullEvery,
		Progress: func(done mirror.Progress) { news(done.Objects) },
	})
	return Pulled{Requests: d.requests() - before, Report: report}, err
}

func (d *Directory) requests() int {
	if r, ok := d.Client.(interface{ Requests() uint64 }); ok {
		return int(r.Requests()) //nolint:gosec // a count of requests
	}
	return 0
}

// roots are the configured groups of all vaults.
func (d *Directory) roots() []mirror.Root {
	var roots []mirror.Root
	for _, v := range d.Vaults {
		for i, id := range v.groupIDs() {
			if !id.IsZero() {
				roots = append(roots, mirror.Root{ID: id, Nested: v.Rules.Vault.Groups[i].Nested})
			}
		}
	}
	return roots
}

// newGroups says whether a configured group is not in the local copy yet, so
// that a copy of whatever age is of no use for it. d.mu is held.
func (d *Directory) newGroups() bool {
	if !d.covered {
		d.covered = d.hasGroups()
	}
	return !d.covered
}

func (d *Directory) hasGroups() bool {
	view, err := d.Mirror.View()
	if err != nil {
		return false
	}
	defer view.Close()
	for _, v := range d.Vaults {
		for _, id := range v.groupIDs() {
			if id.IsZero() {
				continue
			}
			if _, ok, err := view.Group(id); err != nil || !ok {
				return false
			}
		}
	}
	return true
}

// resolveNames finds the ids of groups that are configured by name. A name is
// resolved once and then pinned to its id: a group renamed later stays the
// same group, and another one that takes the name is another. A name that
// leads nowhere is the trouble of its vault alone.
func (d *Directory) resolveNames(ctx context.Context) error {
	for _, v := range d.Vaults {
		for _, g := range v.Rules.Vault.Groups {
			if g.Name == "" {
				continue
			}
			if _, ok, err := d.Mirror.Pinned(g.Name); err != nil || ok {
				if err != nil {
					return err
				}
				continue
			}
			found, err := d.Client.Search(ctx, g.Name, true, 2)
			if err != nil {
				return fmt.Errorf("find the group %q: %w", g.Name, err)
			}
			if len(found) == 1 {
				if err := d.Mirror.Pin(g.Name, found[0].ID); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// groupIDs are the object ids of the configured groups, in their order; zero
// for a name that is not resolved.
func (v *Vault) groupIDs() []identity.ObjectID {
	ids := make([]identity.ObjectID, len(v.Rules.Vault.Groups))
	for i, g := range v.Rules.Vault.Groups {
		ids[i] = v.groupID(g)
	}
	return ids
}

func (v *Vault) groupID(g config.Group) identity.ObjectID {
	if g.Name == "" {
		return g.ID
	}
	id, ok, err := v.Directory.Mirror.Pinned(g.Name)
	if err != nil || !ok {
		return identity.ObjectID{}
	}
	return id
}

// ErrOtherStore means that the vault's state was made for another user store.
var ErrOtherStore = errors.New("the state was made for another user store")
