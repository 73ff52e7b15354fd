package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

// configFolder writes the configuration of a scenario: what its files leave
// out is filled in.
type configFolder struct {
	dir   string
	url   string
	files map[string]string
}

// serverDefaults are the server's settings by their first key.
var serverDefaults = [][2]string{
	{"dataDir", "dataDir: ./data\n"},
	{"vaults", "vaults: vaults.d\n"},
	{"api", "api: {listen: \"\"}\n"},
}

const directoryDefaults = `directories:
  - name: contoso
    type: entra
    tenantId: 8a4b0d3e-0000-4000-8000-000000000001
    clientId: 5d2f9c1a-0000-4000-8000-000000000002
    credential: {type: clientSecret, secretFile: contoso.secret}
    endpoints: {graph: "URL", authority: "URL"}
    patience: PATIENCE
    caFile: "ca.pem"
`

var (
	topKey = regexp.MustCompile(`(?m)^([a-zA-Z]+):`)
	idOf   = regexp.MustCompile(`\$\(([^)]+)\)`)
)

func hasKey(text, key string) bool {
	for _, m := range topKey.FindAllStringSubmatch(text, -1) {
		if m[1] == key {
			return true
		}
	}
	return false
}

// write puts the files in place. $(group Sales) stands for an object id. A
// vault's file with nothing in it is removed.
func (c *configFolder) write(t *testing.T, caPEM []byte) {
	t.Helper()
	server := c.files["server.yaml"]
	for _, d := range serverDefaults {
		if !hasKey(server, d[0]) {
			server += d[1]
		}
	}
	if !hasKey(server, "directories") {
		server += directoryDefaults
	}
	patience := "3s"
	server = strings.NewReplacer(`"URL"`, `"`+c.url+`"`, "PATIENCE", patience).Replace(server)
	put(t, filepath.Join(c.dir, "vaultsync.yaml"), server)
	put(t, filepath.Join(c.dir, "contoso.secret"), entrasim.DemoSecret)
	put(t, filepath.Join(c.dir, "ca.pem"), string(caPEM))
	for name, text := range c.files {
		if name == "server.yaml" {
			continue
		}
		vault := strings.TrimSuffix(name, ".yaml")
		if vault == "vault" {
			vault = "sales"
		}
		path := filepath.Join(c.dir, "vaults.d", vault+".yaml")
		if strings.TrimSpace(text) == "" {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		for _, d := range [][2]string{{"vault", vault}, {"directory", "contoso"}, {"store", "{type: embedded}"}} {
			if !hasKey(text, d[0]) {
				text += fmt.Sprintf("\n%s: %s\n", d[0], d[1])
			}
		}
		text = idOf.ReplaceAllStringFunc(text, func(ref string) string { return entrasim.IDOf(ref[2 : len(ref)-1]).String() })
		put(t, path, text)
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
