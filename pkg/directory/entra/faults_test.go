package entra_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/directory/entra"
	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

// stored pulls once and is the request for the round after.
func (w *world) stored() directory.Request {
	w.t.Helper()
	streams := []directory.Stream{w.groupStream("", "group Sales", "group Sales EU"), {}}
	r := w.pull(directory.Request{Streams: streams})
	streams[0].Link, streams[1].Link = r.links[0], r.links[1]
	if streams[0].Link == "" || streams[1].Link == "" {
		w.t.Fatalf("no links: %v", r.errs)
	}
	return directory.Request{Streams: streams}
}

func TestTokenLost(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		happen func(w *world)
	}{
		{"eight days later", func(w *world) { w.apply("advance 8d") }},
		{"eight days later, answered with 410", func(w *world) {
			w.tenant.SetRules(func(r *entrasim.Rules) { r.ExpiredGone = true })
			w.apply("advance 8d")
		}},
		{"a reset of the service", func(w *world) { w.apply("reset tokens") }},
		{"410 without body and Location", func(w *world) {
			w.inject(entrasim.Fault{Kind: entrasim.FaultTokenExpired, Status: 410, NoBody: true, NoLocation: true})
		}},
		{"410 whose Location leads elsewhere", func(w *world) { w.inject(entrasim.Fault{Kind: entrasim.FaultForeignLocation}) }},
		{"400 twice in a row without a code that says so", func(w *world) {
			w.inject(entrasim.Fault{Kind: entrasim.FaultStatus, Status: 400, Code: "Request_BadRequest", Message: "Badly formed token.", Path: "/"})
		}},
		{"400 twice in a row with {} as the body", func(w *world) {
			w.inject(entrasim.Fault{Kind: entrasim.FaultEmptyObject, Status: 400})
		}},
	}
	for _, c := range cases {
		t.Run(c.name+" loses the token of each stream", func(t *testing.T) {
			t.Parallel()
			w := open(t, small)
			request := w.stored()
			c.happen(w)
			r := w.pull(request)
			for i := range request.Streams {
				if !errors.Is(r.errs[i], directory.ErrTokenLost) || r.links[i] != "" {
					t.Errorf("stream %d: %v, link %q", i, r.errs[i], r.links[i])
				}
			}
			if f, err := w.server.Foreign(); err != nil || f.Requests() != 0 {
				t.Errorf("the foreign listener was asked: %v", err)
			}
		})
	}
}

func TestTokenKept(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		fault entrasim.Fault
		want  error // nil: the round succeeds
	}{
		{"a single 400", entrasim.Fault{Kind: entrasim.FaultStatus, Status: 400, Code: "BadRequest", Path: "/users/delta", Times: 1}, nil},
		{"403", entrasim.Fault{Kind: entrasim.FaultStatus, Status: 403, Code: "Authorization_RequestDenied", Path: "/users/delta"}, directory.ErrForbidden},
		{"404 without a word", entrasim.Fault{Kind: entrasim.FaultStatus, Status: 404, Code: "UnknownError", Path: "/users/delta"}, directory.ErrProtocol},
		{"503 until patience ends", entrasim.Fault{Kind: entrasim.FaultStatus, Status: 503, Path: "/users/delta"}, directory.ErrUnreachable},
		{"424 inside a batch", entrasim.Fault{Kind: entrasim.FaultFailedDependency, Path: "/users/delta", Times: 2}, nil},
		{"429 inside a batch", entrasim.Fault{Kind: entrasim.FaultThrottle, Path: "/users/delta", Where: "inner", RetryAfter: "0.124", Times: 2}, nil},
		{"500 inside a batch", entrasim.Fault{Kind: entrasim.FaultStatus, Status: 500, Path: "/users/delta", Where: "inner", Times: 2}, nil},
		{"a refused batch", entrasim.Fault{Kind: entrasim.FaultStatus, Status: 405, Path: "/$batch"}, nil},
		{"a batch answered with HTML", entrasim.Fault{Kind: entrasim.FaultHTML, Status: 403, Path: "/$batch"}, nil},
		{"a batch cut short", entrasim.Fault{Kind: entrasim.FaultTruncate, Path: "/$batch", Times: 2}, nil},
	}
	for _, c := range cases {
		t.Run(c.name+" does not lose the token", func(t *testing.T) {
			t.Parallel()
			w := open(t, small)
			request := w.stored()
			w.apply("+member Sales: eve@contoso.com")
			w.client = w.connect(func(o *entra.Options) { o.Patience = time.Second })
			fault := w.inject(c.fault)
			r := w.pull(request)
			if fault.Fired() == 0 {
				t.Fatal("the fault never struck")
			}
			if c.want != nil && !errors.Is(r.errs[1], c.want) || c.want == nil && r.errs[1] != nil {
				t.Errorf("people: %v, want %v", r.errs[1], c.want)
			}
			if (c.want == nil) != (r.links[1] != "") {
				t.Errorf("link of people: %q", r.links[1])
			}
			if r.errs[0] != nil || r.links[0] == "" || len(r.groups[w.id("group Sales")].Members) != 1 {
				t.Errorf("the other stream suffered: %v, %+v", r.errs[0], r.groups)
			}
		})
	}
}

func TestBrokenRounds(t *testing.T) {
	t.Parallel()
	manyPages := func(r *entrasim.Rules) { r.ObjectsPerPage, r.MembersPerPage, r.MembersPerItem = 1, 1, 1 }
	cases := []struct {
		name  string
		fault entrasim.Fault
		want  error
		rules func(*entrasim.Rules)
	}{
		{"a page with neither link", entrasim.Fault{Kind: entrasim.FaultNoLink}, directory.ErrProtocol, nil},
		{"a page without value", entrasim.Fault{Kind: entrasim.FaultNoValue}, directory.ErrProtocol, nil},
		{"a page that repeats its link", entrasim.Fault{Kind: entrasim.FaultLoop, Skip: 1}, directory.ErrProtocol, manyPages},
		{"pages without end", entrasim.Fault{Kind: entrasim.FaultEndless}, directory.ErrProtocol, nil},
		{"a next link to another host", entrasim.Fault{Kind: entrasim.FaultForeignNext}, directory.ErrUntrustedLink, manyPages},
		{"a next link to another port", entrasim.Fault{Kind: entrasim.FaultForeignNext, Host: "port"}, directory.ErrUntrustedLink, manyPages},
		{"a next link without TLS", entrasim.Fault{Kind: entrasim.FaultForeignNext, Host: "http"}, directory.ErrUntrustedLink, manyPages},
		{"a delta link to another host", entrasim.Fault{Kind: entrasim.FaultForeignDelta}, directory.ErrUntrustedLink, nil},
		{"a redirect", entrasim.Fault{Kind: entrasim.FaultRedirect, Path: "/users/delta"}, directory.ErrUntrustedLink, nil},
		{"404 on a next link", entrasim.Fault{Kind: entrasim.FaultUnknownError}, directory.ErrProtocol, manyPages},
		{"an expired page token", entrasim.Fault{Kind: entrasim.FaultTokenExpired, Code: "Directory_ExpiredPageToken"}, directory.ErrUnreachable, manyPages},
	}
	for _, c := range cases {
		t.Run(c.name+" ends the round without a link", func(t *testing.T) {
			t.Parallel()
			w := open(t, small)
			if c.rules != nil {
				w.tenant.SetRules(c.rules)
			}
			w.client = w.connect(func(o *entra.Options) { o.MaxPages = 50 })
			foreign, err := w.server.Foreign()
			if err != nil {
				t.Fatal(err)
			}
			fault := w.inject(c.fault)
			r, err := w.try(directory.Request{Streams: []directory.Stream{{}, w.groupStream("", "group Sales", "group Sales EU")}})
			if fault.Fired() == 0 {
				t.Fatal("the fault never struck")
			}
			if err != nil && !errors.Is(err, c.want) {
				t.Errorf("pull: %v, want %v", err, c.want)
			}
			if !errors.Is(r.errs[0], c.want) || r.links[0] != "" {
				t.Errorf("stream: %v, want %v; link %q", r.errs[0], c.want, r.links[0])
			}
			if errors.Is(r.errs[0], directory.ErrTokenLost) {
				t.Error("a stream that is read from the start has no token to lose")
			}
			if foreign.Requests() != 0 {
				t.Error("the foreign listener was asked")
			}
			if _, poisoned := r.people[entrasim.PoisonID()]; poisoned {
				t.Error("a foreign page was believed")
			}
		})
	}
}

func TestStoredLinksAreNotTrusted(t *testing.T) {
	t.Parallel()
	w := open(t, small)
	request := w.stored()
	foreign, err := w.server.Foreign()
	if err != nil {
		t.Fatal(err)
	}
	base := w.server.URL()
	for _, link := range []string{
		"https://graph.contoso.com/v1.0/users/delta?$deltatoken=x",
		strings.Replace(base, "https://", "http://", 1) + "/v1.0/users/delta?$deltatoken=x",
		strings.Replace(base, "https://", "https://user:pass@", 1) + "/v1.0/users/delta",
		base + "/v1.0/users", base + "/v1.0/groups/delta?$deltatoken=x", base + "/v1.0/../users/delta",
		base + "/v1.0/users/delta/../../me", base + "/beta/users/delta", "//evil/v1.0/users/delta", "users/delta", "\x00", "%",
		base + "/v1.0/users/delta?x#fragment", base + "/v1.0/users%2Fdelta",
	} {
		request.Streams[1].Link = link
		before := w.server.Stats().Total
		r := w.pull(request)
		if r.links[1] != "" || r.errs[1] == nil {
			t.Errorf("%q was followed", link)
		}
		if !errors.Is(r.errs[1], directory.ErrTokenLost) {
			t.Errorf("%q is not read from the start: %v", link, r.errs[1])
		}
		if !errors.Is(r.errs[1], directory.ErrUntrustedLink) && !errors.Is(r.errs[1], directory.ErrProtocol) {
			t.Errorf("%q: %v", link, r.errs[1])
		}
		if n := w.server.Stats().Total - before; n != 1 || r.links[0] == "" {
			t.Errorf("%q: %d requests, the other stream %v", link, n, r.errs[0])
		}
	}
	if foreign.Requests() != 0 {
		t.Error("the foreign listener was asked")
	}
}

func TestWireFaults(t *testing.T) {
	t.Parallel()
	for _, f := range []entrasim.Fault{
		{Kind: entrasim.FaultTruncate, Times: 3},
		{Kind: entrasim.FaultReset, Times: 3},
		{Kind: entrasim.FaultHang, Times: 2},
		{Kind: entrasim.FaultDrip, Times: 2, Delay: time.Hour},
		{Kind: entrasim.FaultChunks, Times: 3, Delay: time.Millisecond},
		{Kind: entrasim.FaultHTML, Times: 3},
		{Kind: entrasim.FaultStatus, Status: 500, Times: 3},
		{Kind: entrasim.FaultStatus, Status: 504, Times: 3, RetryAfter: "0"},
		{Kind: entrasim.FaultThrottle, Times: 3},
		{Kind: entrasim.FaultThrottle, Times: 3, RetryAfter: "0"},
		{Kind: entrasim.FaultThrottle, Times: 3, RetryAfter: "0.02"},
		{Kind: entrasim.FaultThrottle, Times: 1, RetryAfter: "1"},
		{Kind: entrasim.FaultThrottle, Times: 3, RetryAfter: "date", Delay: -time.Hour},
		{Kind: entrasim.FaultThrottle, Times: 3, RetryAfter: "soon"},
		{Kind: entrasim.FaultEmptyObject, Status: 503, Times: 3},
	} {
		t.Run("a passing "+string(f.Kind)+" "+f.RetryAfter+" is waited out", func(t *testing.T) {
			t.Parallel()
			w := open(t, small, func(o *entra.Options) {
				o.HeaderTimeout, o.IdleBody = 300*time.Millisecond, 300*time.Millisecond
			})
			f.Path = "/users/delta"
			fault := w.inject(f)
			r := w.pull(directory.Request{Streams: []directory.Stream{{}, w.groupStream("", "group Sales")}})
			if fault.Fired() == 0 {
				t.Fatal("the fault never struck")
			}
			if len(r.errs) != 0 || r.links[0] == "" || len(r.people) != 3 || len(r.members[w.id("group Sales")]) != 3 {
				t.Errorf("errors %v, %d people", r.errs, len(r.people))
			}
		})
	}
}

func TestPatience(t *testing.T) {
	t.Parallel()
	for _, f := range []entrasim.Fault{
		{Kind: entrasim.FaultThrottle, RetryAfter: "3600"},
		{Kind: entrasim.FaultThrottle},
		{Kind: entrasim.FaultHang},
		{Kind: entrasim.FaultReset},
		{Kind: entrasim.FaultHTML},
	} {
		t.Run("an endless "+string(f.Kind)+" "+f.RetryAfter+" ends as out of reach, with nothing read", func(t *testing.T) {
			t.Parallel()
			w := open(t, small, func(o *entra.Options) {
				o.Patience, o.HeaderTimeout = 500*time.Millisecond, 200*time.Millisecond
			})
			w.inject(f)
			r, err := w.try(directory.Request{Streams: []directory.Stream{{}, w.groupStream("", "group Sales")}})
			if !errors.Is(err, directory.ErrUnreachable) {
				t.Fatalf("got %v", err)
			}
			if len(r.links)+len(r.people)+len(r.groups) != 0 {
				t.Errorf("something was read: %+v", r.pages)
			}
			var hinted interface{ Hint() string }
			if !errors.As(err, &hinted) || hinted.Hint() == "" {
				t.Errorf("no hint: %v", err)
			}
			if f.Kind != entrasim.FaultThrottle {
				return
			}
			if since, _ := w.client.Throttled(); !strings.Contains(err.Error(), "throttled since") || since.IsZero() {
				t.Errorf("it does not say since when: %v", err)
			}
			if f.RetryAfter == "3600" {
				before := w.client.Requests()
				if _, err := w.try(directory.Request{Streams: []directory.Stream{{}}}); !errors.Is(err, directory.ErrUnreachable) {
					t.Errorf("got %v", err)
				}
				if w.client.Requests() != before {
					t.Error("the next pull asked although the directory wants to be left alone")
				}
			}
		})
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	for _, f := range []entrasim.Fault{{Kind: entrasim.FaultHang}, {Kind: entrasim.FaultThrottle, RetryAfter: "10"}, {Kind: entrasim.FaultDrip, Delay: time.Hour}} {
		t.Run("a stop during "+string(f.Kind)+" ends the pull", func(t *testing.T) {
			t.Parallel()
			w := open(t, small)
			fault := w.inject(f)
			ctx, cancel := context.WithCancelCause(t.Context())
			stop := errors.New("service stops")
			go func() {
				for fault.Fired() == 0 && ctx.Err() == nil {
					time.Sleep(time.Millisecond) // there is no other sign of it
				}
				cancel(stop)
			}()
			err := w.client.Pull(ctx, directory.Request{Streams: []directory.Stream{{}}}, func(directory.Page) error { return nil })
			if !errors.Is(err, context.Canceled) || !errors.Is(err, stop) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestForbiddenNamesThePermission(t *testing.T) {
	t.Parallel()
	w := open(t, small)
	w.apply("revoke User.Read.All")
	r := w.pull(directory.Request{Streams: []directory.Stream{{}, w.groupStream("", "group Sales")}})
	if !errors.Is(r.errs[0], directory.ErrForbidden) || !strings.Contains(r.errs[0].Error(), "User.Read.All") {
		t.Errorf("people: %v", r.errs[0])
	}
	if r.errs[1] != nil || len(r.members[w.id("group Sales")]) == 0 {
		t.Errorf("groups suffered: %v", r.errs[1])
	}
}

func TestUnknownPropertyIsNamed(t *testing.T) {
	t.Parallel()
	w := open(t, small)
	r, err := w.try(directory.Request{Streams: []directory.Stream{{}}, Select: []string{"signInActivity"}})
	if err != nil || r.errs[0] == nil || !strings.Contains(r.errs[0].Error(), "signInActivity") {
		t.Errorf("got %v, %v", err, r.errs[0])
	}
}

func TestHiddenMembershipIsNotEmpty(t *testing.T) {
	t.Parallel()
	w := open(t, small)
	w.apply("hide group Sales")
	hidden := func() *bool {
		return w.pull(directory.Request{Streams: []directory.Stream{w.groupStream("", "group Sales")}}).groups[w.id("group Sales")].Hidden
	}
	if h := hidden(); h == nil || !*h {
		t.Error("without the permission the group does not show as hidden")
	}
	w.apply("grant Member.Read.Hidden")
	w.client = w.connect()
	if h := hidden(); h == nil || *h {
		t.Error("with the permission the group shows as hidden")
	}
}

func TestRevokedTokenIsReplaced(t *testing.T) {
	t.Parallel()
	w := open(t, small)
	request := w.stored()
	w.server.RevokeAccess(w.tenant)
	if r := w.pull(request); r.links[0] == "" || r.links[1] == "" {
		t.Errorf("%v", r.errs)
	}
}
