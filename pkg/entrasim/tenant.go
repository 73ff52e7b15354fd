package entrasim

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// Errors of the model, for errors.Is.
var (
	// ErrUnknown is a name or id that the tenant does not have.
	ErrUnknown = errors.New("not in the tenant")
	// ErrExists is a name or id that is taken.
	ErrExists = errors.New("already in the tenant")
)

// Tenant is the model of one tenant. It is safe for use by several goroutines.
type Tenant struct {
	id ID

	mu      sync.RWMutex
	clock   func() time.Time
	offset  time.Duration
	rules   Rules
	objects []object
	byID    map[ID]uint32
	names   map[string][]uint32 // by kind and folded name, nil until first used
	binned  map[uint32]time.Time
	pending []pendingEvent
	apps    map[string]*App
	bucket  bucket

	// tracking starts with the first delta token: a tenant that nobody follows
	// keeps no log of how it was built.
	tracking bool
	log      []entry
	epoch    uint32 // grows when all delta tokens are revoked

	// revokedSerial is the last access token that RevokeAccess covers.
	revokedSerial uint64

	incarnation uint64 // tells tokens of an earlier process from ours
	rounds      roundCache

	userSchema, groupSchema *schema
}

// pendingEvent is something that becomes visible later.
type pendingEvent struct {
	at   time.Time
	obj  uint32
	kind pendingKind
}

type pendingKind uint8

const (
	pendingVisible pendingKind = iota // replication lag is over
	pendingPurge                      // a purged user leaves the member lists
)

// NewTenant is an empty tenant under the real clock, with DefaultRules and no
// application.
func NewTenant(id ID) *Tenant {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	return &Tenant{
		id:          id,
		clock:       time.Now,
		rules:       DefaultRules(),
		byID:        map[ID]uint32{},
		binned:      map[uint32]time.Time{},
		apps:        map[string]*App{},
		incarnation: binary.LittleEndian.Uint64(random[:]),
		userSchema:  newUserSchema(),
		groupSchema: newGroupSchema(),
	}
}

// ID is the tenant's id.
func (t *Tenant) ID() ID { return t.id }

// SetClock replaces the clock that tokens, delta links and the recycle bin age
// by.
func (t *Tenant) SetClock(clock func() time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clock = clock
}

// Now is the tenant's time.
func (t *Tenant) Now() time.Time {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.now()
}

func (t *Tenant) now() time.Time { return t.clock().Add(t.offset) }

// Advance moves the tenant's time.
func (t *Tenant) Advance(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.offset += d
	t.settleLocked()
}

// Rules are the rules in force.
func (t *Tenant) Rules() Rules {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.rules
}

// SetRules changes the rules in place.
func (t *Tenant) SetRules(change func(*Rules)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.rules)
	t.rules.ObjectsPerPage = max(t.rules.ObjectsPerPage, 1)
	t.rules.MembersPerPage = max(t.rules.MembersPerPage, 1)
	t.rules.MembersPerItem = max(t.rules.MembersPerItem, 1)
}

// ResetTokens revokes every delta token handed out so far, as a service reset
// or migration does: the next use is answered with 410 [DOC].
func (t *Tenant) ResetTokens() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.epoch++
}

// settle lets what is due happen: replication lag that is over, late purges,
// the end of the recycle bin.
func (t *Tenant) settle() {
	t.mu.RLock()
	now, due := t.now(), false
	for _, p := range t.pending {
		due = due || !p.at.After(now)
	}
	due = due || t.binDue(now)
	t.mu.RUnlock()
	if !due {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settleLocked()
}

func (t *Tenant) binDue(now time.Time) bool {
	for _, at := range t.binned {
		if now.Sub(at) > t.rules.BinTime {
			return true
		}
	}
	return false
}

func (t *Tenant) settleLocked() {
	now := t.now()
	kept := t.pending[:0]
	for _, p := range t.pending {
		if p.at.After(now) {
			kept = append(kept, p)
			continue
		}
		switch p.kind {
		case pendingVisible:
			t.objects[p.obj].flags &^= flagLagging
			t.record(entry{obj: p.obj, mask: allBits, op: opObject})
		case pendingPurge:
			t.dropMember(p.obj, opRemove)
		}
	}
	t.pending = kept
	for n, at := range t.binned {
		if now.Sub(at) > t.rules.BinTime {
			_ = t.purge(n) // what is binned is not purged yet
		}
	}
}

// add puts an object into the table.
func (t *Tenant) add(o object) (uint32, error) {
	if o.id.IsZero() {
		o.id = t.freeID(o.kind, o.name())
	}
	if _, taken := t.byID[o.id]; taken {
		return 0, fmt.Errorf("%s %q: id %s is %w", o.kind, o.name(), o.id, ErrExists)
	}
	n := uint32(len(t.objects))
	t.objects = append(t.objects, o)
	t.byID[o.id] = n
	t.indexName(n)
	t.record(entry{obj: n, mask: allBits, op: opObject})
	return n, nil
}

// Lag hides an object from every read for a while, as replication does: it can
// be a member before it can be read. ref is "ann@contoso.com" or "group Sales".
func (t *Tenant) Lag(ref string, d time.Duration) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, err := t.resolve(ref)
	if err != nil {
		return err
	}
	t.objects[n].flags |= flagLagging
	t.pending = append(t.pending, pendingEvent{at: t.now().Add(d), obj: n, kind: pendingVisible})
	return nil
}

// Size is the number of people and groups that are there, and of memberships.
func (t *Tenant) Size() (people, groups, memberships int) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.size()
}

func (t *Tenant) size() (people, groups, memberships int) {
	for i := range t.objects {
		o := &t.objects[i]
		if o.state != live {
			continue
		}
		if o.kind == User {
			people++
		}
		if o.kind == Group {
			groups++
			memberships += len(o.group.members)
		}
	}
	return people, groups, memberships
}

func nameKey(kind Kind, name string) string {
	return string(rune('a'+kind)) + identity.Fold(name)
}

// indexName makes the object findable by name, once names are in use.
func (t *Tenant) indexName(n uint32) {
	if t.names == nil {
		return
	}
	key := nameKey(t.objects[n].kind, t.objects[n].name())
	t.names[key] = append(t.names[key], n)
}

func (t *Tenant) unindexName(n uint32) {
	if t.names == nil {
		return
	}
	key := nameKey(t.objects[n].kind, t.objects[n].name())
	kept := t.names[key][:0:0]
	for _, m := range t.names[key] {
		if m != n {
			kept = append(kept, m)
		}
	}
	t.names[key] = kept
}

// named lists the objects of a kind that have the name.
func (t *Tenant) named(kind Kind, name string) []uint32 {
	if t.names == nil {
		t.names = make(map[string][]uint32, len(t.objects))
		for n := range t.objects {
			t.indexName(uint32(n))
		}
	}
	return t.names[nameKey(kind, name)]
}

// resolve reads a reference: a sign-in name, "group NAME", "device NAME", or an
// id, with or without the word before it. What is there is preferred to what
// has been deleted.
func (t *Tenant) resolve(ref string) (uint32, error) {
	kind, name := splitRef(ref)
	return t.find(kind, name)
}

func (t *Tenant) find(kind Kind, name string) (uint32, error) {
	if id, err := identity.ParseObjectID(name); err == nil {
		n, ok := t.byID[id]
		if !ok {
			return 0, fmt.Errorf("%s %s is %w", kind, id, ErrUnknown)
		}
		if found := t.objects[n].kind; found != kind && kind != User {
			return 0, fmt.Errorf("%s is a %s, not a %s", id, found, kind)
		}
		return n, nil
	}
	best, count := uint32(0), 0
	for _, wanted := range []state{live, softDeleted, purged} {
		for _, n := range t.named(kind, name) {
			if t.objects[n].state == wanted {
				best, count = n, count+1
			}
		}
		if count > 1 && wanted == live {
			return 0, fmt.Errorf("%d %ss are called %q: say which by its id", count, kind, name)
		}
		if count > 0 {
			return best, nil
		}
	}
	return 0, fmt.Errorf("%s %q is %w", kind, name, ErrUnknown)
}

// findKind is find for something that must be of the kind.
func (t *Tenant) findKind(kind Kind, name string) (uint32, error) {
	n, err := t.find(kind, name)
	if err != nil {
		return 0, err
	}
	if t.objects[n].kind != kind {
		return 0, fmt.Errorf("%q is a %s, not a %s", name, t.objects[n].kind, kind)
	}
	return n, nil
}

// splitRef separates the word for the kind from the name; without one it is a
// user.
func splitRef(ref string) (Kind, string) {
	ref = strings.TrimSpace(ref)
	if word, rest, ok := strings.Cut(ref, " "); ok {
		for kind := User; kind <= Other; kind++ {
			if word == kind.String() {
				return kind, strings.Trim(strings.TrimSpace(rest), `"`)
			}
		}
	}
	return User, strings.Trim(ref, `"`)
}
