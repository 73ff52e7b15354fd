package explain

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vaultsync/vaultsync/pkg/provlog"
)

// Text is the explanation for a terminal: the answer first, what it rests on
// after it. It ends with a newline.
func (e Explanation) Text() string {
	var t text
	t.line("%s", e.Summary)
	t.person(e)
	t.groups(e.Groups)
	t.scope(e.Scope)
	t.license(e.License)
	t.account(e.Account)
	if len(e.Store) > 0 {
		t.title("In the vault's store")
		for _, line := range e.Store {
			t.line("  - %s", line)
		}
	}
	if len(e.Held) > 0 {
		t.title("Held by a guard")
		for _, h := range e.Held {
			t.held(h)
		}
	}
	if len(e.Findings) > 0 {
		t.title("Worth knowing")
		for _, f := range e.Findings {
			t.line("  - %s", f)
		}
	}
	t.changes(e)
	return t.b.String()
}

// text is lines in the making; nothing that a terminal obeys gets into them.
type text struct{ b strings.Builder }

func (t *text) line(format string, args ...any) {
	t.b.WriteString(strings.TrimRight(provlog.Plain(fmt.Sprintf(format, args...)), " "))
	t.b.WriteByte('\n')
}

func (t *text) title(title string) {
	t.b.WriteByte('\n')
	t.line("%s", title)
}

// row is one value with its name; one without a value is left out.
func (t *text) row(name, value string) {
	if value != "" {
		t.line("  %-12s %s", name, value)
	}
}

func (t *text) person(e Explanation) {
	p := e.Person
	if e.Standing == Unknown {
		return
	}
	t.title("Person")
	t.row("name", p.Name)
	t.row("login name", p.Login)
	t.row("mail", p.Mail)
	t.row("object id", p.ID.String())
	var states []string
	switch {
	case !p.Known:
		states = append(states, "not known to the local copy")
	case p.Deleted:
		states = append(states, "deleted")
	case p.Disabled:
		states = append(states, "disabled")
	case p.Profile:
		states = append(states, "there and enabled")
	}
	if p.Known && !p.Profile {
		states = append(states, "profile not read")
	}
	read := "never read"
	if !e.ReadAt.IsZero() {
		read = "read " + stamp(e.ReadAt)
	}
	t.row("directory", fmt.Sprintf("%s (%s, %s)", strings.Join(states, ", "), e.Directory, read))
}

func (t *text) groups(groups []Group) {
	if len(groups) == 0 {
		return
	}
	t.title("Groups")
	width := 0
	for _, g := range groups {
		width = max(width, len([]rune(g.Name)))
	}
	for _, g := range groups {
		mark, status := "-", "not a member"
		switch {
		case g.Counts && !g.Member:
			mark, status = "+", "keeps what was applied"
		case g.Counts:
			mark, status = "+", "member"
		case g.Member && g.State == GroupMissing:
			status = "was a member"
		case g.Member:
			status = "member"
		case g.State == GroupRemoved:
			status = "still in the vault's group"
		case g.unread():
			mark, status = "?", "not known"
		}
		if len(g.Path) > 1 && g.Member {
			status += " through " + strings.Join(g.Path[1:], pathSign)
		}
		if g.Member && !g.Counts && g.State != GroupMissing {
			status += ", but not let in"
		}
		if g.Counts && g.License != "" {
			status += ", licence " + string(g.License)
		}
		if g.Applied && !g.Counts && g.State != GroupRemoved {
			status += "; still in the vault's group"
		}
		t.line("  %s %-*s  %s", mark, width, g.Name, status)
		if g.Why != "" || g.Meaning != "" {
			t.line("    %-*s  %s", width, "", join(g.State, g.Why, g.Meaning))
		}
	}
}

// join writes a group's state, its reason and its meaning.
func join(state, why, meaning string) string {
	words := map[string]string{
		GroupRead: "", GroupEmpty: "nobody is in it", GroupUnreadable: "cannot be read in full", GroupNotRead: "",
		GroupMissing: "gone from the directory", GroupUnresolved: "", GroupRemoved: "",
	}
	parts := slices.DeleteFunc([]string{words[state], why}, func(s string) bool { return s == "" })
	head := strings.Join(parts, ": ")
	if head != "" && meaning != "" {
		head += "; "
	}
	return head + meaning
}

func (t *text) scope(s *Scope) {
	if s == nil {
		return
	}
	t.title("Scope")
	t.row("expression", s.Expression)
	for _, path := range slices.Sorted(maps.Keys(s.Saw)) {
		t.row("saw", fmt.Sprintf("user.%s = %q", path, s.Saw[path]))
	}
	switch s.Result {
	case ScopeIn:
		t.row("result", "true: in scope")
	case ScopeOut:
		t.row("result", "false: out of scope")
	default:
		t.row("result", "not known: "+s.Problem)
	}
}

func (t *text) license(l *License) {
	if l == nil {
		return
	}
	t.title("Licence")
	for _, g := range l.Groups {
		t.row("group", fmt.Sprintf("%s gives %s", g.Group, g.License))
	}
	if l.Wanted != "" {
		choice := fmt.Sprintf("%s, for a new login account", l.Wanted)
		if len(l.Order) > 0 && len(l.Groups) > 1 {
			choice += fmt.Sprintf("; order: %s", list(l.Order))
		}
		if len(l.Fallback) > 0 {
			choice += fmt.Sprintf("; else: %s", list(l.Fallback))
		}
		t.row("choice", choice)
	}
	t.row("given", l.Text)
}

func list[T ~string](values []T) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return strings.Join(texts, ", ")
}

func (t *text) account(a *Account) {
	if a == nil {
		return
	}
	t.title("Account in the vault")
	state := a.State
	if !a.Since.IsZero() {
		state += " since " + stamp(a.Since)
	}
	t.row("state", state)
	t.row("login name", a.Login)
	t.row("user id", a.UserID)
	if a.Adopted {
		t.row("origin", "was in the vault before and was taken over")
	} else if a.UserID != "" {
		t.row("origin", "made by synchronization")
	}
	if a.DisabledBy != "" {
		t.row("disabled by", a.DisabledBy)
	}
	if !a.KeepsUntil.IsZero() {
		t.row("keeps until", stamp(a.KeepsUntil))
	}
	t.row("waits", a.Problem)
	if a.Tries > 0 {
		tries := fmt.Sprintf("%d failed in a row", a.Tries)
		if !a.Retry.IsZero() {
			tries += ", the next after " + stamp(a.Retry)
		}
		t.row("tries", tries)
	}
	if a.Rejected {
		t.row("rejected", "an administrator rejected changes of this person")
	}
	if a.Protected {
		t.row("protected", "yes (accounts.protected)")
	}
	t.row("make again", a.Recreate)
}

func (t *text) held(h Held) {
	what := h.Kind
	if h.Group != "" {
		what += " group " + h.Group
	}
	t.line("  %s by %s since %s: %s", what, h.Guard, stamp(h.Since), h.Why)
	if h.Released {
		t.line("    approved; the next run makes it")
		return
	}
	t.line("    %s", h.Approve)
	t.line("    %s", h.Reject)
}

func (t *text) changes(e Explanation) {
	if len(e.Changes) == 0 && e.ChangesProblem == "" {
		return
	}
	t.title("Last changes")
	for _, c := range e.Changes {
		t.line("  %s", provlog.FormatText(c))
	}
	if e.ChangesProblem != "" {
		t.line("  not all: %s", e.ChangesProblem)
	}
}
