package entrasim

import (
	"slices"
	"strconv"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// ID is an object id.
type ID = identity.ObjectID

// Kind is the type of a directory object.
type Kind uint8

// The types that a group can contain [DOC group-list-members]. Other stands
// for a type that the client has never heard of.
const (
	User Kind = iota
	Group
	Device
	ServicePrincipal
	OrgContact
	Other
)

// String is the word for the kind in the text form of a tenant.
func (k Kind) String() string {
	switch k {
	case User:
		return "user"
	case Group:
		return "group"
	case Device:
		return "device"
	case ServicePrincipal:
		return "servicePrincipal"
	case OrgContact:
		return "contact"
	case Other:
		return "object"
	}
	return "kind " + strconv.Itoa(int(k))
}

// odataType is the value of @odata.type. The spellings of servicePrincipal and
// orgContact inside members@delta are [INFER]: no sample was found.
func (k Kind) odataType() string {
	switch k {
	case User:
		return "#microsoft.graph.user"
	case Group:
		return "#microsoft.graph.group"
	case Device:
		return "#microsoft.graph.device"
	case ServicePrincipal:
		return "#microsoft.graph.servicePrincipal"
	case OrgContact:
		return "#microsoft.graph.orgContact"
	case Other:
	}
	return "#microsoft.graph.somethingNew"
}

// state is where an object is in its life.
type state uint8

const (
	live state = iota
	softDeleted
	purged
)

// GroupKind is what sort of group it is.
type GroupKind uint8

// The kinds of group.
const (
	Security GroupKind = iota
	Microsoft365
	Distribution
	MailSecurity
)

// String is the word in the text form of a tenant.
func (k GroupKind) String() string {
	switch k {
	case Security:
		return "security"
	case Microsoft365:
		return "microsoft365"
	case Distribution:
		return "distribution"
	case MailSecurity:
		return "mailSecurity"
	}
	return "kind " + strconv.Itoa(int(k))
}

const (
	flagDisabled uint8 = 1 << iota
	flagGuest
	flagNoType
	flagLagging
	flagHidden
	flagForbidden
)

// attribute is one value. An empty value was set once and has been cleared: the
// service sends null for it, and nothing at all for what was never set.
type attribute struct {
	value string
	key   property
}

// object is one entry of the tenant's table: 64 bytes, so that a million
// people fit.
type object struct {
	id    ID
	attrs []attribute
	group *groupPart // groups only
	kind  Kind
	state state
	flags uint8
}

// groupPart is what groups alone have.
type groupPart struct {
	members []uint32 // indexes into the table, ascending
	kind    GroupKind
	rule    bool // has a membership rule
}

// value is the attribute, and whether it was ever set.
func (o *object) value(p property) (string, bool) {
	for i := range o.attrs {
		if o.attrs[i].key == p {
			return o.attrs[i].value, true
		}
	}
	return "", false
}

// setValue stores an attribute and says whether it changed. Clearing what was
// never set changes nothing.
func (o *object) setValue(p property, value string) bool {
	for i := range o.attrs {
		if o.attrs[i].key == p {
			if o.attrs[i].value == value {
				return false
			}
			o.attrs[i].value = value
			return true
		}
	}
	if value == "" {
		return false
	}
	o.attrs = append(o.attrs, attribute{value: value, key: p})
	return true
}

// name is the display name, or the sign-in name of a user.
func (o *object) name() string {
	value, _ := o.value(0) // userUPN and groupDisplayName are both 0
	return value
}

// visible reports whether reads find the object.
func (o *object) visible() bool { return o.state == live && o.flags&flagLagging == 0 }

func insertSorted(list []uint32, n uint32) ([]uint32, bool) {
	if len(list) == 0 || list[len(list)-1] < n {
		return append(list, n), true
	}
	i, found := slices.BinarySearch(list, n)
	if found {
		return list, false
	}
	return slices.Insert(list, i, n), true
}

func deleteSorted(list []uint32, n uint32) ([]uint32, bool) {
	i, found := slices.BinarySearch(list, n)
	if !found {
		return list, false
	}
	return slices.Delete(list, i, i+1), true
}

func itoa(n int) string { return strconv.Itoa(n) }
