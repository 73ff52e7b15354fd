// Package config turns vaultsync.yaml and the vault files into typed,
// validated values. It reports every problem of all files at once, each with
// file, line, column, key and the fix. It knows nothing of what the settings
// are for.
package config

import (
	"time"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// Config is everything the files say, with defaults filled in and paths made
// absolute.
type Config struct {
	// Path is the server file that was read.
	Path          string
	DataDir       string
	VaultsDir     string
	Log           Log
	Concurrency   int
	APIListen     string // "" switches the API off
	Disables      Guard  // the server's guard, over all vaults of one directory together
	EmbeddedStore EmbeddedStore
	Directories   []Directory
	Vaults        []Vault // sorted by name
	// Digest is a hash of all settings that matter to a run (hex), the same
	// for equal settings however they are written. Secrets are not part of it.
	Digest string
}

// Log says what is logged and how.
type Log struct {
	Level  string // debug | info | warn | error
	Format string // text | json
}

// EmbeddedStore configures the server behind every vault with store: embedded.
type EmbeddedStore struct {
	Licenses []LicensePool
}

// LicensePool is one pool of licences; Count -1 is unlimited.
type LicensePool struct {
	Type  identity.License
	Count int
}

// Directory is one tenant.
type Directory struct {
	Name       string
	Type       string // entra
	TenantID   string
	ClientID   string
	Credential Credential
	Cloud      string // public | usGovernment | usGovernmentDoD | china
	Endpoints  Endpoints
	Freshness  time.Duration
	Profiles   string // auto | stream | read
	Patience   time.Duration
	CAFile     string
	Proxy      Secret // a URL that may carry a password; "" is the environment's
}

// Endpoints override the cloud's; "" keeps it. They have no slash at the end.
type Endpoints struct{ Graph, Authority string }

// Credential names where the secret of a directory is, never the secret.
type Credential struct {
	Type                    string // clientSecret | clientCertificate | managedIdentity | workloadIdentity
	SecretFile              string
	SecretEnv               string
	CertificateFile         string
	CertificatePasswordFile string
}

// Vault is one vault's file.
type Vault struct {
	// File is the file that it came from.
	File      string
	Name      string
	Directory string
	Store     Store
	Schedule  Schedule
	Groups    []Group
	Accounts  Accounts
	// Attributes are written beyond login name, full name and e-mail.
	Attributes []Attribute
	// Scope is an expression over a directory user; "" lets everybody in.
	Scope  string
	Repair bool // drift: repair, else report
	Guards Guards
}

// Store says which driver a vault has. The keys of each driver are decoded
// here too, so that all problems are reported together.
type Store struct {
	Type string // embedded | scim
	SCIM *SCIM  // nil unless Type is scim
}

// SCIM is a store that speaks SCIM 2.0. Exactly one of TokenFile, TokenEnv and
// OAuth says how it is signed in to.
type SCIM struct {
	URL       string // https, or http on this machine; no slash at the end
	TokenFile string
	TokenEnv  string
	OAuth     *OAuth
	CAFile    string
	Proxy     Secret // a URL that may carry a password; "" is the environment's
	Bulk      string // auto | on | off
	Patch     string // auto | on | off
	Parallel  int    // requests at the same time
	// PageSize is how many resources are asked for at once, MemberChunk how
	// many members go into one PATCH.
	PageSize    int
	MemberChunk int
	// LicenseAttribute is the attribute that takes the licence type; "" sends
	// none.
	LicenseAttribute string
	// LicenseExhausted is a part of what the service says when it has no licence
	// left; "" when it is not known.
	LicenseExhausted string
	Timeout          time.Duration // of one request
}

// OAuth is a client-credentials grant. Exactly one of SecretFile and SecretEnv
// is set.
type OAuth struct {
	TokenURL   string
	ClientID   string
	SecretFile string
	SecretEnv  string
	Scope      string
}

// Schedule says when a vault is synchronized.
type Schedule struct {
	First          FirstImport
	Every          time.Duration // 0 when Cron is set, else at least 1m
	Cron           string
	TimeZone       *time.Location
	ReconcileEvery time.Duration
}

// FirstImport is startTimeOfFirstImport: exactly one of its fields is set.
type FirstImport struct {
	Auto bool
	// After is a wait from start-up, 0 included; used when Auto and Clock are
	// not set.
	After time.Duration
	// Clock is a time of day, "15:04", in the schedule's time zone.
	Clock string
}

// Group is one synchronized group. Exactly one of ID and Name is set.
type Group struct {
	ID         identity.ObjectID
	Name       string
	VaultGroup string // "" follows the directory's display name
	Nested     bool
	License    identity.License // "" takes the accounts' licence
}

// Accounts are the rules for the vault's accounts.
type Accounts struct {
	LoginName           string   // source path
	Match               []string // externalId | loginName | mail, in order
	Relink              bool
	Adopt               bool
	OnLeaveAfter        time.Duration
	DisabledInDirectory string // leave | ignore
	EnableDisabledUsers string // own | all | never
	License             identity.License
	LicenseOrder        []identity.License
	LicenseFallback     bool
	ReleaseLicenseAfter time.Duration // -1: never
	Protected           []string
}

// Attribute maps one property of a directory user to one of the store's.
type Attribute struct{ Source, Target string }

// Guard trips when more than Count, or more than Percent of at least Minimum,
// would change.
type Guard struct{ Count, Percent, Minimum int }

// Guards are a vault's.
type Guards struct {
	Disables       Guard
	Creates        Guard // Count alone
	LoginChanges   Guard
	Vanished       Guard
	MemberRemovals Guard // Percent and Minimum alone
	EmptyGroup     bool  // true: hold
	MissingGroup   bool  // true: hold
}
