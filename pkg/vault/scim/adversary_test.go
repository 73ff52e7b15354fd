package scim

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vaultsync/vaultsync/pkg/vault"
	"github.com/vaultsync/vaultsync/pkg/vault/scim/scimtest"
)

func listUsers(t *testing.T, s *Store) (n int, err error) {
	t.Helper()
	for _, e := range s.Users(t.Context()) {
		if e != nil {
			return n, e
		}
		n++
	}
	return n, nil
}

func disable(id string) []vault.Change {
	return []vault.Change{{Op: vault.UpdateUser, UserID: id, Patch: vault.Patch{Enabled: new(false)}}}
}

func TestAnswersFromSomethingElse(t *testing.T) {
	t.Parallel()
	page := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!doctype html><title>Sign in</title>")
	}
	t.Run("a write that a sign-in page answers with 200 is not taken for made", func(t *testing.T) {
		t.Parallel()
		for _, patch := range []string{on, off} {
			server := &scimtest.Server{}
			id := server.Add(map[string]any{"userName": "ann@contoso.com", "active": true})
			store := inProcess(t, server, Options{Patch: patch})
			server.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPatch || r.Method == http.MethodPut {
					page(w)
					return true
				}
				return false
			}
			r := store.Apply(t.Context(), disable(id))[0]
			if e, ok := errors.AsType[*Error](r.Err); !errors.Is(r.Err, vault.ErrUnknownOutcome) || !ok || e.Hint() == "" {
				t.Errorf("PATCH %s: %v", patch, r.Err)
			}
		}
	})
	t.Run("a service whose every write gets a page is sent no more after a while", func(t *testing.T) {
		t.Parallel()
		server := &scimtest.Server{Fault: func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				page(w)
			}
			return r.Method == http.MethodPost
		}}
		store := inProcess(t, server, Options{Parallel: 1})
		results := store.Apply(t.Context(), create(numbered(300)...))
		if n := count(server, "POST"); n != lostAtMost || !errors.Is(results[299].Err, vault.ErrUnreachable) || errors.Is(results[299].Err, vault.ErrUnknownOutcome) {
			t.Errorf("%d creates were sent; the last: %v", n, results[299].Err)
		}
	})
	t.Run("a gateway's 404 makes nobody look deleted", func(t *testing.T) {
		t.Parallel()
		for name, answer := range map[string]func(http.ResponseWriter){
			"a page": func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound); page(w) },
			"JSON": func(w http.ResponseWriter) {
				w.WriteHeader(http.StatusNotFound)
				fmt.Fprint(w, `{"message":"no Route matched with those values"}`)
			},
			"nothing": answering(404, "", ""),
		} {
			server := &scimtest.Server{}
			id := server.Add(map[string]any{"userName": "ann@contoso.com", "active": true})
			store := inProcess(t, server, Options{})
			if _, err := store.discover(t.Context()); err != nil {
				t.Fatal(err)
			}
			server.Fault = func(w http.ResponseWriter, _ *http.Request) bool { answer(w); return true }
			if found, err := store.Find(t.Context(), []vault.Query{{ID: id}}); !errors.Is(err, vault.ErrUnreachable) {
				t.Errorf("%s: found %v, %v", name, found, err)
			}
			if r := store.Apply(t.Context(), disable(id))[0]; errors.Is(r.Err, vault.ErrNotFound) || !errors.Is(r.Err, vault.ErrUnreachable) {
				t.Errorf("%s: the update: %v", name, r.Err)
			}
		}
	})
	t.Run("who is really gone is not found, by look and by write", func(t *testing.T) {
		t.Parallel()
		store := inProcess(t, &scimtest.Server{}, Options{})
		if found, err := store.Find(t.Context(), []vault.Query{{ID: "gone"}}); err != nil || len(found[0]) > 0 {
			t.Errorf("found %v, %v", found, err)
		}
		if r := store.Apply(t.Context(), disable("gone"))[0]; !errors.Is(r.Err, vault.ErrNotFound) {
			t.Errorf("the update: %v", r.Err)
		}
	})
	t.Run("what is at a foreign address gives its id at most", func(t *testing.T) {
		t.Parallel()
		for location, want := range map[string]string{
			"https://elsewhere.example.com/scim/Users/42": "42", "/v2/Users/a%2Fb": "a/b", "Users/42": "42", "https://scim.contoso.com/v2/Users/42/": "42",
			"https://scim.contoso.com/v2/Users": "", "https://scim.contoso.com/v2/Groups/42": "", "": "", "://": "", "/": "", "42": "", "/v2/OtherUsers/42": "",
		} {
			if got := idOf("/Users", location); got != want {
				t.Errorf("%q: %q, want %q", location, got, want)
			}
		}
	})
}

func TestPagingThatLies(t *testing.T) {
	t.Parallel()
	filled := func(n int) *scimtest.Server {
		server := &scimtest.Server{}
		for _, u := range numbered(n) {
			server.Add(map[string]any{"userName": u.LoginName, "externalId": u.ExternalID})
		}
		return server
	}
	list := func(total int, ids ...string) func(http.ResponseWriter) {
		var resources []string
		for _, id := range ids {
			resources = append(resources, fmt.Sprintf(`{"id":%q,"userName":%q}`, id, id))
		}
		return func(w http.ResponseWriter) {
			fmt.Fprintf(w, `{"totalResults":%d,"Resources":[%s]}`, total, strings.Join(resources, ","))
		}
	}
	// scripted answers the pages of users by their startIndex.
	scripted := func(pages map[string]func(http.ResponseWriter)) *scimtest.Server {
		return &scimtest.Server{Fault: func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/Users") || r.Method != http.MethodGet {
				return false
			}
			answer := pages[r.URL.Query().Get("startIndex")]
			if answer == nil {
				answer = list(0)
			}
			answer(w)
			return true
		}}
	}
	for _, c := range []struct {
		name  string
		pages map[string]func(http.ResponseWriter)
		want  int
		fails bool
	}{
		{"a total that is too low ends nothing", map[string]func(http.ResponseWriter){"1": list(2, "a", "b"), "3": list(2, "c", "d"), "5": list(2)}, 4, false},
		{"a total that is too high fails nothing", map[string]func(http.ResponseWriter){"1": list(90, "a", "b"), "3": list(90)}, 2, false},
		{"an empty page in the middle is no end", map[string]func(http.ResponseWriter){"1": list(6, "a", "b"), "3": list(6), "6": list(6, "f")}, 2, true},
		{"a person on two pages is one", map[string]func(http.ResponseWriter){"1": list(3, "a", "b"), "3": list(3, "b", "c"), "5": list(3)}, 3, false},
		{"a page that is seen whole again, with more to come, is an error", map[string]func(http.ResponseWriter){"1": list(9, "a", "b"), "3": list(9, "a", "b")}, 2, true},
		{"a page larger than asked for is taken", map[string]func(http.ResponseWriter){"1": list(3, "a", "b", "c"), "4": list(3)}, 3, false},
		{"a total of nothing is nothing", map[string]func(http.ResponseWriter){"1": list(-5, "a"), "2": list(-5)}, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n, err := listUsers(t, inProcess(t, scripted(c.pages), Options{PageSize: 2}))
			if n != c.want || (err != nil) != c.fails || err != nil && !errors.Is(err, vault.ErrUnreachable) {
				t.Errorf("%d users, %v; want %d, an error: %v", n, err, c.want, c.fails)
			}
		})
	}
	t.Run("a person who slips off a page while another is deleted is found by id", func(t *testing.T) {
		t.Parallel()
		server := filled(200)
		store := inProcess(t, server, Options{PageSize: 50})
		var queries []vault.Query
		for _, u := range server.Users() {
			id, _ := u["id"].(string)
			queries = append(queries, vault.Query{ID: id})
		}
		deleted := 0
		server.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Get("startIndex") == "51" && deleted == 0 {
				deleted++
				server.Delete(queries[0].ID) // everybody moves up by one
			}
			return false
		}
		found, err := store.Find(t.Context(), queries)
		if err != nil || deleted != 1 {
			t.Fatal(err, deleted)
		}
		for i, hits := range found {
			if want := min(i, 1); i > 0 && len(hits) != want {
				t.Errorf("%s: found %d times", queries[i].ID, len(hits))
			}
		}
	})
}

func TestPausesOfAnHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &scimtest.Server{}
		throttled := true
		server.Fault = func(w http.ResponseWriter, r *http.Request) bool {
			if throttled && isUserCreate(r) {
				answering(http.StatusTooManyRequests, "Retry-After", "3600")(w)
				return true
			}
			return false
		}
		store := inProcess(t, server, Options{Parallel: 2})
		began := time.Now()
		for _, r := range store.Apply(t.Context(), create(numbered(20)...)) {
			if !errors.Is(r.Err, vault.ErrUnreachable) || errors.Is(r.Err, vault.ErrUnknownOutcome) {
				t.Errorf("got %v", r.Err)
			}
		}
		if took := time.Since(began); took > time.Second || count(server, "POST") > 2 {
			t.Errorf("gave up after %s and %d creates: nobody waits for an hour", took, count(server, "POST"))
		}
		server.Forget()
		throttled = false
		_, err := store.Find(t.Context(), []vault.Query{{ID: "x"}})
		if !errors.Is(err, vault.ErrUnreachable) || !strings.Contains(fmt.Sprint(err), "until") || len(server.Requests()) > 0 {
			t.Errorf("a run within the hour: %v after %d requests", err, len(server.Requests()))
		}
		time.Sleep(time.Hour)
		if r := store.Apply(t.Context(), create(ann()))[0]; r.Err != nil {
			t.Errorf("after the hour: %v", r.Err)
		}
	})
}

func TestVersions(t *testing.T) {
	t.Parallel()
	t.Run("what another changes between our look and our PUT is kept", func(t *testing.T) {
		t.Parallel()
		server := &scimtest.Server{Quirks: scimtest.Quirks{Versions: true}}
		id := server.Add(map[string]any{"userName": "ann@contoso.com", "active": true})
		store := inProcess(t, server, Options{Patch: off})
		meddled := once(func(r *http.Request) bool { return r.Method == http.MethodPut })
		server.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
			if meddled(r) {
				server.Set(id, "title", "By Hand")
			}
			return false
		}
		if r := store.Apply(t.Context(), disable(id))[0]; r.Err != nil {
			t.Fatal(r.Err)
		}
		if u := server.Users()[0]; u["active"] != false || u["title"] != "By Hand" {
			t.Errorf("%v", u)
		}
	})
	t.Run("a resource that never stands still fails its own change alone", func(t *testing.T) {
		t.Parallel()
		server := &scimtest.Server{Quirks: scimtest.Quirks{Versions: true}}
		id := server.Add(map[string]any{"userName": "ann@contoso.com", "active": true})
		store := inProcess(t, server, Options{Patch: off})
		n := 0
		server.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut {
				n++
				server.Set(id, "title", fmt.Sprint(n))
			}
			return false
		}
		r := store.Apply(t.Context(), disable(id))[0]
		if e, ok := errors.AsType[*Error](r.Err); !ok || e.Status != http.StatusPreconditionFailed || e.Hint() == "" || n > 10 {
			t.Errorf("%v after %d tries", r.Err, n)
		}
	})
}

func TestBulkInParts(t *testing.T) {
	t.Parallel()
	t.Run("what a service leaves out after an error is made all the same, and once", func(t *testing.T) {
		t.Parallel()
		server := &scimtest.Server{Quirks: scimtest.Quirks{Bulk: 100, BulkStops: true}}
		users := numbered(60)
		server.Add(map[string]any{"userName": users[3].LoginName}) // somebody else's
		store := inProcess(t, server, Options{})
		for i, r := range store.Apply(t.Context(), create(users...)) {
			if taken := i == 3; taken != errors.Is(r.Err, vault.ErrExists) || taken != (r.ID == "") {
				t.Errorf("create %d: %+v", i, r)
			}
		}
		if n := len(server.Users()); n != 60 {
			t.Errorf("%d users, want 60", n)
		}
	})
	t.Run("a bulk answer that was lost makes nobody twice", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			server := &scimtest.Server{Quirks: scimtest.Quirks{Bulk: 100}}
			server.Cut = func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/Bulk") }
			store := inProcess(t, server, Options{})
			for i, r := range store.Apply(t.Context(), create(numbered(90)...)) {
				if r.Err != nil || r.ID == "" {
					t.Errorf("create %d: %+v", i, r)
				}
			}
			if n := len(server.Users()); n != 90 {
				t.Errorf("%d users, want 90", n)
			}
		})
	})
}

func TestLargeGroup(t *testing.T) {
	t.Parallel()
	const people = 50_000
	for name, o := range map[string]Options{"by PATCH": {MemberChunk: 10_000}, "by PUT": {Patch: off, MemberChunk: 10_000}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := &scimtest.Server{Quirks: scimtest.Quirks{SilentWrites: true, AcceptsAnyMember: true}}
			store := inProcess(t, server, o)
			apply := func(c vault.Change) {
				t.Helper()
				if r := store.Apply(t.Context(), []vault.Change{c})[0]; r.Err != nil {
					t.Fatal(r.Err)
				}
			}
			apply(vault.Change{Op: vault.CreateGroup, Group: vault.Group{Name: "All", ExternalID: "33333333-0000-4000-8000-000000000001"}})
			group, _ := server.Groups()[0]["id"].(string)
			ids := make([]string, people)
			for i := range ids {
				ids[i] = fmt.Sprintf("id-%d", i)
			}
			server.Forget()
			apply(vault.Change{Op: vault.AddMembers, GroupID: group, Members: ids})
			if n := len(server.Requests()); n > 10 {
				t.Errorf("%d requests", n)
			}
			members := func() (n int) {
				for g, err := range store.Groups(t.Context()) {
					if err != nil || g.MembersUnknown {
						t.Fatal(g.MembersUnknown, err)
					}
					n = len(g.Members)
				}
				return n
			}
			if n := members(); n != people {
				t.Errorf("%d members", n)
			}
			apply(vault.Change{Op: vault.RemoveMembers, GroupID: group, Members: ids[:3]})
			if n := members(); n != people-3 {
				t.Errorf("%d members after three have left", n)
			}
		})
	}
}

func TestNamesThatNeedEscaping(t *testing.T) {
	t.Parallel()
	names := []string{
		`o"brien@contoso.com`, `back\slash@contoso.com`, `both\"@contoso.com`, "zoë@contoso.com", "straße@contoso.com", "ann+b c&d=e%2F@contoso.com", "日本@contoso.com", "a\tb@contoso.com", `" or userName pr or "@contoso.com`,
	}
	for filters, q := range map[string]scimtest.Quirks{"as in the standard": {}, "that mind the case": {CaseSensitiveFilters: true}, "by few attributes": {Filters: []string{"userName"}}} {
		t.Run("filters "+filters, func(t *testing.T) {
			t.Parallel()
			server := &scimtest.Server{Quirks: q}
			for _, u := range numbered(300) {
				server.Add(map[string]any{"userName": u.LoginName})
			}
			store := inProcess(t, server, Options{})
			var users []vault.User
			for _, name := range names {
				users = append(users, vault.User{LoginName: name})
			}
			for i, r := range store.Apply(t.Context(), create(users...)) {
				if r.Err != nil {
					t.Fatalf("%s: %v", names[i], r.Err)
				}
			}
			for _, name := range names {
				found, err := store.Find(t.Context(), []vault.Query{{LoginName: name}})
				if err != nil || len(found[0]) != 1 || found[0][0].LoginName != name {
					t.Errorf("%q: %+v, %v", name, found, err)
				}
			}
		})
	}
}
