package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// orderSheet is what the parent is to measure.
type orderSheet struct {
	sizes    []size
	dir      string
	profiles string
}

// measured is one size.
type measured struct {
	size   size
	phases []result
	floor  floorResult
}

// measure measures every size and writes the table; remarks tells what is
// under way.
func (o orderSheet) measure(ctx context.Context, out, remarks io.Writer) (err error) {
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "vsbench-"); err != nil {
			return fmt.Errorf("make a folder: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
	}
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return fmt.Errorf("find the folder: %w", err)
	}
	var all []measured
	for i, s := range o.sizes {
		fmt.Fprintf(remarks, "vsbench: %s\n", s.words()) //nolint:errcheck // a remark
		m, err := o.one(ctx, s, filepath.Join(o.dir, fmt.Sprint(i)), remarks)
		if err != nil {
			return fmt.Errorf("%s: %w", s.words(), err)
		}
		all = append(all, m)
	}
	return writeTables(out, all)
}

// one measures one size in a folder of its own.
func (o orderSheet) one(ctx context.Context, s size, dir string, remarks io.Writer) (m measured, err error) {
	m = measured{size: s}
	engineDir, floorDir := filepath.Join(dir, "engine"), filepath.Join(dir, "floor")
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(engineDir, 0o700), os.MkdirAll(floorDir, 0o700)); err != nil {
		return m, fmt.Errorf("make the folders: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	tenant, err := start(ctx, roleTenant, s.String(), dir)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, tenant.end()) }()
	var facts tenantFacts
	if err := tenant.hear(&facts); err != nil {
		return m, err
	}
	order := engineOrder{Dir: engineDir, Vaults: s.Vaults, Tenant: facts}
	if o.profiles != "" {
		order.Profiles = filepath.Join(o.profiles, s.String())
		if err := os.MkdirAll(order.Profiles, 0o700); err != nil {
			return m, fmt.Errorf("make the folder of the profiles: %w", err)
		}
	}
	// The first import in a process of its own, closed before the floor copies
	// its records; the other phases then begin as after a restart.
	if err := m.phasesOf(ctx, order, remarks, nil, phaseImport); err != nil {
		return m, err
	}
	factsFile := filepath.Join(dir, "facts.json")
	if err := writeJSONFile(factsFile, facts); err != nil {
		return m, err
	}
	floor, err := start(ctx, roleFloor, factsFile, engineDir, floorDir)
	if err != nil {
		return m, err
	}
	if err := errors.Join(floor.hear(&m.floor), floor.end()); err != nil {
		return m, err
	}
	return m, m.phasesOf(ctx, order, remarks, tenant, phaseQuiet, phaseChange, phaseFull)
}

// phasesOf runs phases in one engine process. The quiet tick is made twice and
// the second one counts: the first one opens connections and signs in.
func (m *measured) phasesOf(ctx context.Context, order engineOrder, remarks io.Writer, tenant *child, phases ...string) (err error) {
	engine, err := start(ctx, roleEngine)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.end()) }()
	if err := engine.tell(order); err != nil {
		return err
	}
	for _, phase := range phases {
		var r result
		times := 1
		switch phase {
		case phaseQuiet:
			times = 2
		case phaseChange:
			if err := tenant.ask(1, new(int)); err != nil {
				return err
			}
		}
		for range times {
			if err := engine.say(phase); err != nil {
				return err
			}
			if err := engine.hear(&r); err != nil {
				return err
			}
		}
		fmt.Fprintf(remarks, "vsbench:   %s: %v, %v of CPU, %d MB anonymous\n", phase, r.Wall, r.CPU, r.Anonymous>>20) //nolint:errcheck // a remark
		m.phases = append(m.phases, r)
	}
	return nil
}

// child is a process of this program in another role.
type child struct {
	command *exec.Cmd
	role    string
	in      io.WriteCloser
	out     *bufio.Reader
}

func start(ctx context.Context, role string, args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	c := &child{command: exec.CommandContext(ctx, self, append([]string{role}, args...)...), role: role} //nolint:gosec // this very program
	c.command.Stderr = os.Stderr
	if c.in, err = c.command.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start the %s: %w", role, err)
	}
	out, err := c.command.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start the %s: %w", role, err)
	}
	c.out = bufio.NewReader(out)
	if err := c.command.Start(); err != nil {
		return nil, fmt.Errorf("start the %s: %w", role, err)
	}
	return c, nil
}

// say sends one line.
func (c *child) say(line string) error {
	if _, err := io.WriteString(c.in, line+"\n"); err != nil {
		return fmt.Errorf("order the %s: %w", c.role, err)
	}
	return nil
}

// tell sends one line of JSON.
func (c *child) tell(order any) error {
	line, err := json.Marshal(order)
	if err != nil {
		return fmt.Errorf("order the %s: %w", c.role, err)
	}
	return c.say(string(line))
}

// hear reads one line of JSON.
func (c *child) hear(answer any) error {
	line, err := c.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, answer)
	}
	if err != nil {
		return fmt.Errorf("hear the %s: %w", c.role, err)
	}
	return nil
}

func (c *child) ask(order, answer any) error {
	if err := c.tell(order); err != nil {
		return err
	}
	return c.hear(answer)
}

// end closes the process's input, which ends it.
func (c *child) end() error {
	if err := errors.Join(c.in.Close(), c.command.Wait()); err != nil {
		return fmt.Errorf("the %s: %w", c.role, err)
	}
	return nil
}

func writeJSONFile(path string, value any) error {
	b, err := json.Marshal(value)
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func readJSONFile(path string, value any) error {
	b, err := os.ReadFile(path) //nolint:gosec // the parent names it
	if err == nil {
		err = json.Unmarshal(b, value)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
