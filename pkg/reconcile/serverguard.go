package reconcile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/mirror"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/roster"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/wholefile"
)

// Guard is the server's guard over all vaults of one directory: it counts the
// distinct people who leave any of them, on the local copy, before any vault
// applies, and those disabled in the last 24 hours. Tripped, it holds all of
// them (lifecycle.md, "all vaults of a directory shrink together").
type Guard struct {
	Limit config.Guard
	// Path is the file that keeps what is held, approved and recent.
	Path string
}

// recently is how long a disable counts.
const recently = 24 * time.Hour

// GuardState is what the guard remembers.
type GuardState struct {
	// Held are the people whose leaving is held.
	Held *GuardHeld `json:"held,omitempty"`
	// Approved are the people whom an administrator has let go.
	Approved []identity.ObjectID `json:"approved,omitempty"`
	// Recent are those disabled in the last 24 hours without an approval.
	Recent []Disabled `json:"recent,omitempty"`
}

// GuardHeld is what status shows.
type GuardHeld struct {
	Digest string              `json:"digest"`
	Since  time.Time           `json:"since"`
	Text   string              `json:"text"`
	People []identity.ObjectID `json:"people"`
}

// Disabled is one person disabled in some vault.
type Disabled struct {
	Person identity.ObjectID `json:"person"`
	Time   time.Time         `json:"time"`
}

// GuardState reads what the guard remembers.
func (d *Directory) GuardState() (GuardState, error) {
	d.guardMu.Lock()
	defer d.guardMu.Unlock()
	return d.readGuard()
}

func (d *Directory) readGuard() (GuardState, error) {
	var state GuardState
	b, err := os.ReadFile(d.Guard.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return state, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &state)
	}
	if err != nil {
		return state, fmt.Errorf("read the guard of directory %s: %w", d.Name, err)
	}
	return state, nil
}

func (d *Directory) writeGuard(state GuardState) error {
	b, err := json.Marshal(state)
	if err == nil {
		err = wholefile.WriteBytes(d.Guard.Path, b)
	}
	if err != nil {
		return fmt.Errorf("write the guard of directory %s: %w", d.Name, err)
	}
	return nil
}

// hold says whether the guard holds leavers back, and who may leave all the
// same.
func (d *Directory) hold(now time.Time) (held bool, released map[identity.ObjectID]bool, err error) {
	d.guardMu.Lock()
	defer d.guardMu.Unlock()
	state, err := d.readGuard()
	if err != nil {
		return false, nil, err
	}
	before, err := json.Marshal(state)
	if err != nil {
		return false, nil, fmt.Errorf("read the guard of directory %s: %w", d.Name, err)
	}
	state.Recent = slices.DeleteFunc(state.Recent, func(r Disabled) bool { return now.Sub(r.Time) > recently })
	leaving, managed, err := d.leaving(state.Recent)
	if err != nil {
		return false, nil, err
	}
	state.Approved = slices.DeleteFunc(state.Approved, func(id identity.ObjectID) bool {
		_, still := slices.BinarySearchFunc(leaving, id, identity.ObjectID.Compare)
		return !still
	})
	released = make(map[identity.ObjectID]bool, len(state.Approved))
	for _, id := range state.Approved {
		released[id] = true
	}
	waiting := slices.DeleteFunc(leaving, func(id identity.ObjectID) bool { return released[id] })
	counted := map[identity.ObjectID]bool{}
	for _, id := range waiting {
		counted[id] = true
	}
	for _, r := range state.Recent {
		counted[r.Person] = true
	}
	held = len(waiting) > 0 && plan.Exceeds(d.Guard.Limit, len(counted), managed)
	if held {
		since := now
		if state.Held != nil {
			since = state.Held.Since
		}
		state.Held = &GuardHeld{
			Digest: peopleDigest(waiting), Since: since, People: waiting,
			Text: fmt.Sprintf("%d of %d people would leave the vaults of directory %s within a day, more than %d or %d %%",
				len(counted), managed, d.Name, d.Guard.Limit.Count, d.Guard.Limit.Percent),
		}
	} else {
		state.Held = nil
	}
	if after, err := json.Marshal(state); err != nil || string(after) != string(before) {
		return held, released, d.writeGuard(state)
	}
	return held, released, nil
}

func peopleDigest(people []identity.ObjectID) string {
	h := sha256.New()
	for _, id := range people {
		h.Write(id[:])
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// leaving are the distinct people who leave any vault of the directory, sorted,
// and how many people the vaults have in all, with those who left recently.
func (d *Directory) leaving(recent []Disabled) ([]identity.ObjectID, int, error) {
	view, err := d.Mirror.View()
	if err != nil {
		return nil, 0, fmt.Errorf("read the local copy of %s: %w", d.Name, err)
	}
	defer view.Close()
	gone, all := roaring.New(), roaring.New()
	for _, v := range d.Imported() {
		leavers, used, err := v.countedLeavers(view)
		if err != nil {
			return nil, 0, fmt.Errorf("vault %s: %w", v.Name(), err)
		}
		gone.Or(leavers)
		all.Or(used)
	}
	var ids []identity.ObjectID
	for it := gone.Iterator(); it.HasNext(); {
		id, ok, err := view.ID(it.Next())
		if err != nil {
			return nil, 0, fmt.Errorf("read the local copy of %s: %w", d.Name, err)
		}
		if ok {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, identity.ObjectID.Compare)
	unknown := map[identity.ObjectID]bool{}
	for _, r := range recent {
		n, ok, err := view.Number(r.Person)
		if err != nil {
			return nil, 0, fmt.Errorf("read the local copy of %s: %w", d.Name, err)
		}
		if ok {
			all.Add(n)
		} else {
			unknown[r.Person] = true
		}
	}
	return ids, int(all.GetCardinality()) + len(unknown), nil //nolint:gosec // at most as many as there are people
}

// leaving is what was counted of one vault, and what that depended on.
type leaving struct {
	rules         *roster.Rules
	epoch         string
	revision      uint64
	written       int
	leavers, used *roaring.Bitmap
}

// countedLeavers is leavers, counted once for each state of local copy and
// vault: hundreds of vaults that change together ask for each other. The guard
// is locked.
func (v *Vault) countedLeavers(view *mirror.View) (leavers, used *roaring.Bitmap, err error) {
	written, err := v.Snapshot.Written()
	if err != nil {
		return nil, nil, err
	}
	last := v.leaving
	if last == nil || last.rules != v.Rules || last.epoch != view.Epoch() || last.revision != view.Revision() || last.written != written ||
		v.Rules.Vault.Accounts.OnLeaveAfter > 0 { // time goes by
		last = &leaving{rules: v.Rules, epoch: view.Epoch(), revision: view.Revision(), written: written}
		if last.leavers, last.used, err = v.leavers(view); err != nil {
			return nil, nil, err
		}
		v.leaving = last
	}
	return last.leavers, last.used, nil
}

// leavers are the people whom the vault would disable now, and all of its
// people. A vault that numbers people by another mirror counts at its next
// run.
func (v *Vault) leavers(view *mirror.View) (leavers, used *roaring.Bitmap, err error) {
	err = v.Snapshot.Read(func(tx *snapshot.Tx) error {
		g := &gatherer{Vault: v, view: view, tx: tx, scene: &scene{}}
		if g.scene.meta, err = tx.Meta(); err != nil {
			return err
		}
		leavers, used = roaring.New(), roaring.New()
		if !g.scene.meta.Imported || g.scene.meta.Epoch != view.Epoch() {
			return nil
		}
		if used, err = tx.People(snapshot.Active, snapshot.Leaving); err != nil {
			return err
		}
		touched, reach, err := view.Touched(g.scene.meta.Cursor)
		if err != nil {
			return fmt.Errorf("read what has changed: %w", err)
		}
		g.full = !reach || g.scene.meta.Rules != v.Rules.Vault.Digest()
		if !reach {
			touched = roaring.New()
		}
		if err := g.readRoster(touched); err != nil {
			return err
		}
		leavers = roaring.AndNot(used, g.present)
		return g.keepDue(leavers)
	})
	return leavers, used, err
}

// keepDue leaves the people whose grace period is over and whose leaving no
// administrator has rejected.
func (g *gatherer) keepDue(leavers *roaring.Bitmap) error {
	for it := leavers.Clone().Iterator(); it.HasNext(); {
		n := it.Next()
		id, ok, err := g.view.ID(n)
		if err != nil {
			return fmt.Errorf("read the local copy: %w", err)
		}
		a, known, err := g.tx.Account(id)
		if err != nil {
			return err
		}
		grace := g.Rules.Vault.Accounts.OnLeaveAfter
		over := grace == 0 || a.State == snapshot.Leaving && !g.Now().Before(a.Since.Add(grace))
		if !ok || !known || !over || a.Rejected != 0 {
			leavers.Remove(n)
		}
	}
	return nil
}

// disabled remembers people whom a run has disabled, unless an administrator
// let them go.
func (d *Directory) disabled(people []identity.ObjectID, now time.Time) error {
	if len(people) == 0 {
		return nil
	}
	d.guardMu.Lock()
	defer d.guardMu.Unlock()
	state, err := d.readGuard()
	if err != nil {
		return err
	}
	approved := make(map[identity.ObjectID]bool, len(state.Approved))
	for _, id := range state.Approved {
		approved[id] = true
	}
	for _, id := range people {
		if !approved[id] {
			state.Recent = append(state.Recent, Disabled{Person: id, Time: now})
		}
	}
	return d.writeGuard(state)
}

// Approve lets the people leave that the guard holds under digest, once; the
// vaults' own guards still count. It gives how many are held no longer.
func (d *Directory) Approve(digest string) (int, error) {
	d.guardMu.Lock()
	defer d.guardMu.Unlock()
	state, err := d.readGuard()
	if err != nil {
		return 0, err
	}
	if state.Held == nil || digest != state.Held.Digest {
		return 0, fmt.Errorf("%w under %s in directory %s", ErrNothingDue, digest, d.Name)
	}
	n := len(state.Held.People)
	state.Approved = append(state.Approved, state.Held.People...)
	state.Held = nil
	return n, d.writeGuard(state)
}
