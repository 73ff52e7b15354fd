// Package directory is the port to a directory of people and groups: what it
// can be asked, the values it answers with, and its errors. It knows neither
// Graph nor the local copy.
package directory

import (
	"context"
	"errors"
	"time"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// Directory is one tenant. Implementations are safe for use by several
// goroutines and share one throttle budget among them.
type Directory interface {
	// Pull reads each stream of the request to its end and the profiles asked
	// for. It calls deliver once for each page, always from one goroutine at a
	// time; pages of one stream come in order, pages of different streams
	// interleave. An error from deliver ends the pull and is returned.
	//
	// A stream is complete when, and only when, a page of it carried a Link; a
	// stream that fails is reported by a page with Err set and nothing else,
	// and says nothing about the other streams. The returned error is for what
	// ended the whole pull (no token, directory out of reach, ctx); whatever
	// was delivered before it for streams that did not complete must be
	// dropped.
	Pull(ctx context.Context, request Request, deliver func(Page) error) error

	// Groups reads the state of each group, in the order asked. A group that
	// cannot be read is answered with a state, not with an error; an error
	// means that nothing is known about any of them.
	Groups(ctx context.Context, ids []identity.ObjectID) ([]GroupInfo, error)

	// Search yields groups whose display name contains text, ignoring case, at
	// most limit of them, sorted by name. exact asks for equal names only.
	Search(ctx context.Context, text string, exact bool, limit int) ([]GroupInfo, error)

	// Check signs in and says what the sign-in may do.
	Check(ctx context.Context) (Access, error)
}

// MaxGroupsPerStream is how many groups one delta query may name (groups/delta
// refuses a longer filter).
const MaxGroupsPerStream = 50

// Request is one pull.
type Request struct {
	Streams []Stream
	// Profiles are people whose attributes are wanted now. Those that come
	// back are delivered as pages with Stream == Profiles; one that does not
	// come back is delivered as Removed only when the directory says of it by
	// its own id that it does not exist, otherwise not at all.
	Profiles []identity.ObjectID
	// Select lists the attributes of people to read, by source path, sorted.
	Select []string
	// Progress, when set, is told after each page how many pages and objects
	// have been read so far.
	Progress func(pages, objects int)
}

// Profiles is the Stream number of pages that answer Request.Profiles.
const Profiles = -1

// Stream is one delta query.
type Stream struct {
	// Groups are the groups whose members are followed, at most
	// MaxGroupsPerStream; empty means the stream of all users.
	Groups []identity.ObjectID
	// Link is the stored delta link; "" reads everything from the start.
	Link string
}

// Page is one page of one stream.
type Page struct {
	// Stream is the index into Request.Streams, or Profiles.
	Stream int
	Groups []GroupChange
	People []PersonChange
	// Link is set on the last page of a stream: the delta link to store.
	Link string
	// Err is set when the stream ended without a link: ErrTokenLost (read the
	// stream again without its link), or any other reason.
	Err error
}

// Removal says how an object left the directory.
type Removal uint8

const (
	// Present is an object that is there.
	Present Removal = iota
	// SoftDeleted is in the recycle bin and can be restored (@removed changed).
	SoftDeleted
	// Deleted is gone for good (@removed deleted).
	Deleted
)

// GroupChange is what one page says of one group. A field that the page does
// not carry is nil and means "unchanged", never "empty".
type GroupChange struct {
	ID      identity.ObjectID
	Removal Removal
	Name    *string
	// Hidden is set for a group whose membership is hidden and not readable
	// with the permissions held: its members are unknown, not none.
	Hidden *bool
	// Members are in arrival order.
	Members []MemberChange
}

// Kind is what sort of object a group member is.
type Kind uint8

const (
	// KindOther is a device, service principal, contact or unknown type:
	// skipped and counted.
	KindOther Kind = iota
	// KindPerson is a user.
	KindPerson
	// KindGroup is a nested group.
	KindGroup
)

// MemberChange is one entry of a group's member list. An entry that removes
// may come without a type: then Kind is KindOther and the id decides.
type MemberChange struct {
	ID      identity.ObjectID
	Kind    Kind
	Removed bool
}

// PersonChange is what one page says of one person. In a stream that was read
// from its start Attributes is the whole profile; in a round from a stored
// link attributes that are absent are unchanged and those with the value ""
// have been cleared.
type PersonChange struct {
	ID         identity.ObjectID
	Removal    Removal
	Attributes map[string]string
}

// GroupState is what is known of a group as a whole.
type GroupState uint8

const (
	// GroupPresent exists and its members can be read.
	GroupPresent GroupState = iota
	// GroupMissing does not exist (deleted, or never there): the directory
	// said so of this very id.
	GroupMissing
	// GroupUnreadable exists or may exist, but its members cannot be read.
	GroupUnreadable
)

// GroupInfo describes one group.
type GroupInfo struct {
	ID      identity.ObjectID
	Name    string
	State   GroupState
	Kind    string // security, microsoft365, distribution, mailSecurity
	Dynamic bool   // members follow a rule
	Hidden  bool   // hidden membership
	Members int    // direct members; -1 when not known
	// Why is the reason of a state other than GroupPresent, in words.
	Why string
}

// Access is what a sign-in may do.
type Access struct {
	TenantID    string
	ClientID    string
	Permissions []string // application permissions in the token, sorted
	Expires     time.Time
	// CredentialExpires is when the certificate ends; zero when not known.
	CredentialExpires time.Time
	RoundTrip         time.Duration
}

// The kinds of failure that callers tell apart. Errors wrap one of them and
// may implement Hint() string, which says what to do.
var (
	// ErrTokenLost means that a stored link is no longer good: read from the
	// start, in the same run.
	ErrTokenLost = errors.New("the directory no longer knows the stored delta link")
	// ErrUnreachable means that the directory did not answer, failed or
	// throttled until the run's patience was used up.
	ErrUnreachable = errors.New("the directory is out of reach")
	// ErrSignIn means that no token was had: wrong or expired secret, wrong
	// tenant, certificate refused.
	ErrSignIn = errors.New("the directory refused the sign-in")
	// ErrForbidden means that a permission is missing.
	ErrForbidden = errors.New("the directory refused access")
	// ErrUntrustedLink means that the directory's reply named an address that
	// is not its own.
	ErrUntrustedLink = errors.New("the directory's reply points elsewhere")
	// ErrProtocol means that a reply could not be understood.
	ErrProtocol = errors.New("the directory's reply cannot be understood")
)
