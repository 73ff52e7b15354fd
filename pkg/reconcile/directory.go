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
	// covered says that the local copy has all configured groups; it lacks
	// none until names are resolved anew.
	covered bool
	trouble trouble
}

// Pull says what a run needs of the local copy.
type Pull struct {
	// MaxAge is how old it may be; 0 asks the directory now.
	MaxAge   time.Duration
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
	full     bool
	done     chan struct{}
	cancel   context.CancelFunc
	waiters  int
	progress []func(Progress)
	err      error
	pulled   Pulled
}

// Pull brings the local copy up to date. Vaults that ask at the same time
// share one pull; it ends early only when nobody waits for it any more. The
// request counts go to whoever caused it. After a pull that failed, those that
// would take a copy of some age share the failure too, for a pause that grows:
// two hundred vaults of a directory in trouble ask it as often as one.
func (d *Directory) Pull(ctx context.Context, p Pull) (Pulled, error) {
	d.mu.Lock()
	if d.flight == nil && !p.Full && p.MaxAge > 0 && d.Now().Sub(d.Mirror.PulledAt()) <= p.MaxAge && !d.newGroups() {
		d.mu.Unlock()
		return Pulled{}, nil
	}
	if d.flight == nil && p.MaxAge > 0 {
		if err := d.trouble.recent(d.Now()); err != nil {
			d.mu.Unlock()
			return Pulled{}, err
		}
	}
	f, own := d.flight, false
	if f == nil || p.Full && !f.full {
		if f != nil {
			// A pull that is not full is under way: ours comes after it.
			d.mu.Unlock()
			select {
			case <-f.done:
			case <-ctx.Done():
				return Pulled{}, context.Cause(ctx)
			}
			return d.Pull(ctx, p)
		}
		f, own = d.start(ctx, p), true
	}
	f.waiters++
	if p.Progress != nil {
		f.progress = append(f.progress, p.Progress)
	}
	d.mu.Unlock()
	select {
	case <-f.done:
	case <-ctx.Done():
		d.mu.Lock()
		f.waiters--
		if f.waiters == 0 {
			f.cancel()
		}
		d.mu.Unlock()
		return Pulled{}, context.Cause(ctx)
	}
	if own {
		return f.pulled, f.err
	}
	return Pulled{}, f.err
}

// start begins a pull; d.mu is held.
func (d *Directory) start(ctx context.Context, p Pull) *flight {
	pullCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &flight{full: p.Full, done: make(chan struct{}), cancel: cancel}
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
			d.trouble.note(err, d.Now())
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
