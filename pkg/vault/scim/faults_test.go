package scim

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vaultsync/vaultsync/pkg/vault"
	"github.com/vaultsync/vaultsync/pkg/vault/scim/scimtest"
)

func ann() vault.User {
	return vault.User{LoginName: "ann@contoso.com", FullName: "Ann B", Email: "ann@contoso.com", ExternalID: "11111111-0000-4000-8000-000000000001"}
}

func create(users ...vault.User) []vault.Change {
	var list []vault.Change
	for _, u := range users {
		list = append(list, vault.Change{Op: vault.CreateUser, User: u})
	}
	return list
}

func numbered(n int) []vault.User {
	var list []vault.User
	for i := range n {
		list = append(list, vault.User{LoginName: fmt.Sprintf("user%04d@contoso.com", i), ExternalID: fmt.Sprintf("22222222-0000-4000-8000-%012d", i)})
	}
	return list
}

// count counts requests of a kind, like "POST /v2/Users".
func count(s *scimtest.Server, prefix string) int {
	n := 0
	for _, r := range s.Requests() {
		if strings.HasPrefix(r, prefix) {
			n++
		}
	}
	return n
}

func isUserCreate(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/Users")
}

// once answers true the first time only.
func once(when func(*http.Request) bool) func(*http.Request) bool {
	done := false
	return func(r *http.Request) bool {
		if done || !when(r) {
			return false
		}
		done = true
		return true
	}
}

func answering(status int, header, value string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		if header != "" {
			w.Header().Set(header, value)
		}
		w.WriteHeader(status)
	}
}

func TestWritesWhoseOutcomeIsNotKnown(t *testing.T) {
	t.Parallel()
	t.Run("a create whose answer was lost is found, not made again", func(t *testing.T) {
		t.Parallel()
		for _, bulk := range []int{0, 50} {
			synctest.Test(t, func(t *testing.T) {
				server := &scimtest.Server{Quirks: scimtest.Quirks{Bulk: bulk}}
				server.Cut = once(func(r *http.Request) bool { return r.Method == http.MethodPost })
				store := inProcess(t, server, Options{Parallel: 1})
				users := append(numbered(9), ann())
				for i, r := range store.Apply(t.Context(), create(users...)) {
					if r.Err != nil || r.ID == "" {
						t.Errorf("bulk %d, create %d: %+v", bulk, i, r)
					}
				}
				if n := len(server.Users()); n != len(users) {
					t.Errorf("bulk %d: %d users, want %d", bulk, n, len(users))
				}
			})
		}
	})
	t.Run("a create that may come through later is not sent again", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			server := &scimtest.Server{}
			server.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
				if isUserCreate(r) {
					panic(http.ErrAbortHandler)
				}
				return false
			}
			store := inProcess(t, server, Options{})
			r := store.Apply(t.Context(), create(ann()))[0]
			if !errors.Is(r.Err, vault.ErrUnknownOutcome) || errors.Is(r.Err, vault.ErrUnreachable) || r.ID != "" {
				t.Errorf("got %+v", r)
			}
			if n := count(server, "POST"); n != 1 {
				t.Errorf("%d creates were sent, want 1", n)
			}
		})
	})
	t.Run("a server's failure in a create is an outcome that is not known", func(t *testing.T) {
		t.Parallel()
		for _, status := range []int{500, 502, 504} {
			synctest.Test(t, func(t *testing.T) {
				server := &scimtest.Server{}
				fail := answering(status, "", "")
				server.Fault = func(w http.ResponseWriter, r *http.Request) bool {
					if isUserCreate(r) {
						fail(w)
					}
					return isUserCreate(r)
				}
				store := inProcess(t, server, Options{})
				if r := store.Apply(t.Context(), create(ann()))[0]; !errors.Is(r.Err, vault.ErrUnknownOutcome) || count(server, "POST") != 1 {
					t.Errorf("%d: %v after %d creates", status, r.Err, count(server, "POST"))
				}
			})
		}
	})
	t.Run("a create that was made in spite of 503 is recognized by its conflict", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			server := &scimtest.Server{}
			first := once(isUserCreate)
			server.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				if !first(r) {
					return false
				}
				server.Add(map[string]any{"userName": ann().LoginName, "externalId": ann().ExternalID, "active": true})
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			}
			store := inProcess(t, server, Options{})
			if r := store.Apply(t.Context(), create(ann()))[0]; r.Err != nil || r.ID == "" || len(server.Users()) != 1 {
				t.Errorf("got %+v and %d users", r, len(server.Users()))
			}
		})
	})
	t.Run("a conflict with somebody else's account is a conflict", func(t *testing.T) {
		t.Parallel()
		server := &scimtest.Server{}
		server.Add(map[string]any{"userName": "ANN@contoso.com"})
		store := inProcess(t, server, Options{})
		if r := store.Apply(t.Context(), create(ann()))[0]; !errors.Is(r.Err, vault.ErrExists) {
			t.Errorf("got %+v", r)
		}
	})
	t.Run("an update whose answer was lost is repeated, for it does no harm", func(t *testing.T) {
		t.Parallel()
		for _, patch := range []string{on, off} {
			synctest.Test(t, func(t *testing.T) {
				server := &scimtest.Server{}
				store := inProcess(t, server, Options{Patch: patch})
				id := server.Add(map[string]any{"userName": "ann@contoso.com", "active": true})
				server.Cut = once(func(r *http.Request) bool { return r.Method == http.MethodPatch || r.Method == http.MethodPut })
				r := store.Apply(t.Context(), []vault.Change{{Op: vault.UpdateUser, UserID: id, Patch: vault.Patch{Enabled: new(false)}}})[0]
				if r.Err != nil || server.Users()[0]["active"] != false {
					t.Errorf("patch %s: %v, %v", patch, r.Err, server.Users())
				}
			})
		}
	})
}

func TestThrottling(t *testing.T) {
	t.Parallel()
	t.Run("Retry-After is waited for, by everybody", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			server := &scimtest.Server{}
			var until time.Time
			early := 0
			server.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				switch now := time.Now(); {
				case until.IsZero() && isUserCreate(r):
					until = now.Add(30 * time.Second)
				case now.Before(until) && isUserCreate(r):
					early++
				default:
					return false
				}
				answering(http.StatusTooManyRequests, "Retry-After", "30")(w)
				return true
			}
			store := inProcess(t, server, Options{Parallel: 1})
			for i, r := range store.Apply(t.Context(), create(numbered(20)...)) {
				if r.Err != nil {
					t.Errorf("create %d: %v", i, r.Err)
				}
			}
			if early > 0 || len(server.Users()) != 20 || count(server, "POST") != 21 {
				t.Errorf("%d creates before the pause was over, %d users, %d creates", early, len(server.Users()), count(server, "POST"))
			}
		})
	})
	t.Run("a service that throttles without end has changed nothing", func(t *testing.T) {
		t.Parallel()
		for _, after := range []string{"60", "86400", "", "nonsense"} {
			synctest.Test(t, func(t *testing.T) {
				server := &scimtest.Server{}
				server.Fault = func(w http.ResponseWriter, r *http.Request) bool {
					if isUserCreate(r) {
						answering(http.StatusTooManyRequests, "Retry-After", after)(w)
					}
					return isUserCreate(r)
				}
				store := inProcess(t, server, Options{Parallel: 1})
				began := time.Now()
				for i, r := range store.Apply(t.Context(), create(numbered(50)...)) {
					if !errors.Is(r.Err, vault.ErrUnreachable) || errors.Is(r.Err, vault.ErrUnknownOutcome) {
						t.Errorf("create %d: %v", i, r.Err)
					}
				}
				if took := time.Since(began); took > patience+time.Minute {
					t.Errorf("Retry-After %q: gave up after %s", after, took)
				}
			})
		}
	})
}

func TestServicesOutOfReach(t *testing.T) {
	t.Parallel()
	t.Run("what is no SCIM is never an empty vault", func(t *testing.T) {
		t.Parallel()
		for name, answer := range map[string]func(http.ResponseWriter){
			"a sign-in page":   func(w http.ResponseWriter) { fmt.Fprint(w, "<html>Please sign in</html>") },
			"nothing":          func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) },
			"an empty object":  func(w http.ResponseWriter) { fmt.Fprint(w, "{}") },
			"half a list":      func(w http.ResponseWriter) { fmt.Fprint(w, `{"totalResults":1,"Resources":[{"id":"1"`) },
			"null":             func(w http.ResponseWriter) { fmt.Fprint(w, "null") },
			"an id of nothing": func(w http.ResponseWriter) { fmt.Fprint(w, `{"totalResults":1,"Resources":[{"userName":"x"}]}`) },
			"500":              answering(500, "", ""),
			"403":              answering(403, "", ""),
			"404":              answering(404, "", ""),
			"a redirect":       answering(302, "Location", "https://elsewhere.example.com/"),
		} {
			synctest.Test(t, func(t *testing.T) {
				server := &scimtest.Server{Fault: func(w http.ResponseWriter, r *http.Request) bool {
					if strings.HasSuffix(r.URL.Path, "/Users") || strings.HasSuffix(r.URL.Path, "/Groups") {
						answer(w)
						return true
					}
					return false
				}}
				store := inProcess(t, server, Options{})
				var err error
				for _, e := range store.Users(t.Context()) {
					err = e
				}
				if err == nil {
					t.Errorf("%s: no users and no error", name)
				}
				err = nil
				for _, e := range store.Groups(t.Context()) {
					err = e
				}
				if err == nil {
					t.Errorf("%s: no groups and no error", name)
				}
				if found, err := store.Find(t.Context(), []vault.Query{{LoginName: "ann@contoso.com"}}); err == nil {
					t.Errorf("%s: found %v and no error", name, found)
				}
			})
		}
	})
	t.Run("a page that fails or repeats itself ends a listing with an error", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			server := &scimtest.Server{}
			for _, u := range numbered(25) {
				server.Add(map[string]any{"userName": u.LoginName})
			}
			list := func(o Options) (n int, err error) {
				for _, e := range inProcess(t, server, o).Users(t.Context()) {
					if e != nil {
						return n, e
					}
					n++
				}
				return n, nil
			}
			server.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Query().Get("startIndex") != "11" {
					return false
				}
				w.WriteHeader(http.StatusInternalServerError)
				return true
			}
			if n, err := list(Options{PageSize: 10}); !errors.Is(err, vault.ErrUnreachable) || n != 10 {
				t.Errorf("a failing page: %d users, %v", n, err)
			}
			server.Fault, server.Quirks.IgnoresStart = nil, true
			if n, err := list(Options{PageSize: 10}); !errors.Is(err, vault.ErrUnreachable) || n != 10 {
				t.Errorf("a repeated page: %d users, %v", n, err)
			}
		})
	})
	t.Run("nothing more is sent to a service that is down", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			server := &scimtest.Server{}
			store := inProcess(t, server, Options{Parallel: 2})
			if _, err := store.Find(t.Context(), []vault.Query{{ID: "x"}}); err != nil {
				t.Fatal(err)
			}
			sent := 0
			store.client.Transport = failing(func(*http.Request) (*http.Response, error) {
				sent++
				return nil, errors.New("connect: connection refused")
			})
			for i, r := range store.Apply(t.Context(), create(numbered(200)...)) {
				if !errors.Is(r.Err, vault.ErrUnreachable) || errors.Is(r.Err, vault.ErrUnknownOutcome) {
					t.Fatalf("create %d: %v", i, r.Err)
				}
			}
			if sent > 2*tries {
				t.Errorf("%d requests to a service that is down", sent)
			}
		})
	})
	t.Run("a token never leaves for another place", func(t *testing.T) {
		t.Parallel()
		called := false
		other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
		defer other.Close()
		server := &scimtest.Server{Fault: func(w http.ResponseWriter, _ *http.Request) bool {
			answering(http.StatusTemporaryRedirect, "Location", other.URL)(w)
			return true
		}}
		store := onLoopback(t, server, Options{})
		r := store.Apply(t.Context(), create(ann()))[0]
		if !errors.Is(r.Err, vault.ErrUnreachable) || called {
			t.Errorf("%v, and the other place was called: %v", r.Err, called)
		}
	})
}

type failing func(*http.Request) (*http.Response, error)

func (f failing) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestSignIn(t *testing.T) {
	t.Parallel()
	t.Run("a new token in the file is taken without a restart", func(t *testing.T) {
		t.Parallel()
		server := &scimtest.Server{}
		store := inProcess(t, server, Options{})
		if r := store.Apply(t.Context(), create(ann()))[0]; r.Err != nil {
			t.Fatal(r.Err)
		}
		server.Token = "canary-next-token-987654321"
		_, err := store.Find(t.Context(), []vault.Query{{ID: "x"}})
		hint, ok := errors.AsType[*Error](err)
		if !errors.Is(err, ErrSignIn) || !errors.Is(err, vault.ErrUnreachable) || !ok || hint.Hint() == "" {
			t.Errorf("the old token: %v", err)
		}
		if strings.Contains(fmt.Sprint(err), testToken) {
			t.Errorf("the error shows the token: %v", err)
		}
		if err := os.WriteFile(store.options.TokenFile, []byte(server.Token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Find(t.Context(), []vault.Query{{ID: "x"}}); err != nil {
			t.Errorf("the new token: %v", err)
		}
	})
	t.Run("a secret that everybody can read is refused", func(t *testing.T) {
		t.Parallel()
		store := inProcess(t, &scimtest.Server{}, Options{})
		if err := os.Chmod(store.options.TokenFile, 0o644); err != nil { //nolint:gosec // what is tested
			t.Fatal(err)
		}
		if _, err := store.Find(t.Context(), []vault.Query{{ID: "x"}}); !errors.Is(err, ErrSignIn) {
			t.Errorf("got %v", err)
		}
	})
	for _, wantsBody := range []bool{false, true} {
		t.Run(fmt.Sprintf("a client's grant is asked for once, secret in the body %v", wantsBody), func(t *testing.T) {
			t.Parallel()
			const secret = "canary-client-secret+/="
			asked := 0
			tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				id, given, basic := r.BasicAuth()
				switch err := r.ParseForm(); {
				case err != nil, r.Form.Get("grant_type") != "client_credentials", r.Form.Get("scope") != "scim":
					w.WriteHeader(http.StatusBadRequest)
				case wantsBody && (basic || r.Form.Get("client_secret") != secret),
					!wantsBody && (id != "client" || given != "canary-client-secret%2B%2F%3D"):
					w.WriteHeader(http.StatusUnauthorized)
					fmt.Fprintf(w, `{"error":"invalid_client %s"}`, secret)
				default:
					fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":"3600"}`, testToken)
				}
			}))
			defer tokens.Close()
			server := httptest.NewServer(&scimtest.Server{Token: testToken})
			defer server.Close()
			file := withToken(t, Options{}).TokenFile
			if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
				t.Fatal(err)
			}
			store := open(t, Options{URL: server.URL, OAuth: &OAuth{TokenURL: tokens.URL, ClientID: "client", SecretFile: file, Scope: "scim"}})
			if r := store.Apply(t.Context(), create(numbered(10)...)); r[9].Err != nil {
				t.Fatal(r[9].Err)
			}
			if want := map[bool]int{false: 1, true: 2}[wantsBody]; asked != want {
				t.Errorf("%d requests for a token, want %d", asked, want)
			}
			if err := os.WriteFile(file, []byte("canary-wrong-secret"), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := store.Find(t.Context(), []vault.Query{{ID: "x"}})
			if !errors.Is(err, ErrSignIn) || strings.Contains(fmt.Sprint(err), "canary-wrong") {
				t.Errorf("a wrong secret: %v", err)
			}
		})
	}
}

func TestWhatIsNotKept(t *testing.T) {
	t.Parallel()
	t.Run("a disable that the service swallows is refused", func(t *testing.T) {
		t.Parallel()
		server := &scimtest.Server{Quirks: scimtest.Quirks{IgnoresActive: true}}
		store := inProcess(t, server, Options{})
		id := server.Add(map[string]any{"userName": "ann@contoso.com", "active": true})
		r := store.Apply(t.Context(), []vault.Change{{Op: vault.UpdateUser, UserID: id, Patch: vault.Patch{Enabled: new(false)}}})[0]
		if !errors.Is(r.Err, vault.ErrInvalid) {
			t.Errorf("got %v", r.Err)
		}
	})
	t.Run("an attribute that the service swallows is told once", func(t *testing.T) {
		t.Parallel()
		var log bytes.Buffer
		server := &scimtest.Server{Quirks: scimtest.Quirks{Swallows: true}}
		store := inProcess(t, server, Options{Logger: slog.New(slog.NewTextHandler(&log, nil)), Parallel: 1})
		users := numbered(3)
		for i := range users {
			users[i].Attributes = map[string]string{info1: "Sales"}
		}
		for _, r := range store.Apply(t.Context(), create(users...)) {
			if r.Err != nil {
				t.Error(r.Err)
			}
		}
		if n := strings.Count(log.String(), info1); n != 1 {
			t.Errorf("told %d times:\n%s", n, &log)
		}
	})
	t.Run("members that are never shown are found out with the first that is added", func(t *testing.T) {
		t.Parallel()
		server := &scimtest.Server{Quirks: scimtest.Quirks{HidesMembers: true}}
		store := inProcess(t, server, Options{})
		id := store.Apply(t.Context(), create(ann()))[0].ID
		group := store.Apply(t.Context(), []vault.Change{{Op: vault.CreateGroup, Group: vault.Group{Name: "Sales"}}})[0].ID
		if r := store.Apply(t.Context(), []vault.Change{{Op: vault.AddMembers, GroupID: group, Members: []string{id}}})[0]; r.Err != nil {
			t.Fatal(r.Err)
		}
		for g, err := range store.Groups(t.Context()) {
			if err != nil || !g.MembersUnknown {
				t.Errorf("%+v, %v", g, err)
			}
		}
	})
}

func TestRequestsFollowTheChanges(t *testing.T) {
	t.Parallel()
	filled := func(t *testing.T, n int, q scimtest.Quirks, o Options) (*scimtest.Server, *Store) {
		t.Helper()
		server := &scimtest.Server{Quirks: q}
		for _, u := range numbered(n) {
			server.Add(map[string]any{"userName": u.LoginName, "externalId": u.ExternalID, "active": true})
		}
		store := inProcess(t, server, o)
		if _, err := store.discover(t.Context()); err != nil {
			t.Fatal(err)
		}
		server.Forget()
		return server, store
	}
	find := func(t *testing.T, store *Store, queries []vault.Query, want int) {
		t.Helper()
		found, err := store.Find(t.Context(), queries)
		if err != nil {
			t.Fatal(err)
		}
		hits := 0
		for _, list := range found {
			hits += len(list)
		}
		if hits != want {
			t.Errorf("%d hits, want %d", hits, want)
		}
	}
	t.Run("who the store is takes none", func(t *testing.T) {
		t.Parallel()
		server := &scimtest.Server{}
		store := inProcess(t, server, Options{})
		if id, err := store.Identity(t.Context()); err != nil || id != "scim:https://scim.contoso.com/v2" || store.Requests() != 0 {
			t.Errorf("%q, %v, %d requests", id, err, store.Requests())
		}
	})
	t.Run("a thousand questions of a large vault read its pages once", func(t *testing.T) {
		t.Parallel()
		server, store := filled(t, 1000, scimtest.Quirks{}, Options{})
		for range 3 { // one look at the vault in three calls
			var queries []vault.Query
			for _, u := range numbered(1000) {
				queries = append(queries, vault.Query{ExternalID: u.ExternalID})
			}
			find(t, store, queries, 1000)
		}
		if n := len(server.Requests()); n != 11 {
			t.Errorf("%d requests for 10 pages, the empty one included: want 11", n)
		}
	})
	t.Run("a thousand questions of an empty vault are one request", func(t *testing.T) {
		t.Parallel()
		server, store := filled(t, 0, scimtest.Quirks{}, Options{})
		var queries []vault.Query
		for _, u := range numbered(1000) {
			queries = append(queries, vault.Query{LoginName: u.LoginName})
		}
		find(t, store, queries, 0)
		find(t, store, queries, 0)
		if n := len(server.Requests()); n != 1 {
			t.Errorf("%d requests: %v", n, server.Requests())
		}
	})
	t.Run("one question of a large vault is one request once the filter is believed", func(t *testing.T) {
		t.Parallel()
		server, store := filled(t, 1000, scimtest.Quirks{}, Options{})
		ask := []vault.Query{{LoginName: "USER0500@contoso.com"}, {LoginName: "nobody@contoso.com"}}
		find(t, store, ask, 1)
		server.Forget()
		find(t, store, ask, 1)
		if n := len(server.Requests()); n != 2 {
			t.Errorf("%d requests: %v", n, server.Requests())
		}
	})
	t.Run("a filter that minds the case is not believed", func(t *testing.T) {
		t.Parallel()
		_, store := filled(t, 1000, scimtest.Quirks{CaseSensitiveFilters: true}, Options{})
		find(t, store, []vault.Query{{LoginName: "USER0500@contoso.com"}}, 1)
		if store.trust.of(byLoginName) != doubted {
			t.Error("it is believed")
		}
	})
	t.Run("each change is one request, whatever their number", func(t *testing.T) {
		t.Parallel()
		server, store := filled(t, 0, scimtest.Quirks{}, Options{})
		store.Apply(t.Context(), create(numbered(300)...))
		if n := len(server.Requests()); n != 300 {
			t.Errorf("%d requests for 300 creates", n)
		}
	})
	t.Run("what was listed is not believed after a write", func(t *testing.T) {
		t.Parallel()
		_, store := filled(t, 150, scimtest.Quirks{}, Options{})
		var queries []vault.Query
		for _, u := range append(numbered(150), ann()) {
			queries = append(queries, vault.Query{LoginName: u.LoginName})
		}
		find(t, store, queries, 150)
		store.Apply(t.Context(), create(ann()))
		find(t, store, queries, 151)
	})
	t.Run("members go out in chunks", func(t *testing.T) {
		t.Parallel()
		server, store := filled(t, 250, scimtest.Quirks{MaxMembers: 100}, Options{})
		group := store.Apply(t.Context(), []vault.Change{{Op: vault.CreateGroup, Group: vault.Group{Name: "All"}}})[0].ID
		var ids []string
		for _, u := range server.Users() {
			id, _ := u["id"].(string)
			ids = append(ids, id)
		}
		server.Forget()
		if r := store.Apply(t.Context(), []vault.Change{{Op: vault.AddMembers, GroupID: group, Members: ids}})[0]; r.Err != nil {
			t.Fatal(r.Err)
		}
		if n := count(server, "PATCH"); n != 3 {
			t.Errorf("%d requests, want 3", n)
		}
		members, _ := server.Groups()[0]["members"].([]any)
		if len(members) != 250 {
			t.Errorf("%d members", len(members))
		}
	})
}

func TestEveryUserWriteSaysActive(t *testing.T) {
	t.Parallel()
	server := &scimtest.Server{Quirks: scimtest.Quirks{NoPatch: true, StringBooleans: true}}
	store := inProcess(t, server, Options{})
	id := server.Add(map[string]any{"userName": "ann@contoso.com", "active": false, "nickName": "by hand"})
	r := store.Apply(t.Context(), []vault.Change{{Op: vault.UpdateUser, UserID: id, Patch: vault.Patch{FullName: new("Ann Berg")}}})[0]
	user := server.Users()[0]
	if r.Err != nil || user["active"] != false || user["displayName"] != "Ann Berg" || user["nickName"] != "by hand" {
		t.Errorf("%v, %v", r.Err, user)
	}
	created := slices.IndexFunc(store.Apply(t.Context(), create(numbered(1)...)), func(r vault.Result) bool { return r.Err != nil })
	if created >= 0 || server.Users()[1]["active"] != true {
		t.Errorf("created as %v", server.Users()[1])
	}
}
