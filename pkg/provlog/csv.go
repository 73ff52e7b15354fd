package provlog

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
)

var csvHeader = []string{"time", "vault", "run", "person", "login", "group", "kind", "before", "after", "why", "outcome", "error"} //nolint:gochecknoglobals // a constant list

// WriteCSV writes the entries as CSV with a header, for a spreadsheet: a cell
// that a spreadsheet would take for a formula begins with an apostrophe.
// Before and after are JSON. A *SkippedError of entries is returned after all
// others are written; any other error ends the writing.
func WriteCSV(w io.Writer, entries iter.Seq2[Entry, error]) error {
	out := csv.NewWriter(w)
	if err := out.Write(csvHeader); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	var problem error
	for e, err := range entries {
		if err != nil {
			problem = err
			break
		}
		row, err := csvRow(e)
		if err != nil {
			return err
		}
		if err := out.Write(row); err != nil {
			return fmt.Errorf("write CSV: %w", err)
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return errors.Join(problem, fmt.Errorf("write CSV: %w", err))
	}
	return problem
}

func csvRow(e Entry) ([]string, error) {
	before, err := valuesJSON(e.Before)
	if err != nil {
		return nil, err
	}
	after, err := valuesJSON(e.After)
	if err != nil {
		return nil, err
	}
	row := []string{
		e.Time.UTC().Format(time.RFC3339), e.Vault, e.Run, e.Person.String(), e.Login, e.Group,
		e.Kind, before, after, e.Why, e.Outcome, e.Error,
	}
	for i := range row {
		row[i] = safeCell(row[i])
	}
	return row, nil
}

func valuesJSON(values map[string]any) (string, error) {
	if len(values) == 0 {
		return "{}", nil
	}
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(values); err != nil {
		return "", fmt.Errorf("write CSV: %w", err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// safeCell keeps a spreadsheet from running a cell as a formula. The wide
// forms are taken for the plain ones where East Asian text is written.
func safeCell(s string) string {
	if s != strings.TrimLeft(s, "=+-@\t\r\n＝＋－＠") {
		return "'" + s
	}
	return s
}
