package embedded

import (
	"encoding/binary"
	"maps"
	"slices"
	"strconv"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// account is a login account of the server.
type account struct {
	id         uint64
	login      string
	fullName   string
	email      string
	license    identity.License
	external   string // the directory's object id that it was linked with last
	managed    bool   // made by synchronization
	attributes map[string]string
	// enabledUsers counts the enabled users of all vaults behind the account.
	enabledUsers int
}

// user is a user of one vault.
type user struct {
	id       uint64
	account  uint64
	enabled  bool
	managed  bool
	external string
}

// group is a user group of one vault, without its members.
type group struct {
	id       uint64
	name     string
	external string
	managed  bool
}

// asUser shows a login account, with the vault user that belongs to it if
// there is one.
func (a account) asUser(u user) vault.User {
	out := vault.User{
		LoginName: a.login, FullName: a.fullName, Email: a.email, License: a.license, Attributes: a.attributes,
		Enabled: true, ExternalID: a.external, Managed: a.managed,
	}
	own := 0
	if u.id != 0 {
		out.ID, out.Enabled, out.ExternalID, out.Managed = formatID(u.id), u.enabled, u.external, u.managed
		own = u.enabledCount()
	}
	out.SharedElsewhere = a.enabledUsers > own
	return out
}

// enabledCount is what the user adds to its account's enabledUsers.
func (u user) enabledCount() int {
	if u.enabled {
		return 1
	}
	return 0
}

func formatID(id uint64) string { return strconv.FormatUint(id, 10) }

// parseID reads only what formatID writes: "017" names nobody.
func parseID(text string) (uint64, bool) {
	id, err := strconv.ParseUint(text, 10, 64)
	return id, err == nil && text[0] != '0'
}

const (
	flagManaged = 1 << iota
	flagEnabled
)

func flags(managed, enabled bool) byte {
	var b byte
	if managed {
		b |= flagManaged
	}
	if enabled {
		b |= flagEnabled
	}
	return b
}

func (a account) encode() []byte {
	b := make([]byte, 0, 64+len(a.login)+len(a.fullName)+len(a.email))
	b = append(b, flags(a.managed, false))
	for _, text := range [...]string{a.login, a.fullName, a.email, string(a.license)} {
		b = appendText(b, text)
	}
	b = appendText(b, externalKey(a.external))
	b = binary.AppendUvarint(b, uint64(a.enabledUsers))
	b = binary.AppendUvarint(b, uint64(len(a.attributes)))
	for _, name := range slices.Sorted(maps.Keys(a.attributes)) {
		b = appendText(appendText(b, name), a.attributes[name])
	}
	return b
}

func decodeAccount(id uint64, b []byte) (account, error) {
	r := reader{rest: b}
	a := account{id: id, managed: r.byte()&flagManaged != 0}
	a.login, a.fullName, a.email = r.text(), r.text(), r.text()
	a.license, a.external = identity.License(r.text()), external(r.bytes())
	a.enabledUsers = int(r.uvarint())
	n := r.uvarint()
	for range n {
		if r.bad {
			break // a wild count must not run on
		}
		if a.attributes == nil {
			a.attributes = map[string]string{}
		}
		name := r.text()
		a.attributes[name] = r.text()
	}
	return a, r.finish("accounts", id)
}

func (u user) encode() []byte {
	b := append(make([]byte, 0, 16+len(u.external)), flags(u.managed, u.enabled))
	return appendText(binary.AppendUvarint(b, u.account), externalKey(u.external))
}

func decodeUser(id uint64, b []byte) (user, error) {
	r := reader{rest: b}
	f := r.byte()
	u := user{id: id, managed: f&flagManaged != 0, enabled: f&flagEnabled != 0}
	u.account, u.external = r.uvarint(), external(r.bytes())
	return u, r.finish("users", id)
}

func (g group) encode() []byte {
	return appendText(appendText([]byte{flags(g.managed, false)}, g.name), externalKey(g.external))
}

func decodeGroup(id uint64, b []byte) (group, error) {
	r := reader{rest: b}
	g := group{id: id, managed: r.byte()&flagManaged != 0}
	g.name, g.external = r.text(), external(r.bytes())
	return g, r.finish("groups", id)
}

func appendText[T string | []byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// reader reads a record; after the first fault it reads nothing more.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) byte() byte {
	if r.bad || len(r.rest) == 0 {
		r.bad = true
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) uvarint() uint64 {
	n, size := binary.Uvarint(r.rest)
	if r.bad || size <= 0 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) text() string { return string(r.bytes()) }

// bytes are part of the record, good for as long as that.
func (r *reader) bytes() []byte {
	n := r.uvarint()
	if r.bad || n > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) finish(where string, id uint64) error {
	if r.bad || len(r.rest) != 0 {
		return damaged(where, "the record of %d cannot be read", id)
	}
	return nil
}
