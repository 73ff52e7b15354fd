package entrasim

import "time"

// SoftDeletedMembers says how members@delta treats a soft-deleted user who is
// still a member.
type SoftDeletedMembers string

// The service is documented to keep them listed until they are purged [DOC];
// a report saw one as removed [ISSUE docs#17513].
const (
	MembersListed  SoftDeletedMembers = "listed"
	MembersRemoved SoftDeletedMembers = "removed"
	MembersOmitted SoftDeletedMembers = "omitted"
)

// Spelling is how the links of delta pages are written. The service's own
// samples show several [DOC], so a client must take them as they are.
type Spelling string

// The spellings of one and the same link.
const (
	SpelledPlain     Spelling = ""          // /users/delta?$deltatoken=…
	SpelledFunction  Spelling = "function"  // /users/delta()?$deltaToken=…
	SpelledNamespace Spelling = "namespace" // /users/microsoft.graph.delta?%24deltatoken=…
	SpelledSlash     Spelling = "slash"     // /users/microsoft.graph.delta()/?$DeltaToken=…
)

// Rules are the points on which the sources disagree or say nothing. The zero
// value is not useful: start from DefaultRules.
type Rules struct {
	// ObjectsPerPage and MembersPerPage bound a delta page; the service's own
	// sizes are undocumented. MembersPerItem is how many members one appearance
	// of a group carries: a longer list is split over several [DOC].
	ObjectsPerPage int `json:"objectsPerPage"`
	MembersPerPage int `json:"membersPerPage"`
	MembersPerItem int `json:"membersPerItem"`
	// Interleave puts other groups between the parts of a split one ("could
	// show up anywhere in the nextLink sequence" [DOC]).
	Interleave bool `json:"interleave"`

	// Links is how nextLinks and deltaLinks are spelled.
	Links Spelling `json:"links"`
	// AlwaysMinimal omits what did not change from the rounds of deltaLinks
	// although nobody asked for return=minimal.
	AlwaysMinimal bool `json:"alwaysMinimal"`
	// FilterIDs is how many ids a delta filter may name; 0 is 50 [DOC].
	FilterIDs int `json:"filterIds"`

	// ExpandAllowed accepts $expand=members [DOC-old]; otherwise 400 [DOC-new].
	ExpandAllowed bool `json:"expandAllowed"`
	// TopRejected answers $top and $orderby on delta with 400 [DOC]; otherwise
	// they are silently ignored [ISSUE docs#17516].
	TopRejected bool `json:"topRejected"`
	// ExtraParameters refuses parameters repeated beside a token with 400;
	// otherwise they are ignored [DOC/INFER].
	ExtraParametersRejected bool `json:"extraParametersRejected"`

	// SecurityGroupsPurged deletes security groups at once (reason deleted
	// [DOC delta-query-groups]); otherwise they are soft-deleted (reason changed
	// [DOC group-delete]).
	SecurityGroupsPurged bool `json:"securityGroupsPurged"`
	// GroupRestoreReplays repeats a restored group's whole membership; the
	// documentation is silent.
	GroupRestoreReplays bool `json:"groupRestoreReplays"`
	// SoftDeleted is how members@delta treats soft-deleted users.
	SoftDeleted SoftDeletedMembers `json:"softDeleted"`
	// PurgeSilent never reports a purged user in members@delta [ISSUE
	// docs#14708]; PurgeDelay reports it later than it happened.
	PurgeSilent bool          `json:"purgeSilent"`
	PurgeDelay  time.Duration `json:"purgeDelay"`
	// BinTime is how long a soft-deleted object can be restored (30 days [DOC]).
	BinTime time.Duration `json:"binTime"`
	// RemovedInInitial lets @removed objects and members appear in a first
	// round [DOC overview, ISSUE docs#6651].
	RemovedInInitial bool `json:"removedInInitial"`
	// LatestLosesMembers drops membership tracking from a token that was minted
	// with $deltatoken=latest [third-party report, graph.md 1.5].
	LatestLosesMembers bool `json:"latestLosesMembers"`

	// TokenTTL is how long a delta token is good (7 days [DOC]); Lenient
	// ignores it [ISSUE contrib#9003]. SkipTTL is the life of a nextLink, which
	// is undocumented; 0 is for ever.
	TokenTTL time.Duration `json:"tokenTTL"`
	SkipTTL  time.Duration `json:"skipTTL"`
	Lenient  bool          `json:"lenient"`
	// ExpiredGone answers an expired token with 410 instead of 400
	// syncStateNotFound; GoneLocation and GoneBody shape every 410.
	ExpiredGone  bool `json:"expiredGone"`
	GoneLocation bool `json:"goneLocation"`
	GoneBody     bool `json:"goneBody"`

	// HiddenForbidden answers /members of a hidden group with 403 when
	// Member.Read.Hidden is missing; otherwise the list is empty [INFER].
	HiddenForbidden bool `json:"hiddenForbidden"`
	// GetByIDsNeedsDirectory asks for Directory.Read.All [DOC-old].
	GetByIDsNeedsDirectory bool `json:"getByIdsNeedsDirectory"`
	// CastNeedsCount asks for ConsistencyLevel and $count on an OData cast
	// [DOC-old].
	CastNeedsCount bool `json:"castNeedsCount"`
	// ServicePrincipalsListed lists them in /members; a documented known issue
	// says that they are not [DOC].
	ServicePrincipalsListed bool `json:"servicePrincipalsListed"`
	// CountPrefix is written before the number of a $count reply (a byte order
	// mark or a blank line [DOC sample]).
	CountPrefix string `json:"countPrefix"`

	// Throttle enforces the token bucket of graph.md 4. BatchThrottle424 turns
	// a throttled part of a batch into 424 [DOC throttling.md]; otherwise 429.
	Throttle         bool `json:"throttle"`
	BatchThrottle424 bool `json:"batchThrottle424"`
	// ResourceUnits overrides the size of the bucket; 0 is the service's own
	// for the tenant's size. UnitFactor multiplies what every request costs; 0
	// is 1.
	ResourceUnits int `json:"resourceUnits"`
	UnitFactor    int `json:"unitFactor"`
	// ShareUnsaid leaves x-ms-throttle-limit-percentage out, which a user never
	// saw [ISSUE docs#15823].
	ShareUnsaid bool `json:"shareUnsaid"`
}

// DefaultRules is the documented service where it is documented, and the less
// comfortable of two possibilities where it is not.
func DefaultRules() Rules {
	return Rules{
		ObjectsPerPage: 999,
		MembersPerPage: 5000,
		MembersPerItem: 1000,
		Interleave:     true,

		SoftDeleted:        MembersListed,
		BinTime:            30 * 24 * time.Hour,
		LatestLosesMembers: true,
		TokenTTL:           7 * 24 * time.Hour,
		GoneLocation:       true,
		GoneBody:           true,
		CastNeedsCount:     true,
	}
}
