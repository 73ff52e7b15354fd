// Package plan compares who should be in a vault with what was last applied
// and with what the vault holds, and says what to change, in which order, why,
// and what a guard holds back. It is pure: no I/O, no time of its own; equal
// inputs give byte-identical plans.
package plan

import (
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/roster"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// Input is everything a plan depends on.
type Input struct {
	Rules config.Vault
	Now   time.Time
	// First is a vault's first import: new accounts are expected.
	First bool
	// Full says that Actual of every person and group was read, so that what
	// hands changed can be told.
	Full bool
	// Groups are the configured groups and those that have been taken out of
	// the configuration and still have people; in the order of their names.
	Groups []Group
	// People are those to look at, in the order of their ids: everybody who
	// joins, leaves, was touched or is due; in a full run everybody.
	People []Person
	// Managed is how many vault users are ours and in use, the base of the
	// guards' percentages.
	Managed int
	// Pools are the licences of the store's server, nil when it has none.
	Pools []vault.Pool
	// Approved are the keys of changes that an administrator has released,
	// Pinned those that came too late for that.
	Approved, Pinned map[string]bool
	// Insist tries failed people again before their pause is over: somebody
	// asked for the run.
	Insist bool
	// ServerHold says that the guard over all vaults of the directory has
	// tripped: nobody leaves but those in ServerReleased.
	ServerHold     bool
	ServerReleased map[identity.ObjectID]bool
	// Total is how many people should be in the vault.
	Total int
}

// Group is one group to look at.
type Group struct {
	ID    identity.ObjectID
	Name  string // the vault group's wanted name; "" when not known yet
	State directory.GroupState
	Why   string
	Empty bool // read in full and without any member
	// Removed says that the group is no longer configured.
	Removed bool
	// Replaces is the group that the vault group was linked to before the
	// configuration named this one for it; Record is then that group's.
	Replaces identity.ObjectID
	// Want are the people who should be in it.
	Want *roaring.Bitmap
	// Record is what was last applied, nil before the first time.
	Record *snapshot.Group
	// Actual is the vault group it is linked to or may be linked to, nil when
	// there is none; read when Record is nil or the run is full. Its Members
	// are read only of a group that is not linked yet.
	Actual *vault.Group
	// Members are the numbers of our people who are in Actual, read of a linked
	// group in a full run; nil when the store does not tell.
	Members *roaring.Bitmap
	// Linked says that this run has linked the vault group, before it plans
	// these people: whoever is among Record.Kept is in it.
	Linked bool
}

// Person is one person to look at.
type Person struct {
	ID     identity.ObjectID
	Number uint32
	// Present says that the person should have a vault user.
	Present bool
	// Pending says that the directory has not yet shown the person's profile.
	Pending bool
	// Want is what the account should say; WantErr why that cannot be said.
	Want    roster.Account
	WantErr error
	// Why is the reason in words: the groups of somebody who is in, what
	// happened to somebody who is not.
	Why string
	// Record is what was last applied, nil for a person never seen.
	Record *snapshot.Account
	// Looked says that the store was asked; Found is what it has: the account
	// behind Record, or accounts that match the person.
	Looked bool
	Found  []vault.User
	// Intent says that the outcome of an earlier change is not known.
	Intent bool
	// Recreate says that an administrator asked for the person to be made
	// again after a deletion by hand.
	Recreate bool
	// LoginOwner is the person whose account of this vault has the wanted
	// login name now; zero when nobody has. LoginOwnerGone says that the
	// directory has deleted that person.
	LoginOwner     identity.ObjectID
	LoginOwnerGone bool
}

// Plan is what to do, and what not.
type Plan struct {
	// Changes are in the order in which they are to be made; a change with
	// Held set is not to be made.
	Changes []Change
	// Notes say who waits, and why.
	Notes []Note
	// Trips are the guards that hold changes back.
	Trips []Trip
	// Records are what to remember although nothing changes in the vault;
	// Forget are the people to remember no longer.
	Records []snapshot.Account
	Forget  []identity.ObjectID
	// Groups are what to remember of the groups beside the changes.
	Groups       []snapshot.Group
	ForgetGroups []identity.ObjectID
	// Pinned are the keys that stay held until they are approved.
	Pinned []string
	// Settled are the people and groups whose earlier change of unknown outcome
	// has been looked at: their intents end. Those of others stay open.
	Settled []identity.ObjectID
	// Unchanged counts the people of Input.Total for whom there is nothing to
	// do and nothing waits; Drift
	// the differences that hands made and that are only reported.
	Unchanged int
	Drift     int

	// concluded are the keys of the vanished accounts that this plan takes for
	// deleted by hand: nothing is to be made of them in the vault.
	concluded []string
}

// Compute makes the plan.
func Compute(in Input) *Plan { return compute(in).plan }

func compute(in Input) *computation {
	c := &computation{in: in, plan: &Plan{}, byNumber: make(map[uint32]*decision, len(in.People))}
	c.decidePeople()
	c.resolveLogins()
	c.allotLicenses()
	c.planGroups()
	c.collect()
	c.guard()
	c.finish()
	return c
}

// computation is a plan in the making.
type computation struct {
	in        Input
	plan      *Plan
	decisions []*decision
	byNumber  map[uint32]*decision
	// moved are the people who lost their account, or take another's over.
	moved   []*decision
	members []membership
	changes []Change
}

// decision is what is to happen to one person.
type decision struct {
	*Person
	// action is what to do with the account.
	action action
	// user is the account in the store that it is about.
	user vault.User
	// after is the record once everything is done.
	after *snapshot.Account
	// fields are the names of the fields to write.
	fields []string
	// enable says that the account is to be enabled besides.
	enable bool
	// license is the licence to write to an existing account; "" is none.
	license identity.License
	// needsLicense says that a login account is to be made.
	needsLicense bool
	// intake is the reason that a create or link gives.
	intake string
	// replaces is the person whose account this one takes over (relink).
	replaces *decision
	// replacesID is that person's id, also when nothing else is known of them.
	replacesID identity.ObjectID
	// replaced says that another person takes this one's account over.
	replaced bool
	// paused says that the last attempt failed and the pause is not over.
	paused bool
	// compared says that hands changed fields that are to be written again.
	compared bool
	// moved says that Record is not what is stored, so that it is stored anew: the
	// directory has changed since an administrator rejected something about the
	// person, or the account of a run that died was found.
	moved bool
	// changed says that there is a change of the person; open, that there is one
	// beside memberships; joins, that the person joins a group.
	changed, open, joins bool
	note                 *Note
}

type action uint8

const (
	nothing action = iota
	create         // make the vault user
	link           // take over an existing account
	update         // write fields
	disable        // disable the vault user
	vanish         // conclude that hands deleted it
)
