package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one fault of the configuration, told to whoever has to mend it.
type Problem struct {
	// File is the file as it was named, joined to the folder that named it; ""
	// for a setting that came from the environment or a flag.
	File string
	// Line and Column are counted from 1, in characters; 0 when the fault is
	// of the file as a whole.
	Line, Column int
	// Key is the path of the key ("groups[0].id"), the environment variable or
	// the flag.
	Key string
	// Message says what is wrong, Fix what to write instead. Neither ever
	// holds a value that may be a secret.
	Message, Fix string
}

// String is the problem on one line: file:line:column: key: message; fix.
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
		}
		b.WriteString(": ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Message)
	if p.Fix != "" {
		b.WriteString("; " + p.Fix)
	}
	return b.String()
}

// Problems are all faults of one configuration, sorted by file, line and
// column. It is the only kind of error that Load returns.
type Problems []Problem

// Error lists the problems, one a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// sorted is p in the order in which it is reported, each problem once.
func (p Problems) sorted() Problems {
	out := slices.Clone(p)
	slices.SortStableFunc(out, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.File, b.File),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Key, b.Key),
			cmp.Compare(a.Message, b.Message),
		)
	})
	return slices.Compact(out)
}

// place is where something was written.
type place struct {
	file         string
	line, column int
	key          string
}

// findings collects the problems of one load.
type findings struct{ list Problems }

func (f *findings) add(at place, message, fix string) {
	f.list = append(f.list, Problem{
		File: at.file, Line: at.line, Column: at.column, Key: at.key,
		Message: message, Fix: fix,
	})
}
