package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// filled is a configuration in which every setting has a value.
func filled() *Config {
	guard := Guard{Count: 1, Percent: 2, Minimum: 3}
	return &Config{
		Disables:      guard,
		EmbeddedStore: EmbeddedStore{Licenses: []LicensePool{{Type: identity.LicenseNamed, Count: 1}}},
		Directories:   []Directory{{Name: "contoso"}},
		Vaults: []Vault{{
			Name:       "sales",
			Store:      Store{Type: "scim", SCIM: &SCIM{OAuth: &OAuth{}}},
			Schedule:   Schedule{TimeZone: time.UTC},
			Groups:     []Group{{Name: "Sales"}},
			Accounts:   Accounts{Match: []string{"mail"}, LicenseOrder: []identity.License{"named"}, Protected: []string{"a"}},
			Attributes: []Attribute{{Source: "a", Target: "b"}},
		}},
	}
}

// eachSetting calls do once for every setting of v, changed to another value.
func eachSetting(v reflect.Value, at string, do func(at string)) {
	change := func(to reflect.Value) {
		before := reflect.New(v.Type()).Elem()
		before.Set(v)
		v.Set(to)
		do(at)
		v.Set(before)
	}
	switch v.Interface().(type) {
	case *time.Location:
		change(reflect.ValueOf(time.FixedZone("X", 3600)))
		return
	case identity.ObjectID:
		change(reflect.ValueOf(identity.ObjectID{1}))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			eachSetting(v.Field(i), strings.TrimPrefix(at+"."+v.Type().Field(i).Name, "."), do)
		}
	case reflect.Slice:
		change(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		eachSetting(v.Index(0), at+"[]", do)
	case reflect.Pointer:
		eachSetting(v.Elem(), at, do)
	case reflect.String:
		change(reflect.ValueOf(v.String() + "x").Convert(v.Type()))
	case reflect.Bool:
		change(reflect.ValueOf(!v.Bool()))
	case reflect.Int, reflect.Int64:
		change(reflect.ValueOf(v.Int() + 1).Convert(v.Type()))
	default:
		panic(fmt.Sprintf("%s: no way to change a %s", at, v.Kind()))
	}
}

func TestDigestCoversEverySettingThatMatters(t *testing.T) {
	t.Parallel()
	left := regexp.MustCompile(`^(Path|VaultsDir|Log\..*|Concurrency|APIListen|Digest|.*\.Proxy|Vaults\[\]\.File)$`)
	cfg := filled()
	before, seen := cfg.digest(), 0
	eachSetting(reflect.ValueOf(cfg).Elem(), "", func(at string) {
		seen++
		if matters := !left.MatchString(at); (cfg.digest() != before) != matters {
			t.Errorf("%s: changes the digest: %v, want %v", at, !matters, matters)
		}
	})
	if seen < 80 || cfg.digest() != before {
		t.Errorf("%d settings seen; unchanged at the end: %v", seen, cfg.digest() == before)
	}
}

func TestVaultDigestCoversEvaluationAlone(t *testing.T) {
	t.Parallel()
	covered := regexp.MustCompile(`^(Directory|Groups|Accounts|Attributes|Scope)\b`)
	vault := filled().Vaults[0]
	before := vault.Digest()
	eachSetting(reflect.ValueOf(&vault).Elem(), "", func(at string) {
		if matters := covered.MatchString(at); (vault.Digest() != before) != matters {
			t.Errorf("%s: changes the digest: %v, want %v", at, !matters, matters)
		}
	})
}

func TestDigestDoesNotDependOnHowSettingsAreWritten(t *testing.T) {
	t.Parallel()
	cfg, other := filled(), filled()
	cfg.Vaults = append(cfg.Vaults, Vault{Name: "a"})
	cfg.Directories = append(cfg.Directories, Directory{Name: "a"})
	cfg.Vaults[0].Accounts.Protected = []string{"Ann@contoso.com", "bob@contoso.com"}
	other.Vaults = append(other.Vaults, Vault{Name: "a"})
	other.Vaults[0].Accounts.Protected = []string{"BOB@contoso.com", "ann@contoso.com"}
	other.Directories = append(other.Directories, Directory{Name: "a"})
	slices.Reverse(other.Vaults)
	slices.Reverse(other.Directories)
	if cfg.digest() != other.digest() {
		t.Error("the order of vaults, directories or protected logins changes the digest")
	}

	short := loadFiles(t, nil)
	long := loadFiles(t, map[string]string{
		"vaultsync.yaml": "# the same, written otherwise\n" + commonFile(t, "vaultsync.yaml") +
			"    cloud: \"public\"\n    patience: 120s\nlog: {level: debug}\napi: {listen: \"\"}\nconcurrency: 9\n",
		"vaults.d/sales.yaml": "absent",
		"vaults.d/x.yml":      "groups: [{nested: true, id: 0C1F6A52-0000-4000-8000-00000000000A}]\nstore:\n  type: 'embedded'\ndrift: repair\ndirectory: contoso\nvault: sales\n",
	})
	// The two lie in folders of their own, which matters.
	long.DataDir, long.Directories[0].Credential = short.DataDir, short.Directories[0].Credential
	if long.digest() != short.digest() {
		t.Error("the way in which settings are written changes the digest")
	}
	if len(short.Digest) != 64 || short.Digest != short.digest() {
		t.Errorf("Digest = %q", short.Digest)
	}
}
