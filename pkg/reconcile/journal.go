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
	// memberships are the values of memberships, which are never changed.
	memberships map[string]map[string]any
	// disabled are the people whom the run has disabled.
	disabled []identity.ObjectID
}

// entriesAtOnce is how many entries are written together.
const entriesAtOnce = 500

func (v *Vault) journal(report *Report) *journal {
	j := &journal{vault: v, report: report, known: map[string]bool{}, memberships: map[string]map[string]any{}}
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
		Before: j.values(change.Before), After: j.values(change.After), Why: change.Why, Outcome: "done",
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

// values are those of a change as the log has them. Of the memberships, which
// are most of a first import, all say one of two things.
func (j *journal) values(v plan.Values) map[string]any {
	member, only := v["member"]
	if !only || len(v) > 1 {
		return v.JSON()
	}
	shared := j.memberships[member]
	if shared == nil {
		shared = v.JSON()
		j.memberships[member] = shared
	}
	return shared
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
