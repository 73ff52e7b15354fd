package reconcile_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/directory/entra"
	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
)

// envSimulator makes the test binary the simulated tenant of TestNothingGrows.
const envSimulator = "VAULTSYNC_SOAK_SIMULATOR"

func flatSpec() entrasim.Spec {
	return entrasim.Spec{People: 120, Groups: soakGroups, Seed: 3, MembershipsPerPerson: 2, Nesting: 2}
}

// TestSimulatorProcess is no test but the other process: its heap is its own.
func TestSimulatorProcess(t *testing.T) { //nolint:paralleltest // it waits for the end of its input
	folder := os.Getenv(envSimulator)
	if folder == "" {
		t.Skip("it serves TestNothingGrows")
	}
	server, err := entrasim.Start(entrasim.Options{Admin: true, CAFile: filepath.Join(folder, "ca.pem")}, entrasim.Generate(flatSpec()))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("serving", server.URL())
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
	_ = server.Close()
}

// simulator is the tenant in its process.
type simulator struct {
	t      *testing.T
	url    string
	folder string
	http   *http.Client
}

func startSimulator(t *testing.T) *simulator {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &simulator{t: t, folder: t.TempDir()}
	cmd := exec.CommandContext(t.Context(), self, "-test.run", "^TestSimulatorProcess$")
	cmd.Env = append(os.Environ(), envSimulator+"="+s.folder)
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = input.Close()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "serving "); ok {
			s.url = url
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, output) }() // it ends with the process
	s.http = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: trusting(t, filepath.Join(s.folder, "ca.pem"))}}
	return s
}

func trusting(t *testing.T, file string) *tls.Config {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

func (s *simulator) post(what string, body []byte) {
	s.t.Helper()
	resp, err := s.http.Post(s.url+"/_sim/"+what, "text/plain", bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body) // for the message
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		s.t.Fatalf("%s: %s: %s", what, resp.Status, text)
	}
}

func (s *simulator) inject(f entrasim.Fault) {
	s.t.Helper()
	text, err := json.Marshal(struct {
		entrasim.Fault
		Delay string `json:"delay"`
	}{f, f.Delay.String()})
	if err != nil {
		s.t.Fatal(err)
	}
	s.post("fault", text)
}

// TestNothingGrows is the soak in which the tenant keeps its size while it
// changes and misbehaves, in a process of its own: goroutines, open files,
// heap and files of this one are flat once it has warmed up. That a leak of
// 4 KB a round (16 in the short run) would be seen is seen on one that is
// planted.
func TestNothingGrows(t *testing.T) { //nolint:paralleltest // it measures the process
	// The shorter it is, the larger is the smallest leak that stands out.
	warm, rounds, planted := 10, 30, 16<<10
	if deep() {
		warm, rounds, planted = 50, 500, 4<<10
	}
	for _, leak := range []int{0, planted} {
		t.Run(fmt.Sprintf("with a leak of %d bytes a round", leak), func(t *testing.T) { //nolint:paralleltest // see above
			g := flatSoak(t, warm, rounds, leak)
			heap := slope(g, func(x gauge) float64 { return float64(x.heap) })
			t.Logf("a round adds %.0f bytes to the heap, %.3f goroutines, %.3f open files, %.0f bytes of files; at first %+v, at last %+v", heap,
				slope(g, func(x gauge) float64 { return float64(x.goroutines) }), slope(g, func(x gauge) float64 { return float64(x.files) }),
				slope(g, func(x gauge) float64 { return float64(x.disk) }), g[0], g[len(g)-1])
			if grows := heap > float64(planted)/2; grows != (leak > 0) {
				t.Errorf("a round adds %.0f bytes to the heap", heap)
			}
			third := len(g) / 3
			first, last := g[:third], g[len(g)-third:]
			for name, of := range map[string]func(gauge) int{
				"goroutines": func(x gauge) int { return x.goroutines }, "open files and connections": func(x gauge) int { return x.files },
			} {
				if a, b := median(first, of), median(last, of); b > a+2 {
					t.Errorf("%s grew from %d to %d", name, a, b)
				}
			}
			size := func(x gauge) int { return int(x.disk) }
			if a, b := median(first, size), median(last, size); b > a+a/4 {
				t.Errorf("the files grew from %d to %d bytes", a, b)
			}
		})
	}
}

// flatSoak is what was measured after each of the rounds that follow the
// warming up.
func flatSoak(t *testing.T, warm, rounds, leak int) []gauge {
	t.Helper()
	sim := startSimulator(t)
	groups := make([]string, soakGroups)
	for i := range groups {
		groups[i] = fmt.Sprintf("Group %d", i)
	}
	tenant := entrasim.Generate(flatSpec()) // for the ids alone
	w := openWorld(t.Context(), t, t.TempDir(), tenant, "stream", func(o *entra.Options) {
		o.GraphURL, o.AuthorityURL, o.CAFile = sim.url, sim.url, filepath.Join(sim.folder, "ca.pem")
		o.Patience, o.HeaderTimeout, o.IdleBody, o.MaxPages = 150*time.Millisecond, 60*time.Millisecond, 60*time.Millisecond, 400
	}, vaultSpec{"north", groups[:3], openGuards}, vaultSpec{"south", groups[2:5], openGuards})
	defer w.Close()
	s := &soak{t: t, world: w, random: rand.New(rand.NewPCG(7, 7))}
	sim.post("rules", []byte(`{"objectsPerPage":40,"membersPerPage":40,"membersPerItem":15}`))
	people := tenant.UserIDs()
	var planted [][]byte
	good := 0
	for round := range warm + rounds {
		var change strings.Builder
		for i := range 8 {
			person, group := people[(round*7+i*13)%len(people)], groups[s.random.IntN(5)]
			fmt.Fprintf(&change, "%smember %s: %s\n", []string{"+", "-"}[s.random.IntN(2)], group, person)
			fmt.Fprintf(&change, "set %s department=%04d\n", person, s.random.IntN(10000))
		}
		if s.random.IntN(10) == 0 {
			change.WriteString("reset tokens\n")
		}
		sim.post("apply", []byte(change.String()))
		for range s.random.IntN(2) {
			sim.inject(s.fault())
		}
		for _, m := range w.stores {
			m.Forget()
		}
		if _, _, err := w.run(reconcile.Options{Full: s.random.IntN(20) == 0}); err == nil {
			good++
		}
		w.logged = nil
		sim.post("faults/clear", nil)
		if leak > 0 {
			planted = append(planted, make([]byte, leak))
		}
		if round >= warm {
			s.measure()
		}
	}
	runtime.KeepAlive(planted)
	if good < rounds/4 || good == warm+rounds {
		t.Errorf("%d of %d rounds were good: it proves nothing", good, warm+rounds)
	}
	return s.gauges
}

func median(g []gauge, of func(gauge) int) int {
	all := make([]int, len(g))
	for i, x := range g {
		all[i] = of(x)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// slope is by how much a round adds to something: the median of the slopes
// between all pairs of rounds (Theil and Sen), which no burst moves.
func slope(g []gauge, of func(gauge) float64) float64 {
	var all []float64
	for i := range g {
		for j := i + 1; j < len(g); j++ {
			all = append(all, (of(g[j])-of(g[i]))/float64(j-i))
		}
	}
	slices.Sort(all)
	return all[len(all)/2]
}
