package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Load reads the server file at path and every *.yaml and *.yml file of the
// folder of vault files, but for those whose name begins with a dot. Flags and
// the VAULTSYNC_* environment go before the server file.
//
// Its error is always Problems: all faults of all files. It reads no secret
// and opens no file but these.
func Load(path string, overrides Overrides) (*Config, error) {
	l := &loader{findings: &findings{}, checkTarget: overrides.CheckTarget}
	cfg := l.load(path, overrides)
	if len(l.findings.list) > 0 {
		return nil, l.findings.list.sorted()
	}
	cfg.Digest = cfg.digest()
	return cfg, nil
}

// loader is one load.
type loader struct {
	findings *findings
	server   *document
	vaults   []vaultFile
	// checkTarget is Overrides.CheckTarget.
	checkTarget func(storeType, target string) error
}

// vaultFile is a vault and where it was read.
type vaultFile struct {
	Vault
	doc *document
}

func (l *loader) load(path string, overrides Overrides) *Config {
	cfg := &Config{Disables: Guard{Count: 500, Percent: 20, Minimum: 100}}
	settings := newSettings(overrides, l.findings)
	named := filepath.Dir(path) // as the operator wrote it
	if content, ok := l.read(path); ok {
		if doc, ok := parse(path, absolute(named), content, l.findings); ok {
			readServer(doc, settings, cfg)
			l.server = doc
		}
	}
	settings.override()

	vaultsDir := settings.path("vaults", named)
	cfg.Path = absolute(path)
	cfg.DataDir = absolute(settings.path("dataDir", named))
	cfg.VaultsDir = absolute(vaultsDir)
	cfg.Log = Log{Level: settings.text("log.level"), Format: settings.text("log.format")}
	cfg.Concurrency = settings.number("concurrency")
	cfg.APIListen = settings.text("api.listen")

	at, known := settings.origin("vaults")
	if !known && l.server != nil {
		at, known = l.server.at("vaults"), true
	}
	l.readVaults(vaultsDir, cfg.Path, at, known)
	l.checkDirectories(cfg.Directories)
	l.checkVaults(cfg.Directories)
	for _, file := range l.vaults {
		file.File = absolute(file.File)
		cfg.Vaults = append(cfg.Vaults, file.Vault)
	}
	slices.SortFunc(cfg.Vaults, func(a, b Vault) int { return strings.Compare(a.Name, b.Name) })
	return cfg
}

// readVaults reads the vault files of a folder, which was named at a place; when
// the server file could not be read the folder is a guess and its absence no
// news. The server file itself is no vault file.
func (l *loader) readVaults(dir, server string, named place, known bool) {
	entries, err := readFolder(dir)
	if err != nil {
		if known {
			l.findings.add(named, "the folder "+dir+" cannot be read: "+reason(err), "make it and put one file a vault there, or name another folder")
		}
		return
	}
	for _, entry := range entries {
		name := entry.Name()
		extension := strings.ToLower(filepath.Ext(name))
		if strings.HasPrefix(name, ".") || (extension != ".yaml" && extension != ".yml") {
			continue
		}
		file := filepath.Join(dir, name)
		if absolute(file) == server {
			continue // vaults: . names the server file's own folder
		}
		content, ok := l.read(file)
		if !ok {
			continue
		}
		if doc, ok := parse(file, absolute(dir), content, l.findings); ok {
			l.vaults = append(l.vaults, vaultFile{Vault: readVault(doc), doc: doc})
		}
	}
}

// read is the content of a file, of no more than the parser takes.
func (l *loader) read(path string) ([]byte, bool) {
	content, err := readRegular(path)
	if err != nil {
		l.findings.add(place{file: path}, "cannot be read: "+reason(err), "name another file, or mend this one's place and permissions")
		return nil, false
	}
	return content, true
}

func readFolder(dir string) ([]os.DirEntry, error) {
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, errors.New("it is not a folder")
	}
	return os.ReadDir(dir)
}

// readRegular reads a file, following links, but nothing that could block.
func readRegular(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only: nothing can be lost
	return io.ReadAll(io.LimitReader(f, maxFileBytes+1))
}

// reason is why the operating system refused, without the path again and in
// the same words on every platform.
func reason(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "it does not exist"
	case errors.Is(err, fs.ErrPermission):
		return "this account may not read it"
	}
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		return inner.Err.Error()
	}
	return err.Error()
}

// absolute is path from the root; with no working directory left it stays as
// it is.
func absolute(path string) string {
	full, err := filepath.Abs(path)
	if err != nil {
		return filepath.Clean(path)
	}
	return full
}
