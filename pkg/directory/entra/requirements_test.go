package entra_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

// requirement is one line of what a hostile service may do: the switches of
// the simulator that make it (fields of Rules, kinds of Fault, statements of
// its text form) and the tests that drive the SDK's client through it, as
// "folder: name", or scenarios of testdata/scenarios by their file.
type requirement struct {
	line     string
	what     string
	switches string
	tests    string
}

// requirements are the lines of the simulator's checklist (facts, section 9),
// of the life of tokens (1.6), throttling (4) and the client library's traps
// (6), and of what went wrong elsewhere (scenarios 19 to 50 and 73 to 76).
func requirements() []requirement {
	return []requirement{
		{"9.1", "every spelling of delta and of token names", "Links", "entra: TestLinksAreFollowedHoweverTheyAreSpelled, entrasim: TestSpellings"},
		{"9.2", "opaque tokens that carry select and filter; extra parameters", "ExtraParametersRejected TopRejected ExpandAllowed", "entra: TestNothingIsAskedThatTheServiceMayRefuse, entra: TestPullFromLinks"},
		{"9.3", "split, interleaved, empty, repeated, replayed, shuffled, removed at first", "ObjectsPerPage MembersPerPage MembersPerItem Interleave emptyPages repeat replay shuffle keyOrder RemovedInInitial removedInInitial", "entra: TestPaging, reconcile: TestEveryFaultOfTheServiceIsSurvived"},
		{"9.4", "absent members, null and absent, return=minimal", "AlwaysMinimal sparse", "entra: TestWhatIsOmittedIsUnchangedAndWhatIsNullIsCleared, entra: TestPullFromTheStart"},
		{"9.5", "50 ids, filters and properties that are refused", "FilterIDs", "entra: TestAStreamHasAsManyGroupsAsAFilterTakes, entra: TestUnknownPropertyIsNamed"},
		{"9.6", "soft and hard deletion and return of people and groups", "SoftDeleted SecurityGroupsPurged GroupRestoreReplays PurgeSilent PurgeDelay BinTime", "reconcile: TestTheEngineHoldsWhicheverWayTheServiceBehaves, entrasim: TestLifeInTheBin"},
		{"9.7", "tokens that age, and a reset with Location", "TokenTTL SkipTTL Lenient ExpiredGone GoneLocation GoneBody LatestLosesMembers tokenExpired", "entra: TestTokenLost, entrasim: TestDeltaTokensAge, reconcile: TestTheEngineHoldsWhicheverWayTheServiceBehaves"},
		{"9.8", "an object that lags", "lag", "entra: TestSomebodyNewIsAMemberBeforeHeCanBeRead, reconcile: TestTheEngineHoldsWhicheverWayTheServiceBehaves"},
		{"9.9", "resource units of small, middle and large tenants, and their headers", "Throttle ResourceUnits UnitFactor ShareUnsaid", "entra: TestTheLimitIsRespectedBeforeItIsHit"},
		{"9.9", "Retry-After: decimal, absent, zero, a date, an hour", "throttle", "entra: TestRetryAfterIsObeyed, entra: TestWireFaults, entra: TestThrottlingLeavesNothingBehind"},
		{"9.9", "503, 504, 502 with HTML, {} as an error", "status html emptyObject", "entra: TestWireFaults, entra: TestPatience, reconcile: TestEveryFaultOfTheServiceIsSurvived"},
		{"9.9", "bodies cut short, slow, in pieces; resets; silence", "truncate drip reset hang chunks bom contentType", "entra: TestWireFaults, entra: TestASlowBodyIsNoWayToHoldAPullForEver, entra: TestPaging"},
		{"9.9", "links in circles, without end, missing, and to elsewhere", "loop endless noLink noValue foreignNext foreignDelta foreignLocation redirect unknownError", "entra: TestBrokenRounds, entra: TestTokensGoNowhereElse, entra: TestStoredLinksAreNotTrusted"},
		{"9.10", "hidden memberships, missing permissions, ids alone", "HiddenForbidden GetByIDsNeedsDirectory revoke forbid", "entra: TestHiddenMembershipIsNotEmpty, entra: TestForbiddenNamesThePermission, entra: TestProfiles, cmd: TestMissingProfilePermissionWritesNoEmptyFields, reconcile: TestARefusedGroupIsSetAside"},
		{"9.11", "members of every type", "servicePrincipal contact device object", "entra: TestMembersOfEveryTypeArrive"},
		{"9.12", "lists and counts of members", "CountPrefix ServicePrincipalsListed CastNeedsCount", "entra: TestCountsAreReadHoweverTheyAreWritten, entrasim: TestMemberLists"},
		{"9.12", "getByIds, batches with refused parts", "BatchThrottle424 failedDependency", "entra: TestTokenKept, entra: TestQuietPullIsAsManyRequestsAsBatches, entrasim: TestGetByIds, reconcile: TestTheEngineHoldsWhicheverWayTheServiceBehaves"},
		{"9.13", "a token endpoint that refuses, ages and challenges", "claims", "entra: TestSignInErrorsAreInWords, entra: TestSignInServiceFails, entra: TestTheTenantsOwnClaimsChallenge, entra: TestClaimsChallenge, entra: TestClocksJump"},
		{"9.14", "compressed replies", "gzip", "entra: TestPaging, entra: TestSignInServiceFails, entra: TestRefusedSizes"},

		{"1.6", "expiry as 400 or 410, with and without body and Location", "ExpiredGone GoneLocation GoneBody", "entra: TestTokenLost"},
		{"1.6", "codes of any case at any depth", "", "entra: TestErrorReplies, entra: FuzzRefusal"},
		{"1.6", "page tokens that expire, malformed tokens, 404 UnknownError", "tokenExpired unknownError", "entra: TestBrokenRounds, entra: TestTokenLost"},
		{"1.6", "401, 403, 429 and 5xx never reset", "status throttle", "entra: TestTokenKept"},
		{"1.6", "circles and pages without end", "loop endless", "entra: TestBrokenRounds, FuzzLink"},
		{"4", "the allowance of each size of tenant, by the headers", "Throttle", "entra: TestTheLimitIsRespectedBeforeItIsHit"},
		{"4", "one budget for a directory, shared by its vaults", "throttle hang", "cmd: TestADirectoryInTroubleIsAskedAsIfForOneVault, cmd: TestOneDirectorysTroubleIsNotTheOthers"},
		{"6.3", "no iterator of the library: pages, headers, circles are ours", "loop", "entra: TestBrokenRounds, entra: TestPaging"},
		{"6.4", "null is not absence", "AlwaysMinimal", "entra: TestWhatIsOmittedIsUnchangedAndWhatIsNullIsCleared"},
		{"6.5", "{} , HTML, nothing and half of a reply as an error", "emptyObject html truncate", "entra: TestWireFaults, entra: TestErrorReplies, entra: FuzzBatch"},
		{"6.6", "no retries of the library, nothing left behind by ours", "throttle", "entra: TestThrottlingLeavesNothingBehind, entra: TestRetryAfterIsObeyed"},
		{"6.7", "hosts, ports and schemes; claims; redirects; proxies", "foreignNext redirect claims", "entra: TestTokensGoNowhereElse, entra: TestAProxyWithUserAndPasswordCarriesEverything, entra: FuzzLink"},

		{"19", "an old link", "advance", "entra: TestTokenLost, mirror: TestRefresh, expired_delta_link_is_read_anew_in_the_same_run"},
		{"20", "404 on a next page", "unknownError", "entra: TestBrokenRounds, next_page_that_is_lost_keeps_the_old_link"},
		{"21", "a person on two pages", "repeat", "entra: TestPaging, pages_that_repeat_replay_shuffle_and_come_empty_change_nothing_twice"},
		{"22", "replays", "replay", "mirror: TestRefresh, pages_that_repeat_replay_shuffle_and_come_empty_change_nothing_twice"},
		{"23", "a group on many pages", "MembersPerItem", "entra: TestPaging, mirror: TestRefresh"},
		{"24", "@removed without fields", "purge", "entra: TestPullFromLinks, permanently_deleted_person_leaves_by_id"},
		{"25", "a purge that groups never report", "PurgeSilent", "purged_person_whom_the_groups_never_report_leaves"},
		{"26", "soft deletion and return", "SoftDeleted", "soft_deleted_person_leaves_at_once_and_comes_back_with_all_groups, reconcile: TestLifeCycle"},
		{"27", "items without a name", "sparse", "mirror: TestRefresh, entra: TestPaging"},
		{"28", "membership drives scope", "", "person_joined_gets_account_with_the_groups_licence"},
		{"29", "death after the last page", "", "mirror: TestLargeRoundCrashAtEveryStep, reconcile: TestLifeCycle"},
		{"30", "death half-way through the changes", "", "cmd: TestKilledFirstImport, reconcile: TestWhatADyingRunDidIsFoundOut"},
		{"31", "changes that fail are queued", "", "one_person_whom_the_vault_refuses_does_not_stop_the_others"},
		{"32", "a link to itself", "loop", "entra: TestBrokenRounds, links_that_lead_in_a_circle_end_the_run_without_a_change"},
		{"33", "an endless chain", "endless", "entra: TestBrokenRounds, reconcile: TestEveryFaultOfTheServiceIsSurvived"},
		{"34", "a profile that is not there yet", "lag", "entra: TestSomebodyNewIsAMemberBeforeHeCanBeRead, person_whose_profile_is_not_there_yet_waits_for_it"},
		{"35", "another selection", "", "mirror: TestSelectChangeReadsAnew, new_attribute_is_read_of_everybody"},
		{"36", "another tenant", "", "mirror: TestOpenRefusesWhatItMustNotUse, configuration_of_another_tenant_is_refused"},
		{"37", "back in scope without a change of membership", "", "person_who_comes_back_into_scope_is_provisioned"},
		{"38", "references that arrive later", "lag", "mirror: TestRefresh, person_whose_profile_is_not_there_yet_waits_for_it"},
		{"39", "Retry-After 7 is seven seconds", "throttle", "entra: TestRetryAfterIsObeyed, throttled_directory_is_asked_again_after_the_time_it_names"},
		{"40", "a date, nothing, 0, 3600", "throttle", "entra: TestRetryAfterIsObeyed, reconcile: TestEveryFaultOfTheServiceIsSurvived"},
		{"41", "429 inside a batch", "throttle", "entra: TestTokenKept"},
		{"42", "another application eats the allowance", "throttle", "cmd: TestADirectoryInTroubleIsAskedAsIfForOneVault, entra: TestTheLimitIsRespectedBeforeItIsHit"},
		{"43", "429 for two hours", "throttle", "entra: TestRetryAfterIsObeyed, cmd: TestAPullThatWaitsSaysSo"},
		{"44", "429 for long is no reason to stop, 403 is one", "throttle status", "entra: TestPatience, missing_permission_changes_nothing"},
		{"45", "twenty vaults after a restart", "", "cmd: TestARestartBringsNoStorm, cmd: TestOneRunForAllWhoAsk, schedule: Test200VaultsAreSpreadAndBounded"},
		{"46", "101, 1,000 and 1,001 members", "MembersPerPage", "entra: TestPaging"},
		{"47", "a person in 250 groups", "", "mirror: TestManyGroupsOfOnePerson"},
		{"48", "one change in a large group", "", "mirror: TestNothingNewWritesNothing, cmd: TestASmallVaultInALargeTenantCostsItsOwnSize"},
		{"49", "calls by changes, not by people and groups", "", "cmd: TestAQuietTickCostsWhatTheStreamsCost"},
		{"50", "circles, diamonds, depth", "", "members_at_any_depth_count_cycles_and_diamonds_included, mirror: TestRefresh, deleted_nested_group_takes_its_people_out"},
		{"73", "an expired secret", "", "entra: TestSignInErrorsAreInWords, cmd: TestDirectoryFailuresChangeNothing"},
		{"74", "consent revoked", "revoke", "cmd: TestMissingMembershipPermissionNamesItAndTakesNobodyOut, missing_permission_changes_nothing"},
		{"75", "an optional call that fails", "HiddenForbidden GetByIDsNeedsDirectory", "entra: TestProfiles, entra: TestTokenKept, entra: TestCountsAreReadHoweverTheyAreWritten"},
		{"76", "token bodies in pieces, compressed, marked", "chunks gzip bom", "entra: TestSignInServiceFails, bodies_in_pieces_compressed_or_marked_are_read"},
	}
}

func folders() map[string]string {
	return map[string]string{
		"entra": ".", "entrasim": "../../entrasim", "mirror": "../../mirror", "reconcile": "../../reconcile",
		"schedule": "../../schedule", "cmd": "../../../cmd/vaultsync",
	}
}

// TestEveryRequirementHasItsSwitchAndItsTest keeps the table above true: what
// it names is there, and neither a line of the lists nor a switch of the
// simulator is left out.
func TestEveryRequirementHasItsSwitchAndItsTest(t *testing.T) {
	t.Parallel()
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	tests := map[string]bool{}
	for folder, path := range folders() {
		files, err := filepath.Glob(filepath.Join(path, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no tests, %v", folder, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range declared.FindAllSubmatch(text, -1) {
				tests[folder+": "+string(m[1])] = true
			}
		}
	}
	lines, switches := map[string]bool{}, map[string]bool{}
	for _, r := range requirements() {
		lines[r.line] = true
		for s := range strings.FieldsSeq(r.switches) {
			switches[s] = true
		}
		for test := range strings.SplitSeq(r.tests, ", ") {
			if tests[test] || tests["entra: "+test] {
				continue
			}
			if _, err := os.Stat(filepath.Join("../../../testdata/scenarios", test+".txtar")); err != nil {
				t.Errorf("%s %s: there is no %s", r.line, r.what, test)
			}
		}
	}
	for i := 1; i <= 14; i++ {
		if !lines[fmt.Sprintf("9.%d", i)] {
			t.Errorf("line %d of the checklist has no test", i)
		}
	}
	for i := 19; i <= 76; i++ {
		if (i <= 50 || i >= 73) && !lines[fmt.Sprint(i)] {
			t.Errorf("scenario %d has no test", i)
		}
	}
	var known []string
	for field := range reflect.TypeFor[entrasim.Rules]().Fields() {
		known = append(known, field.Name)
	}
	for _, kind := range entrasim.FaultKinds() {
		known = append(known, string(kind))
	}
	for _, name := range known {
		if !switches[name] {
			t.Errorf("no requirement names the switch %s", name)
		}
	}
	known = append(known, "lag", "revoke", "forbid", "purge", "advance", "servicePrincipal", "contact", "device", "object")
	for name := range switches {
		if !slices.Contains(known, name) {
			t.Errorf("the simulator has no switch %s", name)
		}
	}
}
