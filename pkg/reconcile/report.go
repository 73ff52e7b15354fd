package reconcile

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/vaultsync/vaultsync/pkg/apply"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
)

// Outcome is how a run ended (contract.md, Outcomes).
type Outcome string

// The outcomes of the contract.
const (
	OK      Outcome = "ok"
	Partial Outcome = "partial"
	Held    Outcome = "held"
	Failed  Outcome = "failed"
)

// Report is one run (contract.md, sync --json).
type Report struct {
	Vault    string       `json:"vault"`
	Run      string       `json:"run"`
	Mode     string       `json:"mode"` // initial | delta | full | user
	Outcome  Outcome      `json:"outcome"`
	DryRun   bool         `json:"dryRun"`
	Counts   apply.Counts `json:"counts"`
	Requests Requests     `json:"requests"`
	Started  time.Time    `json:"started"`
	Finished time.Time    `json:"finished"`
	Error    string       `json:"error"`
	// Since is when the first of the runs that failed in a row began; only with
	// Failed.
	Since time.Time `json:"since,omitzero"`
	// Code is what kind of failure it was, as Vault.Classify says.
	Code int `json:"code,omitempty"`
	// Waiting are the people and groups for whom something is not done.
	Waiting []plan.Note `json:"waiting,omitempty"`
	// Guards are what holds changes back.
	Guards []plan.Trip `json:"guards,omitempty"`
	Drift  int         `json:"drift,omitempty"`

	// Released and Rejected count the held changes that an administrator's
	// approval let go, or dropped.
	Released int `json:"released,omitempty"`
	Rejected int `json:"rejected,omitempty"`

	// HeldPlan names the held changes, for approve and reject.
	HeldPlan string `json:"heldPlan,omitempty"`

	// Plan is what the run computed.
	Plan *plan.Plan `json:"-"`
}

// Requests count what a run asked. A directory read that several vaults share
// counts for the run that caused it.
type Requests struct {
	Directory int `json:"directory"`
	Store     int `json:"store"`
}

// plan writes what a plan says into the report, as if all of it were done: a
// dry run's counts. Applying replaces them by what was done.
func (r *Report) plan(p *plan.Plan) {
	r.Plan, r.HeldPlan = p, p.HeldDigest()
	r.Counts = apply.Counts{Unchanged: p.Unchanged}
	for _, c := range p.Changes {
		if c.Held != "" {
			r.Counts.Held++
		} else {
			r.Counts.Add(c.Kind)
		}
	}
	r.describe(p)
}

// describe writes what a plan tells, whatever became of its changes.
func (r *Report) describe(p *plan.Plan) {
	r.Guards, r.Drift, r.Waiting = p.Trips, p.Drift, nil
	faults := false
	for _, n := range p.Notes {
		r.Waiting = append(r.Waiting, n)
		faults = faults || n.Kind.Fault()
	}
	switch {
	case r.Counts.Held > 0:
		r.Outcome = Held
	case faults:
		r.Outcome = Partial
	default:
		r.Outcome = OK
	}
}

// remember moves the vault's cursor: everything the mirror says up to it has
// been done, is held, or is queued for another try. A run that was restricted
// to some people or changes moves nothing.
func (v *Vault) remember(s *scene, p *plan.Plan, report Report, whole bool) error {
	meta := s.meta
	if whole {
		meta.Epoch, meta.Cursor, meta.Rules, meta.Store = s.epoch, s.revision, s.rules, s.store
		meta.Imported = true
		meta.Pinned = p.Pinned
		meta.Waiting = faults(p.Notes)
		meta.Held = heldOf(meta.Held, p, v.Now().UTC())
		if report.Mode == "full" || report.Mode == "initial" {
			// Only a run that compares the vault itself sees what hands did.
			meta.LastFull, meta.Drift = report.Started, p.Drift
		}
	}
	if whole {
		meta.Approved, meta.Applying = nil, false
	}
	meta.LastSuccess = report.Finished
	var err error
	if meta.LastRun, err = json.Marshal(report); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	same := false
	if whole {
		err = v.Snapshot.Read(func(tx *snapshot.Tx) error {
			out, err := tx.OutOfScope()
			if err == nil {
				same, err = unmoved(s.meta, meta, out, s.outOfScope)
			}
			return err
		})
	}
	if err == nil && (!same || report.Counts.Made()+report.Counts.Failed > 0) {
		err = v.write(s, p, meta, whole)
	}
	if err == nil && whole {
		v.settle(s, p, report)
	}
	return err
}

func (v *Vault) write(s *scene, p *plan.Plan, meta snapshot.Meta, whole bool) error {
	return v.Snapshot.Write(func(tx *snapshot.Tx) error {
		if whole {
			if err := tx.PutOutOfScope(s.outOfScope); err != nil {
				return err
			}
			if err := tx.PutShown(p.HeldDigest(), heldKeys(p)); err != nil {
				return err
			}
		}
		return tx.PutMeta(meta)
	})
}

func faults(notes []plan.Note) int {
	n := 0
	for _, note := range notes {
		if note.Kind.Fault() {
			n++
		}
	}
	return n
}

func (v *Vault) rememberFailure(report Report) error {
	return v.Snapshot.Write(func(tx *snapshot.Tx) error {
		meta, err := tx.Meta()
		if err != nil {
			return err
		}
		report.Since = failingSince(meta, report)
		if meta.LastRun, err = json.Marshal(report); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		return tx.PutMeta(meta)
	})
}

// failingSince is when the failures began that report is the last of. The
// report before is shown, not relied on: one that cannot be read is none.
func failingSince(before snapshot.Meta, report Report) time.Time {
	var last Report
	if json.Unmarshal(before.LastRun, &last) == nil && last.Outcome == Failed && !last.Since.IsZero() {
		return last.Since
	}
	return report.Started
}

// heldOf is what status shows; Since stays for as long as anything is held.
func heldOf(before *snapshot.Held, p *plan.Plan, now time.Time) *snapshot.Held {
	changes := p.Held()
	if len(changes) == 0 {
		return nil
	}
	held := &snapshot.Held{Digest: p.HeldDigest(), Since: now}
	if before != nil {
		held.Since = before.Since
	}
	seen := map[string]bool{}
	for _, trip := range p.Trips {
		if !seen[trip.Guard] {
			held.Guards = append(held.Guards, trip.Guard)
			seen[trip.Guard] = true
		}
	}
	for _, c := range changes {
		held.Compared = held.Compared || c.Compared
		held.Changes = append(held.Changes, snapshot.HeldChange{
			Key: c.Key(), Kind: string(c.Kind), Person: c.Person, Login: c.Login, Group: c.Group, Why: c.Why, Guard: c.Held,
		})
	}
	return held
}

func heldKeys(p *plan.Plan) []string {
	var keys []string
	for _, c := range p.Changes {
		if c.Held != "" {
			keys = append(keys, c.Key())
		}
	}
	return keys
}
