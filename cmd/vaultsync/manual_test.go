package main

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/vaultsync/vaultsync/configs"
	"github.com/vaultsync/vaultsync/pkg/plan"
)

// printed runs a command line that needs no configuration.
func printed(t *testing.T, args ...string) (int, string) {
	t.Helper()
	var out strings.Builder
	s := &session{in: strings.NewReader(""), out: &out, err: &out}
	return s.execute(t.Context(), args), out.String()
}

func TestManual(t *testing.T) {
	t.Parallel()
	code, list := printed(t, "manual")
	topics, err := manualTopics()
	if err != nil || code != exitDone || len(topics) < 9 {
		t.Fatalf("%v: %v", err, topics)
	}
	for _, topic := range topics {
		t.Run(topic+" is listed and fits a terminal", func(t *testing.T) {
			t.Parallel()
			code, text := printed(t, "manual", topic)
			if code != exitDone || !strings.Contains(list, topic) {
				t.Errorf("code %d; listed: %s", code, list)
			}
			for line := range strings.Lines(text) {
				line = strings.TrimSuffix(line, "\n")
				width := manualWidth
				if strings.HasPrefix(line, "    ") {
					width = 110 // an example is not broken
				}
				if len([]rune(line)) > width+2 || strings.Contains(line, "**") || strings.HasPrefix(line, "|") {
					t.Errorf("%q", line)
				}
			}
		})
	}
	if code, text := printed(t, "manual", "exit-code"); code != exitUsage || !strings.Contains(text, "exit-codes") {
		t.Errorf("an unknown topic: %d %s", code, text)
	}
	if _, text := printed(t, "manual", "exit-codes", "--raw"); !strings.Contains(text, "|---|") {
		t.Errorf("--raw: %s", text)
	}
}

func TestTheManualIsComplete(t *testing.T) {
	t.Parallel()
	read := func(topic string) string {
		text, err := manualFiles.ReadFile("manual/" + topic + ".md")
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	configuration := read("configuration") + read("guards")
	key := regexp.MustCompile(`(?:^|[{,\s-])\s*#?\s*([a-z][A-Za-z]+):(?:\s|$)`)
	err := fs.WalkDir(configs.Files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := configs.Files.ReadFile(path)
		for line := range strings.Lines(string(text)) {
			line, _, _ = strings.Cut(line, "#")
			for _, m := range key.FindAllStringSubmatch(line, -1) {
				if !strings.Contains(configuration, m[1]) {
					t.Errorf("the key %s of %s is not in the manual", m[1], path)
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	codes := read("exit-codes")
	for _, code := range gravity {
		if !strings.Contains(codes, fmt.Sprintf("| %d |", code)) {
			t.Errorf("exit code %d is not in the manual", code)
		}
	}
	troubles := read("troubleshooting")
	for _, kind := range []plan.NoteKind{
		plan.Conflict, plan.NoLicense, plan.Failed, plan.Unread, plan.Protected, plan.HandDeleted, plan.HandDisabled, plan.HandEnabled, plan.Rejected, plan.Grace, plan.Drifted,
	} {
		if !strings.Contains(troubles, string(kind)) {
			t.Errorf("what waits as %s is not in the manual", kind)
		}
	}
}

// Every command that the manual and the hints name is one.
func TestCommandsThatAreNamedExist(t *testing.T) {
	t.Parallel()
	root := newRoot(&session{in: strings.NewReader(""), out: &strings.Builder{}, err: &strings.Builder{}})
	named := regexp.MustCompile("`vaultsync ([a-z][a-z ]*)")
	err := fs.WalkDir(manualFiles, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := manualFiles.ReadFile(path)
		for _, m := range named.FindAllStringSubmatch(strings.Join(strings.Fields(string(text)), " "), -1) {
			words := strings.Fields(m[1])
			cmd, rest, findErr := root.Find(words)
			if findErr != nil || cmd == root || cmd.HasAvailableSubCommands() && len(rest) > 0 {
				t.Errorf("%s: there is no command %q", path, m[1])
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: what it does is %q", c.CommandPath(), c.Short)
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
}

func TestPlainMarkdown(t *testing.T) {
	t.Parallel()
	got := plainMarkdown("# Title\n\nA `word` and **more**.\n\n## Part\n\n    code `as` it is\n\n| A | B |\n|---|---|\n| 7 | seven |\n| a longer cell | what it means |\n")
	want := "TITLE\n\nA word and more.\n\nPart\n----\n\n    code `as` it is\n\n7     seven\na longer cell\n    what it means\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestNotifyTestSaysWhatToUseInstead(t *testing.T) {
	t.Parallel()
	if code, text := printed(t, "notify", "test"); code != exitUsage || !strings.Contains(text, "status --check") {
		t.Errorf("%d %s", code, text)
	}
}
