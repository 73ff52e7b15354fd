package reconcile

import (
	"fmt"
	"math"
)

// progressed is how far the vaults of a directory have come with its change
// feed.
type progressed struct {
	cursors   map[string]uint64 // by vault; one that has not run since the start is missing
	newest    uint64            // the highest of them
	forgotten uint64            // up to where the feed was let go
}

// applied notes that all that the local copy says up to a revision is done in a
// vault, and lets go of what no vault will ask for again. A vault that has not
// run since the start, for whatever reason, keeps the feed, but not for longer
// than the mirror does. The feed is looked at when the slowest vault moves and
// at each new revision, not at each run.
func (d *Directory) applied(vault string, revision uint64) error {
	d.guardMu.Lock()
	defer d.guardMu.Unlock()
	p := &d.progressed
	if p.cursors == nil {
		p.cursors = map[string]uint64{}
	}
	p.cursors[vault] = revision
	slowest := uint64(math.MaxUint64)
	for _, v := range d.Vaults {
		if slowest = min(slowest, p.cursors[v.Name()]); slowest <= p.forgotten {
			break // no need to look further
		}
	}
	if slowest <= p.forgotten && revision <= p.newest {
		return nil
	}
	slowest = max(slowest, p.forgotten)
	if err := d.Mirror.Forget(slowest); err != nil {
		return fmt.Errorf("let go of what has been applied: %w", err)
	}
	p.newest, p.forgotten = max(p.newest, revision), slowest
	return nil
}

// applied tells the directory how far the vault has come. That the feed cannot
// be pruned is no failure of the run: it is tried again after the next one.
func (v *Vault) applied(revision uint64) {
	if err := v.Directory.applied(v.Name(), revision); err != nil && v.Logger != nil {
		v.Logger.Warn("the change feed was not pruned", "directory", v.Directory.Name, "error", err)
	}
}
