package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/directory/entra"
	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/vault"
	"github.com/vaultsync/vaultsync/pkg/vault/vaulttest"
)

// inside executes a scenario in this process, wired like the program.
//
// At the height "plan" the directory is the tenant's model and the vaults are
// in memory: no Graph, no network, no store file. Each run is planned twice
// before it is made: both plans are the same, and nothing is written.
//
// At the height "run" the directory is the real client on the simulated Graph,
// the store the embedded one. All files are closed and opened between runs,
// and each run is made again: the second one finds nothing to do.
type inside struct {
	height string
	cfg    configFolder
	tenant *entrasim.Tenant
	model  *modelDirectory
	graph  *entrasim.Server
	memory map[string]*vaulttest.Memory
	storeTrouble
	shift time.Duration
	now   time.Time
	app   *app
	// shown are the digests of what was held after the last run, by vault.
	shown map[string]string
	// faulty says that the directory or the store misbehaves.
	faulty bool
}

// storeTrouble is what a store in memory refuses.
type storeTrouble struct {
	down  bool
	fails map[string]bool // login names, folded
}

func newInside(t *testing.T, s *scenario, height string) *inside {
	t.Helper()
	tenant, err := entrasim.ParseTenant(s.tenant)
	if err != nil {
		t.Fatalf("tenant: %v", err)
	}
	graph, err := entrasim.NewServer(entrasim.Options{}, tenant)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = graph.Close() })
	w := &inside{
		height: height, tenant: tenant, graph: graph, model: newModelDirectory(tenant),
		cfg:    configFolder{dir: t.TempDir(), url: "https://graph.contoso.com", files: s.files},
		memory: map[string]*vaulttest.Memory{}, shown: map[string]string{}, now: time.Now(),
	}
	w.fails = map[string]bool{}
	w.cfg.write(t, graph.CAPEM())
	t.Cleanup(func() { w.close(t) })
	w.open(t)
	for name, text := range s.store {
		for line := range lines(text) {
			if err := w.storeLine(t.Context(), name, line); err != nil {
				t.Fatalf("store: %q: %v", line, err)
			}
		}
	}
	return w
}

func (w *inside) clock() time.Time { return w.now.Add(w.shift) }

// open wires the program anew around the same files.
func (w *inside) open(t *testing.T) {
	t.Helper()
	w.close(t)
	cfg, err := config.Load(filepath.Join(w.cfg.dir, "vaultsync.yaml"), config.Overrides{})
	if err != nil {
		t.Fatalf("configuration: %v", err)
	}
	a, err := openApp(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	w.app, a.clock = a, w.clock
	for _, v := range cfg.Vaults {
		if w.height == heightPlan {
			a.vaults[v.Name].Store = w.memoryOf(v.Name)
		}
	}
	for _, d := range cfg.Directories {
		dir, err := a.directory(d.Name)
		if err != nil {
			t.Fatal(err)
		}
		if c, ok := dir.Client.(*entra.Client); ok {
			c.Close()
		}
		if dir.Client, err = w.client(d); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *inside) close(t *testing.T) {
	t.Helper()
	if w.app != nil {
		if err := w.app.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		w.app = nil
	}
}

func (w *inside) client(d config.Directory) (directory.Directory, error) {
	if w.height == heightPlan {
		return w.model, nil
	}
	return entra.New(entra.Options{
		TenantID: d.TenantID, ClientID: d.ClientID, GraphURL: d.Endpoints.Graph, AuthorityURL: d.Endpoints.Authority,
		Credential: entra.Credential{Type: entra.ClientSecret, SecretFile: d.Credential.SecretFile},
		Patience:   2 * time.Second, Backoff: time.Millisecond, Transport: handlerTransport{w.graph.Handler()},
	})
}

// handlerTransport carries requests to a handler without a network.
type handlerTransport struct{ handler http.Handler }

func (h handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	in := r.Clone(r.Context())
	in.TLS = &tls.ConnectionState{}
	in.Host = cmp.Or(r.Host, r.URL.Host)
	in.RequestURI = r.URL.RequestURI()
	if in.Body == nil {
		in.Body = http.NoBody
	}
	recorder := httptest.NewRecorder()
	h.handler.ServeHTTP(recorder, in)
	response := recorder.Result()
	response.Request = r
	return response, nil
}

func (w *inside) memoryOf(name string) *vaulttest.Memory {
	if m := w.memory[name]; m != nil {
		return m
	}
	m := vaulttest.NewMemory()
	m.FailRead = func(string, int) error {
		if w.down {
			return vault.ErrUnreachable
		}
		return nil
	}
	m.Fail = func(c vault.Change) error {
		switch {
		case w.down:
			return vault.ErrUnreachable
		case c.Op == vault.CreateUser && w.fails[identity.Fold(c.User.LoginName)]:
			return fmt.Errorf("%w: no %s here", vault.ErrInvalid, c.User.LoginName)
		}
		return nil
	}
	for _, p := range w.app.cfg.EmbeddedStore.Licenses {
		if m.Counts == nil {
			m.Counts = map[identity.License]int{}
		}
		m.Counts[p.Type] = p.Count
	}
	w.memory[name] = m
	return m
}

func (w *inside) happen(t *testing.T, p part) {
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
			if err := w.hand(t.Context(), words(line)); err != nil {
				t.Fatalf("hands: %q: %v", line, err)
			}
		}
	case "fault":
		for line := range lines(p.text) {
			w.fault(t, line)
		}
	}
}

func advanceOf(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := config.ParseDuration(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(text), "advance")))
	if err != nil {
		t.Fatalf("clock: %v", err)
	}
	return d
}

func (w *inside) fault(t *testing.T, line string) {
	t.Helper()
	w.faulty = true
	switch verb, rest, _ := strings.Cut(line, " "); {
	case line == "none":
		w.model.failure, w.down, w.faulty = nil, false, false
		clear(w.fails)
		w.graph.ClearFaults()
	case line == "unreachable":
		w.model.failure = fmt.Errorf("%w: no answer", directory.ErrUnreachable)
		inject(t, w.graph, unreachable)
	case line == "store down":
		w.down = true
	case verb == "store" && strings.HasPrefix(rest, "refuses "):
		w.fails[identity.Fold(strings.TrimPrefix(rest, "refuses "))] = true
	case verb == "graph":
		inject(t, w.graph, rest)
	case verb == "graph-rules":
		w.faulty = false
		setRules(t, w.tenant, rest)
	default:
		t.Fatalf("no fault is called %q", line)
	}
}

// setRules changes what the simulated service does where its documentation
// leaves it open.
func setRules(t *testing.T, tenant *entrasim.Tenant, text string) {
	t.Helper()
	tenant.SetRules(func(r *entrasim.Rules) {
		d := json.NewDecoder(strings.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(r); err != nil {
			t.Fatalf("rules %s: %v", text, err)
		}
	})
}

// unreachable is a service that answers nothing but 503.
const unreachable = `{"kind":"status","status":503}`

func inject(t *testing.T, server *entrasim.Server, order string) {
	t.Helper()
	var f entrasim.Fault
	d := json.NewDecoder(strings.NewReader(order))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		t.Fatalf("fault %s: %v", order, err)
	}
	if _, err := server.Inject(f); err != nil {
		t.Fatalf("fault %s: %v", order, err)
	}
}

// outcome is what a command did and said.
type outcome struct {
	exit  int
	plans map[string][]plan.Change
	notes map[string][]plan.Note
	says  string
}

// command is a command line of a scenario's run section.
type command struct {
	verb                        string
	vaults                      []string
	full, dryRun, recreate, all bool
	user, directory             string
}

func parseCommand(line string) (command, error) {
	w := words(line)
	c := command{verb: w[0]}
	for i := 1; i < len(w); i++ {
		switch {
		case w[i] == "--full":
			c.full = true
		case w[i] == "--dry-run":
			c.dryRun = true
		case w[i] == "--recreate":
			c.recreate = true
		case w[i] == "--all":
			c.all = true
		case w[i] == "--directory" && i+1 < len(w):
			i++
			c.directory = w[i]
		case w[i] == "--user" && i+1 < len(w):
			i++
			c.user = w[i]
		case strings.HasPrefix(w[i], "-"):
			return c, fmt.Errorf("%q: no flag %s in a scenario", line, w[i])
		default:
			c.vaults = append(c.vaults, w[i])
		}
	}
	if !slices.Contains([]string{"sync", "plan", "approve", "reject"}, c.verb) {
		return c, fmt.Errorf("%q: a scenario runs sync, plan, approve and reject", line)
	}
	if len(c.vaults) == 0 && !c.all && c.directory == "" {
		c.vaults = []string{"sales"}
	}
	return c, nil
}

func (w *inside) reconfigure(t *testing.T, files map[string]string) {
	t.Helper()
	w.cfg.files = files
	w.cfg.write(t, w.graph.CAPEM())
	w.open(t)
}

func (w *inside) run(t *testing.T, c command) outcome {
	t.Helper()
	if w.height == heightRun {
		w.open(t)
	}
	if c.all {
		for _, v := range w.app.cfg.Vaults {
			c.vaults = append(c.vaults, v.Name)
		}
	}
	out := outcome{plans: map[string][]plan.Change{}, notes: map[string][]plan.Note{}}
	if c.directory != "" {
		out.exit, out.says = w.decideDirectory(t, c)
		return out
	}
	for _, name := range c.vaults {
		if w.height == heightPlan {
			w.planOnly(t, name, c)
		}
		report, err := w.one(t.Context(), name, c)
		out.exit = gravest(out.exit, reportCode(t.Context(), report, err))
		out.add(name, report, err)
		if report.Plan != nil {
			out.plans[name] = report.Plan.Changes
			if !report.DryRun {
				w.shown[name] = report.Plan.HeldDigest()
			}
		}
		if err == nil && w.height == heightRun && !w.faulty && !c.dryRun && c.verb != "plan" && c.user == "" {
			w.again(t, name)
		}
	}
	return out
}

// decideDirectory approves or rejects what the server's guard holds.
func (w *inside) decideDirectory(t *testing.T, c command) (exit int, says string) {
	t.Helper()
	d, err := w.app.directory(c.directory)
	if err != nil {
		t.Fatal(err)
	}
	state, err := d.GuardState()
	if err != nil {
		t.Fatal(err)
	}
	digest := "none"
	if state.Held != nil {
		digest = state.Held.Digest
	}
	var said bytes.Buffer
	s := &session{daemon: w.app, in: &said, out: &said, err: &said}
	return s.execute(t.Context(), []string{c.verb, "--directory", c.directory, digest}), said.String()
}

// add takes what a report and an error say.
func (o *outcome) add(name string, r reconcile.Report, err error) {
	o.notes[name] = r.Waiting
	for _, n := range r.Waiting {
		o.says += n.Text + "\n"
	}
	for _, g := range r.Guards {
		o.says += fmt.Sprintf("guard %s: %s\n", g.Guard, g.Text)
	}
	o.says += r.Error + "\n"
	if err != nil {
		o.says += errorText(err) + "\n"
	}
}

func (w *inside) one(ctx context.Context, name string, c command) (reconcile.Report, error) {
	v, err := w.app.vault(name)
	if err != nil {
		return failedReport(name, err), err
	}
	run := func(o reconcile.Options) (reconcile.Report, error) { return w.app.run(ctx, name, o) }
	switch c.verb {
	case "approve":
		return v.Approve(ctx, w.shown[name], run)
	case "reject":
		return v.Reject(ctx, w.shown[name], run)
	}
	o := reconcile.Options{Full: c.full, DryRun: c.dryRun || c.verb == "plan", ByHand: true, Recreate: c.recreate}
	if c.user != "" {
		if o.Person, err = w.app.personID(v, c.user); err != nil {
			return failedReport(name, err), usageError{text: err.Error()}
		}
	}
	return run(o)
}

// planOnly plans a run twice: the plans are the same, and nothing is written.
func (w *inside) planOnly(t *testing.T, name string, c command) {
	t.Helper()
	if c.verb == "approve" || c.verb == "reject" {
		return
	}
	c.dryRun = true
	before := len(w.memoryOf(name).Writes())
	var plans [2]string
	for i := range plans {
		report, err := w.one(t.Context(), name, c)
		if err != nil {
			return // the run itself is to say so
		}
		text, err := json.Marshal(report.Plan)
		if err != nil {
			t.Fatal(err)
		}
		plans[i] = string(text) + report.Plan.Digest()
	}
	if plans[0] != plans[1] {
		t.Errorf("the same plan was not made twice:\n%s\n%s", plans[0], plans[1])
	}
	if after := len(w.memoryOf(name).Writes()); after != before {
		t.Errorf("planning wrote %d changes to the vault", after-before)
	}
}

// again makes the run once more: there is nothing left to do.
func (w *inside) again(t *testing.T, name string) {
	t.Helper()
	v, err := w.app.vault(name)
	if err != nil {
		t.Fatal(err)
	}
	before, err := v.Snapshot.Meta()
	if err != nil {
		t.Fatal(err)
	}
	report, err := w.app.run(t.Context(), name, reconcile.Options{})
	if err != nil {
		t.Errorf("the run after it failed: %v", err)
		return
	}
	if made := report.Counts.Made(); made > 0 {
		t.Errorf("the run after it made %d more changes:\n%s", made, planText(report.Plan.Changes, w.name))
	}
	after, err := v.Snapshot.Meta()
	if err != nil {
		t.Fatal(err)
	}
	if digestOf(before) != digestOf(after) {
		t.Errorf("the run after it shows other held changes: %s, then %s", digestOf(before), digestOf(after))
	}
}

func digestOf(m snapshot.Meta) string {
	if m.Held == nil {
		return ""
	}
	return m.Held.Digest
}

// name is what the tenant calls an object.
func (w *inside) name(id string) string { return nameIn(w.tenant, id) }

func nameIn(t *entrasim.Tenant, id string) string {
	for _, p := range t.People() {
		if p.ID.String() == id {
			return cmp.Or(p.Attributes[identity.UserPrincipalName], id)
		}
	}
	for _, g := range t.Circles() {
		if g.ID.String() == id {
			return "group " + g.Name
		}
	}
	return id
}

func (w *inside) store(name string) vault.Store {
	if w.height == heightPlan {
		return w.memoryOf(name)
	}
	s, err := w.app.embeddedStore(name)
	if err != nil {
		panic(err)
	}
	return s
}

func (w *inside) users(t *testing.T, name string) []vaultUser {
	t.Helper()
	down := w.down
	w.down = false
	defer func() { w.down = down }()
	in := map[string][]string{}
	for g, err := range w.store(name).Groups(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range g.Members {
			in[id] = append(in[id], g.Name)
		}
	}
	var users []vaultUser
	for u, err := range w.store(name).Users(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		users = append(users, vaultUser{
			ID: u.ID, LoginName: u.LoginName, FullName: u.FullName, Email: u.Email, Enabled: u.Enabled, License: u.License,
			ExternalID: u.ExternalID, Managed: u.Managed, Groups: in[u.ID], Attributes: u.Attributes,
		})
	}
	return users
}

func (w *inside) groups(t *testing.T, name string) []vaultGroup {
	t.Helper()
	down := w.down
	w.down = false
	defer func() { w.down = down }()
	logins := map[string]string{}
	for _, u := range w.users(t, name) {
		logins[u.ID] = u.LoginName
	}
	var groups []vaultGroup
	for g, err := range w.store(name).Groups(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		row := vaultGroup{ID: g.ID, Name: g.Name, Managed: g.Managed}
		for _, id := range g.Members {
			row.Members = append(row.Members, logins[id])
		}
		groups = append(groups, row)
	}
	return groups
}

var errNotByHand = errors.New("hands know vault user add|set|enable|disable|delete and vault group add|delete|join|leave")
