package plan_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

var (
	everybody = []string{"ann", "bob", "cid", "dan", "eve", "fay", "gus", "hal"}
	everyTeam = []string{"Sales", "HR", "All"}
)

// shake changes anything in the directory, by hand in the vault, or in the
// configuration.
func (w *world) shake(t *rapid.T) {
	name := rapid.SampledFrom(everybody).Draw(t, "name")
	group := rapid.SampledFrom(everyTeam).Draw(t, "group")
	h := w.human(name)
	tm := w.team(group)
	u := w.user(name)
	switch rapid.IntRange(0, 21).Draw(t, "what") {
	case 0, 1, 2, 3:
		h.in[group] = true
	case 4, 5:
		delete(h.in, group)
	case 6:
		h.away = !h.away
	case 7:
		h.gone = !h.gone
	case 8:
		h.pending = !h.pending
	case 9:
		h.fields["fullName"] = rapid.SampledFrom([]string{"A", "B", ""}).Draw(t, "full name")
	case 10, 11:
		h.fields["loginName"] = rapid.SampledFrom(everybody).Draw(t, "login") + "@contoso.com"
	case 12:
		tm.state = rapid.SampledFrom([]directory.GroupState{directory.GroupPresent, directory.GroupUnreadable, directory.GroupMissing}).Draw(t, "state")
	case 13:
		tm.removed = !tm.removed
	case 14:
		if u != nil {
			u.Enabled = !u.Enabled
		}
	case 15:
		if u != nil {
			w.delete(name)
		}
	case 16:
		if u != nil {
			u.FullName = "By hand"
		}
	case 17:
		for _, g := range w.groups {
			if u != nil && g.ExternalID == tm.id.String() {
				g.Members = slices.DeleteFunc(g.Members, func(id string) bool { return id == u.ID })
				if rapid.Bool().Draw(t, "in") {
					g.Members = append(g.Members, u.ID)
				}
			}
		}
	case 18:
		w.now = w.now.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "hours")) * time.Hour)
	case 19:
		w.rules.Accounts.OnLeaveAfter = time.Duration(rapid.IntRange(0, 1).Draw(t, "grace")) * 48 * time.Hour
		w.rules.Accounts.EnableDisabledUsers = rapid.SampledFrom([]string{"own", "all", "never"}).Draw(t, "policy")
		w.rules.Accounts.Relink = rapid.Bool().Draw(t, "relink")
		w.rules.Accounts.Adopt = rapid.Bool().Draw(t, "adopt")
		w.rules.Accounts.ReleaseLicenseAfter = time.Duration(rapid.IntRange(-1, 0).Draw(t, "release"))
	case 20:
		w.rules.Guards.Disables.Count = rapid.IntRange(0, 3).Draw(t, "disables")
		w.rules.Guards.Creates.Count = rapid.IntRange(0, 3).Draw(t, "creates")
		w.rules.Guards.LoginChanges.Count = rapid.IntRange(0, 2).Draw(t, "login changes")
		w.rules.Guards.EmptyGroup = rapid.Bool().Draw(t, "empty")
	case 21:
		w.rules.Accounts.Protected = rapid.SampledFrom([][]string{nil, {"ann@contoso.com", "bob@contoso.com"}}).Draw(t, "protected")
	}
}

// TestProperties lets anything happen and checks after each step what must
// always hold.
func TestProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		w.rules.Accounts.Match = []string{"externalId", "loginName", "mail"}
		w.rules.Guards.Disables = config.Guard{Count: 3, Percent: 100}
		stranger := w.hand(vault.User{LoginName: "stranger@contoso.com", FullName: "Stranger", Enabled: true})
		if rapid.Bool().Draw(t, "accounts before") {
			w.hand(vault.User{LoginName: "BOB@contoso.com", FullName: "Robert", Enabled: true})
			w.hand(vault.User{LoginName: "cid@contoso.com", FullName: "Cid", Email: "cid@contoso.com"})
			w.handGroup("sales", stranger, w.users["2"])
		}
		for range rapid.IntRange(1, 10).Draw(t, "steps") {
			for range rapid.IntRange(1, 8).Draw(t, "changes") {
				w.shake(t)
			}
			w.partial = rapid.IntRange(0, 2).Draw(t, "partial") == 0 && len(w.links) > 0
			p := w.plan()
			before := len(w.users)
			sound(t, w, p)
			if w.refused(p) {
				return
			}
			w.apply(p)
			if made := count(p, plan.Create); len(w.users) != before+made {
				t.Fatalf("%d users after %d and %d creates", len(w.users), before, made)
			}
			if stranger.FullName != "Stranger" || !stranger.Enabled || stranger.Managed || stranger.ExternalID != "" {
				t.Fatalf("the stranger was touched: %+v", stranger)
			}
			logins := map[string]string{}
			for id, u := range w.users {
				if other, taken := logins[identity.Fold(u.LoginName)]; taken {
					t.Fatalf("users %s and %s have one login name %s", id, other, u.LoginName)
				}
				logins[identity.Fold(u.LoginName)] = id
			}
			owners := map[string]identity.ObjectID{}
			for id, r := range w.records {
				if other, taken := owners[r.UserID]; taken && r.UserID != "" && w.users[r.UserID] != nil {
					t.Fatalf("user %s is that of %s and of %s", r.UserID, id, other)
				}
				owners[r.UserID] = id
			}
			// It comes to rest: what one plan frees (a login name of somebody who
			// turned out to be deleted, a licence) another may use, and then
			// there is nothing to do but what is held, and nothing new to
			// remember.
			var last *plan.Plan
			for round := 0; ; round++ {
				last = w.plan()
				if count(last, "") == 0 {
					break
				}
				if round == 4 {
					t.Fatalf("still to do: %q\nafter: %q", lines(last), lines(p))
				}
				sound(t, w, last)
				if w.refused(last) {
					return
				}
				w.apply(last)
			}
			w.apply(last)
			if rest := w.plan(); len(rest.Records) > 0 || len(rest.Forget) > 0 || len(rest.ForgetGroups) > 0 || count(rest, "") > 0 {
				t.Fatalf("no rest: records %+v, forget %v, groups %v, %q then %q", rest.Records, rest.Forget, rest.ForgetGroups, lines(last), lines(rest))
			}
		}
	})
}

// refused says whether the store would refuse an update because an account has
// the login name of which nothing is remembered: one that is nobody's, or one
// that was adopted and keeps a name of its own. That person fails, alone.
func (w *world) refused(p *plan.Plan) bool {
	ours := map[string]bool{}
	for _, r := range w.records {
		u := w.users[r.UserID]
		ours[r.UserID] = u != nil && identity.Fold(u.LoginName) == identity.Fold(r.Login())
	}
	for _, c := range p.Changes {
		for id, u := range w.users {
			if c.Kind == plan.Update && c.Held == "" && !ours[id] && identity.Fold(u.LoginName) == identity.Fold(c.After["loginName"]) && id != c.UserID {
				return true
			}
		}
	}
	return false
}

// count counts the changes that are to be made, of one kind or of all.
func count(p *plan.Plan, kind plan.Kind) int {
	n := 0
	for _, c := range p.Changes {
		if (c.Kind == kind || kind == "") && c.Held == "" {
			n++
		}
	}
	return n
}

// sound checks one plan by itself.
func sound(t *rapid.T, w *world, p *plan.Plan) {
	sameWithoutSettled(t, w)
	sameApart(t, w)
	held := map[string]int{}
	free := map[string]int{}
	leaver := map[identity.ObjectID]string{}
	for i, c := range p.Changes {
		line := lines(p)[i]
		name := ""
		for _, n := range w.names {
			if w.id(n) == c.Person {
				name = n
			}
		}
		r := w.records[c.Person]
		switch c.Kind {
		case plan.GroupCreate, plan.GroupUpdate:
		case plan.Disable, plan.MemberRemove:
			if w.people[name].pending && c.Kind == plan.Disable && len(w.people[name].in) > 0 && !w.people[name].away && !w.people[name].gone && c.After["deleted"] == "" && !anyClosed(w, name) {
				t.Fatalf("%s: takes access from somebody who is not read", line)
			}
		case plan.Create, plan.Enable, plan.Update, plan.MemberAdd:
		}
		if c.Kind == plan.Disable || c.Kind == plan.Update || c.Kind == plan.Enable {
			for _, login := range w.rules.Accounts.Protected {
				if u := w.users[c.UserID]; u != nil && identity.Fold(u.LoginName) == identity.Fold(login) && c.After["externalId"] == "" && c.After["deleted"] == "" {
					t.Fatalf("%s: protected", line)
				}
			}
		}
		if c.Kind != plan.Create && c.Kind != plan.GroupCreate && c.Kind != plan.GroupUpdate && r == nil && c.After["externalId"] == "" && c.Kind != plan.MemberAdd && c.Kind != plan.MemberRemove && c.Kind != plan.Enable {
			t.Fatalf("%s: nothing is remembered of the person", line)
		}
		if r != nil && r.State == snapshot.Tombstone {
			t.Fatalf("%s: deleted by hand", line)
		}
		kind := string(c.Kind)
		if c.After["deleted"] != "" {
			kind = "vanish"
		}
		if c.Kind == plan.Disable && kind == "disable" {
			if c.Held != "" {
				held[kind]++
			} else {
				free[kind]++
			}
		}
		if c.Kind == plan.Disable {
			leaver[c.Person] = c.Held
		}
	}
	for _, c := range p.Changes {
		if hold, leaves := leaver[c.Person]; leaves && c.Kind == plan.MemberRemove && (hold == "") != (c.Held == "") {
			t.Fatalf("a leaver's disable is held by %q, the removal from %s by %q", hold, c.Group, c.Held)
		}
	}
	// The guard never trims: more than it allows is none at all.
	if n := held["disable"] + free["disable"]; n > w.rules.Guards.Disables.Count && free["disable"] > 0 {
		t.Fatalf("%d of %d disables pass a limit of %d", free["disable"], n, w.rules.Guards.Disables.Count)
	}
}

// anyClosed says whether one of the person's groups is not followed now.
func anyClosed(w *world, name string) bool {
	for g := range w.people[name].in {
		if tm := w.teams[g]; tm.removed || tm.state != directory.GroupPresent {
			return true
		}
	}
	return false
}
