package entrasim_test

import (
	"bytes"
	"io"
	"net/http"
	"runtime"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

// drain reads a round without decoding it: the bare reader.
func (c *client) drain(target string) (bytesRead int64, link string) {
	c.t.Helper()
	for {
		request, err := http.NewRequestWithContext(c.context(), http.MethodGet, target, nil)
		if err != nil {
			c.t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+c.token)
		response, err := c.http.Do(request)
		if err != nil {
			c.t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != 200 {
			c.t.Fatalf("%d %v", response.StatusCode, err)
		}
		bytesRead += int64(len(body))
		head := body[:min(len(body), 2000)]
		name := []byte(`"@odata.nextLink":"`)
		i := bytes.Index(head, name)
		if i < 0 {
			name = []byte(`"@odata.deltaLink":"`)
			i = bytes.Index(head, name)
		}
		rest := head[i+len(name):]
		link = string(rest[:bytes.IndexByte(rest, '"')])
		if bytes.Contains(name, []byte("deltaLink")) {
			return bytesRead, link
		}
		target = link
	}
}

func BenchmarkFirstRound(b *testing.B) {
	for name, query := range map[string]string{
		"users":  "/v1.0/users/delta?$select=userPrincipalName,displayName,mail,accountEnabled,department",
		"groups": groupsDelta,
	} {
		b.Run(name, func(b *testing.B) {
			c := serve(b, entrasim.Generate(entrasim.Spec{People: 100_000, Groups: 1000, Nesting: 2, MembershipsPerPerson: 5, Seed: 1}))
			b.ResetTimer()
			for b.Loop() {
				n, _ := c.drain(c.server.URL() + query)
				b.SetBytes(n)
			}
		})
	}
}

func BenchmarkQuietRound(b *testing.B) {
	c := serve(b, entrasim.Generate(entrasim.Spec{People: 100_000, Groups: 1000, MembershipsPerPerson: 5, Seed: 1}))
	_, link := c.drain(c.server.URL() + usersDelta)
	for b.Loop() {
		c.drain(link)
	}
}

// BenchmarkMillion reports what a tenant of a million people costs in memory.
func BenchmarkMillion(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		tenant := entrasim.Generate(entrasim.Spec{People: 1_000_000, Groups: 5000, Nesting: 3, MembershipsPerPerson: 5, Seed: 1})
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
		runtime.KeepAlive(tenant)
	}
}
