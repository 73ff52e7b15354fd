package main

import (
	"slices"
	"strings"
)

// neededPermission is an application permission that a run needs.
type neededPermission struct {
	name string
	does string
	// covers are higher ones that allow the same and more.
	covers []string
}

// neededPermissions are the least ones (facts of the service's documentation:
// group delta, user delta).
var neededPermissions = []neededPermission{ //nolint:gochecknoglobals // a constant table
	{
		"GroupMember.Read.All", "reading groups and their members",
		[]string{"GroupMember.ReadWrite.All", "Group.Read.All", "Group.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"},
	},
	{
		"User.Read.All", "reading the people",
		[]string{"User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"},
	},
}

// hiddenPermission is needed for groups with hidden membership, and for
// nothing else.
const hiddenPermission = "Member.Read.Hidden"

// permissions compares what the token carries with the least that is needed.
func (c *checkup) permissions(about string, held []string, hidden []string) {
	if len(held) == 0 {
		c.fail(exitUnreachable, about, "permissions", "the token carries no application permission",
			"add "+neededPermissions[0].name+" and "+neededPermissions[1].name+" (application permissions of Microsoft Graph) to the registration, and give admin consent")
		return
	}
	useful := map[string]bool{}
	for _, need := range neededPermissions {
		useful[need.name] = true
		stand := slices.IndexFunc(need.covers, func(name string) bool { return slices.Contains(held, name) })
		switch {
		case slices.Contains(held, need.name):
			c.ok(about, "permission "+need.name, "held: %s", need.does)
		case stand >= 0:
			higher := need.covers[stand]
			c.warn(about, "permission "+need.name, "not held, "+higher+" stands in for it", "grant "+need.name+", then take "+higher+" away")
		default:
			c.fail(exitUnreachable, about, "permission "+need.name, "missing: it is needed for "+need.does, "grant the application permission "+need.name+" and give admin consent")
		}
	}
	c.hiddenPermission(about, slices.Contains(held, hiddenPermission), hidden)
	useful[hiddenPermission] = true
	for _, name := range held {
		if useful[name] {
			continue
		}
		detail := "held and not needed"
		if strings.Contains(name, "Write") || strings.Contains(name, "Create") {
			detail += ": it can change the tenant"
		}
		c.warn(about, "permission "+name, detail, "take "+name+" away from the registration")
	}
}

func (c *checkup) hiddenPermission(about string, held bool, hidden []string) {
	switch {
	case held && len(hidden) > 0:
		c.ok(about, "permission "+hiddenPermission, "held: needed for %s", strings.Join(hidden, ", "))
	case held:
		c.warn(about, "permission "+hiddenPermission, "held, but no configured group has a hidden membership", "take "+hiddenPermission+" away, unless a nested group needs it")
	case len(hidden) > 0:
		c.fail(exitUnreachable, about, "permission "+hiddenPermission, "missing: the members of "+strings.Join(hidden, ", ")+" are hidden",
			"grant the application permission "+hiddenPermission+" and give admin consent, or take the groups out")
	}
}
