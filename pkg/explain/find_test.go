package explain

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/provlog"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
)

func TestFind(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, query string
		arrange     func(*setup)
		want        int   // the person, 0 for nobody
		several     []int // those that an error lists
	}{
		{"by object id in either case", strings.ToUpper(person(1).String()), nil, 1, nil},
		{"by login name in any case and with spaces around it", "  ANN@Contoso.com ", nil, 1, nil},
		{"by display name", "ann b", nil, 1, nil},
		{"by mail address", "mail@contoso.com", func(s *setup) { s.view.people[2].Attributes[identity.Mail] = "Mail@contoso.com" }, 2, nil},
		{"by the login name that the vault takes from another attribute", "E77", func(s *setup) {
			s.vault.Accounts.LoginName = "employeeId"
			s.view.people[3].Attributes["employeeId"] = "e77"
		}, 3, nil},
		{"by the name of the account, which the directory no longer has", "old@contoso.com", func(s *setup) {
			s.account(1, snapshot.Active, func(a *snapshot.Account) { a.Fields["loginName"] = snapshot.Field{Value: "old@contoso.com"} })
		}, 1, nil},
		{"by normalized spelling", "zo\u00eb", func(s *setup) { s.person(3, "ZOE\u0308", "z@contoso.com") }, 3, nil},
		{"a part of a name is nobody", "ann", nil, 0, nil},
		{"nothing is nobody", " ", nil, 0, nil},
		{"a login name goes before a display name", "bob@contoso.com", func(s *setup) { s.person(1, "bob@contoso.com", "ann@contoso.com") }, 2, nil},
		{"several of one name are listed", "Ann B", func(s *setup) { s.person(3, "ANN B", "ann2@contoso.com") }, 0, []int{1, 3}},
		{"whoever has a login name now and whoever had it are listed", "ann@contoso.com", func(s *setup) {
			s.account(9, snapshot.Left, func(a *snapshot.Account) { a.Fields["loginName"] = snapshot.Field{Value: "ann@contoso.com"} })
		}, 0, []int{1, 9}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t)
			if c.arrange != nil {
				c.arrange(s)
			}
			e, err := s.ask(c.query)
			var several *AmbiguousError
			if errors.As(err, &several) != (c.several != nil) || errors.Is(err, ErrAmbiguous) != (c.several != nil) {
				t.Fatalf("%v", err)
			}
			switch {
			case several != nil:
				if len(several.People) != len(c.several) || !strings.Contains(several.Hint(), several.People[0].ID.String()) {
					t.Fatalf("%v", several)
				}
				for i, n := range c.several {
					if several.People[i].ID != person(n) || !strings.Contains(err.Error(), person(n).String()) {
						t.Errorf("%v lacks person %d", err, n)
					}
				}
			case c.want == 0:
				if e.Standing != Unknown {
					t.Errorf("found %+v", e.Person)
				}
			case e.Person.ID != person(c.want):
				t.Errorf("found %+v", e.Person)
			}
		})
	}
}

func TestManyOfOneNameAreListedInPart(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	for n := 20; n < 60; n++ {
		s.person(n, "John Smith\x1b[2J", "x@contoso.com")
	}
	s.account(20, snapshot.Active, nil)
	_, err := s.ask("x@contoso.com")
	if err == nil || !strings.HasSuffix(err.Error(), "and 20 more") || strings.Contains(err.Error(), "\x1b") || !strings.Contains(err.Error(), "(account: active)") {
		t.Errorf("%v", err)
	}
}

var errDisk = errors.New("input/output error")

func TestAnErrorIsNoAnswer(t *testing.T) {
	t.Parallel()
	for _, query := range []string{"ann@contoso.com", person(1).String()} {
		s := newSetup(t)
		s.view.failure = errDisk
		if e, err := s.ask(query); !errors.Is(err, errDisk) {
			t.Errorf("%s: %+v, %v", query, e, err)
		}
	}
	t.Run("a damaged report of the last run", func(t *testing.T) {
		t.Parallel()
		s := newSetup(t)
		s.report = map[string]any{"waiting": "x"}
		if _, err := s.ask("ann@contoso.com"); err == nil {
			t.Error("no error")
		}
	})
	t.Run("ids that are not those of the groups", func(t *testing.T) {
		t.Parallel()
		s := newSetup(t)
		s.ids = nil
		if _, err := s.ask("ann@contoso.com"); err == nil {
			t.Error("no error")
		}
	})
}

// badLog fails after one entry.
type badLog struct{ asked provlog.Filter }

func (l *badLog) Read(_ context.Context, f provlog.Filter) iter.Seq2[provlog.Entry, error] {
	l.asked = f
	return func(yield func(provlog.Entry, error) bool) {
		_ = yield(provlog.Entry{Time: past, Vault: "sales", Kind: "create"}, nil) && yield(provlog.Entry{}, errDisk)
	}
}

func TestALogThatCannotBeReadIsSaidAndTheAnswerStands(t *testing.T) {
	t.Parallel()
	s, l := newSetup(t), &badLog{}
	s.log = l
	e, err := s.ask("ann@contoso.com")
	if err != nil || len(e.Changes) != 1 || e.ChangesProblem != errDisk.Error() || !strings.Contains(e.Text(), "not all: input/output error") {
		t.Errorf("%+v, %v", e, err)
	}
	if l.asked != (provlog.Filter{Vault: "sales", User: person(1).String()}) {
		t.Errorf("asked for %+v", l.asked)
	}
	if _, err := s.ask("eve@contoso.com"); err != nil || l.asked.User != "eve@contoso.com" {
		t.Errorf("of a stranger the log is asked by name: %+v, %v", l.asked, err)
	}
	// Nobody at all is asked for with blanks: that is not everybody.
	if e, err := s.ask(""); err != nil || len(e.Changes) != 0 {
		t.Errorf("%+v, %v", e.Changes, err)
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	s.vault.Scope = `user.userType == "Member"`
	s.account(1, snapshot.Active, nil)
	s.applied(1, "Sales", 1)
	e, err := s.ask("ann@contoso.com")
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, string(b)+"\n")
}
