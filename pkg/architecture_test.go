// Package pkg_test holds the rules that no single package can hold: who may
// import whom, and how the source is kept. Each rule says why it is there.
package pkg_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/vaultsync/vaultsync"

// listed is what `go list` says of a package.
type listed struct {
	ImportPath string
	Name       string
	Doc        string
	Dir        string
	Imports    []string
	Deps       []string
	GoFiles    []string
	Module     *struct{ Path string }
	Error      *struct{ Err string }
}

func (p listed) ours() bool { return p.Module != nil && p.Module.Path == module }

// short is the path below the module: "pkg/plan", "cmd/vaultsync".
func (p listed) short() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

// rule forbids imports, direct or through others.
type rule struct {
	pkg    string   // path below the module; "*" is every package but those in except
	except []string // only with "*"
	not    []string // import paths; a leading "pkg/" means ours; "/..." includes what is below
	but    []string // allowed although not says otherwise
	direct bool     // look at the package's own imports only
	why    string
}

// The table of the packages in README and the package comments, as rules.
// Imports run downwards only: a package knows nothing of those that use it.
var rules = []rule{
	{pkg: "pkg/identity", not: []string{"pkg/...", "net/...", "os", "log/..."}, direct: true, why: "the words that both sides share know neither side and do no I/O"},
	{pkg: "pkg/config", not: []string{"pkg/..."}, but: []string{"pkg/identity"}, why: "the configuration knows nothing of what its settings are for"},
	{pkg: "pkg/directory", not: []string{"pkg/..."}, but: []string{"pkg/identity"}, why: "a port holds the interface, its values and its errors"},
	{pkg: "pkg/vault", not: []string{"pkg/..."}, but: []string{"pkg/identity"}, why: "a port holds the interface, its values and its errors"},
	{pkg: "pkg/directory/entra", not: []string{"pkg/..."}, but: []string{"pkg/identity", "pkg/directory", "pkg/credential"}, why: "the Graph side knows nothing of vaults, nor of who stores what it reads"},
	{pkg: "pkg/vault/embedded", not: []string{"pkg/..."}, but: []string{"pkg/identity", "pkg/vault", "pkg/boltfile", "pkg/wholefile"}, why: "a driver knows nothing of the directory and holds no policy"},
	{pkg: "pkg/vault/scim", not: []string{"pkg/..."}, but: []string{"pkg/identity", "pkg/vault", "pkg/credential"}, why: "a driver knows nothing of the directory and holds no policy"},
	{pkg: "pkg/credential", not: []string{"pkg/..."}, why: "how a secret is read has nothing to do with whom it is shown to"},
	{pkg: "pkg/credential", not: []string{"github.com/..."}, why: "vault drivers read secrets too, and must not build the Graph SDK for it"},
	{pkg: "pkg/wholefile", not: []string{"pkg/..."}, why: "how a file is written has nothing to do with what is in it"},
	{pkg: "pkg/memory", not: []string{"pkg/..."}, why: "how much memory the process takes has nothing to do with what it does"},
	{pkg: "pkg/boltfile", not: []string{"pkg/..."}, but: []string{"pkg/wholefile"}, why: "how a file is opened has nothing to do with what is in it"},
	{pkg: "pkg/mirror", not: []string{"pkg/directory/entra", "pkg/entrasim", "pkg/vault/...", "pkg/roster", "pkg/plan", "pkg/snapshot", "pkg/apply", "pkg/reconcile", "pkg/schedule", "pkg/control", "pkg/service"}, why: "the mirror serves every directory and knows no vault"},
	{pkg: "pkg/roster", not: []string{"pkg/directory/entra", "pkg/entrasim", "pkg/plan", "pkg/snapshot", "pkg/apply", "pkg/reconcile", "pkg/schedule", "pkg/control", "pkg/service"}, why: "who should have what does not depend on what is made of it"},
	{pkg: "pkg/roster", not: pure, direct: true, why: "pure: equal inputs give equal answers"},
	{pkg: "pkg/plan", not: []string{"pkg/directory/entra", "pkg/entrasim", "pkg/vault/...", "pkg/apply", "pkg/reconcile", "pkg/schedule", "pkg/control", "pkg/service"}, but: []string{"pkg/vault"}, why: "planning knows no way to carry a plan out"},
	{pkg: "pkg/plan", not: pure, direct: true, why: "pure: equal inputs give equal plans, byte for byte"},
	{pkg: "pkg/snapshot", not: []string{"pkg/directory/entra", "pkg/entrasim", "pkg/vault/...", "pkg/apply", "pkg/reconcile", "pkg/schedule", "pkg/control", "pkg/service"}, but: []string{"pkg/vault"}, why: "what was applied is kept the same way for every driver"},
	{pkg: "pkg/apply", not: []string{"pkg/directory/entra", "pkg/entrasim", "pkg/vault/...", "pkg/reconcile", "pkg/schedule", "pkg/control", "pkg/service"}, but: []string{"pkg/vault"}, why: "carrying a plan out knows no driver and no order of things"},
	{pkg: "pkg/apply", not: []string{"pkg/roster", "pkg/mirror"}, direct: true, why: "carrying a plan out is not planning"},
	{pkg: "pkg/reconcile", not: []string{"pkg/directory/entra", "pkg/entrasim", "pkg/vault/...", "pkg/schedule", "pkg/control", "pkg/service"}, but: []string{"pkg/vault"}, why: "one run does not know when it happens, nor which drivers there are"},
	{pkg: "pkg/schedule", not: []string{"pkg/..."}, but: []string{"pkg/identity", "pkg/config", "pkg/boltfile", "pkg/wholefile"}, why: "when a run happens has nothing to do with what it does"},
	{pkg: "pkg/control", not: []string{"pkg/..."}, why: "the endpoint carries commands, it does not know them"},
	{pkg: "pkg/service", not: []string{"pkg/..."}, why: "the life of a service has nothing of the domain in it"},
	{pkg: "pkg/observe", not: []string{"pkg/directory/...", "pkg/vault/...", "pkg/mirror", "pkg/roster", "pkg/plan", "pkg/snapshot", "pkg/apply", "pkg/reconcile", "pkg/schedule", "pkg/control", "pkg/service"}, why: "logs and metrics are told, they do not ask"},
	{pkg: "pkg/entrasim", not: []string{"pkg/directory/entra"}, why: "a simulation that shares code with the client would share its faults"},

	{pkg: "*", except: []string{"pkg/directory/entra"}, direct: true, not: []string{"github.com/microsoftgraph/...", "github.com/microsoft/kiota...", "github.com/Azure/azure-sdk-for-go/sdk/azidentity/..."}, why: "one package speaks Graph: building the SDK takes minutes"},
	{pkg: "*", not: []string{"github.com/microsoftgraph/msgraph-sdk-go"}, why: "the SDK's root package pulls in all of Graph: 4.5 GB of memory to build"},
	{pkg: "*", except: []string{"pkg/config"}, direct: true, not: []string{"github.com/spf13/viper/..."}, why: "viper lower-cases keys and loses positions: pkg/config is its only door"},
	{pkg: "*", except: []string{"cmd/vaultsync"}, direct: true, not: []string{"github.com/spf13/cobra/..."}, why: "flags and exit codes belong to cmd"},
	{pkg: "*", except: []string{"pkg/schedule", "pkg/config"}, direct: true, not: []string{"github.com/robfig/cron/..."}, why: "it panics on some texts: only these two check them first"},
	{pkg: "*", not: []string{"cmd/..."}, why: "nothing is built on top of cmd"},
	{pkg: "*", not: []string{"testing/...", "pkg/vault/vaulttest"}, except: []string{"pkg/vault/vaulttest"}, direct: true, why: "test code stays out of the program"},
}

// pure names what a pure package must not import itself.
var pure = []string{"os/...", "net/...", "log/...", "io/fs", "go.etcd.io/bbolt/...", "math/rand/...", "crypto/rand"}

func TestImportsRunDownwardsOnly(t *testing.T) {
	t.Parallel()
	for _, goos := range []string{"linux", "windows"} {
		t.Run(goos, func(t *testing.T) {
			t.Parallel()
			packages := list(t, goos)
			for _, r := range rules {
				if r.pkg != "*" && !slices.ContainsFunc(packages, func(p listed) bool { return p.short() == r.pkg }) {
					t.Errorf("there is a rule for %s, but no such package: a rule that guards nothing", r.pkg)
				}
			}
			for _, p := range packages {
				for _, r := range rules {
					for _, dep := range r.broken(p) {
						t.Errorf("%s must not import %s (%s)", p.short(), dep, r.why)
					}
				}
			}
		})
	}
}

// broken lists the imports of p that r forbids.
func (r rule) broken(p listed) []string {
	if r.pkg != "*" && r.pkg != p.short() || slices.Contains(r.except, p.short()) {
		return nil
	}
	deps := p.Deps
	if r.direct {
		deps = p.Imports
	}
	var bad []string
	for _, dep := range deps {
		if matchesAny(dep, r.not) && !matchesAny(dep, r.but) {
			bad = append(bad, dep)
		}
	}
	return bad
}

func matchesAny(dep string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if strings.HasPrefix(pattern, "pkg/") || strings.HasPrefix(pattern, "cmd/") {
			pattern = module + "/" + pattern
		}
		below, tree := strings.CutSuffix(pattern, "/...")
		if !tree {
			below, tree = strings.CutSuffix(pattern, "...")
			return dep == pattern || tree && strings.HasPrefix(dep, below)
		}
		return dep == below || strings.HasPrefix(dep, below+"/")
	})
}

// The rules are only as good as the matching: it is held to known answers.
func TestRulesFindWhatTheyForbid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		patterns []string
		dep      string
		want     bool
	}{
		{"a package is itself", []string{"pkg/plan"}, module + "/pkg/plan", true},
		{"a package is not one whose name it begins", []string{"pkg/plan"}, module + "/pkg/planner", false},
		{"a tree holds its root", []string{"pkg/vault/..."}, module + "/pkg/vault", true},
		{"a tree holds what is below", []string{"pkg/vault/..."}, module + "/pkg/vault/scim", true},
		{"a tree does not hold its neighbour", []string{"net/..."}, "network", false},
		{"the root of the SDK is not its sub-packages", []string{"github.com/microsoftgraph/msgraph-sdk-go"}, "github.com/microsoftgraph/msgraph-sdk-go/groups", false},
		{"a prefix holds all that begins with it", []string{"github.com/microsoft/kiota..."}, "github.com/microsoft/kiota-http-go", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := matchesAny(c.dep, c.patterns); got != c.want {
				t.Errorf("matchesAny(%q, %q) = %v, want %v", c.dep, c.patterns, got, c.want)
			}
		})
	}
	offender := listed{ImportPath: module + "/pkg/plan", Imports: []string{"fmt", "os"}, Deps: []string{module + "/pkg/apply"}}
	var found int
	for _, r := range rules {
		found += len(r.broken(offender))
	}
	if found != 2 {
		t.Errorf("a plan that imports os and apply breaks %d rules, want 2", found)
	}
}

// list asks the go command for our packages, with all they depend on.
func list(t *testing.T, goos string) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e",
		"-json=ImportPath,Name,Doc,Dir,Imports,Deps,GoFiles,Module,Error", "./...")
	cmd.Dir = ".." // the module's root
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH=amd64", "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var packages []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		if p.ours() && len(p.GoFiles) > 0 {
			packages = append(packages, p)
		}
	}
	if len(packages) == 0 {
		t.Fatal("go list found no package of ours")
	}
	return packages
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	t.Parallel()
	vague := []string{"util", "utils", "common", "helper", "helpers", "misc", "shared", "base", "types", "sync"}
	for _, p := range list(t, "linux") {
		if p.Doc == "" {
			t.Errorf("%s has no package comment: say what it owns and what it must not know", p.short())
		}
		if slices.Contains(vague, p.Name) || slices.Contains(vague, filepath.Base(p.Dir)) {
			t.Errorf("%s: a name that holds anything says nothing", p.short())
		}
	}
}

func TestSourceIsKeptSmallAndWiredByHand(t *testing.T) {
	t.Parallel()
	// A test file holds the table of one subject and may be longer.
	const longest, longestTest = 600, 800
	for path, source := range goFiles(t) {
		most := longest
		if strings.HasSuffix(path, "_test.go") {
			most = longestTest
		}
		if lines := bytes.Count(source, []byte("\n")); lines > most {
			t.Errorf("%s has %d lines, more than %d: it holds more than one thing", path, lines, most)
		}
		switch strings.TrimSuffix(filepath.Base(path), ".go") {
		case "util", "utils", "common", "helper", "helpers", "misc":
			t.Errorf("%s: a name that holds anything says nothing", path)
		}
		file := parse(t, path, source)
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: init runs behind everybody's back; wiring happens in cmd", path)
			}
		}
	}
}

func TestPurePackagesTakeNow(t *testing.T) {
	t.Parallel()
	clock := []string{"Now", "Since", "Until", "After", "AfterFunc", "Tick", "Sleep", "NewTimer", "NewTicker"}
	for path, source := range goFiles(t) {
		dir := filepath.ToSlash(filepath.Dir(path))
		if !slices.Contains([]string{"identity", "roster", "plan"}, dir) || strings.HasSuffix(path, "_test.go") {
			continue
		}
		ast.Inspect(parse(t, path, source), func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := selector.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, selector.Sel.Name) {
				t.Errorf("%s uses time.%s: a pure package takes now as an argument", path, selector.Sel.Name)
			}
			return true
		})
	}
}

// goFiles is every Go file of the packages and of cmd, by its path from here.
func goFiles(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, root := range []string{".", filepath.Join("..", "cmd")} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" {
				return err
			}
			files[path], err = os.ReadFile(path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func parse(t *testing.T, path string, source []byte) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
