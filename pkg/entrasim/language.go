package entrasim

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// ParseTenant reads a tenant from its text form, one line a thing:
//
//	tenant 8a4b0d3e-0000-4000-8000-000000000001
//	app 5d2f9c1a-0000-4000-8000-000000000002 secret=demo roles=GroupMember.Read.All,User.Read.All
//	user ann@contoso.com "Ann B" mail=ann@contoso.com department=Sales ext1=x
//	user bob@contoso.com "Bob C" enabled=false type=Guest id=…
//	group Sales id=… kind=security hidden
//	group "Sales EU" description="All of Europe"
//	device "Laptop 7"
//	member Sales: ann@contoso.com, group Sales EU, device Laptop 7
//
// Ids default to IDOf, the tenant to DemoTenantID, and an app that may read
// users and memberships (DemoClientID, DemoSecret) is added when the text names
// none. # begins a comment. All faulty lines are reported at once, each with
// its number.
func ParseTenant(text string) (*Tenant, error) {
	id, hasApp := DemoTenantID(), false
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "tenant "); ok {
			if given, err := identity.ParseObjectID(strings.TrimSpace(rest)); err == nil {
				id = given
			}
		}
		hasApp = hasApp || strings.HasPrefix(strings.TrimSpace(line), "app ")
	}
	t := NewTenant(id)
	if !hasApp {
		t.AddApp(DemoApp()) // first, so that grant and revoke find it
	}
	if err := t.Apply(text); err != nil {
		return nil, err
	}
	return t, nil
}

// Apply changes the tenant by statements of its text form. Beside those of
// ParseTenant:
//
//	+member Sales: bob@contoso.com
//	-member Sales: ann@contoso.com, group Sales EU
//	set ann@contoso.com upn=ann.b@contoso.com displayName="Ann Berg" department=
//	set group Sales description="…"
//	rename group Sales "Sales Europe"
//	delete user ann@contoso.com        (also: restore, purge, recreate)
//	delete group Sales                 (also: restore, purge)
//	hide group Sales                   (also: show)
//	forbid group Sales                 (also: permit)
//	lag user ann@contoso.com 30s
//	grant Member.Read.Hidden           (also: revoke; all apps)
//	advance 8d
//	reset tokens
//
// An empty value clears a property. Lines are applied in order; one that fails
// is reported with its number and the rest is still applied.
func (t *Tenant) Apply(text string) error {
	var errs []error
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(strings.TrimRight(line, "\r\n"))
		if line == "" || line[0] == '#' {
			continue
		}
		if err := t.statement(line); err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", number, err))
		}
	}
	return errors.Join(errs...)
}

// statement applies one line.
func (t *Tenant) statement(line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "member", "+member", "-member":
		return t.memberStatement(verb, rest)
	}
	words, err := splitWords(rest)
	if err != nil {
		return err
	}
	if len(words) == 0 {
		return fmt.Errorf("%q needs more words", verb)
	}
	switch verb {
	case "tenant":
		return t.tenantStatement(words)
	case "app":
		return t.appStatement(words)
	case "user":
		return t.userStatement(words)
	case "group":
		return t.groupStatement(words)
	case "device", "servicePrincipal", "contact", "object":
		return t.objectStatement(verb, words)
	case "set":
		return t.setStatement(words)
	case "rename":
		return t.renameStatement(words)
	case "delete", "restore", "purge", "recreate", "hide", "show", "forbid", "permit":
		return t.lifeStatement(verb, words)
	case "lag":
		return t.lagStatement(words)
	case "grant", "revoke":
		for _, w := range words {
			t.grantAll(strings.Trim(w.text, ","), verb == "grant")
		}
		return nil
	case "advance":
		d, err := parseDuration(words[0].text)
		if err != nil {
			return err
		}
		t.Advance(d)
		return nil
	case "reset":
		if words[0].text != "tokens" {
			return fmt.Errorf("reset what? only %q is known", "reset tokens")
		}
		t.ResetTokens()
		return nil
	}
	return fmt.Errorf("unknown statement %q", verb)
}

func (t *Tenant) tenantStatement(words []word) error {
	id, err := identity.ParseObjectID(words[0].text)
	if err != nil {
		return err
	}
	if id != t.id {
		return fmt.Errorf("the tenant is %s and cannot become %s", t.id, id)
	}
	return nil
}

// memberStatement reads "Sales: ann@contoso.com, group Sales EU". What is
// already so is no error: scenarios repeat themselves.
func (t *Tenant) memberStatement(verb, rest string) error {
	parts := splitOutside(rest, ':', 2)
	if len(parts) != 2 {
		return fmt.Errorf("want %q", verb+" GROUP: MEMBER, MEMBER…")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_, group := splitRef("group " + strings.TrimSpace(parts[0]))
	g, err := t.findKind(Group, group)
	if err != nil {
		return err
	}
	var errs []error
	list, _, _ := strings.Cut(parts[1], " #")
	for _, ref := range splitOutside(list, ',', 0) {
		if strings.TrimSpace(ref) == "" {
			continue
		}
		m, err := t.resolve(ref)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		t.setEdge(g, m, verb != "-member")
	}
	return errors.Join(errs...)
}
