package reconcile_test

import (
	"os"
	"sync"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/directory/entra"
	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// company is small, nested and full of what a delta page can hold.
const company = `
user ann@contoso.com "Ann B" mail=ann@contoso.com
user bob@contoso.com "Bob C" mail=bob@contoso.com
user cid@contoso.com "Cid D" mail=cid@contoso.com
user dan@contoso.com "Dan E" mail=dan@contoso.com
user eve@contoso.com "Eve F" mail=eve@contoso.com
user fay@contoso.com "Fay G" mail=fay@contoso.com
user gus@contoso.com "Gus H" mail=gus@contoso.com enabled=false
user hal@contoso.com "Hal I" mail=hal@contoso.com
group Sales
group "Sales EU"
group Helsinki
group Archive
device "Laptop 7"
member Sales: ann@contoso.com, bob@contoso.com, group Sales EU, device Laptop 7
member Sales EU: cid@contoso.com, group Helsinki
member Helsinki: dan@contoso.com, eve@contoso.com, group Sales EU
member Archive: eve@contoso.com, fay@contoso.com, gus@contoso.com, ann@contoso.com
`

// companyMoves is a change of every sort.
const companyMoves = `
user ivy@contoso.com "Ivy J" mail=ivy@contoso.com
+member Helsinki: hal@contoso.com, ivy@contoso.com
-member Sales: bob@contoso.com
-member Archive: fay@contoso.com
set ann@contoso.com name="Ann Bee"
set gus@contoso.com enabled=true
set eve@contoso.com enabled=false
delete user dan@contoso.com
rename group Archive "The Archive"
`

type end string

// How a run under a fault may end. Whatever it is, nobody loses anything that
// the tenant lets them have.
const (
	goesOn  end = "goes on"             // the run is good and complete
	fails   end = "fails"               // the run fails and writes nothing
	endures end = "fails or is partial" // what cannot be read stays as it was
	resyncs end = "reads anew"          // in the same run, or with the next when it was reading from the start
)

type faultCase struct {
	name  string
	fault entrasim.Fault
	want  end
	// paged says that the fault needs pages that a quiet pull does not have.
	paged bool
}

// faultCases are the misbehaviours of facts/graph.md, section 9, that are
// orders to the simulator.
func faultCases() []faultCase {
	return []faultCase{
		{"429 without Retry-After", entrasim.Fault{Kind: entrasim.FaultThrottle, Times: 3}, goesOn, false},
		{"429 with zero", entrasim.Fault{Kind: entrasim.FaultThrottle, Times: 3, RetryAfter: "0"}, goesOn, false},
		{"429 with a decimal", entrasim.Fault{Kind: entrasim.FaultThrottle, Times: 3, RetryAfter: "0.124"}, goesOn, false},
		{"429 with a date", entrasim.Fault{Kind: entrasim.FaultThrottle, Times: 3, RetryAfter: "date", Delay: -time.Minute}, goesOn, false},
		{"429 with no time at all", entrasim.Fault{Kind: entrasim.FaultThrottle, Times: 3, RetryAfter: "soon"}, goesOn, false},
		{"429 with an hour", entrasim.Fault{Kind: entrasim.FaultThrottle, Times: 1, RetryAfter: "3600"}, fails, false},
		{"429 for ever", entrasim.Fault{Kind: entrasim.FaultThrottle, RetryAfter: "0.05"}, fails, false},
		{"429 inside a batch", entrasim.Fault{Kind: entrasim.FaultThrottle, Where: "inner", Times: 2}, goesOn, true},
		{"424 inside a batch", entrasim.Fault{Kind: entrasim.FaultFailedDependency, Where: "inner", Times: 2}, goesOn, true},
		{"424 outside of one", entrasim.Fault{Kind: entrasim.FaultFailedDependency, Path: "/users/delta", Times: 1}, goesOn, true},
		{"500 now and then", entrasim.Fault{Kind: entrasim.FaultStatus, Status: 500, Times: 3}, goesOn, false},
		{"500 for ever", entrasim.Fault{Kind: entrasim.FaultStatus, Status: 500}, fails, false},
		{"503 with Retry-After", entrasim.Fault{Kind: entrasim.FaultStatus, Status: 503, RetryAfter: "0.01", Times: 3}, goesOn, false},
		{"504", entrasim.Fault{Kind: entrasim.FaultStatus, Status: 504, Times: 3}, goesOn, false},
		{"502 with HTML", entrasim.Fault{Kind: entrasim.FaultHTML, Times: 3}, goesOn, false},
		{"200 with HTML", entrasim.Fault{Kind: entrasim.FaultHTML, Status: 200}, fails, false},
		{"503 for the groups alone", entrasim.Fault{Kind: entrasim.FaultStatus, Status: 503, Path: "/groups/delta"}, fails, false},
		{"503 for the people alone", entrasim.Fault{Kind: entrasim.FaultStatus, Status: 503, Path: "/users/delta"}, fails, true},
		{"401 for ever", entrasim.Fault{Kind: entrasim.FaultStatus, Status: 401, Code: "InvalidAuthenticationToken"}, fails, false},
		{"403 for ever", entrasim.Fault{Kind: entrasim.FaultStatus, Status: 403, Code: "Authorization_RequestDenied"}, endures, false},
		{"403 for the groups alone", entrasim.Fault{Kind: entrasim.FaultStatus, Status: 403, Code: "Authorization_RequestDenied", Path: "/groups"}, endures, false},
		{"404 for everything", entrasim.Fault{Kind: entrasim.FaultStatus, Status: 404, Code: "UnknownError"}, endures, false},
		{"{} as the body of 400", entrasim.Fault{Kind: entrasim.FaultEmptyObject}, fails, false},
		{"{} as the body of 200", entrasim.Fault{Kind: entrasim.FaultEmptyObject, Status: 200}, fails, false},
		{"{} as the body of 503", entrasim.Fault{Kind: entrasim.FaultEmptyObject, Status: 503, Times: 3}, goesOn, false},
		{"a claims challenge", entrasim.Fault{Kind: entrasim.FaultClaims}, goesOn, false},
		{"404 UnknownError on a next link", entrasim.Fault{Kind: entrasim.FaultUnknownError}, fails, true},
		{"a token lost with 400", entrasim.Fault{Kind: entrasim.FaultTokenExpired, Times: 1}, resyncs, true},
		{"a token lost with 410", entrasim.Fault{Kind: entrasim.FaultTokenExpired, Status: 410, Times: 1}, resyncs, true},
		{"a token lost with a bare 410", entrasim.Fault{Kind: entrasim.FaultTokenExpired, Status: 410, NoBody: true, NoLocation: true, Times: 1}, resyncs, true},
		{"resyncRequired", entrasim.Fault{Kind: entrasim.FaultTokenExpired, Code: "resyncRequired", Times: 1}, resyncs, true},
		{"an expired page token", entrasim.Fault{Kind: entrasim.FaultTokenExpired, Code: "Directory_ExpiredPageToken", Times: 1}, resyncs, true},
		{"a token that is never good", entrasim.Fault{Kind: entrasim.FaultTokenExpired, Status: 410}, fails, true},
		{"410 whose Location leads elsewhere", entrasim.Fault{Kind: entrasim.FaultForeignLocation, Times: 1}, goesOn, true},
		{"a redirect", entrasim.Fault{Kind: entrasim.FaultRedirect}, fails, false},
		{"a redirect to another port", entrasim.Fault{Kind: entrasim.FaultRedirect, Host: "port"}, fails, false},
		{"a redirect without TLS", entrasim.Fault{Kind: entrasim.FaultRedirect, Host: "http"}, fails, false},
		{"empty pages", entrasim.Fault{Kind: entrasim.FaultEmptyPages, Times: 5}, goesOn, false},
		{"repeated entries", entrasim.Fault{Kind: entrasim.FaultRepeat, Count: 3}, goesOn, false},
		{"replayed changes", entrasim.Fault{Kind: entrasim.FaultReplay, Count: 6}, goesOn, true},
		{"entries in another order", entrasim.Fault{Kind: entrasim.FaultShuffle, Seed: 7}, goesOn, false},
		{"keys in another order", entrasim.Fault{Kind: entrasim.FaultKeyOrder}, goesOn, false},
		{"a removed stranger in a first round", entrasim.Fault{Kind: entrasim.FaultRemovedInInitial}, goesOn, true},
		{"groups that carry their members alone", entrasim.Fault{Kind: entrasim.FaultSparse}, goesOn, false},
		{"a next link that leads to itself", entrasim.Fault{Kind: entrasim.FaultLoop}, fails, true},
		{"pages without end", entrasim.Fault{Kind: entrasim.FaultEndless}, fails, false},
		{"a page with neither link", entrasim.Fault{Kind: entrasim.FaultNoLink}, fails, false},
		{"a page without value", entrasim.Fault{Kind: entrasim.FaultNoValue}, fails, false},
		{"a next link to another host", entrasim.Fault{Kind: entrasim.FaultForeignNext}, fails, true},
		{"a next link to another port", entrasim.Fault{Kind: entrasim.FaultForeignNext, Host: "port"}, fails, true},
		{"a next link without TLS", entrasim.Fault{Kind: entrasim.FaultForeignNext, Host: "http"}, fails, true},
		{"a delta link to another host", entrasim.Fault{Kind: entrasim.FaultForeignDelta}, fails, false},
		{"a body cut short", entrasim.Fault{Kind: entrasim.FaultTruncate, Times: 3}, goesOn, false},
		{"bodies always cut short", entrasim.Fault{Kind: entrasim.FaultTruncate}, fails, false},
		{"a body cut after one byte", entrasim.Fault{Kind: entrasim.FaultTruncate, Count: 1, Times: 3}, goesOn, false},
		{"a body that drips", entrasim.Fault{Kind: entrasim.FaultDrip, Times: 1, Delay: time.Hour}, goesOn, false},
		{"bodies that always drip", entrasim.Fault{Kind: entrasim.FaultDrip, Delay: time.Hour}, fails, false},
		{"a connection reset after the reply began", entrasim.Fault{Kind: entrasim.FaultReset, Times: 3}, goesOn, false},
		{"connections always reset", entrasim.Fault{Kind: entrasim.FaultReset}, fails, false},
		{"no answer", entrasim.Fault{Kind: entrasim.FaultHang, Times: 1}, goesOn, false},
		{"never an answer", entrasim.Fault{Kind: entrasim.FaultHang}, fails, false},
		{"bodies in two parts", entrasim.Fault{Kind: entrasim.FaultChunks}, goesOn, false},
		{"a byte order mark", entrasim.Fault{Kind: entrasim.FaultBOM}, goesOn, false},
		{"another content type", entrasim.Fault{Kind: entrasim.FaultContentType, Times: 2}, endures, false},
		{"gzip whether accepted or not", entrasim.Fault{Kind: entrasim.FaultGzip}, goesOn, false},
	}
}

func TestEveryFaultOfTheServiceIsSurvived(t *testing.T) {
	t.Parallel()
	tried := map[entrasim.FaultKind]bool{}
	// Most cases wait for a silent service rather than work.
	var all sync.WaitGroup
	defer all.Wait()
	places := make(chan struct{}, 12)
	for _, c := range faultCases() {
		tried[c.fault.Kind] = true
		for _, m := range faultModes() {
			if !deep() && !m.always && (!m.full || !c.paged) {
				continue
			}
			places <- struct{}{}
			all.Go(func() {
				defer func() { <-places }()
				t.Run(c.name+" "+m.name+" disables nobody and is made good", func(t *testing.T) { surviveFault(t, c, m) })
			})
		}
	}
	for _, kind := range entrasim.FaultKinds() {
		if !tried[kind] {
			t.Errorf("no case tries the fault %s", kind)
		}
	}
}

type faultMode struct {
	name, profiles string
	first, full    bool
	always         bool // also in the short run, for faults that need no pages
}

func faultModes() []faultMode {
	return []faultMode{
		{"in the first import", "stream", true, false, false},
		{"with stored links", "stream", false, false, true},
		{"with stored links and people read one by one", "read", false, false, false},
		{"in a full read", "stream", false, true, false},
	}
}

func deep() bool { return os.Getenv("VAULTSYNC_DEEP") != "" }

func surviveFault(t *testing.T, c faultCase, m faultMode) {
	tenant, err := entrasim.ParseTenant(company)
	if err != nil {
		t.Fatal(err)
	}
	tenant.SetRules(func(r *entrasim.Rules) { r.ObjectsPerPage, r.MembersPerPage, r.MembersPerItem = 2, 2, 1 })
	w := openWorld(t.Context(), t, t.TempDir(), tenant, m.profiles, func(o *entra.Options) {
		o.HeaderTimeout, o.IdleBody, o.MaxPages = 700*time.Millisecond, 700*time.Millisecond, 60
		o.Patience = 1500 * time.Millisecond
		if c.want == goesOn || c.want == resyncs {
			// A slow machine is no fault.
			o.Patience, o.HeaderTimeout, o.IdleBody = time.Minute, 2*time.Second, 2*time.Second
		}
	}, vaultSpec{"sales", []string{"Sales"}, openGuards}, vaultSpec{"archive", []string{"Archive", "Helsinki"}, openGuards})
	defer w.Close()
	foreign, err := w.server.Foreign()
	if err != nil {
		t.Fatal(err)
	}
	if !m.first {
		w.mustRun(reconcile.Options{})
		w.check()
	}
	w.apply(companyMoves)
	w.renamed = map[string]string{"Archive": "The Archive"} // the vault group's name is in the file
	for _, s := range w.stores {
		s.Forget()
	}
	fault := w.inject(c.fault)
	_, errs, _ := w.run(reconcile.Options{Full: m.full})
	w.judge(c, m, errs, fault.Fired() > 0)
	if n := foreign.Requests(); n != 0 {
		t.Errorf("a foreign listener was asked %d times, with a token %d times", n, foreign.Authorized())
	}
	w.server.ClearFaults()
	w.reopenThrottled(c)
	w.mustRun(reconcile.Options{})
	w.check()
	w.mustRest()
}

// reopenThrottled starts the program anew after a fault that makes it wait for
// an hour.
func (w *world) reopenThrottled(c faultCase) {
	if c.fault.RetryAfter == "3600" {
		w.reopen()
	}
}

// judge looks at what runs under a fault have done.
func (w *world) judge(c faultCase, m faultMode, errs map[string]error, struck bool) {
	w.Helper()
	failed := 0
	for _, s := range w.specs {
		store := w.stores[s.name]
		writes := store.Writes()
		if errs[s.name] != nil {
			failed++
			if len(writes) > 0 {
				w.Errorf("vault %s: a failed run made %d changes", s.name, len(writes))
			}
			if c.want == goesOn || c.want == resyncs && !m.first && !m.full {
				w.Errorf("vault %s: the run failed: %v", s.name, errs[s.name])
			}
		}
		w.nobodyLostAnything(s)
	}
	fromTheStart := m.first || m.full
	switch {
	case !struck && c.fault.Where == "inner" && fromTheStart:
		// The first round of a stream is no part of a batch.
	case !struck && (fromTheStart && !needsStoredLink(c.fault.Kind) || !c.paged && !fromTheStart):
		w.Errorf("the fault never struck")
	case struck && c.want == fails && failed == 0:
		w.Errorf("no run is said to have failed")
	}
	if failed == 0 && (c.want == goesOn || c.want == resyncs || !struck) {
		w.check()
	}
}

// nobodyLostAnything looks at the changes since the last Forget and complains
// of people from whom they took what the tenant lets them have.
func (w *world) nobodyLostAnything(s vaultSpec) {
	w.Helper()
	store, truth := w.stores[s.name], w.truth()
	right, members := map[string]bool{}, map[string]map[string]bool{}
	for _, g := range s.groups {
		members[g] = map[string]bool{}
		for id := range truth.in(w.groupID(g)) {
			right[id.String()], members[g][id.String()] = true, true
		}
	}
	users, groups := map[string]string{}, map[string]string{}
	for u, err := range store.Users(w.ctx) {
		if err != nil {
			w.Fatalf("vault %s: %v", s.name, err)
		}
		users[u.ID] = u.ExternalID
		if u.ExternalID == entrasim.PoisonID().String() {
			w.Errorf("vault %s: a foreign page was believed", s.name)
		}
	}
	for g, err := range store.Groups(w.ctx) {
		if err != nil {
			w.Fatalf("vault %s: %v", s.name, err)
		}
		groups[g.ID] = g.Name
	}
	for _, c := range store.Writes() {
		switch {
		case c.Op == vault.UpdateUser && c.Patch.Enabled != nil && !*c.Patch.Enabled && right[users[c.UserID]]:
			w.Errorf("vault %s: %s was disabled and has a right to be in", s.name, users[c.UserID])
		case c.Op == vault.RemoveMembers:
			for _, id := range c.Members {
				if members[groups[c.GroupID]][users[id]] {
					w.Errorf("vault %s: %s was taken out of %s and is a member", s.name, users[id], groups[c.GroupID])
				}
			}
		}
	}
}

// needsStoredLink says that a fault strikes stored links alone.
func needsStoredLink(kind entrasim.FaultKind) bool {
	return kind == entrasim.FaultReplay || kind == entrasim.FaultForeignLocation
}
