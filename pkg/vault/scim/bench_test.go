package scim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/vault"
	"github.com/vaultsync/vaultsync/pkg/vault/scim/scimtest"
)

// BenchmarkFirstImport compares a first import (looking for everybody, making
// everybody, filling a group) with a bare client that sends nothing but the
// creates, as many at the same time: "ratio" is import ÷ bare, the median of
// pairs, one after the other on empty services of the same kind. It takes 10,000
// people, 500 with -short; -benchtime 5x makes five pairs.
func BenchmarkFirstImport(b *testing.B) {
	outer := b
	many := 10_000
	if testing.Short() {
		many = 500
	}
	ours := func(o Options, latency time.Duration, rate int, q scimtest.Quirks) func(*testing.B, string) Options {
		return func(b *testing.B, _ string) Options {
			b.Helper()
			server := httptest.NewServer(&scimtest.Server{Latency: latency, Quirks: q, Fault: throttle(rate)})
			b.Cleanup(server.Close)
			b.Setenv("SCIM_BENCH_TOKEN", testToken)
			o.URL, o.TokenEnv = server.URL, "SCIM_BENCH_TOKEN"
			return o
		}
	}
	npm := func(name string, o Options) func(*testing.B, string) Options {
		var service *scimtest.Foreign
		return func(b *testing.B, tenant string) Options {
			b.Helper()
			if os.Getenv(scimtest.ForeignEnv) == "" {
				foreign(b, name) // says why it is skipped
			}
			if service == nil {
				service = foreign(outer, name) // for as long as the whole benchmark
			}
			return at(b, service, tenant, o)
		}
	}
	for _, c := range []struct {
		name    string
		users   int
		service func(*testing.B, string) Options
	}{
		{"our own, 20 ms an answer", many, ours(Options{}, 20*time.Millisecond, 0, scimtest.Quirks{})},
		{"our own, 20 ms an answer, 16 at once", many, ours(Options{Parallel: 16}, 20*time.Millisecond, 0, scimtest.Quirks{})},
		{"our own, 20 ms, 500 requests a second at most", many, ours(Options{Parallel: 16}, 20*time.Millisecond, 500, scimtest.Quirks{})},
		{"our own, 20 ms an answer, bulk", many, ours(Options{}, 20*time.Millisecond, 0, scimtest.Quirks{Bulk: 100})},
		{"SCIMMY", many, npm("scimmy", Options{Bulk: off})},
		{"SCIMMY in bulk", many, npm("scimmy", Options{})},
		{"better-auth", many, npm("better-auth", Options{})},
	} {
		b.Run(c.name, func(b *testing.B) {
			var imports, bares time.Duration
			var ratios []float64
			var requests int64
			for i := range b.N {
				users := numbered(c.users)
				alone := bare(b, c.service(b, fmt.Sprintf("bare%d-%d", b.N, i)), users)
				bares += alone
				o := c.service(b, fmt.Sprintf("import%d-%d", b.N, i))
				store, err := Open(o)
				if err != nil {
					b.Fatal(err)
				}
				began := time.Now()
				firstImport(b, store, users)
				took := time.Since(began)
				imports += took
				ratios = append(ratios, took.Seconds()/alone.Seconds())
				requests = store.Requests()
				if err := store.Close(); err != nil {
					b.Fatal(err)
				}
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "ratio")
			b.ReportMetric(float64(c.users*b.N)/imports.Seconds(), "users/s")
			b.ReportMetric(float64(c.users*b.N)/bares.Seconds(), "bare-users/s")
			b.ReportMetric(float64(requests), "requests")
		})
	}
}

// throttle is a limit of requests a second, with a second to wait; nil without
// one.
func throttle(rate int) func(http.ResponseWriter, *http.Request) bool {
	if rate == 0 {
		return nil
	}
	var mu sync.Mutex
	var second time.Time
	sent := 0
	return func(w http.ResponseWriter, _ *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now().Truncate(time.Second); now.After(second) {
			second, sent = now, 0
		}
		if sent++; sent <= rate {
			return false
		}
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	}
}

// firstImport is what a run asks of the store.
func firstImport(b *testing.B, store *Store, users []vault.User) {
	b.Helper()
	for start := 0; start < len(users); start += 500 {
		var queries []vault.Query
		for _, u := range users[start:min(start+500, len(users))] {
			queries = append(queries, vault.Query{ExternalID: u.ExternalID}, vault.Query{LoginName: u.LoginName})
		}
		if _, err := store.Find(b.Context(), queries); err != nil {
			b.Fatal(err)
		}
	}
	group := store.Apply(b.Context(), []vault.Change{{Op: vault.CreateGroup, Group: vault.Group{Name: "Sales"}}})[0]
	var ids []string
	for start := 0; start < len(users); start += 500 {
		for _, r := range store.Apply(b.Context(), create(users[start:min(start+500, len(users))]...)) {
			if r.Err != nil {
				b.Fatal(r.Err)
			}
			ids = append(ids, r.ID)
		}
	}
	if r := store.Apply(b.Context(), []vault.Change{{Op: vault.AddMembers, GroupID: group.ID, Members: ids}})[0]; r.Err != nil {
		b.Fatal(r.Err)
	}
}

// bare sends the writes alone and believes every answer.
func bare(b *testing.B, o Options, users []vault.User) time.Duration {
	b.Helper()
	o, err := o.withDefaults()
	if err != nil {
		b.Fatal(err)
	}
	token := testToken
	if o.TokenFile != "" {
		text, err := os.ReadFile(o.TokenFile)
		if err != nil {
			b.Fatal(err)
		}
		token = string(text)
	}
	v := &service{fullName: Path{Attr: "displayName"}}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: o.Parallel}}
	defer client.CloseIdleConnections()
	var send func(method, path string, body any) (id string)
	send = func(method, path string, body any) (id string) {
		text, err := json.Marshal(body)
		if err != nil {
			b.Error(err)
			return ""
		}
		r, err := http.NewRequestWithContext(b.Context(), method, o.URL+path, bytes.NewReader(text))
		if err != nil {
			b.Error(err)
			return ""
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/scim+json")
		response, err := client.Do(r)
		if err != nil {
			b.Error(err)
			return ""
		}
		text, err = io.ReadAll(response.Body)
		if response.StatusCode == http.StatusTooManyRequests && response.Body.Close() == nil {
			time.Sleep(retryAfter(response.Header, time.Now()))
			return send(method, path, body)
		}
		if err := errors.Join(err, response.Body.Close()); err != nil || response.StatusCode >= 300 {
			b.Errorf("%d, %v", response.StatusCode, err)
		}
		var made struct{ ID string }
		_ = json.Unmarshal(text, &made)
		return made.ID
	}
	ids := make([]string, len(users))
	next := make(chan int)
	var wg sync.WaitGroup
	began := time.Now()
	group := send(http.MethodPost, "/Groups", newGroup(vault.Group{Name: "Sales"}))
	for range o.Parallel {
		wg.Go(func() {
			for i := range next {
				ids[i] = send(http.MethodPost, "/Users", mapping{}.newUser(v, users[i]))
			}
		})
	}
	for i := range users {
		next <- i
	}
	close(next)
	wg.Wait()
	for _, chunk := range chunks(ids, o.MemberChunk) {
		send(http.MethodPatch, "/Groups/"+group, patchBody(addOperations(chunk)))
	}
	return time.Since(began)
}
