package entrasim

import "strings"

// property is one attribute of a user or a group, as a bit in a mask.
type property uint8

// The properties of a user. The order is that of the reply.
const (
	userUPN property = iota
	userDisplayName
	userMail
	userGivenName
	userSurname
	userJobTitle
	userMobilePhone
	userOfficeLocation
	userPreferredLanguage
	userBusinessPhones
	userSecurityIdentifier
	userAccountEnabled
	userType
	userExternalState
	userDepartment
	userCompanyName
	userEmployeeID
	userEmployeeType
	userCity
	userState
	userCountry
	userPostalCode
	userStreetAddress
	userUsageLocation
	userMailNickname
	userOnPremSAM
	userOnPremSID
	userOnPremDN
	userOnPremDomain
	userOnPremImmutableID
	userOnPremSync
	userExt1     // extensionAttribute1; the next fourteen follow
	userExtCount = 15
)

// The properties of a group (and of the other member types, which have a name
// and nothing else).
const (
	groupDisplayName property = iota
	groupDescription
	groupMail
	groupMailNickname
	groupMailEnabled
	groupSecurityEnabled
	groupTypes
	groupVisibility
	groupMembershipRule
)

// lifeBit marks creation, deletion and restoring: those surface an object
// whatever was selected.
const lifeBit = uint64(1) << 63

const extensionObject = "onPremisesExtensionAttributes"

// schema names the properties of one kind of object.
type schema struct {
	typeName string // microsoft.graph.user
	names    []string
	byName   map[string]uint64 // lower case; a name can stand for several bits
	byPath   map[string]property
	standard uint64 // returned without $select
}

func (p property) bit() uint64 { return 1 << p }

// newUserSchema lists a user's properties. The default set and the ones that
// come only when selected are those of the property notes of the service's
// documentation [CODE graph.md 2].
func newUserSchema() *schema {
	names := []string{
		"userPrincipalName", "displayName", "mail", "givenName", "surname", "jobTitle",
		"mobilePhone", "officeLocation", "preferredLanguage", "businessPhones", "securityIdentifier",
		"accountEnabled", "userType", "externalUserState", "department", "companyName", "employeeId",
		"employeeType", "city", "state", "country", "postalCode", "streetAddress", "usageLocation",
		"mailNickname", "onPremisesSamAccountName", "onPremisesSecurityIdentifier",
		"onPremisesDistinguishedName", "onPremisesDomainName", "onPremisesImmutableId", "onPremisesSyncEnabled",
	}
	s := newSchema("microsoft.graph.user", names, userSecurityIdentifier)
	for i := range userExtCount {
		p := userExt1 + property(i)
		name := "extensionAttribute" + itoa(i+1)
		s.names = append(s.names, name)
		s.byPath[strings.ToLower(extensionObject+"."+name)] = p
		s.byName[strings.ToLower(extensionObject)] |= p.bit()
	}
	return s
}

func newGroupSchema() *schema {
	return newSchema("microsoft.graph.group", []string{
		"displayName", "description", "mail", "mailNickname", "mailEnabled",
		"securityEnabled", "groupTypes", "visibility", "membershipRule",
	}, groupMembershipRule)
}

func newSchema(typeName string, names []string, lastStandard property) *schema {
	s := &schema{typeName: typeName, names: names, byName: map[string]uint64{}, byPath: map[string]property{}}
	for i, name := range names {
		p := property(i)
		s.byName[strings.ToLower(name)] = p.bit()
		s.byPath[strings.ToLower(name)] = p
		if p <= lastStandard {
			s.standard |= p.bit()
		}
	}
	return s
}

// selectMask resolves the names of a $select. members is set when the
// relationship is among them; unknown holds the names that do not exist.
func (s *schema) selectMask(names []string) (mask uint64, members bool, unknown []string) {
	for _, name := range names {
		name = strings.TrimSpace(name)
		switch lower := strings.ToLower(name); {
		case lower == "id":
		case lower == "members" && s.typeName == "microsoft.graph.group":
			members = true
		case s.byName[lower] != 0:
			mask |= s.byName[lower]
		default:
			unknown = append(unknown, name)
		}
	}
	return mask, members, unknown
}
