package main

import (
	"fmt"
	"strconv"
	"strings"
)

// size is one tenant and the vaults on it.
type size struct {
	People      int `json:"people"`
	Groups      int `json:"groups"`
	Nesting     int `json:"nesting"`     // levels of groups inside a top group
	Memberships int `json:"memberships"` // direct ones of each person
	Vaults      int `json:"vaults"`      // the top groups are dealt out among them
}

// usualSizes are those of the table: small, the budget's, many vaults.
func usualSizes(full bool) []size {
	sizes := []size{
		{People: 10_000, Groups: 100, Nesting: 3, Memberships: 5, Vaults: 1},
		{People: 100_000, Groups: 200, Memberships: 5, Vaults: 1},
		{People: 100_000, Groups: 2000, Nesting: 1, Memberships: 1, Vaults: 1000},
	}
	if full {
		sizes = append(sizes,
			size{People: 1_000_000, Groups: 1000, Memberships: 5, Vaults: 1},
			size{People: 1_000_000, Groups: 2000, Nesting: 1, Memberships: 1, Vaults: 1000})
	}
	return sizes
}

func parseSize(text string) (size, error) {
	var n [5]int
	parts := strings.Split(text, ",")
	if len(parts) != len(n) {
		return size{}, fmt.Errorf("%q is not PEOPLE,GROUPS,NESTING,MEMBERSHIPS,VAULTS", text)
	}
	for i, part := range parts {
		var err error
		if n[i], err = strconv.Atoi(part); err != nil || n[i] < 0 {
			return size{}, fmt.Errorf("%q is not a number of things", part)
		}
	}
	s := size{People: n[0], Groups: n[1], Nesting: n[2], Memberships: n[3], Vaults: n[4]}
	if s.People == 0 || s.Vaults == 0 || s.Groups/(s.Nesting+1) < s.Vaults {
		return size{}, fmt.Errorf("%q: there must be people, vaults, and a top group for each vault", text)
	}
	return s, nil
}

// String is the form that -size takes.
func (s size) String() string {
	return fmt.Sprintf("%d,%d,%d,%d,%d", s.People, s.Groups, s.Nesting, s.Memberships, s.Vaults)
}

// words is the form of the table.
func (s size) words() string {
	shape := "flat"
	if s.Nesting > 0 {
		shape = fmt.Sprintf("%d deep", s.Nesting+1)
	}
	vaults := "1 vault"
	if s.Vaults > 1 {
		vaults = thousands(int64(s.Vaults)) + " vaults"
	}
	return fmt.Sprintf("%s people, %s groups (%s), %s memberships, %s",
		thousands(int64(s.People)), thousands(int64(s.Groups)), shape, thousands(int64(s.People*s.Memberships)), vaults)
}

// thousands writes 1234567 as 1,234,567.
func thousands(n int64) string {
	text := strconv.FormatInt(n, 10)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}
