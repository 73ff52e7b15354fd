package snapshot

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// State is where a person stands in a vault.
type State uint8

const (
	// Waiting has no vault user yet: a conflict, no licence, a missing
	// attribute or a failure stands in the way (Problem says which).
	Waiting State = iota + 1
	// Active should be, and is, a user of the vault.
	Active
	// Leaving has left the synchronized groups and is in the grace period
	// (accounts.onLeave.after); nothing has changed in the vault yet.
	Leaving
	// Left has left; OwnDisable says who disabled the vault user.
	Left
	// Tombstone was deleted in the vault by hand and is not created again
	// until that is asked for.
	Tombstone
)

// Again is no state of its own: its set holds the people, in whatever state,
// for whom something failed or waits and who are looked at with every run.
const Again State = 0xff

// String is the state in words.
func (s State) String() string {
	switch s {
	case Waiting:
		return "waiting"
	case Active:
		return "active"
	case Leaving:
		return "leaving"
	case Left:
		return "left"
	case Tombstone:
		return "deleted by hand"
	default:
		return "unknown"
	}
}

// Field is one synchronized field of an account.
type Field struct {
	// Value is what the directory said when the field was last considered.
	Value string
	// Written says that synchronization wrote the value. A field of an adopted
	// account that was never written is no drift.
	Written bool
}

// Account is what is remembered of one person in one vault.
type Account struct {
	Person identity.ObjectID
	// Number is the person's number in the mirror of the snapshot's epoch.
	Number uint32
	State  State
	// UserID is the store's id of the vault user; "" when there is none.
	UserID string
	// Adopted marks an account that the vault had before.
	Adopted bool
	// OwnDisable marks a vault user that synchronization disabled, and so may
	// enable again.
	OwnDisable bool
	// Fields are the synchronized fields by name: loginName, fullName, email,
	// and attributes.TARGET.
	Fields map[string]Field
	// License is what synchronization gave; "" when it gave none.
	License identity.License
	// Since is when the person came into State.
	Since time.Time
	// Problem says in words why the person waits, "" when nothing is wrong.
	Problem string
	// Tries counts failed attempts in a row; Retry is when the next is due.
	Tries int
	Retry time.Time
	// Rejected is the fingerprint of what the directory said of the person
	// when an administrator rejected the changes; 0 when nothing is rejected.
	Rejected uint64
}

// Login is the login name as last considered.
func (a Account) Login() string { return a.Fields["loginName"].Value }

// Clone returns a copy that shares nothing.
func (a Account) Clone() Account {
	a.Fields = maps.Clone(a.Fields)
	return a
}

// Group is what is remembered of one synchronized group.
type Group struct {
	ID      identity.ObjectID
	VaultID string
	// Name is the vault group's name as last written or found.
	Name string
	// Applied are the numbers of the people whose membership synchronization
	// made or took over.
	Applied *roaring.Bitmap
	// Kept are the ids of the users that were in the vault group before its
	// first synchronization: their membership stays, whatever the directory
	// says (lifecycle.md).
	Kept []string
	// Configured is false for a group that has been taken out of the vault's
	// file and still has people to withdraw.
	Configured bool
	// Had says that the directory group has been seen with members.
	Had bool
}

// ErrDamaged means that the file, or a record in it, is not what was written.
var ErrDamaged = boltfile.ErrDamaged

// damaged is an ErrDamaged about one record; the file is named at the edge.
func damaged(format string, args ...any) error {
	return &boltfile.Error{Kind: ErrDamaged, Err: fmt.Errorf(format, args...)}
}

// The fields that every account has are written without their names.
var commonFields = [...]string{"loginName", "fullName", "email"} //nolint:gochecknoglobals // a constant; Go has none for arrays

// Licences are written as their place in this list; others follow it by name.
var licenses = [...]identity.License{"", identity.LicenseNamed, identity.LicenseConcurrent, identity.LicenseReadOnly, identity.NoLicense} //nolint:gochecknoglobals // a constant; Go has none for arrays

const recordVersion = 2

// What the second byte of an account's record says besides the state.
const (
	hasAdopted    = 1 << (iota + 4)
	hasOwnDisable // disabled by synchronization
	hasMore       // fields beyond the common ones, or something that stands in the way
	sameEmail     // the mail address is the login name, letter by letter
)

func encodeAccount(a Account) []byte {
	return boltfile.Seal(a.Person[:], appendAccount(make([]byte, 0, 256), a))
}

// appendAccount appends the record without its checksum.
func appendAccount(b []byte, a Account) []byte {
	login, email := a.Fields["loginName"], a.Fields["email"]
	var rest []string
	for name := range a.Fields {
		if !slices.Contains(commonFields[:], name) {
			rest = append(rest, name)
		}
	}
	slices.Sort(rest)
	more := len(rest) > 0 || a.Problem != "" || a.Tries != 0 || !a.Retry.IsZero() || a.Rejected != 0
	same := email.Value != "" && email.Value == login.Value
	b = append(b, recordVersion, byte(a.State)|flags(false, false, false, false, a.Adopted, a.OwnDisable, more, same))
	b = binary.AppendUvarint(b, uint64(a.Number))
	b = appendString(b, a.UserID)
	var known byte
	for i, name := range commonFields {
		f, ok := a.Fields[name]
		known |= flags(ok, f.Written) << (2 * i)
	}
	b = append(b, known)
	for _, name := range commonFields {
		if f, ok := a.Fields[name]; ok && (!same || name != "email") {
			b = appendString(b, f.Value)
		}
	}
	place := slices.Index(licenses[:], a.License)
	if place < 0 {
		place = len(licenses)
	}
	b = append(b, byte(place))
	if place == len(licenses) {
		b = appendString(b, string(a.License))
	}
	b = appendTime(b, a.Since)
	if !more {
		return b
	}
	b = binary.AppendUvarint(b, uint64(len(rest)))
	for _, name := range rest {
		f := a.Fields[name]
		b = append(appendString(b, name), flags(f.Written))
		b = appendString(b, f.Value)
	}
	b = appendString(b, a.Problem)
	b = binary.AppendUvarint(b, uint64(a.Tries))
	b = appendTime(b, a.Retry)
	return binary.AppendUvarint(b, a.Rejected)
}

func decodeAccount(id identity.ObjectID, b []byte) (Account, error) {
	body, err := unseal(id[:], b)
	if err != nil {
		return Account{}, err
	}
	return readAccount(id, body)
}

// readAccount reads what appendAccount wrote.
func readAccount(id identity.ObjectID, body []byte) (Account, error) {
	r := reader{b: body}
	if v := r.byte(); v != recordVersion {
		return Account{}, damaged("a record of version %d", v)
	}
	has := r.byte()
	a := Account{
		Person: id, State: State(has & 0xf), Adopted: has&hasAdopted != 0, OwnDisable: has&hasOwnDisable != 0,
		Fields: make(map[string]Field, len(commonFields)),
	}
	number := r.uvarint()
	if number > math.MaxUint32 {
		return Account{}, damaged("%s has the number %d", id, number)
	}
	a.Number = uint32(number)
	a.UserID = r.string()
	known := r.byte()
	for i, name := range commonFields {
		switch f := known >> (2 * i); {
		case f&1 == 0:
		case i == 2 && has&sameEmail != 0:
			a.Fields[name] = Field{Value: a.Login(), Written: f&2 != 0}
		default:
			a.Fields[name] = Field{Value: r.string(), Written: f&2 != 0}
		}
	}
	if place := int(r.byte()); place < len(licenses) {
		a.License = licenses[place]
	} else {
		a.License = identity.License(r.string())
	}
	a.Since = r.time()
	if has&hasMore == 0 {
		return a, r.end()
	}
	for range r.uvarint() {
		if r.err != nil {
			break
		}
		name, f := r.string(), r.byte()
		a.Fields[name] = Field{Value: r.string(), Written: f&1 != 0}
	}
	a.Problem = r.string()
	a.Tries = int(r.uvarint()) //nolint:gosec // a count of attempts, written from an int
	a.Retry = r.time()
	a.Rejected = r.uvarint()
	return a, r.end()
}

func encodeGroup(g Group) ([]byte, error) {
	b := []byte{recordVersion, flags(g.Configured, g.Had)}
	b = appendString(b, g.VaultID)
	b = appendString(b, g.Name)
	b = binary.AppendUvarint(b, uint64(len(g.Kept)))
	for _, id := range g.Kept {
		b = appendString(b, id)
	}
	people, err := g.Applied.ToBytes()
	if err != nil {
		return nil, fmt.Errorf("write the members of group %s: %w", g.ID, err)
	}
	return boltfile.Seal(g.ID[:], append(b, people...)), nil
}

func decodeGroup(id identity.ObjectID, b []byte) (Group, error) {
	body, err := unseal(id[:], b)
	if err != nil {
		return Group{}, err
	}
	r := reader{b: body}
	if v := r.byte(); v != recordVersion {
		return Group{}, damaged("a record of version %d", v)
	}
	g := Group{ID: id}
	f := r.byte()
	g.Configured, g.Had = f&1 != 0, f&2 != 0
	g.VaultID, g.Name = r.string(), r.string()
	for range r.uvarint() {
		if r.err != nil {
			break
		}
		g.Kept = append(g.Kept, r.string())
	}
	if r.err != nil {
		return Group{}, r.err
	}
	g.Applied, err = decodeSet(r.b)
	return g, err
}

// decodeSet copies: the bytes of a bbolt transaction end with it.
func decodeSet(b []byte) (*roaring.Bitmap, error) {
	set := roaring.New()
	if len(b) == 0 {
		return set, nil
	}
	if err := set.UnmarshalBinary(slices.Clone(b)); err != nil {
		return nil, damaged("a set of people: %w", err)
	}
	if err := set.Validate(); err != nil {
		return nil, damaged("a set of people: %w", err)
	}
	return set, nil
}
