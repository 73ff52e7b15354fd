package entrasim

import (
	"crypto/sha256"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// IDOf is the id that an object gets when none is given: a GUID that follows
// from its first name, so that scenarios need not write ids. ref is
// "ann@contoso.com", "group Sales", "device Laptop 1".
func IDOf(ref string) ID {
	kind, name := splitRef(ref)
	return derivedID(kind, name, 0)
}

// derivedID is the n-th id for a name: a name that is used again by another
// object gets another id.
func derivedID(kind Kind, name string, n int) ID {
	text := kind.String() + "\x00" + identity.Fold(name)
	if n > 0 {
		text += "\x00" + itoa(n)
	}
	sum := sha256.Sum256([]byte(text))
	var id ID
	copy(id[:], sum[:])
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

// freeID is the first derived id that no object ever had.
func (t *Tenant) freeID(kind Kind, name string) ID {
	for n := 0; ; n++ {
		id := derivedID(kind, name, n)
		if _, taken := t.byID[id]; !taken {
			return id
		}
	}
}

// IDOf is the id of what a reference names now; see the function IDOf.
func (t *Tenant) IDOf(ref string) (ID, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, err := t.resolve(ref)
	if err != nil {
		return ID{}, err
	}
	return t.objects[n].id, nil
}
