package entrasim

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// propertyPath spells the short forms of the text language out.
func propertyPath(key string) string {
	switch key {
	case "upn":
		return "userPrincipalName"
	case "name":
		return "displayName"
	case "enabled":
		return "accountEnabled"
	case "type":
		return "userType"
	}
	if n, ok := strings.CutPrefix(key, "ext"); ok {
		if i, err := strconv.Atoi(n); err == nil && 1 <= i && i <= userExtCount {
			return extensionObject + ".extensionAttribute" + n
		}
	}
	return key
}

func (t *Tenant) userStatement(words []word) error {
	spec := UserSpec{Attributes: map[string]string{}}
	for i, w := range words {
		switch {
		case w.key == "" && i == 0:
			spec.UPN = w.text
		case w.key == "" && i == 1:
			spec.DisplayName = w.text
		case w.key == "":
			return fmt.Errorf("user %q: what is %q? A display name of several words needs quotes", spec.UPN, w.text)
		case w.key == "id":
			id, err := identity.ParseObjectID(w.text)
			if err != nil {
				return fmt.Errorf("user %q: %w", spec.UPN, err)
			}
			spec.ID = id
		case w.key == "lag":
			// after the user exists
		default:
			spec.Attributes[propertyPath(w.key)] = w.text
		}
	}
	if spec.DisplayName == "" {
		local, _, _ := strings.Cut(spec.UPN, "@")
		spec.DisplayName = local
	}
	id, err := t.AddUser(spec)
	if err != nil {
		return err
	}
	for _, w := range words {
		if w.key == "lag" {
			d, err := parseDuration(w.text)
			if err != nil {
				return err
			}
			return t.Lag(id.String(), d)
		}
	}
	return nil
}

func (t *Tenant) groupStatement(words []word) error {
	spec := GroupSpec{}
	spec.Name, words = leadingName(words)
	for _, w := range words {
		var err error
		switch {
		case w.key == "" && w.text == "hidden":
			spec.Hidden = true
		case w.key == "id":
			spec.ID, err = identity.ParseObjectID(w.text)
		case w.key == "kind":
			spec.Kind, err = parseGroupKind(w.text)
		case w.key == "description":
			spec.Description = w.text
		case w.key == "mail":
			spec.Mail = w.text
		case w.key == "rule":
			spec.Rule = w.text
		default:
			err = fmt.Errorf("what is %q?", w.key+w.text)
		}
		if err != nil {
			return fmt.Errorf("group %q: %w", spec.Name, err)
		}
	}
	_, err := t.AddGroup(spec)
	return err
}

// leadingName joins the words before the first key=value or flag: group names
// may be written without quotes.
func leadingName(words []word) (string, []word) {
	var name []string
	for i, w := range words {
		if w.key != "" || i > 0 && !w.quoted && w.text == "hidden" || i > 0 && words[0].quoted {
			return strings.Join(name, " "), words[i:]
		}
		name = append(name, w.text)
	}
	return strings.Join(name, " "), nil
}

func parseGroupKind(s string) (GroupKind, error) {
	for kind := Security; kind <= MailSecurity; kind++ {
		if s == kind.String() {
			return kind, nil
		}
	}
	return 0, fmt.Errorf("kind is security, microsoft365, distribution or mailSecurity, not %q", s)
}

func parseKind(s string) (Kind, error) {
	for kind := User; kind <= Other; kind++ {
		if s == kind.String() {
			return kind, nil
		}
	}
	return 0, fmt.Errorf("%q is no kind of object", s)
}

func (t *Tenant) objectStatement(verb string, words []word) error {
	kind, err := parseKind(verb)
	if err != nil {
		return err
	}
	name, rest := leadingName(words)
	var id ID
	for _, w := range rest {
		if w.key != "id" {
			return fmt.Errorf("%s %q: what is %q?", verb, name, w.key+w.text)
		}
		if id, err = identity.ParseObjectID(w.text); err != nil {
			return fmt.Errorf("%s %q: %w", verb, name, err)
		}
	}
	_, err = t.AddObject(kind, name, id)
	return err
}

func (t *Tenant) setStatement(words []word) error {
	kind := User
	if words[0].key == "" && !words[0].quoted && (words[0].text == "group" || words[0].text == "user") {
		kind, _ = parseKind(words[0].text)
		words = words[1:]
	}
	name, rest := leadingName(words)
	if len(rest) == 0 {
		return fmt.Errorf("set %q: nothing to set, want property=value", name)
	}
	changes := map[string]*string{}
	for _, w := range rest {
		if w.key == "" {
			return fmt.Errorf("set %q: what is %q? Values with blanks need quotes", name, w.text)
		}
		changes[propertyPath(w.key)] = nil
		if w.text != "" {
			changes[propertyPath(w.key)] = &w.text
		}
	}
	if kind == Group {
		return t.UpdateGroup(name, changes)
	}
	return t.UpdateUser(name, changes)
}

func (t *Tenant) renameStatement(words []word) error {
	if len(words) < 3 || words[0].text != "group" {
		return fmt.Errorf(`want: rename group NAME "NEW NAME"`)
	}
	name, _ := leadingName(words[1 : len(words)-1])
	return t.RenameGroup(name, words[len(words)-1].text)
}

func (t *Tenant) lifeStatement(verb string, words []word) error {
	kind, err := parseKind(words[0].text)
	if err != nil || len(words) < 2 {
		return fmt.Errorf("want: %s user NAME, or %s group NAME", verb, verb)
	}
	name, _ := leadingName(words[1:])
	switch verb + " " + kind.String() {
	case "delete user":
		return t.DeleteUser(name)
	case "restore user":
		return t.RestoreUser(name)
	case "purge user":
		return t.PurgeUser(name)
	case "recreate user":
		_, err := t.RecreateUser(name)
		return err
	case "delete group":
		return t.DeleteGroup(name)
	case "restore group":
		return t.RestoreGroup(name)
	case "purge group":
		return t.PurgeGroup(name)
	case "hide group", "show group":
		return t.HideGroup(name, verb == "hide")
	case "forbid group", "permit group":
		return t.ForbidGroup(name, verb == "forbid")
	}
	return fmt.Errorf("cannot %s a %s", verb, kind)
}

func (t *Tenant) lagStatement(words []word) error {
	if len(words) < 3 {
		return fmt.Errorf("want: lag user NAME 30s")
	}
	d, err := parseDuration(words[len(words)-1].text)
	if err != nil {
		return err
	}
	name, _ := leadingName(words[1 : len(words)-1])
	return t.Lag(words[0].text+" "+name, d)
}

// parseDuration is time.ParseDuration with d for days.
func parseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil {
			return 0, fmt.Errorf("%q is no duration", s)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration: %w", s, err)
	}
	return d, nil
}
