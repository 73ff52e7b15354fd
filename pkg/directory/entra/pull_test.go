package entra_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/directory/entra"
	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

func (w *world) groupStream(link string, refs ...string) directory.Stream {
	return directory.Stream{Groups: w.ids(refs...), Link: link}
}

func TestPullFromTheStart(t *testing.T) {
	t.Parallel()
	w := open(t, small)
	var pages, objects int
	r := w.pull(directory.Request{
		Streams:  []directory.Stream{w.groupStream("", "group Sales", "group Sales EU", "group Empty"), {}},
		Progress: func(p, o int) { pages, objects = p, o },
	})
	if len(r.errs) != 0 || r.links[0] == "" || r.links[1] == "" {
		t.Fatalf("errors %v, links %v", r.errs, r.links)
	}
	sales := r.members[w.id("group Sales")]
	if len(sales) != 3 || sales[w.id("ann@contoso.com")] != directory.KindPerson ||
		sales[w.id("group Sales EU")] != directory.KindGroup || sales[w.id("device Laptop 7")] != directory.KindOther {
		t.Errorf("Sales: %v", sales)
	}
	if g := r.groups[w.id("group Sales")]; g.Name == nil || *g.Name != "Sales" || (g.Hidden != nil && *g.Hidden) {
		t.Errorf("Sales: %+v", g)
	}
	ann := r.people[w.id("ann@contoso.com")].Attributes
	for path, want := range map[string]string{"userPrincipalName": "ann@contoso.com", "department": "Sales", "accountEnabled": "true", ext1: "x", "userType": "Member"} {
		if ann[path] != want {
			t.Errorf("ann's %s is %q, want %q", path, ann[path], want)
		}
	}
	if bob := r.people[w.id("bob@contoso.com")].Attributes; bob["accountEnabled"] != "false" || bob["userType"] != "Guest" {
		t.Errorf("bob: %v", bob)
	}
	if _, there := r.people[w.id("eve@contoso.com")].Attributes["department"]; there {
		t.Error("a property without a value is delivered")
	}
	if pages != len(r.pages) || objects < 8 {
		t.Errorf("progress says %d pages and %d objects", pages, objects)
	}
}

func TestPullFromLinks(t *testing.T) {
	t.Parallel()
	w := open(t, small)
	first := w.pull(directory.Request{Streams: []directory.Stream{w.groupStream("", "group Sales", "group Sales EU"), {}}})
	again := directory.Request{Streams: []directory.Stream{w.groupStream(first.links[0], "group Sales", "group Sales EU"), {Link: first.links[1]}}}

	t.Run("a quiet pull is one request and says nothing", func(t *testing.T) {
		before := w.client.Requests()
		r := w.pull(again)
		if n := w.client.Requests() - before; n != 1 {
			t.Errorf("%d requests", n)
		}
		if len(r.groups)+len(r.people) != 0 || r.links[0] == "" || r.links[1] == "" {
			t.Errorf("%+v", r.pages)
		}
	})
	t.Run("changes arrive, cleared attributes as empty text", func(t *testing.T) {
		w.apply("-member Sales: ann@contoso.com\n+member Sales: eve@contoso.com\nset ann@contoso.com department=\ndelete user bob@contoso.com")
		r := w.pull(again)
		var added, removed bool
		for _, m := range r.groups[w.id("group Sales")].Members {
			added = added || m.ID == w.id("eve@contoso.com") && !m.Removed
			removed = removed || m.ID == w.id("ann@contoso.com") && m.Removed
		}
		if !added || !removed {
			t.Errorf("Sales: %+v", r.groups[w.id("group Sales")])
		}
		if v, there := r.people[w.id("ann@contoso.com")].Attributes["department"]; !there || v != "" {
			t.Errorf("a cleared attribute: %q, %v", v, there)
		}
		if c := r.people[identity.ObjectID(entrasim.IDOf("bob@contoso.com"))]; c.Removal != directory.SoftDeleted {
			t.Errorf("bob: %+v", c)
		}
	})
	t.Run("a person deleted for good", func(t *testing.T) {
		bob := entrasim.IDOf("bob@contoso.com")
		w.apply("purge user " + bob.String())
		r := w.pull(again)
		if r.people[bob].Removal != directory.Deleted {
			t.Errorf("bob: %+v", r.people[bob])
		}
	})
}

func TestQuietPullIsAsManyRequestsAsBatches(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 45 {
		fmt.Fprintf(&text, "user u%d@contoso.com \"U %d\"\ngroup G%d\nmember G%d: u%d@contoso.com\n", i, i, i, i, i)
	}
	w := open(t, text.String())
	var request directory.Request
	for i := range 44 {
		request.Streams = append(request.Streams, w.groupStream("", fmt.Sprintf("group G%d", i)))
	}
	request.Streams = append(request.Streams, directory.Stream{})
	first := w.pull(request)
	for i := range request.Streams {
		if first.errs[i] != nil || first.links[i] == "" {
			t.Fatalf("stream %d: %v", i, first.errs[i])
		}
		request.Streams[i].Link = first.links[i]
	}
	for i := range 20 {
		request.Profiles = append(request.Profiles, w.id(fmt.Sprintf("u%d@contoso.com", i)))
	}
	before := w.client.Requests()
	r := w.pull(request)
	if n := w.client.Requests() - before; n != 3 { // 45 streams and one part of profiles
		t.Errorf("%d requests, want 3", n)
	}
	if len(r.links) != 45 || len(r.people) != 20 {
		t.Errorf("%d links, %d people", len(r.links), len(r.people))
	}
}

func TestPaging(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString("group Big\ngroup Other\n")
	for i := range 1001 {
		fmt.Fprintf(&text, "user u%d@contoso.com \"U %d\"\nmember Big: u%d@contoso.com\n", i, i, i)
	}
	text.WriteString("member Other: u1@contoso.com, u2@contoso.com\n")
	for _, fault := range []entrasim.FaultKind{
		"", entrasim.FaultEmptyPages, entrasim.FaultRepeat, entrasim.FaultShuffle, entrasim.FaultKeyOrder,
		entrasim.FaultRemovedInInitial, entrasim.FaultSparse, entrasim.FaultChunks, entrasim.FaultBOM, entrasim.FaultGzip, entrasim.FaultContentType,
	} {
		t.Run("all members arrive in spite of "+string(fault), func(t *testing.T) {
			t.Parallel()
			w := open(t, text.String())
			w.tenant.SetRules(func(r *entrasim.Rules) {
				r.MembersPerPage, r.MembersPerItem, r.ObjectsPerPage, r.Interleave = 100, 30, 100, true
			})
			var struck *entrasim.Fault
			if fault != "" {
				struck = w.inject(entrasim.Fault{Kind: fault, Times: 3, Count: 2})
			}
			r := w.pull(directory.Request{Streams: []directory.Stream{w.groupStream("", "group Big", "group Other"), {}}})
			if len(r.errs) != 0 {
				t.Fatal(r.errs)
			}
			want, err := w.tenant.Members("Big")
			if err != nil {
				t.Fatal(err)
			}
			if got := r.memberIDs(w.id("group Big")); !slices.Equal(got, sorted(want...)) {
				t.Errorf("%d members, want %d", len(got), len(want))
			}
			people := 0
			for _, c := range r.people {
				if c.Removal == directory.Present {
					people++
				}
			}
			if people != 1001 {
				t.Errorf("%d people", people)
			}
			if struck != nil && struck.Fired() == 0 {
				t.Error("the fault never struck")
			}
		})
	}
}

func TestReceiversErrorEndsThePull(t *testing.T) {
	t.Parallel()
	w := open(t, small)
	full := errors.New("disk full")
	err := w.client.Pull(t.Context(), directory.Request{Streams: []directory.Stream{{}, w.groupStream("", "group Sales")}, Select: attributes()},
		func(directory.Page) error { return full })
	if !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

func TestProfiles(t *testing.T) {
	t.Parallel()
	w := open(t, small)
	ann, bob, eve := w.id("ann@contoso.com"), w.id("bob@contoso.com"), w.id("eve@contoso.com")
	stranger := entrasim.IDOf("nobody@contoso.com")
	w.apply("delete user eve@contoso.com")
	check := func(t *testing.T, r *round) {
		t.Helper()
		if r.people[ann].Attributes["department"] != "Sales" || r.people[bob].Attributes["accountEnabled"] != "false" {
			t.Errorf("ann %v, bob %v", r.people[ann], r.people[bob])
		}
		if r.people[eve].Removal != directory.Deleted || r.people[stranger].Removal != directory.Deleted {
			t.Errorf("eve %+v, stranger %+v", r.people[eve], r.people[stranger])
		}
		for _, p := range r.pages {
			if p.Stream != directory.Profiles || p.Err != nil {
				t.Errorf("page %+v", p)
			}
		}
	}
	request := directory.Request{Profiles: []identity.ObjectID{stranger, ann, bob, eve, ann}}
	t.Run("who does not come back is asked for by id", func(t *testing.T) { check(t, w.pull(request)) })
	t.Run("a tenant that refuses getByIds is read one by one", func(t *testing.T) {
		w.tenant.SetRules(func(r *entrasim.Rules) { r.GetByIDsNeedsDirectory = true })
		check(t, w.pull(request))
	})
	t.Run("a failing directory removes nobody", func(t *testing.T) {
		w.client = w.connect(func(o *entra.Options) { o.Patience = 1 })
		w.inject(entrasim.Fault{Kind: entrasim.FaultHTML, Status: 404, Path: "/users/"})
		r, err := w.try(request)
		for id, c := range r.people {
			if c.Removal != directory.Present {
				t.Errorf("%s is removed", id)
			}
		}
		if err == nil && r.errs[directory.Profiles] == nil {
			t.Error("nobody was told")
		}
	})
}
