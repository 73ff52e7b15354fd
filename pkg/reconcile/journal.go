package reconcile

import (
	"time"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/provlog"
)

// journal writes one run into the provisioning log: done and failed changes
// always, held ones once, when they are first held.
type journal struct {
	vault   *Vault
	report  *Report
	known   map[string]bool // keys of what was held before
	entries []provlog.Entry
	// disabled are the people whom the run has disabled.
	disabled []identity.ObjectID
}

// entriesAtOnce is how many entries are written together.
const entriesAtOnce = 500

func (v *Vault) journal(report *Report) *journal {
	j := &journal{vault: v, report: report, known: map[string]bool{}}
	if meta, err := v.Snapshot.Meta(); err == nil && meta.Held != nil {
		for _, c := range meta.Held.Changes {
			j.known[c.Key] = true
		}
	}
	return j
}

// add takes one change with its outcome.
func (j *journal) add(change plan.Change, err error) {
	entry := provlog.Entry{
		Time: j.vault.Now().UTC().Truncate(time.Millisecond), Vault: j.report.Vault, Run: j.report.Run,
		Person: change.Person, Login: change.Login, Group: change.Group, Kind: string(change.Kind),
		Before: change.Before.JSON(), After: change.After.JSON(), Why: change.Why, Outcome: "done",
	}
	switch {
	case change.Held != "" && j.known[change.Key()]:
		return
	case change.Held != "":
		entry.Outcome, entry.Error = "held", "held by the guard "+change.Held
	case err != nil:
		entry.Outcome, entry.Error = "failed", err.Error()
	case change.Kind == plan.Disable:
		j.disabled = append(j.disabled, change.Person)
	}
	j.entries = append(j.entries, entry)
	if len(j.entries) >= entriesAtOnce {
		j.flush()
	}
}

// flush writes what was taken. A log that cannot be written stops no run: the
// vault is right, and the daemon's own log says what is missing.
func (j *journal) flush() {
	if len(j.entries) == 0 {
		return
	}
	if err := j.vault.Journal(j.entries); err != nil {
		j.vault.Logger.Error("the provisioning log cannot be written", "vault", j.report.Vault, "entries", len(j.entries), "error", err)
	}
	j.entries = j.entries[:0]
}
