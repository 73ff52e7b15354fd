package entrasim

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// App is an application registration: who may sign in, how, and what it has
// been granted.
type App struct {
	ClientID     string
	Secrets      []Secret
	Certificates []*x509.Certificate
	Federated    []Federated
	// Roles are the application permissions that an administrator has
	// consented to.
	Roles []string
}

// Secret is a client secret; a zero Expires never does.
type Secret struct {
	Value   string
	Expires time.Time
}

// Federated is trust in another issuer's tokens (workload identity).
type Federated struct {
	Issuer, Subject, Audience string
	Key                       crypto.PublicKey
}

// The application permissions that the simulator enforces (graph.md 5 [DOC]).
const (
	PermMembers   = "GroupMember.Read.All"
	PermGroups    = "Group.Read.All"
	PermUsers     = "User.Read.All"
	PermDirectory = "Directory.Read.All"
	PermHidden    = "Member.Read.Hidden"
)

// What the demo tenant and scenario files use unless they say otherwise.
const (
	DemoClientID = "5d2f9c1a-0000-4000-8000-000000000002"
	DemoSecret   = "demo-secret-of-the-simulated-tenant"
)

// DemoTenantID is the id of the demo tenant.
func DemoTenantID() ID {
	return ID{0x8a, 0x4b, 0x0d, 0x3e, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 1}
}

// DemoApp may read users and the members of groups.
func DemoApp() App {
	return App{
		ClientID: DemoClientID,
		Secrets:  []Secret{{Value: DemoSecret}},
		Roles:    []string{PermMembers, PermUsers},
	}
}

// AddApp registers an application, or replaces the registration of that
// client id.
func (t *Tenant) AddApp(app App) {
	t.mu.Lock()
	defer t.mu.Unlock()
	app.Roles = slices.Clone(app.Roles)
	t.apps[strings.ToLower(app.ClientID)] = &app
}

// UpdateApp changes a registration in place. change must not call the tenant.
func (t *Tenant) UpdateApp(clientID string, change func(*App)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	app, ok := t.apps[strings.ToLower(clientID)]
	if !ok {
		return fmt.Errorf("app %q is %w", clientID, ErrUnknown)
	}
	change(app)
	return nil
}

// app is a copy of the registration.
func (t *Tenant) app(clientID string) (App, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	app, ok := t.apps[strings.ToLower(clientID)]
	if !ok {
		return App{}, false
	}
	found := *app
	found.Roles = slices.Clone(app.Roles)
	return found, true
}

// Grant gives every app a permission; Revoke takes it away. Requests see it at
// once: the consent counts, not what a token was issued with.
func (t *Tenant) Grant(role string) { t.grantAll(role, true) }

// Revoke takes a permission from every app.
func (t *Tenant) Revoke(role string) { t.grantAll(role, false) }

func (t *Tenant) grantAll(role string, in bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, app := range t.apps {
		app.Roles = slices.DeleteFunc(app.Roles, func(r string) bool { return strings.EqualFold(r, role) })
		if in {
			app.Roles = append(app.Roles, role)
		}
	}
}

// appStatement reads: app CLIENTID secret=… expires=2026-01-01 roles=A,B.
func (t *Tenant) appStatement(words []word) error {
	app := App{ClientID: words[0].text}
	if _, err := identity.ParseObjectID(app.ClientID); err != nil {
		return err
	}
	var secret Secret
	for _, w := range words[1:] {
		switch w.key {
		case "secret":
			secret.Value = w.text
		case "expires":
			at, err := time.Parse(time.DateOnly, w.text)
			if err != nil {
				return fmt.Errorf("expires=%q: want a date like 2026-01-31", w.text)
			}
			secret.Expires = at
		case "roles":
			app.Roles = strings.FieldsFunc(w.text, func(r rune) bool { return r == ',' })
		default:
			return fmt.Errorf("app: what is %q?", w.key+w.text)
		}
	}
	if secret.Value != "" {
		app.Secrets = []Secret{secret}
	}
	t.AddApp(app)
	return nil
}
