package main

import (
	"embed"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// manualFiles are the topics, one Markdown file each.
//
//go:embed manual/*.md
var manualFiles embed.FS

func manualCommand(s *session) *cobra.Command {
	var raw bool
	cmd := &cobra.Command{
		Use:   "manual [TOPIC]",
		Short: "Read about a topic: configuration, life-cycle, guards, troubleshooting and others",
		Args:  cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			topics, err := manualTopics()
			if err != nil {
				return nil, cobra.ShellCompDirectiveError
			}
			return topics, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return s.listManual()
			}
			return s.showManual(args[0], raw)
		},
	}
	cmd.Flags().BoolVar(&raw, "raw", false, "print the Markdown as it is")
	return cmd
}

// manualTopics are the names of the topics, the overview first.
func manualTopics() ([]string, error) {
	entries, err := fs.ReadDir(manualFiles, "manual")
	if err != nil {
		return nil, fmt.Errorf("read the manual: %w", err)
	}
	topics := []string{"overview"}
	for _, e := range entries {
		if name := strings.TrimSuffix(e.Name(), ".md"); name != topics[0] {
			topics = append(topics, name)
		}
	}
	return topics, nil
}

func (s *session) listManual() error {
	topics, err := manualTopics()
	if err != nil {
		return err
	}
	table := newTable(s.out, false, "TOPIC", "ABOUT")
	for _, topic := range topics {
		text, err := manualFiles.ReadFile("manual/" + topic + ".md")
		if err != nil {
			return fmt.Errorf("read the manual: %w", err)
		}
		title, _, _ := strings.Cut(strings.TrimPrefix(string(text), "# "), "\n")
		if err := table.row(nil, topic, title); err != nil {
			return err
		}
	}
	if err := table.end(); err != nil {
		return err
	}
	s.say("")
	s.say("vaultsync manual TOPIC shows one; vaultsync COMMAND --help explains a command")
	return nil
}

func (s *session) showManual(topic string, raw bool) error {
	topics, err := manualTopics()
	if err != nil {
		return err
	}
	if !slices.Contains(topics, topic) {
		return usageError{text: fmt.Sprintf("the manual has no topic %q", topic), hint: "one of: " + strings.Join(topics, ", ")}
	}
	text, err := manualFiles.ReadFile("manual/" + topic + ".md")
	if err != nil {
		return fmt.Errorf("read the manual: %w", err)
	}
	plain := string(text)
	if !raw {
		plain = plainMarkdown(plain)
	}
	if _, err := io.WriteString(s.out, plain); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
