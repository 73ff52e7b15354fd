package mirror

import (
	"encoding/binary"
	"maps"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// A person's record is the object id, and after it the profile when one was
// ever read: a marker byte and one entry for each selected attribute, in the
// order of the select list. An entry is a number, and text when it says so.
const (
	entryAbsent = 0
	entryTrue   = 1
	entryFalse  = 2
	entryRepeat = 3 // the same text as the value before it (mail and login name, mostly)
	entryText   = 4 // plus the length of the text that follows
)

const profileMarker = 1

// encodeProfile writes the attributes that select names; the others, and
// those without a value, are left out.
func encodeProfile(sel []string, attributes map[string]string) []byte {
	b := make([]byte, 1, 96)
	b[0] = profileMarker
	last := ""
	for _, name := range sel {
		value := attributes[name]
		switch value {
		case "":
			b = append(b, entryAbsent)
			continue
		case "true":
			b = append(b, entryTrue)
		case "false":
			b = append(b, entryFalse)
		case last:
			b = append(b, entryRepeat)
		default:
			b = binary.AppendUvarint(b, uint64(len(value))+entryText)
			b = append(b, value...)
		}
		last = value
	}
	return b
}

// decodeProfile reads what encodeProfile wrote with the same select list.
func decodeProfile(sel []string, profile []byte) (map[string]string, error) {
	r := reader{b: profile}
	if r.byte() != profileMarker {
		return nil, damaged("a profile has an unknown form")
	}
	attributes := make(map[string]string, len(sel))
	last := ""
	for _, name := range sel {
		value := ""
		switch n := r.uint(); n {
		case entryAbsent:
			continue
		case entryTrue:
			value = "true"
		case entryFalse:
			value = "false"
		case entryRepeat:
			value = last
		default:
			if n-entryText > uint64(len(r.b)) {
				r.bad = true
			} else {
				value = string(r.take(int(n - entryText)))
			}
		}
		attributes[name] = value
		last = value
	}
	return attributes, r.finish("profile", nil)
}

// mergeProfile is the profile after a change that says only what changed: an
// attribute that is absent stays, one that is "" is cleared.
func mergeProfile(old, change map[string]string) map[string]string {
	merged := maps.Clone(old)
	if merged == nil {
		merged = make(map[string]string, len(change))
	}
	for name, value := range change {
		if value == "" {
			delete(merged, name)
		} else {
			merged[name] = value
		}
	}
	return merged
}

// person is the record of one number.
type person struct {
	id      identity.ObjectID
	profile []byte // empty: none was ever read
}

func (p person) encode() []byte {
	b := make([]byte, 0, len(p.id)+len(p.profile))
	return append(append(b, p.id[:]...), p.profile...)
}

// decodePerson shares the profile's bytes with value.
func decodePerson(key, value []byte) (person, error) {
	r := reader{b: value}
	p := person{id: r.id()}
	if r.bad {
		return p, damaged("person record %x is too short", key)
	}
	p.profile = r.b
	return p, nil
}
