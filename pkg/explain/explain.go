// Package explain answers why a person is or is not in a vault, from local
// state alone: the local copy of the directory, what was last applied to the
// vault, the vault's rules, and the provisioning log. It asks neither the
// directory nor the vault, and decides nothing: what it says of groups and
// scope comes from package roster.
package explain

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/provlog"
	"github.com/vaultsync/vaultsync/pkg/roster"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
)

// View is what an explanation needs of the local copy of the directory
// (mirror.View).
type View interface {
	roster.Mirror
	Epoch() string
	PulledAt() time.Time
	Number(id identity.ObjectID) (n uint32, known bool, err error)
	Path(root identity.ObjectID, person uint32) ([]identity.ObjectID, bool)
}

// Log is what it needs of the provisioning log (provlog.Log).
type Log interface {
	Read(ctx context.Context, f provlog.Filter) iter.Seq2[provlog.Entry, error]
}

// Describer is a store that speaks of an account in its protocol's own words.
// It asks nobody.
type Describer interface {
	// Describe is told the account's id, "" for none, and the names of the
	// fields that were written.
	Describe(id string, written []string) []string
}

// Question is who is asked about, and where to look.
type Question struct {
	View  View
	Tx    *snapshot.Tx
	Rules *roster.Rules
	// GroupIDs are the object ids of the configured groups, in their order;
	// zero for a name that no group of the directory has.
	GroupIDs []identity.ObjectID
	// Log may be nil.
	Log Log
	// Store may be nil.
	Store Describer
	// Query is an object id, login name, mail address or display name, whole;
	// names are compared as identity.Fold does.
	Query string
	Now   time.Time
}

// changesAtMost is how many entries of the provisioning log are shown.
const changesAtMost = 10

// Explain answers the question. Somebody whom nothing here knows is an answer
// too (Unknown). The errors are *AmbiguousError, and state that cannot be
// read.
func Explain(ctx context.Context, q Question) (Explanation, error) {
	if len(q.GroupIDs) != len(q.Rules.Vault.Groups) {
		return Explanation{}, fmt.Errorf("explain: %d object ids for %d configured groups", len(q.GroupIDs), len(q.Rules.Vault.Groups))
	}
	a := &answer{Question: q, out: Explanation{Vault: q.Rules.Vault.Name, Query: q.Query, Time: q.Now.UTC(), Directory: q.Rules.Vault.Directory, ReadAt: q.View.PulledAt()}}
	found, err := a.find(ctx)
	if err != nil {
		return Explanation{}, err
	}
	steps := []func() error{a.readState, a.readPerson, a.readRoster, a.readGroups, a.readAccount, a.readHeld, a.readLicense}
	if !found {
		steps = []func() error{a.readState, a.readRoster, a.readGroups}
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return Explanation{}, fmt.Errorf("explain %q in the vault %s: %w", q.Query, a.out.Vault, err)
		}
	}
	if err := a.readChanges(ctx); err != nil {
		return Explanation{}, err
	}
	if found {
		a.conclude()
		a.addFindings()
	} else {
		a.concludeUnknown()
	}
	return a.out, nil
}

// answer is an explanation in the making.
type answer struct {
	Question
	out  Explanation
	meta snapshot.Meta
	last lastRun

	id identity.ObjectID
	// number is the person's in the local copy; only with known.
	number uint32
	known  bool
	// profile is the person's; only with out.Person.Profile.
	profile identity.Person
	record  *snapshot.Account // nil: nothing was ever applied
	roster  roster.Roster
	// entitled says that the person should be in the vault.
	entitled bool
	want     roster.Account
	wantErr  error
}

// readChanges keeps the last entries of the provisioning log about the person.
func (a *answer) readChanges(ctx context.Context) error {
	if a.Log == nil || strings.TrimSpace(a.Query) == "" {
		return nil
	}
	filter := provlog.Filter{Vault: a.out.Vault, User: a.Query}
	if !a.id.IsZero() {
		filter.User = a.id.String()
	}
	for e, err := range a.Log.Read(ctx, filter) {
		if err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("explain: %w", context.Cause(ctx))
			}
			a.out.ChangesProblem = err.Error()
			break
		}
		if len(a.out.Changes) == changesAtMost {
			copy(a.out.Changes, a.out.Changes[1:])
			a.out.Changes = a.out.Changes[:changesAtMost-1]
		}
		a.out.Changes = append(a.out.Changes, e)
	}
	return nil
}

// ErrAmbiguous means that several people match a query.
var ErrAmbiguous = errors.New("several people match")
