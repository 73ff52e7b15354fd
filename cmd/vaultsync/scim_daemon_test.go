package main

import (
	"crypto/tls"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/schedule"
	"github.com/vaultsync/vaultsync/pkg/vault/scim/scimtest"
)

// door is the HTTPS address of a service, which can be out of reach.
type door struct {
	url    string
	caPEM  []byte
	closed atomic.Bool
	// writes counts the changes that came through.
	writes atomic.Int64
}

// behindDoor puts TLS before a service, as the proxy of a real one does.
func behindDoor(t *testing.T, service string) *door {
	t.Helper()
	target, err := url.Parse(service)
	if err != nil {
		t.Fatal(err)
	}
	target.Path = "" // what the vault asks for has it
	d := &door{}
	proxy := httputil.NewSingleHostReverseProxy(target)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.closed.Load() {
			panic(http.ErrAbortHandler)
		}
		if r.Method != http.MethodGet {
			d.writes.Add(1)
		}
		proxy.ServeHTTP(w, r)
	}))
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	d.url = server.URL
	d.caPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return d
}

// hoursPass makes every run of the vaults so much older; no daemon may run.
func (s *setting) hoursPass(t *testing.T, hours int) {
	t.Helper()
	times, err := schedule.OpenFile(filepath.Join(s.cfg.dir, "data", "schedule.db"))
	if err != nil {
		t.Fatal(err)
	}
	past, err := times.Load()
	if err != nil || past["sales"].LastStart.IsZero() {
		t.Fatalf("the vault has never run: %+v, %v", past, err)
	}
	for name, p := range past {
		p.LastStart = p.LastStart.Add(-time.Duration(hours) * time.Hour)
		past[name] = p
	}
	if err := times.Save(past); err != nil {
		t.Fatal(err)
	}
	if err := times.Close(); err != nil {
		t.Fatal(err)
	}
}

// atPeace waits for a scheduled run after a time that ended well.
func (s *setting) atPeace(t *testing.T, since time.Time) *reconcile.Report {
	t.Helper()
	st := s.statusWhere(t, func(st vaultStatus) bool {
		return st.State != "running" && st.LastRun != nil && st.LastRun.Started.After(since)
	})
	if st.LastRun.Outcome != reconcile.OK {
		t.Fatalf("the scheduled run ended %s: %s, %+v", st.LastRun.Outcome, st.LastRun.Error, st.LastRun.Waiting)
	}
	return st.LastRun
}

// The whole life of a vault behind SCIM through the daemon, over HTTPS: its own
// schedule, commands through it, a restart, and the service gone for a while.
func TestDaemonBehindSCIM(t *testing.T) {
	t.Parallel()
	for _, service := range []string{"our own", "our own, with faults", "scimmy", "better-auth"} {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			address, token := daemonService(t, service)
			door := behindDoor(t, address)
			tenant, err := entrasim.ParseTenant(scimTenant + "group Legal\nmember Legal: cyd@contoso.com\n")
			if err != nil {
				t.Fatal(err)
			}
			s := newSetting(t, tenant, map[string]string{"server.yaml": strings.Replace(directoryDefaults, "    patience", "    freshness: 0s\n    patience", 1), "vault.yaml": `
store: {type: scim, url: "` + door.url + pathOf(address) + `", tokenFile: sales.token, caFile: scim-ca.pem}
groups: [{id: $(group Sales)}, {id: $(group Legal)}]
schedule: {startTimeOfFirstImport: "+0s", every: 1h}
attributes:
  - {source: department, target: "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department"}
`})
			put(t, filepath.Join(s.cfg.dir, "vaults.d", "sales.token"), token)
			put(t, filepath.Join(s.cfg.dir, "vaults.d", "scim-ca.pem"), string(door.caPEM))
			groups := []identity.ObjectID{groupNamed(t, tenant, "Sales"), groupNamed(t, tenant, "Legal")}
			holds := func(what string, disabled ...string) map[string]string {
				t.Helper()
				enabled, off := s.found(t)
				same(t, what, expected(t, tenant, groups), enabled)
				var names []string
				for _, a := range off {
					names = append(names, a.login)
				}
				slices.Sort(names)
				if !slices.Equal(names, disabled) {
					t.Errorf("%s: %v are disabled, want %v", what, names, disabled)
				}
				ids := map[string]string{}
				for _, u := range jsonLines[vaultUser](t, s.wants(t, exitDone, "vault", "users", "sales", "--json")) {
					ids[u.ExternalID] = u.ID
				}
				return ids
			}
			made := func(what string, r reconcile.Report, want int) {
				t.Helper()
				if r.Outcome != reconcile.OK || r.Counts.Made() != want {
					t.Errorf("%s: %s with %+v, want %d changes; %s", what, r.Outcome, r.Counts, want, r.Error)
				}
			}

			d := s.daemon(t)
			first := s.atPeace(t, time.Time{})
			made("the first import, by the schedule", *first, 8)
			ids := holds("after the first import")

			s.apply(t, "set ann@contoso.com upn=ann.berg@contoso.com displayName=\"Ann Berg\"\n-member Sales: bob@contoso.com\nuser dan@contoso.com \"Dan E\" mail=dan@contoso.com department=Sales\n+member Sales: dan@contoso.com")
			made("a rename, a leaver and a joiner, by sync", s.sync(t, exitDone), 5)
			holds("after them", "bob@contoso.com")
			why := s.wants(t, exitDone, "explain", "sales", "ann.berg@contoso.com").out
			for _, want := range []string{"the resource is " + door.url + pathOf(address) + "/Users/", "attributes that were written: ", "userName", "externalId", "enterprise:2.0:User:department", "the service last said 20"} {
				if !strings.Contains(why, want) {
					t.Errorf("%q is not in what explain says:\n%s", want, why)
				}
			}
			writes := door.writes.Load()
			quiet := s.sync(t, exitDone)
			made("a quiet run", quiet, 0)
			if quiet.Requests.Store != 0 || door.writes.Load() != writes {
				t.Errorf("a quiet run made %d requests", quiet.Requests.Store)
			}

			// The daemon is away, the directory goes on; then its schedule catches up.
			stopped := time.Now()
			d.stop(t)
			s.apply(t, "+member Sales: bob@contoso.com\n+member Legal: dan@contoso.com\n-member Legal: cyd@contoso.com")
			s.hoursPass(t, 3)
			d = s.daemon(t)
			made("what happened meanwhile, by the schedule", *s.atPeace(t, stopped), 5)
			after := holds("after the restart", "cyd@contoso.com")
			for person, id := range ids {
				if after[person] != id {
					t.Errorf("%s had the account %s and has %s now", person, id, after[person])
				}
			}

			// The service is gone: nothing is lost, and status says what it is.
			door.closed.Store(true)
			s.apply(t, "+member Legal: cyd@contoso.com\n-member Sales: dan@contoso.com\n-member Legal: dan@contoso.com\nrename group Legal \"Legal Europe\"")
			gone := s.sync(t, exitUnreachable)
			s.sync(t, exitUnreachable)
			st := s.statusWhere(t, func(vaultStatus) bool { return true })
			if host := strings.TrimPrefix(door.url, "https://"); !strings.Contains(st.Problem, host) || !strings.Contains(st.Problem, "user store is out of reach") || st.Since == nil || st.Since.After(gone.Finished) {
				t.Errorf("status while the service is gone: %q since %v, want the service %s since %v", st.Problem, st.Since, host, gone.Started)
			}
			stopped = time.Now()
			d.stop(t)
			s.hoursPass(t, 3)
			door.closed.Store(false)
			d = s.daemon(t)
			made("when it is back, by the schedule", *s.atPeace(t, stopped), 6)
			holds("when it is back", "dan@contoso.com")
			made("a full run after all", s.sync(t, exitDone, "--full"), 0)
			st = s.statusWhere(t, func(vaultStatus) bool { return true })
			if st.Problem != "" || st.Since != nil {
				t.Errorf("the status still says %q since %v", st.Problem, st.Since)
			}
			d.stop(t)
			if strings.Contains(d.err.String()+d.out.String(), token) {
				t.Error("the daemon's log shows the token")
			}
		})
	}
}

// daemonService is an empty service: its address and its token.
func daemonService(t *testing.T, name string) (address, token string) {
	t.Helper()
	if name != "our own, with faults" {
		return scimService(t, name)
	}
	// Each second change is carried out and its answer lost, each ninth request
	// throttled, on a service that pages badly and minds the case.
	var changes, requests atomic.Int64
	service := &scimtest.Server{
		Token:  "canary-own-token-0123456789",
		Quirks: scimtest.Quirks{CaseSensitiveFilters: true, MaxPage: 2, TotalOf: 1, StringBooleans: true, Terse: true},
		Fault: func(w http.ResponseWriter, _ *http.Request) bool {
			if requests.Add(1)%9 == 0 {
				w.WriteHeader(http.StatusTooManyRequests)
				return true
			}
			return false
		},
		Cut: func(r *http.Request) bool { return r.Method != http.MethodGet && changes.Add(1)%2 == 0 },
	}
	server := httptest.NewServer(service)
	t.Cleanup(server.Close)
	return server.URL, service.Token
}

func pathOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Path
}

func groupNamed(t *testing.T, tenant *entrasim.Tenant, name string) identity.ObjectID {
	t.Helper()
	for _, g := range tenant.Circles() {
		if g.Name == name {
			return g.ID
		}
	}
	t.Fatalf("there is no group %s", name)
	return identity.ObjectID{}
}
