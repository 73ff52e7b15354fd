package vaulttest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/vault"
)

// awkward are texts that are stored as they are.
var awkward = []struct{ name, text string }{
	{"emoji", "Ann \U0001F468\u200d\U0001F469\u200d\U0001F467 \U0001F600"},
	{"quotes and backslashes", `O'Hara "the \ lawyer" \" \\ \u0041`},
	{"Turkish dotted and dotless i", "\u0130brahim I\u015f\u0131k"},
	{"right to left", "\u05d0\u05e0\u05d9 \u0645\u062d\u0645\u062f"},
	{"decomposed letters", "A\u030angstro\u0308m"},
	{"markup and templates", "<b>&amp;</b> ${x} {{y}} %s %00 'or'1'='1"},
	{"line separators", "a\u2028b\u2029c"},
	{"spaces inside", "a  b\u00a0c"},
	{"256 characters", strings.Repeat("\u00e4", 256)},
}

var valueCases = []testCase{
	{"a new user without a login name is refused", func(t *testing.T, s *suite) {
		for _, name := range []string{"", " ", "\t"} {
			u := s.ann()
			u.LoginName = name
			s.refused(t, vault.ErrInvalid, vault.Change{Op: vault.CreateUser, User: u})
		}
		id := s.create(t, s.ann())
		s.refused(t, vault.ErrInvalid, vault.Change{Op: vault.UpdateUser, UserID: id, Patch: vault.Patch{LoginName: new("")}})
		if got := s.one(t, vault.Query{ID: id}).LoginName; got != "Ann@contoso.com" {
			t.Errorf("login name %q", got)
		}
	}},
	{"texts of every script are given back as they were", func(t *testing.T, s *suite) {
		for i, a := range awkward {
			u := vault.User{
				LoginName: fmt.Sprintf("user%d@contoso.com", i), FullName: a.text,
				ExternalID: fmt.Sprintf("e%d", i), Attributes: map[string]string{s.Attributes[0]: a.text},
			}
			u.ID = s.create(t, u)
			got := s.one(t, vault.Query{ID: u.ID})
			if got.FullName != a.text || got.Attributes[s.Attributes[0]] != a.text {
				t.Errorf("%s: got %+q and %+q, want %+q", a.name, got.FullName, got.Attributes[s.Attributes[0]], a.text)
			}
		}
	}},
	{"login names with awkward characters are found again", func(t *testing.T, s *suite) {
		for _, login := range []string{
			"o'hara@contoso.com", `quo"ted@contoso.com`, `CONTOSO\ann`, "\u0130brahim@contoso.com", "x_y#EXT#@contoso.com",
			"a+b%c@contoso.com", "\U0001F600@contoso.com", "(a)*&|!@contoso.com",
		} {
			id := s.create(t, vault.User{LoginName: login})
			if got := s.one(t, vault.Query{LoginName: login}); got.ID != id || got.LoginName != login {
				t.Errorf("%+q: got %+v", login, got)
			}
		}
	}},
	{"dotted and dotless i are different letters", func(t *testing.T, s *suite) {
		first := s.create(t, vault.User{LoginName: "\u0131rmak@contoso.com"})
		second := s.create(t, vault.User{LoginName: "irmak@contoso.com"})
		if got := s.one(t, vault.Query{LoginName: "IRMAK@contoso.com"}); got.ID != second || first == second {
			t.Errorf("got user %q, want %q", got.ID, second)
		}
	}},
	{"long values are stored whole or refused, never cut", func(t *testing.T, s *suite) {
		mail := strings.Repeat("a", 257-len("@contoso.com")) + "@contoso.com"
		for i, u := range []vault.User{
			{LoginName: "long1@contoso.com", Email: mail},
			{LoginName: mail, ExternalID: "e2"},
			{LoginName: "long3@contoso.com", FullName: strings.Repeat("n", 5000)},
			{LoginName: "long4@contoso.com", FullName: strings.Repeat("n", 1<<20)},
			{LoginName: strings.Repeat("\ufdfa", 10_000)},
		} {
			s.storedOrRefused(t, fmt.Sprintf("value %d", i), u)
		}
	}},
	{"control characters and broken text are stored verbatim or refused, never mangled", func(t *testing.T, s *suite) {
		for i, text := range []string{"a\x00b", "a\nb", "a\r\nb", "a\tb", "a\x1b[31mb", "a\u0085b", "a\xffb", "\xc3", "a\ufffdb", "\ufeffa"} {
			s.storedOrRefused(t, fmt.Sprintf("full name %q", text), vault.User{LoginName: fmt.Sprintf("n%d@contoso.com", i), FullName: text})
			s.storedOrRefused(t, fmt.Sprintf("attribute %q", text), vault.User{
				LoginName: fmt.Sprintf("a%d@contoso.com", i), Attributes: map[string]string{s.Attributes[0]: text},
			})
			s.storedOrRefused(t, fmt.Sprintf("login name %q", text), vault.User{LoginName: text})
			s.storedOrRefused(t, fmt.Sprintf("mail %q", text), vault.User{LoginName: fmt.Sprintf("m%d@contoso.com", i), Email: text})
		}
	}},
	{"a change of no known kind is refused", func(t *testing.T, s *suite) {
		s.refused(t, vault.ErrInvalid, vault.Change{})
		s.refused(t, vault.ErrInvalid, vault.Change{Op: 200, User: s.ann(), UserID: "1", GroupID: "1"})
	}},
}

// storedOrRefused creates a user that comes back exactly or is not there.
func (s *suite) storedOrRefused(t *testing.T, what string, u vault.User) {
	t.Helper()
	result := s.store.Apply(t.Context(), []vault.Change{{Op: vault.CreateUser, User: u}})[0]
	if result.Err != nil {
		if !errors.Is(result.Err, vault.ErrInvalid) {
			t.Errorf("%s: refused with %v, want %q", what, result.Err, vault.ErrInvalid)
		}
		for _, stored := range s.users(t) {
			if stored.LoginName == u.LoginName {
				t.Errorf("%s: refused, but the user is there", what)
			}
		}
		return
	}
	got := s.one(t, vault.Query{ID: result.ID})
	u.ID, u.Enabled, u.License = result.ID, true, got.License
	if s.NoManaged != "" {
		u.Managed = u.ExternalID != ""
	}
	if describe(got) != describe(u) {
		t.Errorf("%s: got %.300s, want %.300s", what, describe(got), describe(u))
	}
}
