package config

import "strings"

// suggest says what a misspelt word may have meant: the nearest of the known
// ones when one is near, else all of them.
func suggest(word string, known []string) string {
	best, nearest := "", 3 // more than two slips are another word
	for _, candidate := range known {
		d := distance(strings.ToLower(word), strings.ToLower(candidate))
		if d < nearest && d < len(candidate) {
			best, nearest = candidate, d
		}
	}
	switch {
	case best != "":
		return "did you mean " + best + "?"
	case len(known) == 1:
		return "only " + known[0] + " is taken here"
	default:
		return "write one of: " + strings.Join(known, ", ")
	}
}

// distance is the number of letters to insert, drop, change or swap with their
// neighbour to make b of a.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	if len(x) > 64 || len(y) > 64 {
		return max(len(x), len(y))
	}
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			change := 1
			if x[i-1] == y[j-1] {
				change = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(x)][len(y)]
}
