package scimtest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ForeignEnv names the folder of the services by others, installed with
// `make scim-servers`. Tests that need them are skipped without it.
const ForeignEnv = "VAULTSYNC_SCIM_SERVERS"

// Foreign is a SCIM service by others that runs beside the test.
type Foreign struct {
	URL   string `json:"url"`
	Token string `json:"token"`

	command *exec.Cmd
	input   io.Closer
}

// StartForeign starts a service ("scimmy", "better-auth") from the folder that
// ForeignEnv names and waits until it answers.
func StartForeign(ctx context.Context, name string) (*Foreign, error) {
	dir := os.Getenv(ForeignEnv)
	command := exec.CommandContext(ctx, "node", filepath.Join(dir, name+".mjs"))
	command.Stderr = os.Stderr
	// The service ends when its input does, that is with us at the latest.
	input, err := command.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s with Node.js: %w", name, err)
	}
	f := &Foreign{command: command, input: input}
	line, err := bufio.NewReader(output).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, f)
	}
	if err != nil {
		return nil, fmt.Errorf("%s did not start (is it installed? make scim-servers): %w", name, f.join(err))
	}
	return f, nil
}

// Tenant is the address and token of an empty service of that name.
func (f *Foreign) Tenant(name string) (url, token string) {
	return strings.ReplaceAll(f.URL, "{tenant}", name), strings.ReplaceAll(f.Token, "{tenant}", name)
}

// Close ends the service.
func (f *Foreign) Close() error {
	_ = f.input.Close()
	return f.command.Wait()
}

func (f *Foreign) join(err error) error {
	if ended := f.Close(); ended != nil {
		return fmt.Errorf("%w (%w)", err, ended)
	}
	return err
}
