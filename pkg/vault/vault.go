// Package vault is the port to a vault's user store: what it can be asked, the
// values it answers with, and its errors. Drivers live below it and hold no
// policy; package vaulttest is the suite that each of them passes.
package vault

import (
	"context"
	"errors"
	"iter"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// Store is the user store of one vault. Implementations are safe for use by
// several goroutines.
type Store interface {
	// Identity names the store itself, the same for as long as it lives and
	// different in a copy of it, so that state kept for one store is never
	// applied to another.
	Identity(ctx context.Context) (string, error)

	// Users yields every user of the vault, in any order, each once, and stops
	// after the first error. What was yielded before an error is not the whole:
	// a caller must not conclude anything from absence.
	Users(ctx context.Context) iter.Seq2[User, error]

	// Groups yields every user group of the vault likewise.
	Groups(ctx context.Context) iter.Seq2[Group, error]

	// Find answers each query with the users that match it exactly (login
	// names and mail addresses as identity.Fold compares them), in the order
	// asked; no match is an empty list. An error means that nothing is known.
	// A login account of the server that is not yet a user of this vault
	// matches by ExternalID, LoginName or Email with ID == "".
	Find(ctx context.Context, queries []Query) ([][]User, error)

	// Apply makes the changes in order and answers each on its own; the
	// result has the length of changes. A change that failed does not stop
	// those after it. Once ctx is done no further change is begun, and those
	// not begun answer with ctx's error.
	Apply(ctx context.Context, changes []Change) []Result
}

// Licensed is a store that hands out licences from pools.
type Licensed interface {
	// Licenses yields the pools of the server behind the vault.
	Licenses(ctx context.Context) ([]Pool, error)
}

// Pool is the licences of one type.
type Pool struct {
	Type  identity.License `json:"type"`
	Count int              `json:"count"` // -1: unlimited
	Used  int              `json:"used"`
}

// Free is how many more can be handed out.
func (p Pool) Free() int {
	if p.Count < 0 {
		return int(^uint(0) >> 1)
	}
	return max(0, p.Count-p.Used)
}

// User is one user of the vault with the login account behind it.
type User struct {
	ID         string // the store's own id; "" for a login account that is not a user of this vault
	LoginName  string
	FullName   string
	Email      string
	Enabled    bool // whether the person can work in this vault
	License    identity.License
	ExternalID string // the directory's object id, as text
	Managed    bool   // created or linked by synchronization
	Attributes map[string]string
	// SharedElsewhere says that the login account also serves an enabled user
	// of another vault of the same server.
	SharedElsewhere bool
}

// Group is one user group of the vault.
type Group struct {
	ID         string
	Name       string
	ExternalID string
	Managed    bool
	Members    []string // user ids
	// MembersUnknown is set by stores that never show members.
	MembersUnknown bool
}

// Query asks for users by exactly one of its fields.
type Query struct {
	ID         string
	ExternalID string
	LoginName  string
	Email      string
}

// Op is a kind of change.
type Op uint8

const (
	// CreateUser makes the vault user, enabled, and the login account behind
	// it if there is none with that login name. With an existing login account
	// it adds the vault user alone and leaves the account as it is.
	CreateUser Op = iota + 1
	// UpdateUser writes the fields that Patch names.
	UpdateUser
	// CreateGroup makes a group.
	CreateGroup
	// UpdateGroup writes name and external id as far as Patch names them.
	UpdateGroup
	// AddMembers puts users into a group; one that is in it already is no fault.
	AddMembers
	// RemoveMembers takes users out of a group; one that is not in it, or no
	// longer exists, is no fault.
	RemoveMembers
)

// Change is one change to the store.
type Change struct {
	Op Op
	// UserID names the user for UpdateUser.
	UserID string
	// User is the user to create (ID empty, Enabled ignored).
	User User
	// Patch says what to write for UpdateUser and UpdateGroup.
	Patch Patch
	// GroupID names the group for UpdateGroup, AddMembers and RemoveMembers.
	GroupID string
	// Group is the group to create (ID empty, Members ignored).
	Group Group
	// Members are user ids for AddMembers and RemoveMembers.
	Members []string
}

// Patch is the fields to write; nil leaves a field as it is.
type Patch struct {
	LoginName  *string
	FullName   *string
	Email      *string
	Enabled    *bool
	License    *identity.License
	ExternalID *string
	Managed    *bool
	// Attributes are written one by one; "" clears.
	Attributes map[string]string
	// Name is the group's name, for UpdateGroup.
	Name *string
}

// Result answers one change.
type Result struct {
	// ID is the id of the user or group that was created.
	ID  string
	Err error
}

// The kinds of failure that callers tell apart. Errors wrap one of them.
var (
	// ErrNotFound means that the user or group does not exist (any more).
	ErrNotFound = errors.New("not in the vault")
	// ErrExists means that the name or external id is taken by another.
	ErrExists = errors.New("the name is taken")
	// ErrNoLicense means that the pool is empty.
	ErrNoLicense = errors.New("no licence left")
	// ErrInvalid means that the store refuses the value: repeating is no use.
	ErrInvalid = errors.New("the vault refuses the value")
	// ErrUnreachable means that the store did not answer: nothing changed.
	ErrUnreachable = errors.New("the vault's user store is out of reach")
	// ErrUnknownOutcome means that it is not known whether the change was
	// made: look before writing again.
	ErrUnknownOutcome = errors.New("whether the change was made is not known")
)
