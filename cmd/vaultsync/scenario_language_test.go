package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/txtar"
)

// scenario is one file of testdata/scenarios: a requirement, the world before,
// and steps. testdata/scenarios/README explains the language.
type scenario struct {
	path        string
	name        string
	archive     *txtar.Archive
	requirement string
	heights     []string // empty: all that can
	always      bool     // the binary runs it in every test run
	files       map[string]string
	tenant      string
	store       map[string]string // by vault
	steps       []*step
}

// step is what happens, what is run, and what is then wanted.
type step struct {
	number int
	files  map[string]string
	said   []part // directory, hands, clock, fault, in the order written
	run    []string
	wants  []want
}

// part is one thing that happens before a run.
type part struct{ kind, text string }

// want is one expectation; section is its place in the archive.
type want struct {
	section           int
	kind, vault, text string
}

const (
	heightPlan   = "plan"
	heightRun    = "run"
	heightBinary = "binary"
)

var (
	stepName   = regexp.MustCompile(`^([1-9][0-9]*) ([a-zA-Z.]+)(?: ([a-z]+))?$`)
	stepWants  = []string{"want.plan", "want.users", "want.groups", "want.waiting", "want.says", "want.exit"}
	stepEvents = []string{"directory", "hands", "clock", "fault"}
)

// parseScenario reads one file; whatever it does not know is an error.
func parseScenario(path string) (*scenario, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := &scenario{
		path: path, name: strings.TrimSuffix(filepath.Base(path), ".txtar"), archive: txtar.Parse(text),
		files: map[string]string{}, store: map[string]string{},
	}
	if err := s.comment(string(s.archive.Comment)); err != nil {
		return nil, err
	}
	for i, f := range s.archive.Files {
		if err := s.section(i, f.Name, string(f.Data)); err != nil {
			return nil, fmt.Errorf("section %q: %w", f.Name, err)
		}
	}
	return s, s.check()
}

// comment reads the requirement and the settings below it.
func (s *scenario) comment(text string) error {
	sentence, rest, _ := strings.Cut(strings.TrimSpace(text), "\n\n")
	s.requirement = sentence
	for line := range strings.Lines(rest) {
		switch key, value, _ := strings.Cut(strings.TrimSpace(line), ":"); key {
		case "heights":
			s.heights = strings.Fields(value)
			for _, h := range s.heights {
				if !slices.Contains([]string{heightPlan, heightRun, heightBinary}, h) {
					return fmt.Errorf("%q is no height", h)
				}
			}
		case "binary":
			if strings.TrimSpace(value) != "always" {
				return fmt.Errorf("binary: always, or nothing")
			}
			s.always = true
		case "covers", "note", "":
		default:
			return fmt.Errorf("the comment has a line %q: heights, binary, covers and note are known", key)
		}
	}
	return nil
}

func (s *scenario) section(i int, name, text string) error {
	switch kind, vault, _ := strings.Cut(name, " "); {
	case strings.HasSuffix(name, ".yaml"):
		if m := stepName.FindStringSubmatch(name); m != nil {
			break
		}
		s.files[name] = text
		return nil
	case name == "tenant":
		s.tenant = text
		return nil
	case kind == "store":
		if vault == "" {
			vault = "sales"
		}
		s.store[vault] = text
		return nil
	}
	m := stepName.FindStringSubmatch(name)
	if m == nil {
		return errors.New("not a section of a scenario")
	}
	number, err := strconv.Atoi(m[1])
	if err != nil {
		return err
	}
	st, err := s.step(number)
	if err != nil {
		return err
	}
	return st.section(i, m[2], m[3], text)
}

func (s *scenario) step(number int) (*step, error) {
	if n := len(s.steps); n > 0 && s.steps[n-1].number == number {
		return s.steps[n-1], nil
	}
	if number != len(s.steps)+1 {
		return nil, fmt.Errorf("step %d follows step %d", number, len(s.steps))
	}
	st := &step{number: number, files: map[string]string{}}
	s.steps = append(s.steps, st)
	return st, nil
}

func (st *step) section(i int, kind, vault, text string) error {
	switch {
	case slices.Contains(stepWants, kind):
		if st.run == nil {
			return errors.New("is wanted before anything is run")
		}
		if vault == "" {
			vault = "sales"
		}
		st.wants = append(st.wants, want{section: i, kind: kind, vault: vault, text: text})
	case st.run != nil:
		return errors.New("comes after the run of its step")
	case vault != "":
		return errors.New("only store and want sections name a vault")
	case strings.HasSuffix(kind, ".yaml"):
		st.files[kind] = text
	case slices.Contains(stepEvents, kind):
		st.said = append(st.said, part{kind, text})
	case kind == "run":
		st.run = slices.Collect(lines(text))
		if len(st.run) == 0 {
			return errors.New("runs nothing")
		}
	default:
		return errors.New("not a section of a scenario")
	}
	return nil
}

func (s *scenario) check() error {
	switch {
	case s.requirement == "" || !strings.HasSuffix(s.requirement, "."):
		return errors.New("the comment begins with the requirement, a sentence, and a blank line after it")
	case s.tenant == "":
		return errors.New("there is no section tenant")
	case s.files["vault.yaml"] == "":
		return errors.New("there is no section vault.yaml")
	case len(s.steps) == 0:
		return errors.New("there is no step")
	}
	for _, st := range s.steps {
		if st.run == nil || len(st.wants) == 0 {
			return fmt.Errorf("step %d needs a run and something wanted of it", st.number)
		}
	}
	return nil
}

// at says whether the scenario can be executed at a height.
func (s *scenario) at(height string) bool {
	if len(s.heights) > 0 && !slices.Contains(s.heights, height) {
		return false
	}
	for _, st := range s.steps {
		for _, p := range st.said {
			if p.kind != "fault" {
				continue
			}
			for line := range lines(p.text) {
				graph, store := strings.HasPrefix(line, "graph"), strings.HasPrefix(line, "store ")
				if graph && height == heightPlan || store && height != heightPlan {
					return false
				}
			}
		}
	}
	return true
}

// lines yields the lines that say something.
func lines(text string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if line != "" && !strings.HasPrefix(line, "#") && !yield(line) {
				return
			}
		}
	}
}

// words splits a line at blanks; quotes keep them together.
func words(line string) []string {
	var out []string
	var b strings.Builder
	quoted, some := false, false
	for _, r := range line {
		switch {
		case r == '"':
			quoted, some = !quoted, true
		case r == ' ' && !quoted:
			if some {
				out = append(out, b.String())
			}
			b.Reset()
			some = false
		default:
			b.WriteRune(r)
			some = true
		}
	}
	if some {
		out = append(out, b.String())
	}
	return out
}
