package config

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

func corpus(tb testing.TB, prefix string) []string {
	tb.Helper()
	entries, err := os.ReadDir("testdata")
	if err != nil {
		tb.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), prefix) {
			names = append(names, entry.Name())
		}
	}
	return names
}

func commonFile(tb testing.TB, name string) string {
	tb.Helper()
	for _, f := range readArchive(tb, "common.txtar").Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	tb.Fatalf("testdata/common.txtar has no %s", name)
	return ""
}

// lay writes the common files, with these in their place, into a folder.
func lay(tb testing.TB, files map[string]string) (dir string) {
	tb.Helper()
	dir = tb.TempDir()
	all := map[string]string{}
	for _, f := range readArchive(tb, "common.txtar").Files {
		all[f.Name] = string(f.Data)
	}
	maps.Copy(all, files)
	for name, content := range all {
		if content != "absent" {
			writeFile(tb, filepath.Join(dir, filepath.FromSlash(name)), []byte(content))
		}
	}
	return dir
}

func loadFiles(tb testing.TB, files map[string]string) *Config {
	tb.Helper()
	cfg, err := Load(filepath.Join(lay(tb, files), "vaultsync.yaml"), Overrides{})
	if err != nil {
		tb.Fatal(err)
	}
	return cfg
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	dir := lay(t, nil)
	cfg, err := Load(filepath.Join(dir, "vaultsync.yaml"), Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.DataDir != defaultDataDir() || cfg.VaultsDir != filepath.Join(dir, "vaults.d") || cfg.Path != filepath.Join(dir, "vaultsync.yaml") {
		t.Errorf("paths: %q %q %q", cfg.DataDir, cfg.VaultsDir, cfg.Path)
	}
	if cfg.Log != (Log{"info", "text"}) || cfg.Concurrency != 4 || cfg.APIListen != "127.0.0.1:8390" ||
		cfg.Disables != (Guard{500, 20, 100}) || len(cfg.EmbeddedStore.Licenses) != 0 {
		t.Errorf("server: %+v", cfg)
	}
	d, _ := cfg.Directory("contoso")
	want := Directory{
		Name: "contoso", Type: "entra", TenantID: "8a4b0d3e-0000-4000-8000-000000000001", ClientID: "5d2f9c1a-0000-4000-8000-000000000002",
		Credential: Credential{Type: "clientSecret", SecretFile: filepath.Join(dir, "contoso.secret")},
		Cloud:      "public", Freshness: time.Minute, Profiles: "auto", Patience: 2 * time.Minute,
	}
	if d != want {
		t.Errorf("directory:\n%+v\nwant\n%+v", d, want)
	}
	v, _ := cfg.Vault("SALES")
	if v.Schedule.TimeZone != time.Local {
		t.Errorf("time zone: %v", v.Schedule.TimeZone)
	}
	full, err := loadArchive(t, readArchive(t, "good_full.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	// good_full has every default of the contract written out; what has none
	// there is taken out here.
	written := full.Vaults[0]
	written.Groups[0].VaultGroup, written.Groups[0].License = "", ""
	written.Accounts.Protected, written.Attributes, written.Scope = nil, nil, ""
	written.File, written.Schedule.TimeZone = v.File, time.Local
	if a, b := hash("", written.settings()), hash("", v.settings()); a != b {
		t.Errorf("vault:\n%+v\nwant\n%+v", v, written)
	}
	full.Directories[0].Credential = d.Credential
	if full.Directories[0] != d || full.Disables != cfg.Disables || full.Log != cfg.Log || full.Concurrency != cfg.Concurrency || full.APIListen != cfg.APIListen {
		t.Errorf("server:\n%+v\nwant\n%+v", cfg, full)
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	full, err := loadArchive(t, readArchive(t, "good_full.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	v := full.Vaults[0]
	if v.Accounts.ReleaseLicenseAfter != -1 || v.Scope != `user.userType == "Member"` || !v.Repair ||
		v.Groups[0].ID.String() != "0c1f6a52-0000-4000-8000-00000000000a" || v.Groups[0].License != identity.LicenseNamed ||
		v.Attributes[1] != (Attribute{"onPremisesExtensionAttributes.extensionAttribute1", "info2"}) {
		t.Errorf("%+v", v)
	}
	scheduled, err := loadArchive(t, readArchive(t, "good_schedules.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]Schedule{
		"a":     {First: FirstImport{After: 5 * time.Second}, Every: 15 * time.Minute},
		"b":     {First: FirstImport{After: 36 * time.Hour}, Every: 24 * time.Hour},
		"c":     {First: FirstImport{Auto: true}, Cron: "@hourly"},
		"sales": {First: FirstImport{Clock: "02:30"}, Cron: "*/15 6-20 * * MON-FRI", TimeZone: time.UTC},
	} {
		v, found := scheduled.Vault(name)
		if want.TimeZone == nil {
			want.TimeZone = time.Local
		}
		want.ReconcileEvery = 24 * time.Hour
		if !found || v.Schedule != want {
			t.Errorf("%s: %+v, want %+v", name, v.Schedule, want)
		}
	}
	scim, err := loadArchive(t, readArchive(t, "good_scim.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	store := *scim.Vaults[0].Store.SCIM
	if store.URL != "http://127.0.0.1:8080/scim/v2" || store.OAuth.SecretEnv != "SCIM_SECRET" || store.Bulk != "off" || store.Patch != "auto" ||
		store.Parallel != 64 || store.PageSize != 100 || store.MemberChunk != 100 || store.Timeout != time.Minute ||
		store.Proxy.Reveal() != "http://user:pass@proxy.contoso.com:8080" || !filepath.IsAbs(store.CAFile) {
		t.Errorf("%+v %+v", store, store.OAuth)
	}
}

func TestFlagsGoBeforeEnvironmentBeforeFileBeforeDefault(t *testing.T) {
	files := map[string]string{"vaultsync.yaml": "dataDir: from-file\nlog: {level: warn, format: json}\nconcurrency: 2\napi: {listen: \"127.0.0.1:1\"}\n" + commonFile(t, "vaultsync.yaml")}
	dir := lay(t, files)
	path := filepath.Join(dir, "vaultsync.yaml")
	load := func(overrides Overrides) *Config {
		t.Helper()
		cfg, err := Load(path, overrides)
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	if cfg := load(Overrides{}); cfg.DataDir != filepath.Join(dir, "from-file") || cfg.Log != (Log{"warn", "json"}) || cfg.Concurrency != 2 || cfg.APIListen != "127.0.0.1:1" {
		t.Errorf("file: %+v", cfg)
	}
	t.Setenv("VAULTSYNC_DATADIR", "from-environment")
	t.Setenv("VAULTSYNC_VAULTS", filepath.Join(dir, "vaults.d"))
	t.Setenv("VAULTSYNC_LOG_LEVEL", "error")
	t.Setenv("VAULTSYNC_LOG_FORMAT", "")
	t.Setenv("VAULTSYNC_CONCURRENCY", "3")
	t.Setenv("VAULTSYNC_API_LISTEN", "")
	work, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	// An empty variable is none, but for the listen address.
	if cfg := load(Overrides{}); cfg.DataDir != filepath.Join(work, "from-environment") || cfg.Log != (Log{"error", "json"}) || cfg.Concurrency != 3 || cfg.APIListen != "" {
		t.Errorf("environment: %+v", cfg)
	}
	if cfg := load(Overrides{DataDir: new("from-flag"), LogLevel: new("debug"), Concurrency: new(7), APIListen: new("[::1]:9")}); cfg.DataDir != filepath.Join(work, "from-flag") ||
		cfg.Log != (Log{"debug", "json"}) || cfg.Concurrency != 7 || cfg.APIListen != "[::1]:9" {
		t.Errorf("flags: %+v", cfg)
	}
}

func TestBadOverridesAreNamed(t *testing.T) {
	path := filepath.Join(lay(t, nil), "vaultsync.yaml")
	for variable, bad := range map[string]string{
		"VAULTSYNC_DATADIR": "a\nb", "VAULTSYNC_VAULTS": "/nowhere/at/all", "VAULTSYNC_LOG_LEVEL": "loud",
		"VAULTSYNC_LOG_FORMAT": "xml", "VAULTSYNC_CONCURRENCY": "0x4", "VAULTSYNC_API_LISTEN": "0.0.0.0:80",
	} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, bad)
			onlyProblem(t, path, Overrides{}, variable)
		})
	}
	for flag, bad := range map[string]Overrides{
		"--data-dir": {DataDir: new("")}, "--vaults": {Vaults: new("/nowhere/at/all")}, "--log-level": {LogLevel: new("")},
		"--log-format": {LogFormat: new("xml")}, "--concurrency": {Concurrency: new(-1)}, "--api-listen": {APIListen: new("[::]:80")},
	} {
		t.Run(flag, func(t *testing.T) { onlyProblem(t, path, bad, flag) })
	}
}

func onlyProblem(t *testing.T, path string, overrides Overrides, key string) {
	t.Helper()
	_, err := Load(path, overrides)
	problems, ok := errors.AsType[Problems](err)
	if !ok || len(problems) != 1 || problems[0].Key != key || problems[0].File != "" || problems[0].Fix == "" {
		t.Errorf("got %v, want one problem of %s", err, key)
	}
	if ok && !strings.HasPrefix(err.Error(), key+": ") {
		t.Errorf("the report does not begin with the name: %v", err)
	}
}

func TestLoadsDoNotShareState(t *testing.T) {
	t.Parallel()
	a := loadFiles(t, map[string]string{"vaultsync.yaml": "concurrency: 9\n" + commonFile(t, "vaultsync.yaml")})
	b := loadFiles(t, nil)
	if a.Concurrency != 9 || b.Concurrency != 4 {
		t.Errorf("concurrency %d and %d", a.Concurrency, b.Concurrency)
	}
}

func TestFilesAreNamedAsTheOperatorNamesThem(t *testing.T) {
	dir := lay(t, map[string]string{"vaults.d/sales.yaml": "vault: sales\n"})
	t.Chdir(dir)
	_, err := Load("vaultsync.yaml", Overrides{})
	want := filepath.Join("vaults.d", "sales.yaml") + ":1:1: "
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want it to begin with %q", err, want)
	}
}

func TestDefaultPath(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("VAULTSYNC_CONFIG", "")
	if got := DefaultPath(); !filepath.IsAbs(got) || filepath.Base(got) != "vaultsync.yaml" {
		t.Errorf("with nothing here: %q", got)
	}
	writeFile(t, "vaultsync.yaml", nil)
	if got := DefaultPath(); got != "vaultsync.yaml" {
		t.Errorf("with a file here: %q", got)
	}
	t.Setenv("VAULTSYNC_CONFIG", "elsewhere.yaml")
	if got := DefaultPath(); got != "elsewhere.yaml" {
		t.Errorf("with $VAULTSYNC_CONFIG: %q", got)
	}
}

func TestTooLargeAFileIsRefused(t *testing.T) {
	t.Parallel()
	dir := lay(t, map[string]string{"vaults.d/big.yaml": strings.Repeat("#\n", maxFileBytes/2+1)})
	_, err := Load(filepath.Join(dir, "vaultsync.yaml"), Overrides{})
	if err == nil || !strings.Contains(err.Error(), "larger than 8 MiB") {
		t.Errorf("got %v", err)
	}
}

// A vault of many groups is ordinary: the bounds must not be in its way.
func TestThousandsOfGroupsLoad(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("vault: sales\ndirectory: contoso\nstore: {type: embedded}\ngroups:\n")
	for i := range 5000 {
		id := identity.ObjectID{15: byte(i), 14: byte(i >> 8), 0: 1}
		b.WriteString("  - {id: " + id.String() + ", vaultGroup: G" + id.String() + "}\n")
	}
	cfg := loadFiles(t, map[string]string{"vaults.d/sales.yaml": b.String()})
	if len(cfg.Vaults[0].Groups) != 5000 {
		t.Errorf("%d groups", len(cfg.Vaults[0].Groups))
	}
}
