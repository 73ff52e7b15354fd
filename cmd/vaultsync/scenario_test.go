package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write what the scenarios' want sections should say")

// world is a scenario's surroundings at one height.
type world interface {
	reconfigure(t *testing.T, files map[string]string)
	happen(t *testing.T, p part)
	run(t *testing.T, c command) outcome
	users(t *testing.T, vault string) []vaultUser
	groups(t *testing.T, vault string) []vaultGroup
	name(id string) string
}

// TestScenarios executes every file of testdata/scenarios at every height that
// it can be executed at: see testdata/scenarios/README.
func TestScenarios(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("../../testdata/scenarios/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	deep := os.Getenv("VAULTSYNC_DEEP") != "" || *update
	for _, path := range paths {
		s, err := parseScenario(path)
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(path), err)
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			heights := []string{heightPlan, heightRun, heightBinary}
			if *update {
				s.rewrite(t)
			}
			for _, height := range heights {
				if !s.at(height) || height == heightBinary && !s.always && !deep {
					continue
				}
				t.Run(height, func(t *testing.T) {
					t.Parallel()
					s.play(t, s.world(t, height), height, func(w want, got string) {
						if got != w.text {
							t.Errorf("%s\n%s:\n%s", s.requirement, s.archive.Files[w.section].Name, difference(w.text, got))
						}
					})
				})
			}
		})
	}
}

func (s *scenario) world(t *testing.T, height string) world {
	t.Helper()
	if height == heightBinary {
		return newOutside(t, s)
	}
	return newInside(t, s, height)
}

// rewrite writes the want sections as the lowest full height says them.
func (s *scenario) rewrite(t *testing.T) {
	t.Helper()
	height := heightRun
	for _, h := range []string{heightRun, heightBinary, heightPlan} {
		if s.at(h) {
			height = h
			break
		}
	}
	s.play(t, s.world(t, height), height, func(w want, got string) {
		s.archive.Files[w.section].Data = []byte(got)
	})
	for _, st := range s.steps {
		for i := range st.wants {
			st.wants[i].text = string(s.archive.Files[st.wants[i].section].Data)
		}
	}
	if err := os.WriteFile(s.path, txtar.Format(s.archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

// play executes the steps and hands each want with what was found to check.
func (s *scenario) play(t *testing.T, w world, height string, check func(want, string)) {
	t.Helper()
	files := maps.Clone(s.files)
	ordinals := map[string]map[string]int{}
	for _, st := range s.steps {
		if len(st.files) > 0 {
			maps.Copy(files, st.files)
			w.reconfigure(t, files)
			for name, text := range files {
				if strings.TrimSpace(text) == "" {
					delete(files, name)
				}
			}
		}
		for _, p := range st.said {
			w.happen(t, p)
		}
		var out outcome
		var exits strings.Builder
		for _, line := range st.run {
			c, err := parseCommand(line)
			if err != nil {
				t.Fatal(err)
			}
			out = w.run(t, c)
			fmt.Fprintf(&exits, "%d\n", out.exit)
		}
		wantsExit := false
		for _, want := range st.wants {
			wantsExit = wantsExit || want.kind == "want.exit"
			if got, ok := found(t, w, out, exits.String(), want, ordinals, height); ok {
				check(want, got)
			}
		}
		if !wantsExit && strings.Trim(exits.String(), "0\n") != "" {
			t.Errorf("step %d: exit code %s: a step that does not end well says so in want.exit\n%s", st.number, strings.TrimSpace(exits.String()), out.says)
		}
		if t.Failed() {
			t.Logf("step %d said:\n%s", st.number, out.says)
		}
	}
}

// found is what a want section is about; not ok when this height cannot say.
func found(t *testing.T, w world, out outcome, exits string, want want, ordinals map[string]map[string]int, height string) (string, bool) {
	t.Helper()
	switch want.kind {
	case "want.plan":
		changes, known := out.plans[want.vault]
		if !known && height == heightBinary {
			return "", false // sync --full, --user and approve do not show their plan
		}
		return planText(changes, w.name), true
	case "want.waiting":
		return notesText(out.notes[want.vault], w.name), true
	case "want.users":
		if ordinals[want.vault] == nil {
			ordinals[want.vault] = map[string]int{}
		}
		return userText(w.users(t, want.vault), ordinals[want.vault]), true
	case "want.groups":
		return groupText(w.groups(t, want.vault)), true
	case "want.exit":
		return exits, true
	case "want.says":
		var b strings.Builder
		for line := range strings.Lines(want.text) {
			if strings.Contains(out.says, strings.TrimSpace(line)) {
				b.WriteString(line)
			} else {
				b.WriteString("NOT SAID: " + strings.TrimSpace(line) + "\n")
			}
		}
		return b.String(), true
	}
	t.Fatalf("no want is called %q", want.kind)
	return "", false
}

// difference shows two texts line by line, - wanted, + found.
func difference(want, got string) string {
	var b strings.Builder
	has := func(text, line string) bool { return strings.Contains("\n"+text, "\n"+line) }
	for line := range strings.Lines(want) {
		mark := "  "
		if !has(got, line) {
			mark = "- "
		}
		b.WriteString(mark + line)
	}
	for line := range strings.Lines(got) {
		if !has(want, line) {
			b.WriteString("+ " + line)
		}
	}
	return b.String()
}
