package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vaultsync/vaultsync/configs"
	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// initFlags are what init needs to know.
type initFlags struct {
	tenantID, clientID, directory, dataDir string
}

func initCommand(s *session) *cobra.Command {
	var f initFlags
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a commented configuration to begin with",
		Long: `Writes vaultsync.yaml for your tenant, with every key and what it means, and
samples of vault files into a folder (default: this one). It asks for what is not
given on the command line, and writes over nothing.

The samples end in .sample and are not read: copy one to NAME.yaml and change it.
How to register the application is in: vaultsync manual permissions`,
		Example: `  vaultsync init
  vaultsync init /etc/vaultsync --tenant-id 8a4b0d3e-… --client-id 5d2f9c1a-…`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			return s.initialize(cmd.Context(), dir, f)
		},
	}
	cmd.Flags().StringVar(&f.tenantID, "tenant-id", "", "the directory (tenant) `ID`")
	cmd.Flags().StringVar(&f.clientID, "client-id", "", "the application (client) `ID`")
	cmd.Flags().StringVar(&f.directory, "directory", "", "what vault files call the directory: a `NAME` (default: contoso)")
	cmd.Flags().StringVar(&f.dataDir, "state", "", "the `FOLDER` of the state (default: data beside the file, or the platform's)")
	return cmd
}

func (s *session) initialize(ctx context.Context, dir string, f initFlags) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("find the folder: %w", err)
	}
	if err := s.askFor(&f); err != nil {
		return err
	}
	files, err := sampleFiles(f, dir)
	if err != nil {
		return err
	}
	for name := range files {
		if path := filepath.Join(dir, name); exists(path) {
			return usageError{text: path + " is there already: init writes over nothing", hint: "name another folder, or move the file away"}
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	file := filepath.Join(dir, "vaultsync.yaml")
	if err := writeSamples(dir, files); err != nil {
		return usageError{text: fmt.Sprintf("the configuration cannot be written: %v", err)}
	}
	if _, err := config.Load(file, config.Overrides{}); err != nil {
		return errors.Join(err, removeSamples(dir, files)) // a name that is none
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		s.say("wrote %s", filepath.Join(dir, name))
	}
	name := cmp.Or(f.directory, sampleDirectory)
	s.say("")
	s.say("Next:")
	s.say("  vaultsync -c %s secret set %s", file, name)
	s.say("  vaultsync -c %s check", file)
	s.say("  vaultsync -c %s directory groups %s", file, name)
	s.say("  copy a sample in %s to a file of your own, such as sales.yaml, and put your groups into it", filepath.Join(dir, "vaults.d"))
	return nil
}

// askFor asks for what is missing, and checks what there is.
func (s *session) askFor(f *initFlags) error {
	in := bufio.NewReader(s.in)
	for _, q := range []struct {
		value          *string
		question, flag string
	}{
		{&f.tenantID, "Directory (tenant) ID: ", "--tenant-id"},
		{&f.clientID, "Application (client) ID: ", "--client-id"},
	} {
		if *q.value == "" {
			if !s.inTerminal {
				return usageError{text: "init: " + q.flag + " is missing", hint: "vaultsync init --tenant-id ID --client-id ID"}
			}
			fmt.Fprint(s.err, q.question) //nolint:errcheck // a question
			answer, err := in.ReadString('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				return fmt.Errorf("read the answer: %w", err)
			}
			*q.value = strings.TrimSpace(answer)
		}
		id, err := identity.ParseObjectID(*q.value)
		if err != nil {
			return usageError{text: fmt.Sprintf("init: %s %q is not an id", q.flag, *q.value), hint: "it looks like 8a4b0d3e-0000-4000-8000-000000000001, on the overview page of the application's registration"}
		}
		*q.value = id.String()
	}
	return nil
}

// What the samples say of the directory.
const (
	sampleDirectory = "contoso"
	sampleTenantID  = "8a4b0d3e-0000-4000-8000-000000000001"
	sampleClientID  = "5d2f9c1a-0000-4000-8000-000000000002"
	sampleDataDir   = "dataDir: ./data\n"
)

// sampleFiles are the files to write, by name below the folder.
func sampleFiles(f initFlags, dir string) (map[string]string, error) {
	name := cmp.Or(f.directory, sampleDirectory)
	dataDir := sampleDataDir
	switch {
	case f.dataDir != "":
		dataDir = fmt.Sprintf("dataDir: %q\n", f.dataDir)
	case dir == config.PlatformDir():
		dataDir = "# " + sampleDataDir
	}
	replace := strings.NewReplacer(
		sampleTenantID, f.tenantID, sampleClientID, f.clientID, sampleDataDir, dataDir,
		"name: "+sampleDirectory+" ", "name: "+name+" ", "directory: "+sampleDirectory, "directory: "+name,
		"secretFile: "+sampleDirectory, "secretFile: "+name, "File: "+sampleDirectory+".p", "File: "+name+".p",
	)
	files := map[string]string{}
	err := fs.WalkDir(configs.Files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := configs.Files.ReadFile(path)
		if err != nil {
			return err
		}
		if path != "vaultsync.yaml" {
			path += ".sample"
		}
		files[filepath.FromSlash(path)] = replace.Replace(string(text))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the samples: %w", err)
	}
	return files, nil
}

// writeSamples writes all files or none.
func writeSamples(dir string, files map[string]string) error {
	written := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := writeNew(filepath.Join(dir, name), files[name]); err != nil {
			return errors.Join(err, removeSamples(dir, written))
		}
		written[name] = files[name]
	}
	return nil
}

// removeSamples removes what was just written.
func removeSamples(dir string, files map[string]string) error {
	var errs []error
	for name := range files {
		errs = append(errs, removeIfThere(filepath.Join(dir, name)))
	}
	return errors.Join(errs...)
}

// writeNew writes a file that is not there.
func writeNew(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // a configuration holds no secret
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // a configuration holds no secret
	if err != nil {
		return err
	}
	_, err = io.WriteString(file, text)
	return errors.Join(err, file.Close())
}
