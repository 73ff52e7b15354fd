package identity

// Attribute names of a directory user that the program itself reads. Others
// come from the configuration and are spelled as the directory spells them;
// a nested property is written with a dot
// (onPremisesExtensionAttributes.extensionAttribute1).
const (
	UserPrincipalName = "userPrincipalName"
	DisplayName       = "displayName"
	Mail              = "mail"
	AccountEnabled    = "accountEnabled" // "true" or "false"
	UserType          = "userType"       // Member or Guest
)

// Person is a user of the directory as it was last read.
type Person struct {
	ID ObjectID
	// Attributes holds the selected properties that have a value, by source
	// path. A property without a value is absent, never "".
	Attributes map[string]string
}

// Value is the attribute at a source path, "" when the person has none.
func (p Person) Value(path string) string {
	if path == "id" {
		return p.ID.String()
	}
	return p.Attributes[path]
}

// Disabled reports whether the directory says that the account is disabled. A
// person whose state was not read counts as enabled: what is not known takes
// nobody's access.
func (p Person) Disabled() bool { return p.Attributes[AccountEnabled] == "false" }

// License is a licence type of the vault's server.
type License string

// The licence types of the contract. NoLicense is an account without one;
// the empty string means that the store has no licences at all.
const (
	LicenseNamed      License = "named"
	LicenseConcurrent License = "concurrent"
	LicenseReadOnly   License = "readOnly"
	NoLicense         License = "none"
)
