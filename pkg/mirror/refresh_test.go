package mirror

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// Each case is a sentence about what a refresh must do; it runs in both
// profile modes unless it names one.
func TestRefresh(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		mode string // "": both
		run  func(t *testing.T, b *bench)
	}{
		{"a first read shows members, names and profiles", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1), u(2), u(3), u(4), u(5), u(6), u(7))
			b.dir.user(99)
			if b.members(root(1)) != "?" {
				t.Fatal("a group never read must be incomplete")
			}
			report := b.refresh(root(1))
			b.want(root(1), "1 2 3 4 5 6 7")
			if !report.Full || report.Revision != 1 || report.Touched != 7 {
				t.Fatalf("report %+v", report)
			}
			if got := b.profile(3)[identity.UserPrincipalName]; got != "user3@contoso.com" {
				t.Fatalf("login name %q", got)
			}
			if b.profile(99) != nil {
				t.Fatal("people outside every closure are read past")
			}
		}},
		{"a quiet refresh is one pull, changes nothing and does not grow the file", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1), u(2))
			b.refresh(root(1))
			before, _ := b.m.Stats()
			for range 20 {
				if report := b.refresh(root(1)); report.Revision != 1 || report.Touched != 0 || len(b.dir.pulls) != 1 {
					t.Fatalf("report %+v, %d pulls", report, len(b.dir.pulls))
				}
			}
			after, _ := b.m.Stats()
			if before != after {
				t.Fatalf("stats %+v, then %+v", before, after)
			}
			if !b.m.PulledAt().Equal(b.now) {
				t.Fatal("the time of the last read must move")
			}
		}},
		{"a replayed change touches nothing", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1), u(2), d(1))
			b.dir.remove(1, u(2))
			b.dir.set(1, identity.DisplayName, "One")
			b.refresh(root(1))
			b.dir.replay = 100
			if report := b.refresh(root(1)); report.Revision != 1 {
				t.Fatalf("report %+v", report)
			}
			b.want(root(1), "1")
		}},
		{"one group on many pages is the union minus the removals", "", func(t *testing.T, b *bench) {
			b.dir.pageSize = 1
			b.dir.add(1, u(1), u(2))
			b.dir.add(2, u(2))
			b.refresh(root(1), root(2))
			b.dir.add(1, u(3))
			b.dir.add(2, u(4))
			b.dir.remove(1, u(1))
			b.dir.add(1, u(5), u(1))
			b.dir.remove(1, u(3))
			b.refresh(root(1), root(2))
			b.want(root(1), "1 2 5")
			b.want(root(2), "2 4")
			if got := b.touched(1); got != "4 5" {
				t.Fatalf("touched %q", got)
			}
		}},
		{"removed entries in a first round are no-ops", "", func(t *testing.T, b *bench) {
			b.dir.removedFirst = true
			b.dir.add(1, u(1))
			b.dir.user(2)
			b.dir.removeUser(2, directory.SoftDeleted)
			b.refresh(root(1))
			b.want(root(1), "1")
			if got := b.touched(0); got != "1" {
				t.Fatalf("touched %q", got)
			}
		}},
		{"devices are skipped and counted once however often they are told", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1), d(1), d(2), d(3))
			b.refresh(root(1))
			b.dir.replay = 10
			b.refresh(root(1))
			b.dir.remove(1, d(2))
			b.refresh(root(1))
			x, _, _ := b.view().Group(g(1))
			if x.Skipped != 2 {
				t.Fatalf("skipped %d", x.Skipped)
			}
		}},
		{"nested groups to any depth, cycles and diamonds are read in the same refresh", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1), g(2), g(3))
			b.dir.add(2, u(2), g(4))
			b.dir.add(3, u(3), g(4))
			b.dir.add(4, u(4), g(1))
			b.refresh(nested(1), root(2))
			b.want(nested(1), "1 2 3 4")
			b.want(root(1), "1")
			b.want(root(2), "2")
			v := b.view()
			n, _, _ := v.Number(u(4))
			if path, ok := v.Path(g(1), n); !ok || fmt.Sprint(path) != fmt.Sprint([]identity.ObjectID{g(1), g(2), g(4)}) {
				t.Fatalf("path %v %v", path, ok)
			}
		}},
		{"a child group added, changed and removed counts at once", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1))
			b.dir.add(2, u(2), u(3))
			b.refresh(nested(1))
			b.dir.add(1, g(2))
			b.refresh(nested(1))
			b.want(nested(1), "1 2 3")
			if got := b.touched(1); got != "2 3" {
				t.Fatalf("touched %q", got)
			}
			b.dir.remove(2, u(3))
			b.refresh(nested(1))
			b.want(nested(1), "1 2")
			b.dir.remove(1, g(2))
			b.refresh(nested(1))
			b.want(nested(1), "1")
			if got := b.touched(3); got != "2" {
				t.Fatalf("touched %q", got)
			}
			changed, _, _ := b.view().Changed(3)
			if !changed[g(1)] || !changed[g(2)] || len(changed) != 2 {
				t.Fatalf("changed %v", changed)
			}
			// It comes back: the old link still speaks of it, the new stream counts.
			b.dir.add(2, u(4))
			b.dir.add(1, g(2))
			b.refresh(nested(1))
			b.want(nested(1), "1 2 4")
			b.dir.remove(2, u(4))
			b.refresh(nested(1))
			b.want(nested(1), "1 2")
		}},
		{"a nested group that is deleted loses its people at once, restored they come back", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1), g(2))
			b.dir.add(2, u(2))
			b.refresh(nested(1))
			b.dir.removeGroup(2, directory.SoftDeleted)
			b.refresh(nested(1))
			b.want(nested(1), "1")
			if got := b.touched(1); got != "2" {
				t.Fatalf("touched %q", got)
			}
			b.dir.removeGroup(2, directory.Present)
			b.refresh(nested(1))
			b.want(nested(1), "1 2")
			if b.profile(2) == nil {
				t.Fatal("no profile after the return")
			}
		}},
		{"a deleted root is missing, keeps its last members and is incomplete", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1), u(2))
			b.refresh(root(1))
			b.dir.removeGroup(1, directory.Deleted)
			b.refresh(root(1))
			b.want(root(1), "1 2?")
			if x, ok, _ := b.view().Group(g(1)); !ok || x.State != directory.GroupMissing || x.Why == "" {
				t.Fatalf("group %+v", x)
			}
			// Still so after everything was read anew, where it is not named at all.
			b.full(root(1))
			b.want(root(1), "1 2?")
			b.dir.removeGroup(1, directory.Present)
			b.dir.remove(1, u(1))
			b.refresh(root(1))
			b.want(root(1), "2")
		}},
		{"a root that never was is asked for by id and missing", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1))
			b.refresh(root(1), root(9))
			if len(b.dir.asked) != 1 || b.dir.asked[0] != g(9) {
				t.Fatalf("asked %v", b.dir.asked)
			}
			b.want(root(9), "?")
			if x, ok, _ := b.view().Group(g(9)); !ok || x.State != directory.GroupMissing {
				t.Fatalf("group %+v %v", x, ok)
			}
			b.dir.add(9, u(9))
			b.refresh(root(1), root(9))
			b.want(root(9), "9")
		}},
		{"a group that exists and is empty is present and complete", "", func(t *testing.T, b *bench) {
			b.dir.group(1)
			b.refresh(root(1))
			b.want(root(1), "")
		}},
		{"a group that lags behind is not read as empty and is read again", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1))
			b.dir.groups[g(1)].lagging = true
			b.refresh(root(1))
			b.want(root(1), "?")
			b.refresh(root(1))
			b.want(root(1), "?")
			b.dir.groups[g(1)].lagging = false
			b.refresh(root(1))
			b.want(root(1), "1")
		}},
		{"hidden membership is unreadable, never empty", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1))
			b.dir.add(2, u(2))
			b.dir.groups[g(2)].hidden = true
			b.refresh(root(1), root(2))
			b.want(root(1), "1")
			b.want(root(2), "?")
			b.dir.hide(1, true)
			b.refresh(root(1), root(2))
			b.want(root(1), "1?")
			b.dir.hide(1, false)
			b.dir.hide(2, false)
			b.refresh(root(1), root(2))
			b.want(root(1), "1")
			b.want(root(2), "2")
		}},
		{"a hidden group that is renamed stays unreadable", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1))
			b.refresh(root(1))
			b.dir.hide(1, true)
			b.refresh(root(1))
			b.dir.rename(1, "Hidden")
			b.dir.remove(1, u(1))
			b.refresh(root(1))
			b.want(root(1), "1?")
			if x, _, _ := b.view().Group(g(1)); x.Name != "Hidden" || len(b.dir.pulls) != 1 {
				t.Fatalf("%+v after %d pulls", x, len(b.dir.pulls))
			}
		}},
		{"a forbidden group is set aside and the others of its stream are read", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1))
			b.dir.add(2, u(2))
			b.dir.groups[g(2)].forbidden = true
			b.dir.pageErr = b.dir.refuseForbidden
			b.refresh(root(1), root(2))
			b.want(root(1), "1")
			b.want(root(2), "?")
			if report := b.refresh(root(1), root(2)); report.Revision != 1 || len(b.dir.pulls) != 1 {
				t.Fatalf("%+v, %d pulls: a group set aside costs a question, no stream", report, len(b.dir.pulls))
			}
			b.dir.groups[g(2)].forbidden = false
			b.refresh(root(1), root(2))
			b.want(root(2), "2")
		}},
		{"a forbidden group that is alone in its stream is set aside, unless it is the only one of all", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1))
			b.dir.add(2, u(2))
			b.refresh(root(1))
			b.refresh(root(1), root(2)) // a stream of its own
			b.dir.pageErr = b.dir.refuseForbidden
			b.dir.groups[g(2)].forbidden = true
			b.dir.add(1, u(3))
			b.refresh(root(1), root(2))
			b.want(root(1), "1 3")
			b.want(root(2), "2?")
			b.full(root(1), root(2))
			b.want(root(2), "2?")
			b.dir.groups[g(1)].forbidden = true
			before := b.dump(root(1), root(2))
			if _, err := b.try(root(1), root(2)); !errors.Is(err, directory.ErrForbidden) {
				t.Fatalf("error %v", err)
			}
			if after := b.dump(root(1), root(2)); after != before {
				t.Fatalf("was\n%sis\n%s", before, after)
			}
			b.dir.groups[g(1)].forbidden, b.dir.groups[g(2)].forbidden = false, false
			b.dir.add(2, u(4))
			b.refresh(root(1), root(2))
			b.want(root(1), "1 3")
			b.want(root(2), "2 4")
		}},
		{"a group that does not exist shows that the permission is there", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1))
			b.dir.groups[g(1)].forbidden = true
			b.dir.pageErr = b.dir.refuseForbidden
			b.refresh(root(1), root(2)) // there is no group 2
			b.want(root(1), "?")
			b.want(root(2), "?")
		}},
		{"a permission that is gone for everything fails the refresh", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1))
			b.refresh(root(1))
			before := b.dump(root(1))
			b.dir.pageErr = func(directory.Stream) error { return directory.ErrForbidden }
			if _, err := b.try(root(1)); !errors.Is(err, directory.ErrForbidden) {
				t.Fatalf("error %v", err)
			}
			b.dir.groupsErr = directory.ErrForbidden
			if _, err := b.try(root(1)); !errors.Is(err, directory.ErrForbidden) {
				t.Fatalf("error %v", err)
			}
			if after := b.dump(root(1)); after != before {
				t.Fatalf("was\n%sis\n%s", before, after)
			}
		}},
		{"a pull that breaks off at any page changes nothing and keeps the links", "", func(t *testing.T, b *bench) {
			b.dir.pageSize = 1
			b.dir.add(1, u(1), u(2), g(2))
			b.dir.add(2, u(3))
			b.refresh(nested(1))
			before := b.dump(nested(1))
			b.dir.remove(1, u(1))
			b.dir.remove(1, g(2))
			b.dir.add(1, u(7), g(3))
			b.dir.add(3, u(8))
			b.dir.set(2, identity.DisplayName, "Two")
			for stop := 0; ; stop++ {
				pages := 0
				b.dir.fail = func(int) error {
					if pages++; pages > stop {
						return errInjected
					}
					return nil
				}
				_, err := b.try(nested(1))
				if err == nil {
					break
				}
				if !errors.Is(err, errInjected) {
					t.Fatalf("error %v", err)
				}
				if after := b.dump(nested(1)); after != before {
					t.Fatalf("stopped at %d: was\n%sis\n%s", stop, before, after)
				}
			}
			b.want(nested(1), "2 7 8")
		}},
		{"one failing stream fails the refresh, the others do not count", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1))
			b.refresh(root(1))
			b.dir.add(2, u(2))
			b.dir.remove(1, u(1))
			before := b.dump(root(1))
			b.dir.pageErr = func(s directory.Stream) error {
				if s.Link == "" && len(s.Groups) > 0 {
					return directory.ErrUnreachable
				}
				return nil
			}
			if _, err := b.try(root(1), root(2)); !errors.Is(err, directory.ErrUnreachable) {
				t.Fatalf("error %v", err)
			}
			if after := b.dump(root(1)); after != before {
				t.Fatalf("was\n%sis\n%s", before, after)
			}
			b.dir.pageErr = nil
			b.refresh(root(1), root(2))
			b.want(root(1), "")
			b.want(root(2), "2")
		}},
		{"a lost token is a read from the start in the same refresh, leavers are found by absence", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1), u(2), u(3))
			b.refresh(root(1))
			b.dir.remove(1, u(1))
			b.dir.removeUser(2, directory.Deleted)
			b.dir.set(3, identity.DisplayName, "")
			b.dir.lost = func(bool, []identity.ObjectID) bool { return true }
			report := b.refresh(root(1))
			if !report.TokenLost || report.Full {
				t.Fatalf("report %+v", report)
			}
			b.want(root(1), "3")
			if got := b.touched(1); got != "1 2 3" {
				t.Fatalf("touched %q", got)
			}
			if p := b.profile(3); p == nil || p[identity.DisplayName] != "" {
				t.Fatalf("profile %v", p)
			}
		}},
		{"a token that is lost again and again fails", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1))
			b.dir.pageErr = func(directory.Stream) error { return directory.ErrTokenLost }
			if _, err := b.try(root(1)); !errors.Is(err, directory.ErrTokenLost) {
				t.Fatalf("error %v", err)
			}
		}},
		{"a stream that ends without a link fails", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1))
			b.dir.pageErr = func(directory.Stream) error { return errInjected }
			if _, err := b.try(root(1)); !errors.Is(err, errInjected) {
				t.Fatalf("error %v", err)
			}
			if !b.m.PulledAt().IsZero() {
				t.Fatal("a failed read is no read")
			}
		}},
		{"a soft-deleted person is gone with memberships kept, and comes back", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1), u(2))
			b.refresh(root(1))
			b.dir.removeUser(1, directory.SoftDeleted)
			b.refresh(root(1))
			b.want(root(1), "2")
			if x, _, _ := b.view().Group(g(1)); x.Members.GetCardinality() != 2 {
				t.Fatal("the membership must stay")
			}
			if got := b.touched(1); got != "1" {
				t.Fatalf("touched %q", got)
			}
			b.dir.removeUser(1, directory.Present)
			b.refresh(root(1))
			b.want(root(1), "1 2")
		}},
		{"a restored person whose memberships return without a word has the groups read anew", "", func(t *testing.T, b *bench) {
			b.dir.emitSoft = true
			b.dir.add(1, u(1), u(2))
			b.refresh(root(1))
			b.dir.removeUser(1, directory.SoftDeleted)
			b.refresh(root(1))
			b.want(root(1), "2")
			b.refresh(root(1))
			b.dir.removeUser(1, directory.Present)
			b.refresh(root(1))
			b.want(root(1), "1 2")
			if b.profile(1) == nil {
				t.Fatal("no profile after the return")
			}
		}},
		{"who was taken away and restored after the users' link was lost has the groups read anew", "stream", func(t *testing.T, b *bench) {
			b.dir.emitSoft = true
			b.dir.add(1, u(1), u(2))
			b.refresh(root(1))
			b.dir.removeUser(1, directory.SoftDeleted)
			b.dir.lost = func(users bool, _ []identity.ObjectID) bool { return users }
			b.refresh(root(1))
			b.want(root(1), "2")
			b.dir.lost = nil
			b.dir.removeUser(1, directory.Present)
			b.refresh(root(1))
			b.want(root(1), "1 2")
		}},
		{"who is gone and in no group is not asked for after a full read", "read", func(t *testing.T, b *bench) {
			b.dir.emitSoft = true
			b.dir.add(1, u(1), u(2))
			b.refresh(root(1))
			b.dir.removeUser(1, directory.SoftDeleted)
			b.refresh(root(1))
			b.refresh(root(1))
			if len(b.dir.pulls[0].Profiles) != 2 {
				t.Fatalf("asked for %d", len(b.dir.pulls[0].Profiles))
			}
			b.full(root(1))
			b.refresh(root(1))
			if len(b.dir.pulls[0].Profiles) != 1 {
				t.Fatalf("asked for %d", len(b.dir.pulls[0].Profiles))
			}
		}},
		{"a purged person is gone by id alone", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1), u(2))
			b.refresh(root(1))
			// The group never says so.
			b.dir.users[u(1)].removal = directory.Deleted
			b.dir.log = append(b.dir.log, event{person: &directory.PersonChange{ID: u(1), Removal: directory.Deleted}})
			b.refresh(root(1))
			b.want(root(1), "2")
		}},
		{"a person whose profile does not come is asked for again, without failing", "", func(t *testing.T, b *bench) {
			b.dir.hidePeople = map[identity.ObjectID]bool{u(2): true}
			b.dir.add(1, u(1), u(2))
			b.refresh(root(1))
			b.want(root(1), "1 2")
			if b.profile(2) != nil {
				t.Fatal("a profile from nowhere")
			}
			b.refresh(root(1))
			b.dir.hidePeople = nil
			b.refresh(root(1))
			if b.profile(2) == nil {
				t.Fatal("not asked again")
			}
			if got := b.touched(1); got != "2" {
				t.Fatalf("touched %q", got)
			}
		}},
		{"absence from the stream of all users is no deletion", "stream", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1), u(2))
			b.refresh(root(1))
			b.dir.hidePeople = map[identity.ObjectID]bool{u(1): true, u(2): true}
			b.full(root(1))
			b.want(root(1), "1 2")
			if b.profile(1) == nil {
				t.Fatal("the last profile must stay")
			}
		}},
		{"a member-only change keeps name and profile; a cleared attribute goes", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1))
			b.refresh(root(1))
			b.dir.add(1, u(2))
			b.dir.set(1, identity.Mail, "")
			b.dir.set(1, identity.DisplayName, "Uno")
			b.dir.set(1, identity.AccountEnabled, "false")
			b.refresh(root(1))
			if x, _, _ := b.view().Group(g(1)); x.Name != "Group 1" {
				t.Fatalf("name %q", x.Name)
			}
			p := b.profile(1)
			if _, has := p[identity.Mail]; has || p[identity.DisplayName] != "Uno" || p[identity.UserPrincipalName] != "user1@contoso.com" {
				t.Fatalf("profile %v", p)
			}
			v := b.view()
			if names(t, v, v.Disabled()) != "1" {
				t.Fatal("disabled")
			}
		}},
		{"a group renamed is changed, and nobody touched", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1))
			b.refresh(root(1))
			b.dir.rename(1, "New name")
			if report := b.refresh(root(1)); report.Revision != 2 || report.Touched != 0 {
				t.Fatalf("report %+v", report)
			}
			if changed, ok, _ := b.view().Changed(1); !ok || !changed[g(1)] {
				t.Fatalf("changed %v", changed)
			}
		}},
		{"who leaves the last closure loses the profile and keeps the number", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1), u(2))
			b.refresh(root(1))
			v := b.view()
			n, _, _ := v.Number(u(1))
			v.Close()
			b.dir.remove(1, u(1))
			b.refresh(root(1))
			if b.profile(1) != nil {
				t.Fatal("the profile must go")
			}
			v = b.view()
			if again, ok, _ := v.Number(u(1)); !ok || again != n {
				t.Fatalf("number %d, was %d", again, n)
			}
			v.Close()
			b.dir.set(1, identity.DisplayName, "Changed while away")
			b.refresh(root(1))
			b.dir.add(1, u(1))
			b.refresh(root(1))
			if p := b.profile(1); p[identity.DisplayName] != "Changed while away" || p[identity.Mail] == "" {
				t.Fatalf("profile %v", p)
			}
		}},
		{"a root added and a root taken away", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1))
			b.dir.add(2, u(2))
			b.refresh(root(1))
			b.refresh(root(1), root(2))
			b.want(root(2), "2")
			b.refresh(root(2))
			b.want(root(1), "?")
			if b.profile(1) != nil {
				t.Fatal("the profile must go with the last closure")
			}
			if s, _ := b.m.Stats(); s.Groups != 1 || s.People != 1 {
				t.Fatalf("stats %+v", s)
			}
		}},
		{"a full read of the same touches nothing", "", func(t *testing.T, b *bench) {
			for n := range 60 {
				b.dir.add(n, u(n), u(n+1))
			}
			var roots []Root
			for n := range 60 {
				roots = append(roots, root(n))
			}
			b.refresh(roots...)
			report := b.full(roots...)
			if !report.Full || report.Revision != 1 || report.Touched != 0 {
				t.Fatalf("report %+v", report)
			}
			groupStreams := 0
			for _, s := range b.dir.pulls[0].Streams {
				if len(s.Groups) > directory.MaxGroupsPerStream {
					t.Fatalf("%d groups in a stream", len(s.Groups))
				}
				groupStreams += min(1, len(s.Groups))
			}
			if groupStreams != 2 {
				t.Fatalf("%d streams for 60 groups", groupStreams)
			}
		}},
		{"a full read is due after the interval, at most six days", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1))
			b.refresh(root(1))
			if b.refresh(root(1)).Full {
				t.Fatal("full too early")
			}
			b.now = b.now.Add(6 * 24 * time.Hour)
			report, err := b.m.Refresh(t.Context(), b.dir, Refresh{Roots: []Root{root(1)}, FullEvery: 30 * 24 * time.Hour})
			if err != nil || !report.Full || !b.m.FullAt().Equal(b.now) {
				t.Fatalf("%+v %v", report, err)
			}
		}},
		{"state survives a restart", "", func(t *testing.T, b *bench) {
			b.dir.add(1, u(1), g(2), d(1))
			b.dir.add(2, u(2))
			b.refresh(nested(1))
			before, epoch := b.dump(nested(1)), b.view().Epoch()
			b.reopen()
			if after := b.dump(nested(1)); after != before || b.view().Epoch() != epoch {
				t.Fatalf("was\n%sis\n%s", before, after)
			}
			b.dir.add(2, u(3))
			report := b.refresh(nested(1))
			if report.Full || report.Revision != 2 {
				t.Fatalf("report %+v", report)
			}
			b.want(nested(1), "1 2 3")
		}},
	}
	for _, c := range cases {
		for _, mode := range []string{"read", "stream"} {
			if c.mode != "" && c.mode != mode {
				continue
			}
			t.Run(c.name+" ("+mode+")", func(t *testing.T) {
				t.Parallel()
				c.run(t, newBench(t, Options{Profiles: mode}))
			})
		}
	}
}
