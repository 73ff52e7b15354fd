package reconcile_test

import (
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
)

// TestTheEngineHoldsWhicheverWayTheServiceBehaves plays one history under each
// reading of what the documentation leaves open (facts/graph.md, 1.9 and 9):
// after every step the vault is what the tenant says.
func TestTheEngineHoldsWhicheverWayTheServiceBehaves(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		rule func(*entrasim.Rules)
	}{
		{"as documented", func(*entrasim.Rules) {}},
		{"one object and one member a page", func(r *entrasim.Rules) { r.ObjectsPerPage, r.MembersPerPage, r.MembersPerItem = 1, 1, 1 }},
		{"the parts of a group are not interleaved", func(r *entrasim.Rules) { r.MembersPerItem, r.Interleave = 1, false }},
		{"security groups are purged at once", func(r *entrasim.Rules) { r.SecurityGroupsPurged = true }},
		{"a restored group repeats its members", func(r *entrasim.Rules) { r.GroupRestoreReplays = true }},
		{"soft-deleted people are removed from members", func(r *entrasim.Rules) { r.SoftDeleted = entrasim.MembersRemoved }},
		{"soft-deleted people are left out of members", func(r *entrasim.Rules) { r.SoftDeleted = entrasim.MembersOmitted }},
		{"a purge is never told of in members", func(r *entrasim.Rules) { r.PurgeSilent = true }},
		{"a purge is told of a day later", func(r *entrasim.Rules) { r.PurgeDelay = 24 * time.Hour }},
		{"removed things appear in a first round", func(r *entrasim.Rules) { r.RemovedInInitial = true }},
		{"an expired token is 410", func(r *entrasim.Rules) { r.ExpiredGone = true }},
		{"an expired token is 410 without Location", func(r *entrasim.Rules) { r.ExpiredGone, r.GoneLocation = true, false }},
		{"an expired token is 410 without body", func(r *entrasim.Rules) { r.ExpiredGone, r.GoneBody = true, false }},
		{"expired tokens are good", func(r *entrasim.Rules) { r.Lenient = true }},
		{"a hidden group is refused", func(r *entrasim.Rules) { r.HiddenForbidden = true }},
		{"getByIds wants another permission", func(r *entrasim.Rules) { r.GetByIDsNeedsDirectory = true }},
		{"the bucket is enforced", func(r *entrasim.Rules) { r.Throttle = true }},
		{"the bucket is enforced with 424 in batches", func(r *entrasim.Rules) { r.Throttle, r.BatchThrottle424 = true, true }},
		{"extra parameters are refused", func(r *entrasim.Rules) { r.ExtraParametersRejected, r.TopRejected = true, true }},
	}
	for _, c := range cases {
		for _, profiles := range []string{"stream", "read"} {
			t.Run(c.name+", people by "+profiles, func(t *testing.T) {
				t.Parallel()
				tenant, err := entrasim.ParseTenant(company)
				if err != nil {
					t.Fatal(err)
				}
				tenant.SetRules(c.rule)
				w := openWorld(t.Context(), t, t.TempDir(), tenant, profiles, nil,
					vaultSpec{"sales", []string{"Sales"}, openGuards}, vaultSpec{"archive", []string{"Archive", "Helsinki"}, openGuards})
				defer w.Close()
				w.history()
			})
		}
	}
}

// history is everything that can happen to a tenant, a run after each step.
func (w *world) history() {
	w.Helper()
	purges := w.tenant.Rules().SecurityGroupsPurged
	for _, step := range []struct {
		name, text string
		gone       bool // needs a group that can be restored
		partly     bool // something cannot be read: nobody may lose anything
	}{
		{name: "first import"},
		{name: "a person is deleted", text: "delete user dan@contoso.com"},
		{name: "and restored", text: "restore user dan@contoso.com"},
		{name: "and deleted for good", text: "delete user dan@contoso.com\npurge user dan@contoso.com"},
		{name: "two days later", text: "advance 2d"},
		{name: "a nested group is deleted", text: "delete group Helsinki"},
		{name: "and restored", text: "restore group Helsinki", gone: true},
		{name: "a group is put inside another and a loop closed", text: "+member Archive: group Sales\n+member Helsinki: group Archive"},
		{name: "and taken out", text: "-member Helsinki: group Archive", gone: true},
		{name: "eight days pass", text: "-member Archive: fay@contoso.com\nadvance 8d\nset eve@contoso.com mail=eva@contoso.com"},
		{name: "the service forgets all links", text: "reset tokens\n+member Archive: fay@contoso.com\n-member Sales: bob@contoso.com"},
		{name: "a nested group is hidden", text: "hide group \"Sales EU\"\n+member Archive: hal@contoso.com", partly: true},
		{name: "and may be read", text: "grant Member.Read.Hidden"},
		{name: "somebody cannot be read yet", text: "user ivy@contoso.com \"Ivy J\" mail=ivy@contoso.com lag=1h\n+member Archive: ivy@contoso.com", partly: true},
		{name: "an hour later", text: "advance 1h"},
		{name: "a month later", text: "delete user cid@contoso.com\nadvance 31d"},
		{name: "a configured group is deleted", text: "delete group Archive"},
	} {
		if step.gone && purges {
			if step.name == "and restored" {
				continue
			}
			step.text = "-member Archive: group Sales"
		}
		if purges && step.name == "a group is put inside another and a loop closed" {
			step.text = "+member Archive: group Sales\n+member Sales EU: group Archive"
		}
		before := w.tenant.Rules()
		for _, m := range w.stores {
			m.Forget()
		}
		w.apply(step.text)
		if step.name == "and may be read" {
			w.reopen() // a token says for an hour what was granted when it was issued
		}
		if _, _, err := w.run(reconcile.Options{}); err != nil {
			w.Fatalf("%s: %v (rules %+v)", step.name, err, before)
		}
		if step.partly {
			for _, s := range w.specs {
				w.nobodyLostAnything(s)
			}
			continue
		}
		w.checkAfter(step.name)
	}
	w.mustRest()
}

// checkAfter is check that says after what.
func (w *world) checkAfter(what string) {
	w.Helper()
	outer := w.reporter
	w.reporter = prefixed{outer, "after " + what + ": "}
	w.check()
	w.reporter = outer
}

type prefixed struct {
	reporter
	prefix string
}

func (p prefixed) Errorf(format string, args ...any) {
	p.Helper()
	p.reporter.Errorf(p.prefix+format, args...)
}
