// Package reconcile is one run of one vault: the only place that knows the
// order of the steps. Read Vault.Run first; it is the whole program.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vaultsync/vaultsync/pkg/apply"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/provlog"
	"github.com/vaultsync/vaultsync/pkg/roster"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// Vault is one vault with everything that a run of it needs.
type Vault struct {
	Rules     *roster.Rules
	Directory *Directory
	Store     vault.Store
	Snapshot  *snapshot.Snapshot
	// Journal takes the provisioning log's entries; an error is logged and
	// stops nothing.
	Journal func([]provlog.Entry) error
	Logger  *slog.Logger
	Now     func() time.Time
	NewID   func() string // names a run
	// Classify gives the kind of an error, which the report of a failed run
	// keeps; nil gives none.
	Classify func(error) int

	portion int // people in one portion of a first import; 0 is portionOf
	// watch is told how many people are planned together; nil but in tests.
	watch   func(people int)
	last    atomic.Pointer[still]
	leaving *leaving // guarded by the directory's guard
}

// Options say what kind of run it is.
type Options struct {
	// Full reads directory and vault in full and compares them.
	Full bool
	// MaxAge is how old the local copy of the directory may be. Without it the
	// directory must have been asked after Asked, which is now when it is zero.
	MaxAge time.Duration
	Asked  time.Time
	// DryRun plans and changes nothing but the local copy of the directory.
	DryRun bool
	// Prepared says that the directory has been read for this run already.
	Prepared bool
	// ByHand says that somebody asked for the run: failed people are tried
	// again at once.
	ByHand bool
	// Person restricts the run to one person; Recreate makes that person's
	// account again after a deletion by hand.
	Person   identity.ObjectID
	Recreate bool
	// Approve are the keys of held changes to release.
	Approve []string
	// Reject are the keys of held changes to drop.
	Reject []string
	// Only restricts the run to exactly these changes (apply FILE).
	Only func(*plan.Plan) error
	// Progress is told what the run is doing.
	Progress func(Progress)
}

// Progress is where a run stands. Total is 0 when it is not known.
type Progress struct {
	Step  string // directory | store | apply
	Done  int
	Total int
	// ThrottledSince is since when the directory asks for patience, NextTry
	// when it may be asked again, QuietSince since when nothing has come from
	// it. Zero: it does not, now, something has.
	ThrottledSince, NextTry, QuietSince time.Time
}

// Run brings the vault to what the directory says:
//
//	pull ▶ mirror ▶ roster ▶ plan (guards) ▶ apply ▶ snapshot
//
// A run that fails on the way changes nothing that it has not reported, and
// the next one goes on from there. The report is filled in also when the run
// fails; the error is then the reason.
func (v *Vault) Run(ctx context.Context, o Options) (Report, error) {
	report := v.begin(o)
	pulled, err := v.Directory.Pull(ctx, Pull{MaxAge: o.MaxAge, Asked: o.Asked, Full: o.Full && !o.Prepared, Progress: o.Progress})
	report.Requests.Directory = pulled.Requests
	if err != nil {
		return v.fail(report, fmt.Errorf("read the directory %s: %w", v.Directory.Name, err))
	}
	if report, same := v.again(report, o); same {
		return report, nil
	}
	store := &counted{Store: v.Store}
	scene, err := v.look(ctx, store, o)
	report.Requests.Store = store.requests()
	if err != nil {
		return v.fail(report, err)
	}
	report.Mode = scene.mode
	if len(o.Reject) > 0 {
		if report.Rejected, err = v.reject(scene, o.Reject); err != nil {
			return v.fail(report, err)
		}
		if scene, err = v.look(ctx, store, o); err != nil {
			return v.fail(report, err)
		}
	}
	p := plan.Compute(scene.input)
	if p, err = v.guarded(scene, p); err != nil {
		return v.fail(report, err)
	}
	if o.Only != nil {
		if err := o.Only(p); err != nil {
			return v.fail(report, err)
		}
	}
	report.plan(p)
	report.Released = p.Released(scene.input.Approved)
	if o.DryRun {
		return v.end(report), nil
	}
	journal := v.journal(&report)
	applier := apply.Applier{
		Store: store, Snapshot: v.Snapshot, Now: v.Now, Report: journal.add,
		Progress: func(done, total int) { o.progress("apply", done, total) },
	}
	report.Counts, err = applier.Apply(ctx, p)
	if err == nil {
		err = v.importRest(ctx, store, scene, p, applier, &report)
	}
	if report.Counts.Failed > 0 && report.Outcome == OK {
		report.Outcome = Partial
	}
	report.Requests.Store = store.requests()
	journal.flush()
	err = errors.Join(err, v.Directory.disabled(journal.disabled, v.Now()))
	if err != nil {
		return v.fail(report, fmt.Errorf("apply the changes: %w", err))
	}
	report = v.end(report)
	whole := o.Only == nil && report.Mode != "user"
	if err := v.remember(scene, p, report, whole); err != nil {
		return report, err
	}
	if whole {
		v.applied(scene.revision)
	}
	return report, nil
}

func (o Options) progress(step string, done, total int) {
	if o.Progress != nil {
		o.Progress(Progress{Step: step, Done: done, Total: total})
	}
}

func (v *Vault) begin(o Options) Report {
	return Report{Vault: v.Name(), Run: v.NewID(), Mode: "delta", DryRun: o.DryRun, Started: v.Now().UTC()}
}

// Name is the vault's.
func (v *Vault) Name() string { return v.Rules.Vault.Name }

func (v *Vault) end(report Report) Report {
	report.Finished = v.Now().UTC()
	return report
}

func (v *Vault) fail(report Report, err error) (Report, error) {
	report.Finished = v.Now().UTC()
	report.Outcome, report.Error = Failed, err.Error()
	if v.Classify != nil {
		report.Code = v.Classify(err)
	}
	if report.DryRun || errors.Is(err, context.Canceled) {
		return report, err
	}
	return report, errors.Join(err, v.rememberFailure(report))
}

// guarded asks the guard over all vaults of the directory when somebody is to
// be disabled, and plans anew when it holds.
func (v *Vault) guarded(s *scene, p *plan.Plan) (*plan.Plan, error) {
	leaves := slices.ContainsFunc(p.Changes, func(c plan.Change) bool { return c.Kind == plan.Disable })
	if !leaves {
		return p, nil
	}
	held, released, err := v.Directory.hold(v.Now())
	if err != nil || !held {
		return p, err
	}
	s.input.ServerHold, s.input.ServerReleased = true, released
	return plan.Compute(s.input), nil
}
