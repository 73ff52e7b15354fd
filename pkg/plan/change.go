package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"maps"
	"slices"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
)

// Kind is a kind of change (contract.md, JSON).
type Kind string

// The kinds of change, in the order in which they are made: room and names are
// freed before they are taken, access is taken before it is given.
const (
	GroupUpdate  Kind = "groupUpdate"
	GroupCreate  Kind = "groupCreate"
	Disable      Kind = "disable"
	MemberRemove Kind = "memberRemove"
	Update       Kind = "update"
	Enable       Kind = "enable"
	Create       Kind = "create"
	MemberAdd    Kind = "memberAdd"
)

var kindOrder = []Kind{GroupUpdate, GroupCreate, Disable, MemberRemove, Update, Enable, Create, MemberAdd} //nolint:gochecknoglobals // a constant list

// Values are the fields that a change finds and leaves, by name: loginName,
// fullName, email, license, externalId, enabled, name, attributes.TARGET.
type Values map[string]string

// MarshalJSON writes enabled as a boolean and attributes as an object, as
// `vault users --json` does.
func (v Values) MarshalJSON() ([]byte, error) {
	b, err := json.Marshal(v.JSON())
	if err != nil {
		return nil, fmt.Errorf("write values: %w", err)
	}
	return b, nil
}

// Names are the names of the fields, sorted.
func (v Values) Names() []string { return slices.Sorted(maps.Keys(v)) }

// JSON is the form that MarshalJSON writes.
func (v Values) JSON() map[string]any {
	out := make(map[string]any, len(v))
	var attributes map[string]string
	for name, value := range v {
		switch {
		case name == "enabled":
			out[name] = value == "true"
		case len(name) > len(attributePrefix) && name[:len(attributePrefix)] == attributePrefix:
			if attributes == nil {
				attributes = map[string]string{}
			}
			attributes[name[len(attributePrefix):]] = value
		default:
			out[name] = value
		}
	}
	if attributes != nil {
		out["attributes"] = attributes
	}
	return out
}

// UnmarshalJSON reads what MarshalJSON writes.
func (v *Values) UnmarshalJSON(b []byte) error {
	var in map[string]any
	if err := json.Unmarshal(b, &in); err != nil {
		return fmt.Errorf("read values: %w", err)
	}
	out := Values{}
	for name, value := range in {
		switch value := value.(type) {
		case string:
			out[name] = value
		case bool:
			out[name] = boolText(value)
		case map[string]any:
			for target, text := range value {
				s, ok := text.(string)
				if name != "attributes" || !ok {
					return fmt.Errorf("read values: %s.%s is not text", name, target)
				}
				out[attributePrefix+target] = s
			}
		default:
			return fmt.Errorf("read values: %s has a value of an unknown kind", name)
		}
	}
	*v = out
	return nil
}

const attributePrefix = "attributes."

func boolText(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// Change is one change to the vault.
type Change struct {
	Kind   Kind              `json:"kind"`
	Person identity.ObjectID `json:"person,omitzero"`
	Login  string            `json:"login,omitempty"`
	// Group is the vault group's name, GroupID the directory group's id.
	Group   string            `json:"group,omitempty"`
	GroupID identity.ObjectID `json:"groupId,omitzero"`
	Before  Values            `json:"before"`
	After   Values            `json:"after"`
	Why     string            `json:"why"`
	// Held is the guard that holds the change back, "" when it is to be made.
	Held string `json:"held,omitempty"`
	// Compared says that only a comparison with the whole vault finds it: the
	// directory has changed nothing.
	Compared bool `json:"-"`

	// UserID names the account in the store that the change is about; it is ""
	// for one that is to be made.
	UserID string `json:"-"`
	// Number is the person's number in the mirror.
	Number uint32 `json:"-"`
	// Record is what to remember of the person once all of the person's
	// changes are made.
	Record *snapshot.Account `json:"-"`
	// Replaces is the person whose account this one takes over: forgotten once
	// the change is made, and not before.
	Replaces identity.ObjectID `json:"-"`
	// VaultGroup is what to remember of the group, for the group kinds.
	VaultGroup *snapshot.Group `json:"-"`
}

// Key names what the change does, whatever it finds and for whatever reason:
// two plans that would do the same have the same keys.
func (c Change) Key() string {
	h := sha256.New()
	writePart(h, string(c.Kind), c.Person.String(), c.GroupID.String())
	writeValues(h, c.After)
	return hex.EncodeToString(h.Sum(nil)[:12])
}

func writePart(h hash.Hash, parts ...string) {
	for _, p := range parts {
		_, _ = fmt.Fprintf(h, "%d:%s;", len(p), p)
	}
}

func writeValues(h hash.Hash, v Values) {
	for _, name := range slices.Sorted(maps.Keys(v)) {
		writePart(h, name, v[name])
	}
}

// Digest names what a plan would change: kinds, people, groups, and what they
// find and leave. Reasons and guards are not part of it.
func (p *Plan) Digest() string {
	h := sha256.New()
	for _, c := range p.Changes {
		writePart(h, c.Key())
		writeValues(h, c.Before)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Held are the changes that guards hold.
func (p *Plan) Held() []Change {
	var held []Change
	for _, c := range p.Changes {
		if c.Held != "" {
			held = append(held, c)
		}
	}
	return held
}

// HeldDigest names the held changes alone, so that it does not move with
// others; "" when nothing is held.
func (p *Plan) HeldDigest() string {
	var keys []string
	for _, c := range p.Changes {
		if c.Held != "" {
			keys = append(keys, c.Key())
		}
	}
	if len(keys) == 0 {
		return ""
	}
	slices.Sort(keys)
	h := sha256.New()
	writePart(h, keys...)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// NoteKind says why a person waits, or what is worth knowing.
type NoteKind string

// The kinds of note. Those that Fault reports make a run partial.
const (
	Conflict     NoteKind = "conflict"
	NoLicense    NoteKind = "license"
	Failed       NoteKind = "failed"
	Unread       NoteKind = "unread"
	Missing      NoteKind = "missing"
	Protected    NoteKind = "protected"
	HandDeleted  NoteKind = "deletedByHand"
	HandDisabled NoteKind = "disabledByHand"
	HandEnabled  NoteKind = "enabledByHand"
	Rejected     NoteKind = "rejected"
	Grace        NoteKind = "grace"
	Drifted      NoteKind = "drift"
)

// Fault reports whether such a note makes a run partial (contract.md,
// Outcomes): hand-disabled, tombstoned and protected people are no fault.
func (k NoteKind) Fault() bool {
	switch k {
	case Conflict, NoLicense, Failed, Unread:
		return true
	case Missing, Protected, HandDeleted, HandDisabled, HandEnabled, Rejected, Grace, Drifted:
		return false
	default:
		return true
	}
}

// Note is one person, or group, for whom something is not done, or is worth
// knowing.
type Note struct {
	Kind   NoteKind          `json:"kind"`
	Person identity.ObjectID `json:"person,omitzero"`
	Login  string            `json:"login,omitempty"`
	Group  string            `json:"group,omitempty"`
	Text   string            `json:"text"`
}
