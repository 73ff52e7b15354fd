package reconcile_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vaultsync/vaultsync/pkg/directory/entra"
	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/vault"
	"github.com/vaultsync/vaultsync/pkg/vault/vaulttest"
)

// TestLifeCycle plays random directories, hands, faults, crashes and runs
// against a model of lifecycle.md that is written without the engine. After
// every settled run the vault equals the model, another run writes nothing, no
// account is made twice, nothing foreign is touched, and nobody whom hands
// disabled comes back.
func TestLifeCycle(t *testing.T) {
	t.Run("with open guards", func(t *testing.T) { checkMachine(t, false) })
	t.Run("no run disables more people than the guard allows", func(t *testing.T) { checkMachine(t, true) })
}

func checkMachine(t *testing.T, guarded bool) {
	t.Helper()
	steps := 25
	if deep() {
		steps = 120
	}
	setChecks(t, "8", "60")
	rapid.Check(t, func(rt *rapid.T) {
		m := newMachine(t.Context(), rt, t.TempDir(), guarded)
		defer m.w.Close()
		actions := m.actions()
		for range rapid.IntRange(steps/2, steps).Draw(rt, "steps") {
			name := rapid.SampledFrom(slices.Sorted(maps.Keys(actions))).Draw(rt, "action")
			actions[name]()
		}
		m.settle()
	})
}

// setChecks says how many random cases a property is tried with, in a deep run
// too, unless somebody has said so. It is for tests that are not parallel.
func setChecks(t *testing.T, checks, inDepth string) {
	t.Helper()
	if deep() {
		checks = inDepth
	}
	given := flag.Lookup("rapid.checks").Value.String()
	if given != "100" { // the default
		return
	}
	t.Cleanup(func() { _ = flag.Set("rapid.checks", given) })
	if err := flag.Set("rapid.checks", checks); err != nil {
		t.Fatal(err)
	}
}

// machine is a world with hands in the vault and a model of it.
type machine struct {
	rt      *rapid.T
	w       *world
	guarded bool
	store   *dyingStore

	people []string // references that survive renames: object ids
	groups []string

	// settled says that no run was cut short since the last good one: only
	// then is it known what hands find in the vault.
	settled bool
	// drift says that hands changed what only a full run sees.
	drift bool
	// away are the people who were not in the vault at the last settled run.
	away map[string]bool
	// hand is what hands last made of an account's enabled state, "" when
	// synchronization decided since.
	hand map[string]string
	// either marks accounts that hands enabled and disabled again while their
	// people were away: without a full run in between nobody has seen it.
	either map[string]bool
	// deleted are the people whose account hands deleted.
	deleted map[string]bool
	// foreign are accounts that are not ours, and the groups hands put them in.
	foreign map[string]vault.User
	guests  map[string]map[string]bool // group → login
	made    int

	// grace says that people keep access for a while after they have left.
	grace bool
	// mapped says that the vault's file has another field to write.
	mapped bool
	// states are what the directory has said since the run began, by group: what
	// a run does must be right in one of them.
	states []map[string]map[string]bool
}

// dyingStore passes on and sees everything, and dies when it is told to.
type dyingStore struct {
	*vaulttest.Memory
	dieAt    int // the change at which the process dies; 0 never
	dieAfter bool
	seen     int
	created  map[string]int
	disabled map[string]bool // in this run
	observe  func(c vault.Change, person string)
	// listing makes of the vault's users what pages make of them that move
	// while they are read; during is called between two of them.
	listing func([]vault.User) []vault.User
	during  func(n int)
}

var errDied = errors.New("the process died")

func (s *dyingStore) Apply(ctx context.Context, changes []vault.Change) []vault.Result {
	results := make([]vault.Result, 0, len(changes))
	for _, c := range changes {
		s.seen++
		dies := s.seen == s.dieAt
		if dies && !s.dieAfter {
			panic(errDied)
		}
		person := s.personOf(c)
		r := s.Memory.Apply(ctx, []vault.Change{c})[0]
		if r.Err == nil || errors.Is(r.Err, vault.ErrUnknownOutcome) {
			s.observe(c, person)
		}
		if dies {
			panic(errDied)
		}
		results = append(results, r)
	}
	return results
}

func (s *dyingStore) Users(ctx context.Context) iter.Seq2[vault.User, error] {
	return func(yield func(vault.User, error) bool) {
		var all []vault.User
		for u, err := range s.Memory.Users(ctx) {
			if err != nil {
				yield(u, err)
				return
			}
			all = append(all, u)
		}
		if s.listing != nil {
			all = s.listing(all)
		}
		for n, u := range all {
			if s.during != nil {
				s.during(n)
			}
			if !yield(u, nil) {
				return
			}
		}
	}
}

func (s *dyingStore) personOf(c vault.Change) string {
	if c.Op == vault.CreateUser {
		return c.User.ExternalID
	}
	found, err := s.Find(context.Background(), []vault.Query{{ID: c.UserID}})
	if err != nil || len(found[0]) == 0 {
		return ""
	}
	return found[0][0].ExternalID
}

const machineGuards = `
guards:
  disables: {count: 2, percent: 100, minimum: 1000}
  creates: {count: 100000000}
  loginChanges: {count: 100000000, percent: 100, minimum: 1000000}
  vanished: {count: 100000000, percent: 100, minimum: 1000000}
  memberRemovals: {percent: 100, minimum: 1}
  emptyGroup: allow
  missingGroup: allow
`

func newMachine(ctx context.Context, rt *rapid.T, dir string, guarded bool) *machine {
	rt.Helper()
	m := &machine{
		rt: rt, guarded: guarded, groups: []string{"Red", "Green", "Blue", "Inner"}, settled: true,
		away: map[string]bool{}, hand: map[string]string{}, either: map[string]bool{}, deleted: map[string]bool{},
		foreign: map[string]vault.User{}, guests: map[string]map[string]bool{},
	}
	tenant := entrasim.NewTenant(entrasim.DemoTenantID())
	tenant.AddApp(entrasim.DemoApp())
	for _, name := range []string{"ann", "bob", "cid", "dan", "eve", "fay"} {
		id, err := tenant.AddUser(entrasim.UserSpec{UPN: name + "@contoso.com", DisplayName: name})
		if err != nil {
			rt.Fatalf("%v", err)
		}
		m.people = append(m.people, id.String())
		m.away[id.String()] = true
	}
	for _, name := range m.groups {
		if _, err := tenant.AddGroup(entrasim.GroupSpec{Name: name}); err != nil {
			rt.Fatalf("%v", err)
		}
	}
	profiles := rapid.SampledFrom([]string{"stream", "read"}).Draw(rt, "profiles")
	options := func(o *entra.Options) { o.MaxPages = 60 }
	m.grace = rapid.IntRange(0, 3).Draw(rt, "grace") == 0
	m.w = openWorld(ctx, rt, dir, tenant, profiles, options,
		vaultSpec{"sales", []string{"Red", "Green", "Blue"}, m.rest()}, vaultSpec{"finance", []string{"Green", "Inner"}, openGuards})
	m.w.portion = rapid.SampledFrom([]int{0, 1, 2, 3}).Draw(rt, "portion")
	m.store = &dyingStore{Memory: m.w.stores["sales"], created: map[string]int{}, disabled: map[string]bool{}, observe: m.observe}
	m.w.seam = func(name string, memory *vaulttest.Memory) vault.Store {
		if name == "sales" {
			return m.store
		}
		return memory
	}
	m.w.reopen()
	return m
}

// rest is the part of the vault's file that may change.
func (m *machine) rest() string {
	text := openGuards
	if m.guarded {
		text = machineGuards
	}
	if m.mapped {
		text += "attributes: [{source: displayName, target: info1}]\n"
	}
	if m.grace {
		text += "accounts: {onLeave: {after: 48h}}\n"
	}
	return text
}

// observe sees every change that synchronization makes.
func (m *machine) observe(c vault.Change, person string) {
	m.justify(c, person)
	switch c.Op {
	case vault.CreateUser:
		if m.store.created[person]++; m.store.created[person] > 1 {
			m.rt.Errorf("the account of %s was made twice", person)
		}
	case vault.UpdateUser:
		if c.Patch.Enabled == nil {
			return
		}
		if *c.Patch.Enabled && m.hand[person] == "disabled" && !m.either[person] {
			m.rt.Errorf("%s, disabled by hand, was enabled", person)
		}
		m.hand[person] = ""
		delete(m.either, person)
		if !*c.Patch.Enabled {
			m.store.disabled[person] = true
		}
	case vault.CreateGroup, vault.UpdateGroup, vault.AddMembers, vault.RemoveMembers:
	}
}

func (m *machine) person() string { return rapid.SampledFrom(m.people).Draw(m.rt, "person") }
func (m *machine) group() string  { return rapid.SampledFrom(m.groups).Draw(m.rt, "group") }

// try changes the tenant; what it refuses, of things that are gone, is no
// matter.
func (m *machine) try(format string, args ...any) { _ = m.w.tenant.Apply(fmt.Sprintf(format, args...)) }

func (m *machine) actions() map[string]func() {
	actions := map[string]func(){
		"join":            func() { m.try("+member %s: %s", m.group(), m.person()) },
		"join too":        func() { m.try("+member %s: %s", m.group(), m.person()) },
		"join all":        m.joinAll,
		"leave":           func() { m.try("-member %s: %s", m.group(), m.person()) },
		"leave all":       m.leaveAll,
		"nest":            func() { m.try("+member %s: group %s", m.group(), m.group()) },
		"unnest":          func() { m.try("-member %s: group %s", m.group(), m.group()) },
		"disable":         func() { m.try("set %s enabled=false", m.person()) },
		"enable":          func() { m.try("set %s enabled=true", m.person()) },
		"delete":          func() { m.try("delete user %s", m.person()) },
		"restore":         func() { m.try("restore user %s", m.person()) },
		"rename":          m.rename,
		"new login":       m.newLogin,
		"delete a group":  func() { m.try("delete group %s", m.group()) },
		"restore a group": func() { m.try("restore group %s", m.group()) },
		"reset tokens":    func() { m.try("reset tokens") },
		"advance": func() {
			m.w.tenant.Advance(time.Duration(rapid.IntRange(1, 9*24).Draw(m.rt, "hours")) * time.Hour)
		},
		"hands disable":       m.handsDisable,
		"hands enable":        m.handsEnable,
		"hands delete":        m.handsDelete,
		"hands rename":        m.handsRename,
		"hands regroup":       m.handsRegroup,
		"hands make":          m.handsMake,
		"hands rename all":    m.handsRenameAll,
		"hands delete group":  m.handsDeleteGroup,
		"change the rules":    m.changeRules,
		"exchange logins":     m.exchangeLogins,
		"run while it moves":  m.runWhileItMoves,
		"run the other":       func() { m.runOther(false) },
		"reopen":              func() { m.w.reopen() },
		"lose the local copy": m.loseMirror,
		"run":                 func() { m.run(reconcile.Options{}) },
		"run in full":         func() { m.run(reconcile.Options{Full: true}) },
		"die in a run":        m.dieInRun,
		"die again":           m.dieInRun,
		"lose an answer":      m.loseAnswer,
		"store fails":         m.failStore,
		"fault":               m.fault,
		"settle":              m.settle,
		"settle too":          m.settle,
	}
	return actions
}

func (m *machine) joinAll() {
	g := m.group()
	for _, p := range m.people {
		m.try("+member %s: %s", g, p)
	}
}

func (m *machine) leaveAll() {
	g := m.group()
	for _, p := range m.people {
		m.try("-member %s: %s", g, p)
	}
}

// rename and newLogin go back and forth, so that a change can be undone before
// anybody has seen it.
func (m *machine) rename() {
	p := m.person()
	m.try("set %s name=%q", p, rapid.SampledFrom([]string{"One", "Two"}).Draw(m.rt, "name")+" "+p[:4])
}

func (m *machine) newLogin() {
	p := m.person()
	m.try("set %s upn=%s", p, rapid.SampledFrom([]string{"x", "y"}).Draw(m.rt, "login")+p[:8]+"@contoso.com")
}

// account is the vault user of a person whom hands may touch.
func (m *machine) account(p string) (vault.User, bool) {
	found, err := m.store.Find(m.w.ctx, []vault.Query{{ExternalID: p}})
	if err != nil || len(found[0]) != 1 || found[0][0].ID == "" || !m.settled {
		return vault.User{}, false
	}
	return found[0][0], true
}

// byHand makes a change that no run has made.
func (m *machine) byHand(c vault.Change) {
	if r := m.store.Memory.Apply(m.w.ctx, []vault.Change{c}); r[0].Err != nil {
		m.rt.Fatalf("by hand: %v", r[0].Err)
	}
}

func (m *machine) handsDisable() {
	p := m.person()
	u, ok := m.account(p)
	if !ok || !u.Enabled {
		return
	}
	off := false
	m.byHand(vault.Change{Op: vault.UpdateUser, UserID: u.ID, Patch: vault.Patch{Enabled: &off}})
	if m.hand[p] == "enabled" {
		m.either[p] = true
	}
	m.hand[p] = "disabled"
}

func (m *machine) handsEnable() {
	p := m.person()
	u, ok := m.account(p)
	if !ok || u.Enabled || m.grace && m.away[p] { // who is in grace cannot be told from who has left
		return
	}
	on := true
	m.byHand(vault.Change{Op: vault.UpdateUser, UserID: u.ID, Patch: vault.Patch{Enabled: &on}})
	delete(m.either, p)
	m.hand[p] = ""
	if m.away[p] {
		m.hand[p] = "enabled"
	}
}

func (m *machine) handsDelete() {
	p := m.person()
	if u, ok := m.account(p); ok {
		if err := m.store.DeleteUser(u.ID); err != nil {
			m.rt.Fatalf("%v", err)
		}
		m.deleted[p] = true
	}
}

func (m *machine) handsRename() {
	if u, ok := m.account(m.person()); ok {
		name := "Changed By Hand"
		m.byHand(vault.Change{Op: vault.UpdateUser, UserID: u.ID, Patch: vault.Patch{FullName: &name}})
		m.drift = true
	}
}

func (m *machine) handsRegroup() {
	u, ok := m.account(m.person())
	if !ok {
		return
	}
	truth := m.w.truth()
	op := rapid.SampledFrom([]vault.Op{vault.AddMembers, vault.RemoveMembers}).Draw(m.rt, "op")
	for g, err := range m.store.Groups(m.w.ctx) {
		if err != nil {
			m.rt.Fatalf("%v", err)
		}
		if truth.groups[m.w.groupID(g.Name)].Life != entrasim.Live {
			continue // when a run that made it has died, it may be nobody's by now
		}
		m.byHand(vault.Change{Op: op, GroupID: g.ID, Members: []string{u.ID}})
		m.drift = true
	}
}

// handsMake makes an account that is nobody's, in a group that is ours.
func (m *machine) handsMake() {
	if !m.settled {
		return
	}
	m.made++
	login := fmt.Sprintf("local%d@contoso.com", m.made)
	user := vault.User{LoginName: login, FullName: "Local", License: identity.NoLicense}
	m.byHand(vault.Change{Op: vault.CreateUser, User: user})
	found, err := m.store.Find(m.w.ctx, []vault.Query{{LoginName: login}})
	if err != nil {
		m.rt.Fatalf("%v", err)
	}
	m.foreign[login] = found[0][0]
	for g, err := range m.store.Groups(m.w.ctx) {
		if err != nil {
			m.rt.Fatalf("%v", err)
		}
		m.byHand(vault.Change{Op: vault.AddMembers, GroupID: g.ID, Members: []string{found[0][0].ID}})
		if m.guests[g.Name] == nil {
			m.guests[g.Name] = map[string]bool{}
		}
		m.guests[g.Name][login] = true
	}
}

func (m *machine) loseMirror() {
	m.w.shut()
	if err := os.Remove(m.w.mirrorPath()); err != nil {
		m.rt.Fatalf("%v", err)
	}
	m.w.open()
}

// run makes one run, which may die; it says whether it lived and was good.
func (m *machine) run(o reconcile.Options) (report reconcile.Report, good bool) {
	m.rt.Helper()
	m.store.seen, m.store.disabled = 0, map[string]bool{}
	m.states = []map[string]map[string]bool{m.says()}
	died := false
	var err error
	func() {
		defer func() {
			if r := recover(); r != nil {
				if r != any(errDied) {
					panic(r)
				}
				died = true
			}
		}()
		report, err = m.w.vaults["sales"].Run(m.w.ctx, o)
	}()
	if m.guarded && len(o.Approve) == 0 && len(m.store.disabled) > 2 {
		m.rt.Errorf("a run disabled %d people, the guard allows 2", len(m.store.disabled))
	}
	if died {
		m.settled = false
		m.store.dieAt = 0
		m.w.reopen()
		return report, false
	}
	if err == nil && o.Full {
		clear(m.either)
	}
	switch {
	case err == nil && report.Outcome == reconcile.OK:
		m.noteAway()
	case err == nil:
		m.settled = false // for somebody something was not done
	}
	return report, err == nil
}

// noteAway notes who a run without complaint has found away when it began.
func (m *machine) noteAway() {
	in := map[string]bool{}
	for _, members := range m.states[0] {
		maps.Copy(in, members)
	}
	for _, p := range m.people {
		if m.away[p] = !in[p]; in[p] && m.hand[p] == "enabled" {
			m.hand[p] = ""
		}
	}
}

func (m *machine) dieInRun() {
	m.store.dieAt = rapid.IntRange(1, 8).Draw(m.rt, "at")
	m.store.dieAfter = rapid.Bool().Draw(m.rt, "after")
	m.run(reconcile.Options{})
	m.store.dieAt = 0
}

func (m *machine) loseAnswer() {
	at, seen := rapid.IntRange(1, 6).Draw(m.rt, "at"), 0
	m.store.Lose = func(vault.Change) bool { seen++; return seen == at }
	m.run(reconcile.Options{})
	m.store.Lose = nil
	m.settled = m.settled && seen < at
}

func (m *machine) failStore() {
	kind := rapid.SampledFrom([]error{vault.ErrUnreachable, vault.ErrInvalid, vault.ErrExists}).Draw(m.rt, "error")
	m.store.Fail = vaulttest.FailAt(rapid.IntRange(1, 6).Draw(m.rt, "at"), kind)
	m.run(reconcile.Options{})
	m.store.Fail = nil
	m.settled = false
}

// fault makes a run that the directory spoils for good.
func (m *machine) fault() {
	f := rapid.SampledFrom([]entrasim.Fault{
		{Kind: entrasim.FaultNoLink},
		{Kind: entrasim.FaultNoValue},
		{Kind: entrasim.FaultEndless},
		{Kind: entrasim.FaultTokenExpired, Times: 1},
		{Kind: entrasim.FaultReplay, Count: 9},
		{Kind: entrasim.FaultRepeat, Count: 3},
		{Kind: entrasim.FaultStatus, Status: 403, Code: "Authorization_RequestDenied", Path: "/groups"},
		{Kind: entrasim.FaultEmptyObject, Status: 400},
		{Kind: entrasim.FaultForeignNext},
		{Kind: entrasim.FaultTruncate, Times: 1},
	}).Draw(m.rt, "fault")
	m.w.inject(f)
	m.run(reconcile.Options{})
	m.w.server.ClearFaults()
}

// settle makes a good run and compares the vault with the model.
func (m *machine) settle() {
	m.rt.Helper()
	// A membership or a name that a run wrote before it died, and that the
	// directory took back before the next, is found by a full run alone.
	o := reconcile.Options{ByHand: true, Full: m.drift || !m.settled}
	report, good := m.run(o)
	if good && m.grace {
		for report.Outcome == reconcile.Held {
			report = m.approve()
		}
		m.w.tenant.Advance(49 * time.Hour)
		report, good = m.run(o)
	}
	if !good {
		m.rt.Fatalf("the run failed: %s", report.Error)
	}
	for tries := 0; report.Outcome == reconcile.Held; tries++ {
		if !m.guarded || tries > 9 {
			m.rt.Fatalf("something is held: %+v", report.Guards)
		}
		report = m.approve()
	}
	m.drift, m.settled = false, true
	m.noteAway()
	m.compare()
	m.store.Forget()
	if report, good = m.run(reconcile.Options{}); !good || report.Outcome != reconcile.OK {
		m.rt.Fatalf("the second run: %s %s %+v", report.Outcome, report.Error, report.Waiting)
	}
	if writes := m.store.Writes(); len(writes) > 0 {
		m.rt.Errorf("a second run wrote %+v", writes)
	}
	m.runOther(true)
}

func (m *machine) approve() reconcile.Report {
	m.rt.Helper()
	v := m.w.vaults["sales"]
	meta, err := v.Snapshot.Meta()
	if err != nil || meta.Held == nil {
		m.rt.Fatalf("nothing is held: %v", err)
	}
	report, err := v.Approve(m.w.ctx, meta.Held.Digest, func(o reconcile.Options) (reconcile.Report, error) {
		report, good := m.run(o)
		if !good {
			return report, fmt.Errorf("the run failed: %s", report.Error)
		}
		return report, nil
	})
	if err != nil {
		m.rt.Fatalf("approve: %v", err)
	}
	return report
}

// compare holds the vault against lifecycle.md.
func (m *machine) compare() {
	m.rt.Helper()
	truth, h := m.w.truth(), look(m.rt, m.store.Memory)
	wanted := map[string][]string{} // person → groups
	for _, g := range m.w.specs[0].groups {
		for id := range truth.in(m.w.groupID(g)) {
			wanted[id.String()] = append(wanted[id.String()], g)
		}
	}
	expected := map[string][]string{} // group → members
	for _, p := range m.people {
		m.compareAccount(p, wanted[p], truth, h)
		if _, there := h.users[p]; there && !m.deleted[p] {
			for _, g := range wanted[p] {
				expected[g] = append(expected[g], p)
			}
		}
	}
	for login, before := range m.foreign {
		now := h.users["hand-made "+login]
		if now.ID != before.ID || now.FullName != before.FullName || now.Enabled != before.Enabled || now.ExternalID != "" || now.Managed {
			m.rt.Errorf("the foreign account %s was touched: %+v, before %+v", login, now, before)
		}
		for g, guests := range m.guests {
			if guests[login] {
				expected[g] = append(expected[g], "hand-made "+login)
			}
		}
	}
	for g, got := range h.groups {
		slices.Sort(expected[g])
		if !slices.Equal(got, expected[g]) {
			m.rt.Errorf("group %s: %s", g, m.names(got)+", want "+m.names(expected[g]))
		}
	}
}

func (m *machine) names(ids []string) string {
	var texts []string
	for _, id := range ids {
		texts = append(texts, id[:min(len(id), 14)])
	}
	return "[" + strings.Join(texts, " ") + "]"
}

func (m *machine) compareAccount(p string, groups []string, truth truth, h held) {
	m.rt.Helper()
	u, there := h.users[p]
	id, err := identity.ParseObjectID(p)
	if err != nil {
		m.rt.Fatalf("%v", err)
	}
	attributes := truth.people[id].Attributes
	switch {
	case m.deleted[p] && there:
		m.rt.Errorf("%s was deleted by hand and is there", p)
	case m.deleted[p]:
	case len(groups) > 0 && !there:
		m.rt.Errorf("%s should be in %v and has no account", p, groups)
	case len(groups) > 0:
		if u.LoginName != attributes[identity.UserPrincipalName] || u.FullName != attributes[identity.DisplayName] {
			m.rt.Errorf("%s says %q %q, the directory %q %q", p, u.LoginName, u.FullName, attributes[identity.UserPrincipalName], attributes[identity.DisplayName])
		}
		if want := m.hand[p] != "disabled"; u.Enabled != want && !m.either[p] {
			m.rt.Errorf("%s is in %v and enabled %t (hands: %q)", p, groups, u.Enabled, m.hand[p])
		}
	case there && u.Enabled && m.hand[p] != "enabled":
		m.rt.Errorf("%s is away and still enabled", p)
	case there && !u.Enabled && m.hand[p] == "enabled":
		m.rt.Errorf("%s, enabled by hand while away, was disabled", p)
	}
}
