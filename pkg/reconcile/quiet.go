package reconcile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/roster"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
)

// Most runs of most vaults find nothing, and a server has hundreds of them. A
// run that looked at nobody and changed nothing comes to the same as long as
// local copy, rules and the vault's state are the same: there is nobody who
// waits for a time. Such a run is over once that is known, asks no store and
// writes nothing.

// still is a run that found nothing, and what it depended on.
type still struct {
	rules    *roster.Rules
	epoch    string
	revision uint64
	written  int // the snapshot's
	report   Report
}

// again gives the report of the last run for this one, when it must come to
// the same.
func (v *Vault) again(report Report, o Options) (Report, bool) {
	last := v.last.Load()
	if last == nil || last.rules != v.Rules || o.Full || o.DryRun || o.Only != nil || !o.Person.IsZero() || len(o.Approve)+len(o.Reject) > 0 {
		return report, false
	}
	if epoch, revision := v.Directory.Mirror.Position(); epoch != last.epoch || revision != last.revision {
		return report, false
	}
	if written, err := v.Snapshot.Written(); err != nil || written != last.written {
		return report, false // a damaged file is met again by whoever reads more of it
	}
	now := last.report
	now.Run, now.Started, now.Requests = report.Run, report.Started, report.Requests
	return v.end(now), true
}

// settle keeps a run that found nothing.
func (v *Vault) settle(s *scene, p *plan.Plan, report Report) {
	v.last.Store(nil)
	if report.Mode != "delta" || len(s.input.People) > 0 || len(p.Changes) > 0 {
		return
	}
	written, err := v.Snapshot.Written()
	if err != nil {
		return // the next run reads the file, and says so
	}
	report.Plan = &plan.Plan{}
	v.last.Store(&still{rules: v.Rules, epoch: s.epoch, revision: s.revision, written: written, report: report})
}

// unmoved says that nothing but times would change if after were written in
// the place of before: it is not worth a durable write in each quiet run.
func unmoved(before, after snapshot.Meta, outBefore, outAfter *roaring.Bitmap) (bool, error) {
	if !outBefore.Equals(outAfter) {
		return false, nil
	}
	var metas [2][]byte
	for i, meta := range []snapshot.Meta{before, after} {
		var report Report
		if len(meta.LastRun) == 0 {
			return false, nil
		}
		if err := json.Unmarshal(meta.LastRun, &report); err != nil {
			return false, fmt.Errorf("read the last report: %w", err)
		}
		report.Run, report.Started, report.Finished, report.Requests = "", time.Time{}, time.Time{}, Requests{}
		meta.LastSuccess = time.Time{}
		var err error
		if meta.LastRun, err = json.Marshal(report); err == nil {
			metas[i], err = json.Marshal(meta)
		}
		if err != nil {
			return false, fmt.Errorf("compare reports: %w", err)
		}
	}
	return bytes.Equal(metas[0], metas[1]), nil
}
