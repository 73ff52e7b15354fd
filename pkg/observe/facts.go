package observe

import "time"

// RunFacts are what the metrics are told of a run that ended. The texts are
// those of the JSON output; they become label values as they are.
type RunFacts struct {
	Vault   string
	Mode    string // initial | delta | full | user
	Outcome string // ok | partial | held | failed
	// DryRun runs changed nothing and are not counted.
	DryRun bool
	// Restricted runs looked at some people or changes only (a plan applied, a
	// user synchronized); what they saw is not the vault's state. A run of mode
	// user is restricted.
	Restricted bool
	Started    time.Time
	Finished   time.Time
	// Changes are the changes made, by kind; what was planned or failed is not
	// among them.
	Changes map[string]int
	// Held are the changes that a guard holds, Waiting the people for whom
	// something is not done, Drift what hands changed; Drift is known to full
	// reads of the vault alone.
	Held    int
	Waiting int
	Drift   int
	// DirectoryRequests and StoreRequests are what the run asked. A pull that
	// several vaults share counts for the run that caused it.
	DirectoryRequests int
	StoreRequests     int
}

// The outcomes and modes that mean something to the metrics.
const (
	outcomeOK      = "ok"
	outcomePartial = "partial"
	outcomeHeld    = "held"
	outcomeFailed  = "failed"
	modeInitial    = "initial"
	modeFull       = "full"
	modeUser       = "user"
)

// succeeded reports whether the run came to its end, as the last success in
// the status means it. An outcome that is not known is no success.
func (f RunFacts) succeeded() bool {
	return f.Outcome == outcomeOK || f.Outcome == outcomePartial || f.Outcome == outcomeHeld
}

// whole reports whether the run saw the state of the vault. One that failed
// did not: it must not turn what is known into zero.
func (f RunFacts) whole() bool {
	return f.succeeded() && !f.Restricted && f.Mode != modeUser
}

// PullFacts are what the metrics are told of a directory's pull that ended.
type PullFacts struct {
	Directory string
	Failed    bool
	Started   time.Time
	Finished  time.Time
	// Requests are those of the pull alone.
	Requests int
}

// seconds is a moment as metrics have it; the zero time is 0.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

// lasted is how long something took in seconds; a clock that was set back in
// between makes it 0, not negative.
func lasted(started, finished time.Time) float64 {
	return max(0, finished.Sub(started).Seconds())
}
