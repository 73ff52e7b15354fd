package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/vaultsync/vaultsync/pkg/plan"
)

// kindsInOrder is the order in which a plan makes its changes.
var kindsInOrder = []plan.Kind{plan.GroupUpdate, plan.GroupCreate, plan.Disable, plan.MemberRemove, plan.Update, plan.Enable, plan.Create, plan.MemberAdd}

// planText is the changes of a plan, one a line: by kind in the order in which
// they are made, then by text.
func planText(changes []plan.Change, name func(string) string) string {
	ordered := slices.Clone(changes)
	slices.SortStableFunc(ordered, func(a, b plan.Change) int {
		return cmp.Or(
			cmp.Compare(slices.Index(kindsInOrder, a.Kind), slices.Index(kindsInOrder, b.Kind)),
			cmp.Compare(changeLine(a, name), changeLine(b, name)),
		)
	})
	var b strings.Builder
	for _, c := range ordered {
		b.WriteString(changeLine(c, name) + "\n")
	}
	return b.String()
}

func changeLine(c plan.Change, name func(string) string) string {
	who := cmp.Or(c.Login, name(c.Person.String()))
	var text string
	switch c.Kind {
	case plan.MemberAdd, plan.MemberRemove:
		text = fmt.Sprintf("%s %s: %s", c.Kind, c.Group, who)
	case plan.GroupCreate:
		text = fmt.Sprintf("%s %s", c.Kind, c.Group)
	case plan.GroupUpdate:
		text = fmt.Sprintf("%s %s:%s", c.Kind, c.Group, valuesText(c, name))
	case plan.Create:
		text = fmt.Sprintf("%s %s (%s)", c.Kind, who, cmp.Or(c.After["license"], "the account's own licence"))
	case plan.Disable, plan.Enable:
		text = fmt.Sprintf("%s %s", c.Kind, who)
		if c.After["deleted"] != "" {
			text = "vanished " + who
		}
	default:
		text = fmt.Sprintf("%s %s:%s", c.Kind, who, valuesText(c, name))
	}
	if c.Held != "" {
		return "held " + c.Held + ": " + text
	}
	return text
}

func valuesText(c plan.Change, name func(string) string) string {
	var b strings.Builder
	for i, field := range c.After.Names() {
		if i > 0 {
			b.WriteString(",")
		}
		before, after := c.Before[field], c.After[field]
		if field == "externalId" {
			before, after = name(before), name(after)
		}
		fmt.Fprintf(&b, " %s %s → %s", field, cmp.Or(before, "-"), cmp.Or(after, "-"))
	}
	return b.String()
}

// notesText is who waits, or is worth a remark, one a line, sorted.
func notesText(notes []plan.Note, name func(string) string) string {
	var all []string
	for _, n := range notes {
		who := cmp.Or(n.Login, n.Group)
		if who == "" && !n.Person.IsZero() {
			who = name(n.Person.String())
		}
		all = append(all, fmt.Sprintf("%s %s\n", n.Kind, who))
	}
	slices.Sort(all)
	return strings.Join(all, "")
}

// userText is one line a user, sorted by login name: an ordinal that stays
// with the account whatever it is called, whether enabled, the licence, the
// names, the groups.
func userText(users []vaultUser, ordinal map[string]int) string {
	slices.SortFunc(users, func(a, b vaultUser) int { return cmp.Compare(a.LoginName, b.LoginName) })
	var b strings.Builder
	for _, u := range users {
		if ordinal[u.ID] == 0 {
			ordinal[u.ID] = len(ordinal) + 1
		}
		state := "on "
		if !u.Enabled {
			state = "off"
		}
		fmt.Fprintf(&b, "#%d %s %-10s %s %q", ordinal[u.ID], state, u.License, u.LoginName, u.FullName)
		if u.Email != "" {
			fmt.Fprintf(&b, " mail=%s", u.Email)
		}
		for _, target := range slices.Sorted(keys(u.Attributes)) {
			fmt.Fprintf(&b, " %s=%s", target, cmp.Or(u.Attributes[target], "-"))
		}
		if !u.Managed {
			b.WriteString(" (by hand)")
		}
		groups := slices.Sorted(slices.Values(u.Groups))
		fmt.Fprintf(&b, " in %s\n", cmp.Or(strings.Join(groups, ", "), "no group"))
	}
	return b.String()
}

func groupText(groups []vaultGroup) string {
	slices.SortFunc(groups, func(a, b vaultGroup) int { return cmp.Compare(a.Name, b.Name) })
	var b strings.Builder
	for _, g := range groups {
		b.WriteString(g.Name)
		if !g.Managed {
			b.WriteString(" (by hand)")
		}
		members := slices.Sorted(slices.Values(g.Members))
		b.WriteString(":")
		if len(members) > 0 {
			b.WriteString(" " + strings.Join(members, ", "))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func keys(m map[string]string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}
