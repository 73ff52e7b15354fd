package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/vaultsync/vaultsync/pkg/apply"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
)

// notesAtMost is how many waiting people a report names on a terminal; status
// and plan name all of them.
const notesAtMost = 20

// printReportText says in words what a run did.
func printReportText(w io.Writer, r reconcile.Report) {
	verb := ""
	if r.DryRun {
		verb = " (dry run: nothing was changed)"
	}
	took := r.Finished.Sub(r.Started).Round(time.Millisecond)
	done := countsText(r.Counts)
	if r.Outcome == reconcile.Failed && r.Counts.Made() == 0 {
		done = "nothing was changed"
	}
	fmt.Fprintf(w, "%s: %s%s: %s; %s run, %d directory and %d store requests, %s\n", //nolint:errcheck // terminal output
		r.Vault, r.Outcome, verb, done, r.Mode, r.Requests.Directory, r.Requests.Store, took)
	for _, t := range r.Guards {
		fmt.Fprintf(w, "  held by the guard %s: %s\n", t.Guard, t.Text) //nolint:errcheck // terminal output
	}
	if r.HeldPlan != "" {
		fmt.Fprintf(w, "  look: vaultsync plan %s; release: vaultsync approve %s %s\n", r.Vault, r.Vault, r.HeldPlan) //nolint:errcheck // terminal output
	}
	printNotes(w, r.Waiting, notesAtMost, r.Vault)
}

func printNotes(w io.Writer, notes []plan.Note, most int, vault string) {
	for i, n := range notes {
		if i == most {
			fmt.Fprintf(w, "  … and %d more: vaultsync status %s\n", len(notes)-most, vault) //nolint:errcheck // terminal output
			return
		}
		who := n.Login
		if who == "" {
			who = n.Group
		}
		if who == "" {
			who = n.Person.String()
		}
		fmt.Fprintf(w, "  %s: %s: %s\n", n.Kind, printable(who), printable(n.Text)) //nolint:errcheck // terminal output
	}
}

// countsText names what is not zero.
func countsText(c apply.Counts) string {
	var parts []string
	add := func(n int, what string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, what))
		}
	}
	add(c.Created, "created")
	add(c.Updated, "updated")
	add(c.Disabled, "disabled")
	add(c.Enabled, "enabled")
	add(c.GroupsCreated, "groups created")
	add(c.GroupsUpdated, "groups updated")
	add(c.MembersAdded, "members added")
	add(c.MembersRemoved, "members removed")
	add(c.Held, "held")
	add(c.Failed, "failed")
	if len(parts) == 0 {
		return "nothing to do"
	}
	return strings.Join(parts, ", ")
}

// printable keeps what comes from a directory from steering a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '·'
		}
		return r
	}, s)
}

// planHeadings are the kinds of change as an administrator reads them.
var planHeadings = []struct { //nolint:gochecknoglobals // a constant table
	kind plan.Kind
	text string
}{
	{plan.Create, "will be created"},
	{plan.Disable, "will be disabled"},
	{plan.Enable, "will be enabled again"},
	{plan.Update, "will be updated"},
	{plan.GroupCreate, "groups to make"},
	{plan.GroupUpdate, "groups to update"},
	{plan.MemberAdd, "will join a group"},
	{plan.MemberRemove, "will leave a group"},
}

// printPlanText shows every change with its reason, those that are held last.
func printPlanText(w io.Writer, r reconcile.Report) {
	p := r.Plan
	fmt.Fprintf(w, "plan %s for %s: %s\n", p.Digest(), r.Vault, countsText(r.Counts)) //nolint:errcheck // terminal output
	for _, heading := range planHeadings {
		printChanges(w, p, heading.kind, heading.text, false)
	}
	for _, t := range p.Trips {
		fmt.Fprintf(w, "\nheld by the guard %s: %s\n", t.Guard, t.Text) //nolint:errcheck // terminal output
	}
	for _, heading := range planHeadings {
		printChanges(w, p, heading.kind, strings.Replace(heading.text, "will", "held: would", 1), true)
	}
	if digest := p.HeldDigest(); digest != "" {
		fmt.Fprintf(w, "\nrelease what is held: vaultsync approve %s %s\ndrop it:              vaultsync reject %s %s\n", r.Vault, digest, r.Vault, digest) //nolint:errcheck // terminal output
	}
	if len(p.Notes) > 0 {
		fmt.Fprintln(w, "\nwaiting, and worth knowing:") //nolint:errcheck // terminal output
		printNotes(w, p.Notes, len(p.Notes), r.Vault)
	}
}

func printChanges(w io.Writer, p *plan.Plan, kind plan.Kind, text string, held bool) {
	n := 0
	for _, c := range p.Changes {
		if c.Kind != kind || (c.Held != "") != held {
			continue
		}
		if n == 0 {
			fmt.Fprintf(w, "\n%s:\n", text) //nolint:errcheck // terminal output
		}
		n++
		fmt.Fprintf(w, "  %s\n", changeText(c)) //nolint:errcheck // terminal output
	}
}

func changeText(c plan.Change) string {
	var b strings.Builder
	b.WriteString(printable(c.Login))
	switch c.Kind {
	case plan.GroupCreate, plan.GroupUpdate:
		b.WriteString(printable(c.Group))
	case plan.MemberAdd, plan.MemberRemove:
		b.WriteString(" – " + printable(c.Group))
	case plan.Create, plan.Disable, plan.Enable, plan.Update:
	}
	if c.Kind == plan.Update || c.Kind == plan.GroupUpdate {
		for _, name := range c.After.Names() {
			fmt.Fprintf(&b, " %s: %q → %q", name, c.Before[name], c.After[name])
		}
	}
	if c.Kind == plan.Create && c.After["license"] != "" {
		b.WriteString(" (" + c.After["license"] + ")")
	}
	b.WriteString("   [" + printable(c.Why) + "]")
	return b.String()
}
