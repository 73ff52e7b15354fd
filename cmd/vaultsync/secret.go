package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/wholefile"
)

func secretCommand(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "secret", Short: "Put secrets into their files", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "set DIRECTORY | VAULT",
		Short: "Write the secret of a directory or of a vault's store into its file",
		Long: `Reads a secret from the terminal, where it is not shown, or from stdin, and
writes it into the file that the configuration names for that directory
(secretFile, or certificatePasswordFile) or for that vault's store (tokenFile, or
the secretFile of oauth). The file is replaced at once or not at all, and is for
its owner alone; the owner of a file that is there stays. The running service
reads it when it signs in next; under systemd, which hands over secrets when a
service starts, after systemctl restart vaultsync.

A secret is no argument: arguments show in the list of processes.`,
		Example: `  vaultsync secret set contoso
  vaultsync secret set contoso < secret.txt`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return s.setSecret(cmd.Context(), args[0]) },
	})
	return cmd
}

// secretTarget is a file that takes a secret, and what the secret is.
type secretTarget struct{ what, file string }

func (s *session) setSecret(ctx context.Context, name string) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	target, err := findSecret(cfg, name)
	if err != nil {
		return err
	}
	secret, err := s.readSecret(ctx, target.what)
	if err != nil {
		return err
	}
	if err := writeSecret(target.file, secret); err != nil {
		return err
	}
	s.say("%s is in %s; try it with vaultsync check", target.what, target.file)
	return nil
}

// findSecret finds the file of the secret of a directory or vault.
func findSecret(cfg *config.Config, name string) (secretTarget, error) {
	var found []secretTarget
	if d, ok := cfg.Directory(name); ok {
		target, err := directorySecret(d)
		if err != nil {
			return target, err
		}
		found = append(found, target)
	}
	if v, ok := cfg.Vault(name); ok {
		target, err := vaultSecret(v)
		switch {
		case err == nil:
			found = append(found, target)
		case len(found) == 0:
			return target, err
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return secretTarget{}, usageError{text: fmt.Sprintf("no directory and no vault is called %q", name), hint: "vaultsync check names them"}
	default:
		return secretTarget{}, usageError{text: fmt.Sprintf("%q is a directory and a vault, and both have a secret", name), hint: "write the secret into its file by hand: " + found[0].file + " or " + found[1].file}
	}
}

func directorySecret(d config.Directory) (secretTarget, error) {
	c := d.Credential
	switch {
	case c.SecretFile != "":
		return secretTarget{"the client secret of directory " + d.Name, c.SecretFile}, nil
	case c.CertificatePasswordFile != "":
		return secretTarget{"the certificate's password of directory " + d.Name, c.CertificatePasswordFile}, nil
	case c.SecretEnv != "":
		return secretTarget{}, usageError{text: fmt.Sprintf("directory %s takes its secret from the environment variable %s", d.Name, c.SecretEnv), hint: "set it for the service, or name a secretFile"}
	default:
		return secretTarget{}, usageError{text: fmt.Sprintf("directory %s signs in with %s, which needs no secret here", d.Name, c.Type)}
	}
}

func vaultSecret(v config.Vault) (secretTarget, error) {
	what := "of vault " + v.Name
	scim := v.Store.SCIM
	switch {
	case scim == nil:
		return secretTarget{}, usageError{text: fmt.Sprintf("vault %s has the store %s, which needs no secret", v.Name, v.Store.Type)}
	case scim.TokenFile != "":
		return secretTarget{"the token " + what, scim.TokenFile}, nil
	case scim.OAuth != nil && scim.OAuth.SecretFile != "":
		return secretTarget{"the client secret " + what, scim.OAuth.SecretFile}, nil
	default:
		return secretTarget{}, usageError{text: fmt.Sprintf("vault %s takes its secret from an environment variable", v.Name), hint: "set it for the service, or name a tokenFile"}
	}
}

// secretAtMost bounds a secret, in bytes.
const secretAtMost = 64 << 10

// readSecret reads a secret without showing it.
func (s *session) readSecret(ctx context.Context, what string) ([]byte, error) {
	file, isFile := s.in.(*os.File)
	if !s.inTerminal || !isFile {
		text, err := io.ReadAll(io.LimitReader(s.in, secretAtMost+1))
		if err != nil {
			return nil, fmt.Errorf("read the secret: %w", err)
		}
		return plainSecret(text)
	}
	fmt.Fprintf(s.err, "%s (not shown): ", what) //nolint:errcheck // a prompt
	text, err := hiddenLine(ctx, file)
	fmt.Fprintln(s.err) //nolint:errcheck // ends the prompt's line
	if err != nil {
		return nil, err
	}
	return plainSecret(text)
}

// hiddenLine reads a line from a terminal with its echo off, which is on again
// afterwards whatever happens.
func hiddenLine(ctx context.Context, terminal *os.File) ([]byte, error) {
	fd := int(terminal.Fd()) //nolint:gosec // a file descriptor
	state, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("read the secret: %w", err)
	}
	type answer struct {
		text []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		answers <- answer{text, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil {
			return nil, fmt.Errorf("read the secret: %w", a.err)
		}
		return a.text, nil
	case <-ctx.Done():
		// The read cannot be ended; the process ends instead.
		return nil, errors.Join(context.Cause(ctx), term.Restore(fd, state))
	}
}

// plainSecret takes off the line end that editors and pipes add.
func plainSecret(text []byte) ([]byte, error) {
	text = bytes.TrimRight(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), "\r\n")
	switch {
	case len(text) == 0:
		return nil, usageError{text: "there is no secret: nothing was written"}
	case len(text) > secretAtMost:
		return nil, usageError{text: "this is too long for a secret: nothing was written"}
	case bytes.ContainsAny(text, "\r\n\x00"):
		return nil, usageError{text: "a secret is one line: nothing was written", hint: "give the value alone"}
	case strings.TrimSpace(string(text)) == "":
		return nil, usageError{text: "the secret is nothing but blanks: nothing was written"}
	}
	return text, nil
}

// writeSecret replaces a file at once or not at all.
func writeSecret(path string, secret []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return usageError{text: fmt.Sprintf("the secret cannot be written: %v", err)}
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		target = path // it is not there yet
	}
	err = wholefile.Write(target, func(fresh *os.File) error {
		if err := keepOwner(target, fresh); err != nil {
			return err
		}
		_, err := fresh.Write(append(secret, '\n'))
		return err
	})
	if err != nil {
		return writeError("the secret", err)
	}
	return nil
}
