// Package identity holds the words that directory and vault share: object ids,
// people, licences, and the one way in which names are compared. It does no I/O.
package identity

import (
	"bytes"
	"encoding/hex"
	"fmt"
)

// ObjectID is the immutable id of a directory object: 16 bytes of a GUID, in
// the order in which it is written. It is the identity of a person or a group;
// names and addresses are not (lifecycle.md, "identity").
type ObjectID [16]byte

// ParseObjectID reads the 36-character form of a GUID, in either case.
func ParseObjectID(s string) (ObjectID, error) {
	var id ObjectID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return ObjectID{}, fmt.Errorf("%q is not an object id: want the form 00000000-0000-0000-0000-000000000000", s)
	}
	var digits [32]byte
	n := 0
	for i := range len(s) {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			continue
		}
		digits[n] = s[i]
		n++
	}
	if _, err := hex.Decode(id[:], digits[:]); err != nil {
		return ObjectID{}, fmt.Errorf("%q is not an object id: %w", s, err)
	}
	return id, nil
}

// String is the lower-case 36-character form; the zero id is "".
func (id ObjectID) String() string {
	var b [36]byte
	return string(id.append(b[:0]))
}

func (id ObjectID) append(b []byte) []byte {
	if id.IsZero() {
		return b
	}
	b = append(hex.AppendEncode(b, id[0:4]), '-')
	b = append(hex.AppendEncode(b, id[4:6]), '-')
	b = append(hex.AppendEncode(b, id[6:8]), '-')
	b = append(hex.AppendEncode(b, id[8:10]), '-')
	return hex.AppendEncode(b, id[10:16])
}

// IsZero reports whether the id names nothing.
func (id ObjectID) IsZero() bool { return id == ObjectID{} }

// Compare orders ids by their bytes, which is also the order of their text.
func (id ObjectID) Compare(other ObjectID) int { return bytes.Compare(id[:], other[:]) }

// MarshalText writes the 36-character form, or nothing for the zero id.
func (id ObjectID) MarshalText() ([]byte, error) { return id.append(nil), nil }

// AppendText appends what MarshalText writes.
func (id ObjectID) AppendText(b []byte) ([]byte, error) { return id.append(b), nil }

// UnmarshalText reads what MarshalText writes.
func (id *ObjectID) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*id = ObjectID{}
		return nil
	}
	parsed, err := ParseObjectID(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}
