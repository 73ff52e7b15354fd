package entra

import (
	"fmt"
	"strings"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// text reads a string; null is told by ok == false.
func (d *decoder) text(what string) (s string, ok bool, err error) {
	token, err := d.ReadToken()
	if err != nil {
		return "", false, d.wrap(err)
	}
	switch token.Kind() {
	case 'n':
		return "", false, nil
	case '"':
		return token.String(), true, nil
	default:
		return "", false, wrongType(what, "a string", token.Kind())
	}
}

// word reads a string that is likely to come again; null is "".
func (d *decoder) word(what string) (string, error) {
	raw, err := d.ReadValue()
	if err != nil {
		return "", d.wrap(err)
	}
	switch raw.Kind() {
	case 'n':
		return "", nil
	case '"':
		return d.name(raw)
	default:
		return "", wrongType(what, "a string", raw.Kind())
	}
}

// id reads an object id.
func (d *decoder) id(what string) (identity.ObjectID, error) {
	value, err := d.ReadValue()
	if err != nil {
		return identity.ObjectID{}, d.wrap(err)
	}
	if value.Kind() != '"' {
		return identity.ObjectID{}, wrongType(what, "a string", value.Kind())
	}
	if len(value) == 38 {
		if id, ok := parseID(value[1:37]); ok {
			return id, nil
		}
	}
	return identity.ObjectID{}, fmt.Errorf("%w: %s is not an object id", directory.ErrProtocol, what)
}

// parseID reads a GUID without making a string of it.
func parseID(text []byte) (id identity.ObjectID, ok bool) {
	n := 0
	for i := range text {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if text[i] != '-' {
				return identity.ObjectID{}, false
			}
			continue
		}
		digit, ok := hexDigit(text[i])
		if !ok {
			return identity.ObjectID{}, false
		}
		id[n/2] = id[n/2]<<4 | digit
		n++
	}
	return id, n == 32 && !id.IsZero()
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	default:
		return 0, false
	}
}

// scalar reads a string, number, boolean or an array of them as text: arrays
// are joined with ",", objects within them are left out. null, {} and an
// object are "" with ok == false.
func (d *decoder) scalar() (text string, ok bool, err error) {
	switch d.peek() {
	case '{':
		return "", false, d.skip()
	case '[':
		var parts []string
		_, err := d.array("a property", func() error {
			part, ok, err := d.scalar()
			if ok {
				parts = append(parts, part)
			}
			return err
		})
		return strings.Join(parts, ","), err == nil, err
	default:
		token, err := d.ReadToken()
		if err != nil {
			return "", false, d.wrap(err)
		}
		if token.Kind() == 'n' {
			return "", false, nil
		}
		return token.String(), true, nil
	}
}
