package config

import (
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/viper"
)

// Overrides are the values of command-line flags; nil is a flag that was not
// given. Paths are relative to the working directory.
type Overrides struct {
	DataDir     *string // --data-dir
	Vaults      *string // --vaults
	LogLevel    *string // --log-level
	LogFormat   *string // --log-format
	Concurrency *int    // --concurrency
	APIListen   *string // --api-listen; "" switches the API off

	// CheckTarget says what is wrong with an attribute of a vault's user for
	// the driver of a store type; nil checks nothing. An error may implement
	// Hint, which says what to write.
	CheckTarget func(storeType, target string) error
}

// setting is one of the server's own settings, which flag, environment and
// file can give, in this order.
type setting struct {
	key, name string // the path in the file, and the key itself
	env, flag string
	fallback  string
	emptyEnv  bool // an empty variable is a value, not the lack of one
	check     func(string) *fault
	kind      kind
	override  *string
}

// settings resolves the server's own settings by viper, in an instance of its
// own.
type settings struct {
	known []setting
	viper *viper.Viper
	to    *findings
}

func newSettings(overrides Overrides, to *findings) *settings {
	var concurrency *string
	if overrides.Concurrency != nil {
		concurrency = new(strconv.Itoa(*overrides.Concurrency))
	}
	s := &settings{
		// No key has the delimiter in it, so that every key is a plain name.
		viper: viper.NewWithOptions(viper.KeyDelimiter("/")),
		to:    to,
		known: []setting{
			{
				key: "dataDir", name: "dataDir", env: "VAULTSYNC_DATADIR", flag: "--data-dir",
				fallback: defaultDataDir(), check: checks(path("")), override: overrides.DataDir,
			},
			{
				key: "vaults", name: "vaults", env: "VAULTSYNC_VAULTS", flag: "--vaults",
				fallback: "vaults.d", check: checks(path("")), override: overrides.Vaults,
			},
			{
				key: "log.level", name: "level", env: "VAULTSYNC_LOG_LEVEL", flag: "--log-level",
				fallback: "info", check: checks(oneOf("debug", "info", "warn", "error")), override: overrides.LogLevel,
			},
			{
				key: "log.format", name: "format", env: "VAULTSYNC_LOG_FORMAT", flag: "--log-format",
				fallback: "text", check: checks(oneOf("text", "json")), override: overrides.LogFormat,
			},
			{
				key: "concurrency", name: "concurrency", env: "VAULTSYNC_CONCURRENCY", flag: "--concurrency",
				fallback: "4", check: checks(number(1, 1024)), kind: numeric, override: concurrency,
			},
			{
				key: "api.listen", name: "listen", env: "VAULTSYNC_API_LISTEN", flag: "--api-listen",
				fallback: "127.0.0.1:8390", emptyEnv: true, check: checks(listenAddress()), override: overrides.APIListen,
			},
		},
	}
	for _, one := range s.known {
		s.viper.SetDefault(one.key, one.fallback)
	}
	return s
}

// checks is the parse of a format without its result.
func checks[T any](f format[T]) func(string) *fault {
	return func(text string) *fault {
		_, wrong := f.parse(text)
		return wrong
	}
}

// field reads a setting from the server's file.
func (s *settings) field(key string) field {
	one := s.find(key)
	return may(one.name, one.fallback, func(v value) {
		valid := false
		var text string
		into(&text, format[string]{one.kind, func(got string) (string, *fault) {
			wrong := one.check(got)
			valid = wrong == nil
			return got, wrong
		}})(v)
		if !valid {
			return
		}
		if err := s.viper.MergeConfigMap(map[string]any{key: text}); err != nil {
			v.fault("cannot be taken over: "+err.Error(), "")
		}
	})
}

// override lays environment and flags over the file.
func (s *settings) override() {
	for _, one := range s.known {
		if one.fromEnv() {
			if wrong := one.check(os.Getenv(one.env)); wrong != nil {
				s.to.add(place{key: one.env}, wrong.message, wrong.fix+" (in the environment, in place of "+one.key+")")
			} else if err := s.viper.BindEnv(one.key, one.env); err != nil {
				s.to.add(place{key: one.env}, err.Error(), "")
			}
		}
		if one.override == nil {
			continue
		}
		if wrong := one.check(*one.override); wrong != nil {
			s.to.add(place{key: one.flag}, wrong.message, wrong.fix)
			continue
		}
		s.viper.Set(one.key, *one.override)
	}
	s.viper.AllowEmptyEnv(true) // fromEnv has left out those that mean nothing
}

// fromEnv reports whether the environment gives the setting. An empty variable
// is the lack of one, as everywhere, unless "" is a value of the setting.
func (one setting) fromEnv() bool {
	text, found := os.LookupEnv(one.env)
	return found && (text != "" || one.emptyEnv)
}

func (s *settings) text(key string) string { return s.viper.GetString(key) }

func (s *settings) number(key string) int { return s.viper.GetInt(key) }

// origin is where a setting was given, for a complaint about its meaning; ok is
// false when neither flag nor environment gave it.
func (s *settings) origin(key string) (at place, ok bool) {
	switch one := s.find(key); {
	case one.override != nil:
		return place{key: one.flag}, true
	case one.fromEnv():
		return place{key: one.env}, true
	default:
		return place{}, false
	}
}

// path is a setting that is a path, relative to dir when the file or the
// default gives it.
func (s *settings) path(key, dir string) string {
	text := s.text(key)
	if _, outside := s.origin(key); outside || filepath.IsAbs(text) {
		return filepath.Clean(text)
	}
	return filepath.Join(dir, text)
}

func (s *settings) find(key string) setting {
	for _, one := range s.known {
		if one.key == key {
			return one
		}
	}
	return setting{}
}
