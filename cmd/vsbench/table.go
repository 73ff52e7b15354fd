package main

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"time"
)

// writeTables writes what was measured as Markdown.
func writeTables(out io.Writer, all []measured) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Measured on %d cores, %s/%s, %s. Memory is the peak of anonymous memory, and in brackets of the whole process with its mapped files.\n"+
		"The floor is a bare reader of the same pages and one write of each durable record, in sorted portions.\n",
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	for _, m := range all {
		fmt.Fprintf(&b, "\n**%s**\n\n", m.size.words())
		b.WriteString("| work | wall | CPU | memory | requests | store calls | store writes | changes | files grew |\n")
		b.WriteString("|---|--:|--:|--:|--:|--:|--:|--:|--:|\n")
		for _, r := range m.phases {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", r.Phase, short(r.Wall), short(r.CPU), megabytes(r.reading),
				thousands(int64(r.Requests)), thousands(int64(r.StoreCalls)), thousands(int64(r.Writes)), thousands(int64(r.Changes)), bytesText(r.Grown))
		}
		m.writeFloor(&b)
	}
	if _, err := out.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

func (m measured) writeFloor(b *bytes.Buffer) {
	f := m.floor
	fmt.Fprintf(b, "| floor: read %s pages | %s | %s | %s | | | | | |\n", thousands(int64(f.Pages)), short(f.Read.Wall), short(f.Read.CPU), megabytes(f.Read))
	fmt.Fprintf(b, "| floor: write %s records | %s | %s | %s | | | | | %s |\n", thousands(int64(f.Records)), short(f.Write.Wall), short(f.Write.CPU), megabytes(f.Write), bytesText(f.Bytes))
	if len(m.phases) == 0 {
		return
	}
	first := m.phases[0]
	fmt.Fprintf(b, "\nFirst import against the floor: %.2f × wall, %.2f × CPU. State: %d bytes a person (mirror and snapshots).\n",
		ratio(first.Wall, f.Read.Wall+f.Write.Wall), ratio(first.CPU, f.Read.CPU+f.Write.CPU), f.State/int64(m.size.People))
}

func ratio(a, b time.Duration) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

func short(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

func megabytes(r reading) string {
	return fmt.Sprintf("%d MB (%d)", r.Anonymous>>20, r.Resident>>20)
}

func bytesText(n int64) string {
	switch {
	case n > -10_000 && n < 10_000:
		return fmt.Sprintf("%d B", n)
	case n > -10_000_000 && n < 10_000_000:
		return fmt.Sprintf("%d kB", n/1000)
	default:
		return fmt.Sprintf("%d MB", n/1_000_000)
	}
}
