package main

import (
	"strings"
)

// manualWidth is how wide the manual is printed, in characters.
const manualWidth = 80

// plainMarkdown turns the little Markdown that the manual is written in into
// text for a terminal: headings, paragraphs, lists, indented code, tables.
func plainMarkdown(text string) string {
	var b strings.Builder
	var header []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "    "):
			b.WriteString(line + "\n")
		case strings.HasPrefix(line, "# "):
			title := strings.ToUpper(strings.TrimPrefix(line, "# "))
			b.WriteString(title + "\n")
		case strings.HasPrefix(line, "#"):
			title := strings.TrimLeft(line, "# ")
			b.WriteString(title + "\n" + strings.Repeat("-", len([]rune(title))) + "\n")
		case strings.HasPrefix(line, "|"):
			header = tableLine(&b, line, header)
			continue
		default:
			b.WriteString(plainInline(line) + "\n")
		}
		header = nil
	}
	return b.String()
}

// shortCell is up to how many characters a first cell shares its line.
const shortCell = 6

// tableLine writes one row as a first line and an indented rest, which reads
// better on a terminal than columns do. The header and its rule are left out.
func tableLine(b *strings.Builder, line string, header []string) []string {
	cells := strings.Split(strings.Trim(line, "|"), "|")
	for i := range cells {
		cells[i] = plainInline(strings.TrimSpace(cells[i]))
	}
	switch {
	case header == nil, strings.HasPrefix(line, "|---"):
		return cells
	}
	if name := cells[0]; len(cells) == 2 && len([]rune(name)) < shortCell {
		var rest strings.Builder
		writeWrapped(&rest, cells[1], strings.Repeat(" ", shortCell))
		b.WriteString(name + rest.String()[len([]rune(name)):])
		return cells
	}
	writeWrapped(b, cells[0], "")
	for _, cell := range cells[1:] {
		writeWrapped(b, cell, "    ")
	}
	return cells
}

// writeWrapped writes words in lines of no more than manualWidth.
func writeWrapped(b *strings.Builder, text, indent string) {
	line := indent
	for word := range strings.FieldsSeq(text) {
		if line != indent && len([]rune(line))+1+len([]rune(word)) > manualWidth {
			b.WriteString(line + "\n")
			line = indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	b.WriteString(line + "\n")
}

// plainInline takes the marks off code and emphasis.
func plainInline(line string) string {
	return strings.NewReplacer("`", "", "**", "").Replace(line)
}
