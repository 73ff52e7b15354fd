package explain

import (
	"time"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/provlog"
)

// Standing is where a person stands in a vault, in one word.
type Standing string

// The standings.
const (
	// Unknown is somebody of whom local state knows nothing.
	Unknown Standing = "unknown"
	// Out has no account and should have none.
	Out Standing = "out"
	// Joining gets an account with the next run.
	Joining Standing = "joining"
	// JoinHeld would get one, but a guard holds it.
	JoinHeld Standing = "joinHeld"
	// Refused would get one, but an administrator rejected it.
	Refused Standing = "refused"
	// Waiting would get one, but something stands in the way.
	Waiting Standing = "waiting"
	// In should be and is a user of the vault.
	In Standing = "in"
	// Disabled should be a user of the vault, and is one that is disabled.
	Disabled Standing = "disabled"
	// Grace has left and keeps access for a while.
	Grace Standing = "grace"
	// Leaving loses access with the next run.
	Leaving Standing = "leaving"
	// LeaveHeld would lose access, but a guard holds it.
	LeaveHeld Standing = "leaveHeld"
	// Kept would lose access, but is protected or an administrator said no.
	Kept Standing = "kept"
	// Left has left, and lost access.
	Left Standing = "left"
	// Returning has left, and comes back with the next run.
	Returning Standing = "returning"
	// DeletedByHand was deleted in the vault and is not made again.
	DeletedByHand Standing = "deletedByHand"
)

// Explanation is why a person is or is not in a vault.
type Explanation struct {
	Vault string    `json:"vault"`
	Query string    `json:"query"`
	Time  time.Time `json:"time"`
	// Summary is the answer in one or two sentences.
	Summary  string   `json:"summary"`
	Standing Standing `json:"standing"`
	// InVault says that the person has a vault user that synchronization has
	// not disabled, by what was last applied; Entitled that the directory and
	// the vault's rules say so.
	InVault  bool `json:"inVault"`
	Entitled bool `json:"entitled"`

	// Directory is the directory's name, ReadAt when it was last read with
	// success: everything said of it is of then.
	Directory string    `json:"directory"`
	ReadAt    time.Time `json:"readAt,omitzero"`

	Person  Person   `json:"person"`
	Groups  []Group  `json:"groups"`
	Scope   *Scope   `json:"scope,omitempty"`
	License *License `json:"license,omitempty"`
	Account *Account `json:"account,omitempty"`
	Held    []Held   `json:"held,omitempty"`
	// Store is what the vault's store says of it in its own words.
	Store []string `json:"store,omitempty"`
	// Findings are what else is worth knowing, and what to do.
	Findings []string `json:"findings,omitempty"`
	// Changes are the last entries of the provisioning log, oldest first;
	// ChangesProblem is why some may be missing.
	Changes        []provlog.Entry `json:"changes,omitempty"`
	ChangesProblem string          `json:"changesProblem,omitempty"`
}

// Person is who is asked about.
type Person struct {
	ID    identity.ObjectID `json:"id,omitzero"`
	Name  string            `json:"name,omitempty"`
	Login string            `json:"login,omitempty"`
	Mail  string            `json:"mail,omitempty"`
	// Known says that the local copy of the directory knows the person,
	// Profile that it has the person's attributes.
	Known   bool `json:"known"`
	Profile bool `json:"profile"`
	// Deleted and Disabled are the person's state in the directory.
	Deleted  bool `json:"deleted"`
	Disabled bool `json:"disabled"`
}

// The states of a group.
const (
	GroupRead       = "read"       // read in full
	GroupEmpty      = "empty"      // read in full, and nobody is in it
	GroupUnreadable = "unreadable" // cannot be read, or not in full
	GroupNotRead    = "notRead"    // not read yet
	GroupMissing    = "missing"    // gone from the directory
	GroupUnresolved = "unresolved" // configured by a name that no group has
	GroupRemoved    = "removed"    // no longer configured
)

// Group is one synchronized group and the person in it.
type Group struct {
	ID identity.ObjectID `json:"id,omitzero"`
	// Name is the directory's, VaultGroup that of the vault's group.
	Name       string `json:"name"`
	VaultGroup string `json:"vaultGroup,omitempty"`
	// Member says that the directory has the person in the group, at any depth
	// when nested groups count.
	Member bool `json:"member"`
	// Path is the chain of groups by which the person is a member, by name,
	// the configured group first.
	Path []string `json:"path,omitempty"`
	// Counts says that the group gives the person access: a member who is let
	// in, or somebody who keeps what a group gave that cannot be read.
	Counts bool `json:"counts"`
	// Applied says that synchronization has put the person into the vault's
	// group.
	Applied bool `json:"applied"`
	// State is one of those above, Why its reason, and Meaning what follows
	// from it; both are empty for a group that was read.
	State   string           `json:"state"`
	Why     string           `json:"why,omitempty"`
	Meaning string           `json:"meaning,omitempty"`
	License identity.License `json:"license,omitempty"`
}

// The results of a scope expression.
const (
	ScopeIn      = "in"
	ScopeOut     = "out"
	ScopeUnknown = "unknown"
)

// Scope is the scope expression and what became of it.
type Scope struct {
	Expression string `json:"expression"`
	// Saw are the values of the properties that the expression reads.
	Saw    map[string]string `json:"saw,omitempty"`
	Result string            `json:"result"`
	// Problem is why the result is not known.
	Problem string `json:"problem,omitempty"`
}

// License is how the licence of a login account is chosen.
type License struct {
	// Groups are the groups that count, with the licence each gives.
	Groups []GroupLicense     `json:"groups,omitempty"`
	Order  []identity.License `json:"order,omitempty"`
	// Wanted is the choice for a new login account, Fallback what may stand in
	// for it.
	Wanted   identity.License   `json:"wanted,omitempty"`
	Fallback []identity.License `json:"fallback,omitempty"`
	// Given is what synchronization gave; "" when it gave none.
	Given identity.License `json:"given,omitempty"`
	// Text says what was given, or why not, or until when it is kept.
	Text string `json:"text,omitempty"`
	// Waiting says that there is none left.
	Waiting bool `json:"waiting"`
}

// GroupLicense is what one group gives.
type GroupLicense struct {
	Group   string           `json:"group"`
	License identity.License `json:"license"`
}

// The hands that disable.
const (
	BySynchronization = "synchronization"
	ByHand            = "hand"
)

// Account is what is remembered of the person in the vault.
type Account struct {
	State   string    `json:"state"`
	Since   time.Time `json:"since,omitzero"`
	UserID  string    `json:"userId,omitempty"`
	Login   string    `json:"login,omitempty"`
	Adopted bool      `json:"adopted"`
	// DisabledBy says who disabled the vault user, as far as is known; ""
	// when it is not disabled.
	DisabledBy string `json:"disabledBy,omitempty"`
	// Problem is why something waits; Tries counts failures in a row, and
	// Retry is when the next try is due.
	Problem string    `json:"problem,omitempty"`
	Tries   int       `json:"tries,omitempty"`
	Retry   time.Time `json:"retry,omitzero"`
	// Rejected says that an administrator rejected changes, Protected that the
	// login name is among accounts.protected.
	Rejected  bool `json:"rejected"`
	Protected bool `json:"protected"`
	// KeepsUntil is the end of the grace period.
	KeepsUntil time.Time `json:"keepsUntil,omitzero"`
	// Recreate is the command that makes the account again.
	Recreate string `json:"recreate,omitempty"`
}

// Held is one change that a guard holds.
type Held struct {
	Kind  string    `json:"kind"`
	Group string    `json:"group,omitempty"`
	Why   string    `json:"why"`
	Guard string    `json:"guard"`
	Since time.Time `json:"since"`
	// Released says that an administrator has approved it and the next run
	// makes it.
	Released bool `json:"released"`
	// Approve and Reject are the commands that decide.
	Approve string `json:"approve"`
	Reject  string `json:"reject"`
}
