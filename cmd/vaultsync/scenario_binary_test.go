package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/plan"
)

// outside executes a scenario with the program itself, one process a command,
// against the simulated tenant over HTTPS.
type outside struct {
	cfg    configFolder
	tenant *entrasim.Tenant
	graph  *entrasim.Server
	shift  time.Duration
	shown  map[string]string
}

func newOutside(t *testing.T, s *scenario) *outside {
	t.Helper()
	tenant, err := entrasim.ParseTenant(s.tenant)
	if err != nil {
		t.Fatalf("tenant: %v", err)
	}
	graph, err := entrasim.Start(entrasim.Options{}, tenant)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = graph.Close() })
	w := &outside{
		tenant: tenant, graph: graph, shown: map[string]string{},
		cfg: configFolder{dir: t.TempDir(), url: graph.URL(), files: s.files},
	}
	w.cfg.write(t, graph.CAPEM())
	for name, text := range s.store {
		for line := range lines(text) {
			commands, err := handCommands(name, line)
			if err != nil {
				t.Fatalf("store: %q: %v", line, err)
			}
			for _, c := range commands {
				w.must(t, c...)
			}
		}
	}
	return w
}

func (w *outside) program(t *testing.T, args ...string) result {
	t.Helper()
	p := program{config: filepath.Join(w.cfg.dir, "vaultsync.yaml"), shift: w.shift}
	return p.run(t, args...)
}

func (w *outside) must(t *testing.T, args ...string) result {
	t.Helper()
	r := w.program(t, args...)
	if r.code != exitDone {
		t.Fatalf("vaultsync %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.out, r.err)
	}
	return r
}

func (w *outside) happen(t *testing.T, p part) {
	t.Helper()
	switch p.kind {
	case "directory":
		if err := w.tenant.Apply(p.text); err != nil {
			t.Fatalf("directory: %v", err)
		}
	case "clock":
		d := advanceOf(t, p.text)
		w.shift += d
		w.tenant.Advance(d)
	case "hands":
		for line := range lines(p.text) {
			w.must(t, words(line)...)
		}
	case "fault":
		for line := range lines(p.text) {
			w.fault(t, line)
		}
	}
}

func (w *outside) fault(t *testing.T, line string) {
	t.Helper()
	order, ok := strings.CutPrefix(line, "graph ")
	rules, isRules := strings.CutPrefix(line, "graph-rules ")
	switch {
	case line == "none":
		w.graph.ClearFaults()
	case line == "unreachable":
		inject(t, w.graph, unreachable)
	case ok:
		inject(t, w.graph, order)
	case isRules:
		setRules(t, w.tenant, rules)
	default:
		t.Fatalf("no fault is called %q", line)
	}
}

func (w *outside) reconfigure(t *testing.T, files map[string]string) {
	t.Helper()
	w.cfg.files = files
	w.cfg.write(t, w.graph.CAPEM())
}

func (w *outside) run(t *testing.T, c command) outcome {
	t.Helper()
	out := outcome{plans: map[string][]plan.Change{}, notes: map[string][]plan.Note{}}
	args := []string{c.verb}
	switch {
	case c.directory != "":
		args = append(args, "--directory", c.directory)
		hint := strings.Fields(w.program(t, args...).err) // ends with the command to write
		r := w.program(t, append(args, hint[len(hint)-1])...)
		out.exit, out.says = r.code, r.out+r.err
		return out
	case c.verb == "approve", c.verb == "reject":
		args = append(args, c.vaults[0], w.shown[c.vaults[0]])
	default:
		args = append(args, c.vaults...)
		for flag, set := range map[string]bool{"--all": c.all, "--full": c.full, "--dry-run": c.dryRun, "--recreate": c.recreate} {
			if set {
				args = append(args, flag)
			}
		}
		if c.user != "" {
			args = append(args, "--user", c.user)
		}
		if c.verb == "sync" && !c.all && !c.full && c.user == "" {
			for _, name := range c.vaults {
				if r := w.program(t, "plan", name, "--json"); len(r.out) > 0 {
					out.plans[name] = documentIn(t, r).Changes
				}
			}
		}
	}
	r := w.program(t, append(args, "--json")...)
	out.exit, out.says = r.code, r.err
	for line := range strings.Lines(r.out) {
		var d planDocument
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatalf("vaultsync %s printed what is no JSON: %v\n%s", strings.Join(args, " "), err, r.out)
		}
		out.add(d.Vault, d.Report, nil)
		if d.Changes != nil {
			out.plans[d.Vault] = d.Changes
		}
	}
	for _, line := range jsonLines[vaultStatus](t, w.must(t, "status", "--json")) {
		if w.shown[line.Vault] = ""; line.Held != nil {
			w.shown[line.Vault] = line.Held.Plan
		}
	}
	return out
}

func documentIn(t *testing.T, r result) planDocument {
	t.Helper()
	var d planDocument
	if err := json.Unmarshal([]byte(r.out), &d); err != nil {
		t.Fatalf("the plan is no JSON: %v\n%s", err, r.out)
	}
	return d
}

func jsonLines[T any](t *testing.T, r result) []T {
	t.Helper()
	var all []T
	scan := bufio.NewScanner(bytes.NewReader([]byte(r.out)))
	scan.Buffer(nil, 1<<24)
	for scan.Scan() {
		var one T
		if err := json.Unmarshal(scan.Bytes(), &one); err != nil {
			t.Fatalf("no JSON: %v\n%s", err, scan.Text())
		}
		all = append(all, one)
	}
	if err := scan.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func (w *outside) name(id string) string { return nameIn(w.tenant, id) }

func (w *outside) users(t *testing.T, name string) []vaultUser {
	t.Helper()
	return jsonLines[vaultUser](t, w.must(t, "vault", "users", name, "--json"))
}

func (w *outside) groups(t *testing.T, name string) []vaultGroup {
	t.Helper()
	return jsonLines[vaultGroup](t, w.must(t, "vault", "groups", name, "--json"))
}
