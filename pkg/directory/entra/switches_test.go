package entra_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/directory/entra"
	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// changed reads the streams of request, applies a change and reads again.
func (w *world) changed(text string) *round {
	w.t.Helper()
	request := w.stored()
	w.apply(text)
	r := w.pull(request)
	if len(r.errs) != 0 || r.links[0] == "" || r.links[1] == "" {
		w.t.Errorf("%v, links %v", r.errs, r.links)
	}
	return r
}

func TestLinksAreFollowedHoweverTheyAreSpelled(t *testing.T) {
	t.Parallel()
	for spelling, written := range map[entrasim.Spelling]string{
		entrasim.SpelledPlain:     "s/delta?$",
		entrasim.SpelledFunction:  "s/delta()?$",
		entrasim.SpelledNamespace: "s/microsoft.graph.delta?%24",
		entrasim.SpelledSlash:     "s/microsoft.graph.delta()/?$",
	} {
		t.Run(written, func(t *testing.T) {
			t.Parallel()
			w := open(t, small)
			w.tenant.SetRules(func(r *entrasim.Rules) { r.Links, r.ObjectsPerPage, r.MembersPerItem = spelling, 1, 1 })
			r := w.changed("+member Sales: eve@contoso.com\nset ann@contoso.com department=Export")
			if r.people[w.id("ann@contoso.com")].Attributes["department"] != "Export" || len(r.groups[w.id("group Sales")].Members) != 1 {
				t.Errorf("%+v", r.pages)
			}
			followed := map[string]bool{}
			for _, line := range w.server.Stats().Last {
				if _, rest, ok := strings.Cut(line, written); ok {
					followed[strings.ToLower(rest[:5])] = true
				}
			}
			if !followed["skipt"] || !followed["delta"] {
				t.Errorf("the links were not followed as they are written: %q", w.server.Stats().Last)
			}
		})
	}
}

func TestMembersOfEveryTypeArrive(t *testing.T) {
	t.Parallel()
	w := open(t, small+`
servicePrincipal "Payroll app"
contact "Supplier"
object "Something new"
member Sales: servicePrincipal Payroll app, contact Supplier, object Something new
`)
	want := map[string]directory.Kind{
		"ann@contoso.com": directory.KindPerson, "group Sales EU": directory.KindGroup,
		"device Laptop 7": directory.KindOther, "servicePrincipal Payroll app": directory.KindOther,
		"contact Supplier": directory.KindOther, "object Something new": directory.KindOther,
	}
	request := w.stored()
	r := w.pull(directory.Request{Streams: []directory.Stream{w.groupStream("", "group Sales")}})
	got := r.members[w.id("group Sales")]
	for ref, kind := range want {
		if k, ok := got[w.id(ref)]; !ok || k != kind {
			t.Errorf("%s: %v, %v", ref, k, ok)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d members, want %d", len(got), len(want))
	}
	refs := []string{"servicePrincipal Payroll app", "contact Supplier", "object Something new", "device Laptop 7", "group Sales EU"}
	w.apply("-member Sales: " + strings.Join(refs, ", "))
	for _, m := range w.pull(request).groups[w.id("group Sales")].Members {
		at := slices.IndexFunc(refs, func(ref string) bool { return w.id(ref) == m.ID })
		if at < 0 || !m.Removed {
			t.Fatalf("%+v", m)
		}
		refs = slices.Delete(refs, at, at+1)
	}
	if len(refs) != 0 {
		t.Errorf("the removal was not told of %q", refs)
	}
}

func TestWhatIsOmittedIsUnchangedAndWhatIsNullIsCleared(t *testing.T) {
	t.Parallel()
	for _, minimal := range []bool{false, true} {
		w := open(t, small)
		w.tenant.SetRules(func(r *entrasim.Rules) { r.AlwaysMinimal = minimal })
		r := w.changed("set ann@contoso.com displayName=Anna department=\n+member Empty: eve@contoso.com\n-member Sales EU: bob@contoso.com")
		ann := r.people[w.id("ann@contoso.com")].Attributes
		if mail, there := ann["mail"]; there == minimal || there && mail != "ann@contoso.com" {
			t.Errorf("minimal %v: mail %q, %v", minimal, mail, there)
		}
		if department, there := ann["department"]; !there || department != "" || ann["displayName"] != "Anna" {
			t.Errorf("minimal %v: %v", minimal, ann)
		}
		if g := r.groups[w.id("group Sales EU")]; len(g.Members) != 1 || (g.Name == nil) != minimal {
			t.Errorf("minimal %v: %+v", minimal, g)
		}
	}
}

func TestAStreamHasAsManyGroupsAsAFilterTakes(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	var refs []string
	for i := range directory.MaxGroupsPerStream + 1 {
		fmt.Fprintf(&text, "group \"G %d\"\n", i)
		refs = append(refs, fmt.Sprintf("group G %d", i))
	}
	w := open(t, text.String())
	if r := w.pull(directory.Request{Streams: []directory.Stream{w.groupStream("", refs[1:]...)}}); len(r.groups) != directory.MaxGroupsPerStream {
		t.Errorf("%d groups, %v", len(r.groups), r.errs)
	}
	before := w.client.Requests()
	if _, err := w.try(directory.Request{Streams: []directory.Stream{w.groupStream("", refs...)}}); err == nil || w.client.Requests() != before {
		t.Errorf("one more is asked for: %v", err)
	}
	w.tenant.SetRules(func(r *entrasim.Rules) { r.FilterIDs = 20 })
	r := w.pull(directory.Request{Streams: []directory.Stream{w.groupStream("", refs[:21]...), w.groupStream("", refs[:20]...)}})
	if r.errs[0] == nil || !strings.Contains(r.errs[0].Error(), "the limit is 20") || r.links[0] != "" {
		t.Errorf("a smaller limit: %v", r.errs[0])
	}
	if r.errs[1] != nil || r.links[1] == "" {
		t.Errorf("the other stream: %v", r.errs[1])
	}
}

// TestNothingIsAskedThatTheServiceMayRefuse also is why some rules of the
// simulator are of no consequence: what they allow is never asked for.
func TestNothingIsAskedThatTheServiceMayRefuse(t *testing.T) {
	t.Parallel()
	w := open(t, small)
	w.tenant.SetRules(func(r *entrasim.Rules) {
		r.ExtraParametersRejected, r.TopRejected, r.ExpandAllowed, r.ObjectsPerPage = true, true, false, 1
	})
	w.changed("set ann@contoso.com department=Export\n-member Sales: ann@contoso.com")
	for _, line := range w.server.Stats().Last {
		for _, never := range []string{"expand", "orderby", "latest", "transitiveMembers", "microsoft.graph.user"} {
			if strings.Contains(strings.ToLower(line), strings.ToLower(never)) {
				t.Errorf("%s was asked for: %s", never, line)
			}
		}
	}
}

func TestSomebodyNewIsAMemberBeforeHeCanBeRead(t *testing.T) {
	t.Parallel()
	w := open(t, small)
	request := w.stored()
	w.apply("user ivy@contoso.com \"Ivy J\" lag=1h\n+member Sales: ivy@contoso.com")
	ivy := w.id("ivy@contoso.com")
	r := w.pull(request)
	if _, told := r.people[ivy]; told || r.errs[1] != nil {
		t.Errorf("%+v, %v", r.people[ivy], r.errs)
	}
	r = w.pull(directory.Request{Profiles: []identity.ObjectID{ivy, w.id("ann@contoso.com")}})
	if r.people[w.id("ann@contoso.com")].Attributes["department"] != "Sales" {
		t.Errorf("the others suffered: %v", r.errs)
	}
	w.apply("advance 1h")
	if r := w.pull(directory.Request{Profiles: []identity.ObjectID{ivy}}); r.people[ivy].Attributes["displayName"] != "Ivy J" {
		t.Errorf("an hour later: %+v, %v", r.people[ivy], r.errs)
	}
}

func TestCountsAreReadHoweverTheyAreWritten(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"", "\xef\xbb\xbf", "\r\n"} {
		w := open(t, small+"servicePrincipal \"Payroll app\"\nmember Sales: servicePrincipal Payroll app\n")
		for listed, want := range map[bool]int{false: 3, true: 4} {
			w.tenant.SetRules(func(r *entrasim.Rules) {
				r.CountPrefix, r.ServicePrincipalsListed, r.CastNeedsCount = prefix, listed, true
			})
			found, err := w.client.Search(t.Context(), "Sales", true, 2)
			if err != nil || len(found) != 1 || found[0].Members != want {
				t.Errorf("%q: %+v, %v", prefix, found, err)
			}
		}
		w.apply("hide group Sales")
		w.tenant.SetRules(func(r *entrasim.Rules) { r.HiddenForbidden = true })
		if found, err := w.client.Search(t.Context(), "Sales", true, 2); err != nil || found[0].State != directory.GroupUnreadable || found[0].Members != -1 {
			t.Errorf("a hidden group: %+v, %v", found, err)
		}
	}
}

func TestClocksJump(t *testing.T) {
	t.Parallel()
	ahead := func(d time.Duration) func() time.Time { return func() time.Time { return time.Now().Add(d) } }
	for _, c := range []struct {
		name   string
		happen func(w *world)
	}{
		{"the token's hour passes", func(*world) { time.Sleep(61 * time.Minute) }},
		{"the machine sleeps for a week", func(*world) { time.Sleep(6 * 24 * time.Hour) }},
		{"the service's clock is two hours ahead", func(w *world) { w.tenant.SetClock(ahead(2 * time.Hour)) }},
		{"the service's clock is put back two hours", func(w *world) { w.tenant.SetClock(ahead(-2 * time.Hour)) }},
		{"the service ends all tokens", func(w *world) { w.server.RevokeAccess(w.tenant) }},
	} {
		t.Run(c.name+" between two pulls", func(t *testing.T) {
			t.Parallel()
			synthetic(t, small, nil, func(t *testing.T, w *world, _ *entrasim.Pipes) {
				w.t = t
				request := w.stored()
				c.happen(w)
				w.apply("set ann@contoso.com department=Export")
				began := time.Now()
				r := w.pull(request)
				if len(r.errs) != 0 || r.people[w.id("ann@contoso.com")].Attributes["department"] != "Export" {
					t.Errorf("%v, %+v", r.errs, r.people)
				}
				if took := time.Since(began); took > time.Minute {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}

func TestASlowBodyIsNoWayToHoldAPullForEver(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		bytes int // in each second
		want  error
	}{
		{"a slow line is read to the end", 4 << 10, nil},
		{"a trickle is not", 100, directory.ErrUnreachable},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synthetic(t, people(4000), nil, func(t *testing.T, w *world, _ *entrasim.Pipes) {
				w.tenant.SetRules(func(r *entrasim.Rules) { r.ObjectsPerPage = 4000 })
				w.inject(entrasim.Fault{Kind: entrasim.FaultDrip, Path: "/users/delta", Count: c.bytes, Delay: time.Second})
				began := time.Now()
				r, err := w.try(directory.Request{Streams: []directory.Stream{{}}})
				if !errors.Is(err, c.want) || c.want == nil && len(r.people) != 4000 || time.Since(began) > 10*time.Minute {
					t.Errorf("%v after %s, %d people", err, time.Since(began), len(r.people))
				}
			})
		})
	}
}

func TestRefusedSizes(t *testing.T) {
	t.Parallel()
	w := open(t, people(2000), func(o *entra.Options) { o.MaxPage = 100 << 10 })
	w.tenant.SetRules(func(r *entrasim.Rules) { r.ObjectsPerPage = 2000 })
	// It travels compressed and is far smaller then.
	r := w.pull(directory.Request{Streams: []directory.Stream{{}}})
	if !errors.Is(r.errs[0], directory.ErrProtocol) || !strings.Contains(r.errs[0].Error(), "larger than") || r.links[0] != "" {
		t.Errorf("%v", r.errs[0])
	}
}
