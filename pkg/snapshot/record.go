package snapshot

import (
	"encoding/binary"
	"fmt"
	"maps"
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

// unseal checks and takes off the checksum that every record has.
func unseal(key, sealed []byte) ([]byte, error) {
	value, ok := boltfile.Unseal(key, sealed)
	if !ok {
		return nil, damaged("a record's checksum does not hold")
	}
	return value, nil
}

// The fields that every account has are written without their names.
var commonFields = [...]string{"loginName", "fullName", "email"} //nolint:gochecknoglobals // a constant; Go has none for arrays

const recordVersion = 1

func encodeAccount(a Account) []byte {
	b := []byte{recordVersion, byte(a.State), flags(a.Adopted, a.OwnDisable)}
	b = binary.BigEndian.AppendUint32(b, a.Number)
	b = appendString(b, a.UserID)
	for _, name := range commonFields {
		b = appendField(b, a.Fields, name)
	}
	var rest []string
	for _, name := range slices.Sorted(maps.Keys(a.Fields)) {
		if !slices.Contains(commonFields[:], name) {
			rest = append(rest, name)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(rest)))
	for _, name := range rest {
		b = appendString(b, name)
		b = appendField(b, a.Fields, name)
	}
	b = appendString(b, string(a.License))
	b = appendTime(b, a.Since)
	b = appendString(b, a.Problem)
	b = binary.AppendUvarint(b, uint64(a.Tries))
	b = appendTime(b, a.Retry)
	b = binary.AppendUvarint(b, a.Rejected)
	return boltfile.Seal(a.Person[:], b)
}

func decodeAccount(id identity.ObjectID, b []byte) (Account, error) {
	body, err := unseal(id[:], b)
	if err != nil {
		return Account{}, err
	}
	r := reader{b: body}
	if v := r.byte(); v != recordVersion {
		return Account{}, damaged("a record of version %d", v)
	}
	a := Account{Person: id, State: State(r.byte()), Fields: map[string]Field{}}
	f := r.byte()
	a.Adopted, a.OwnDisable = f&1 != 0, f&2 != 0
	a.Number = r.uint32()
	a.UserID = r.string()
	for _, name := range commonFields {
		r.field(a.Fields, name)
	}
	for range r.uvarint() {
		if r.err != nil {
			break
		}
		r.field(a.Fields, r.string())
	}
	a.License = identity.License(r.string())
	a.Since = r.time()
	a.Problem = r.string()
	a.Tries = int(r.uvarint()) //nolint:gosec // a count of attempts, written from an int
	a.Retry = r.time()
	a.Rejected = r.uvarint()
	return a, r.err
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

func flags(bits ...bool) byte {
	var f byte
	for i, set := range bits {
		if set {
			f |= 1 << i
		}
	}
	return f
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendField(b []byte, fields map[string]Field, name string) []byte {
	f, ok := fields[name]
	b = append(b, flags(ok, f.Written))
	if ok {
		b = appendString(b, f.Value)
	}
	return b
}

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.AppendVarint(b, 0)
	}
	return binary.AppendVarint(b, t.Unix())
}

// reader reads a record; after the first error everything is zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail() {
	if r.err == nil {
		r.err = damaged("a record ends early")
	}
	r.b = nil
}

func (r *reader) byte() byte {
	if len(r.b) < 1 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) uint32() uint32 {
	if len(r.b) < 4 {
		r.fail()
		return 0
	}
	v := binary.BigEndian.Uint32(r.b)
	r.b = r.b[4:]
	return v
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) string() string {
	n := r.uvarint()
	if uint64(len(r.b)) < n {
		r.fail()
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) field(fields map[string]Field, name string) {
	f := r.byte()
	if f&1 != 0 {
		fields[name] = Field{Value: r.string(), Written: f&2 != 0}
	}
}

func (r *reader) time() time.Time {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return time.Time{}
	}
	r.b = r.b[n:]
	if v == 0 {
		return time.Time{}
	}
	return time.Unix(v, 0).UTC()
}
