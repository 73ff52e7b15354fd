package explain

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/provlog"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
)

// Candidate is one of several people that match a query.
type Candidate struct {
	ID    identity.ObjectID `json:"id"`
	Name  string            `json:"name,omitempty"`
	Login string            `json:"login,omitempty"`
	// Account is the state of the person's account in the vault, "" for none.
	Account string `json:"account,omitempty"`
}

// AmbiguousError means that several people match a query.
type AmbiguousError struct {
	Vault, Query string
	// People are sorted by id.
	People []Candidate
}

// listedAtMost is how many people an error names.
const listedAtMost = 20

// Error lists the people with their ids.
func (e *AmbiguousError) Error() string {
	list := make([]string, 0, listedAtMost+1)
	for i, p := range e.People {
		if i == listedAtMost {
			list = append(list, fmt.Sprintf("and %d more", len(e.People)-i))
			break
		}
		text := fmt.Sprintf("%s %s <%s>", p.ID, p.Name, p.Login)
		if p.Account != "" {
			text += " (account: " + p.Account + ")"
		}
		list = append(list, provlog.Plain(text))
	}
	return fmt.Sprintf("%d people match %q: %s", len(e.People), e.Query, strings.Join(list, "; "))
}

// Hint says how to ask.
func (e *AmbiguousError) Hint() string {
	return fmt.Sprintf("ask by object id: vaultsync explain %s %s", e.Vault, e.People[0].ID)
}

// Unwrap is ErrAmbiguous.
func (e *AmbiguousError) Unwrap() error { return ErrAmbiguous }

// find sets the person asked about: by object id; else by login name or mail
// address; else by display name. It looks at everybody of whom the local copy
// has a profile, which are the people in the groups of all vaults on the
// directory, and at everybody who ever had an account in this vault.
func (a *answer) find(ctx context.Context) (bool, error) {
	query := strings.TrimSpace(a.Query)
	if id, err := identity.ParseObjectID(query); err == nil {
		return a.findID(id)
	}
	s := search{want: identity.Fold(query), byAddress: map[identity.ObjectID]Candidate{}, byName: map[identity.ObjectID]Candidate{}}
	if s.want == "" {
		return false, nil
	}
	if err := a.searchMirror(ctx, &s); err != nil {
		return false, fmt.Errorf("search the local copy of %s: %w", a.out.Directory, err)
	}
	if err := a.searchAccounts(ctx, &s); err != nil {
		return false, fmt.Errorf("search the state of the vault %s: %w", a.out.Vault, err)
	}
	hits := s.byAddress
	if len(hits) == 0 {
		hits = s.byName
	}
	switch len(hits) {
	case 0:
		return false, nil
	case 1:
		for id := range hits {
			a.id = id
		}
		return true, nil
	default:
		people := slices.SortedFunc(maps.Values(hits), func(x, y Candidate) int { return x.ID.Compare(y.ID) })
		for i := range people {
			record, had, err := a.Tx.Account(people[i].ID)
			if err != nil {
				return false, fmt.Errorf("search the state of the vault %s: %w", a.out.Vault, err)
			}
			if had {
				people[i] = withAccount(people[i], record)
			}
		}
		return false, &AmbiguousError{Vault: a.out.Vault, Query: a.Query, People: people}
	}
}

func (a *answer) findID(id identity.ObjectID) (bool, error) {
	a.id = id
	_, known, err := a.View.Number(id)
	if err != nil {
		return false, fmt.Errorf("search the local copy of %s: %w", a.out.Directory, err)
	}
	_, had, err := a.Tx.Account(id)
	if err != nil {
		return false, fmt.Errorf("search the state of the vault %s: %w", a.out.Vault, err)
	}
	return known || had, nil
}

// search is a search by name.
type search struct {
	want string // folded
	// byAddress are those whose login name or mail address it is, byName those
	// whose display name.
	byAddress, byName map[identity.ObjectID]Candidate
}

func (s *search) is(text string) bool { return text != "" && identity.Fold(text) == s.want }

// checkEvery is after how many people a search looks whether it should stop.
const checkEvery = 4096

func (a *answer) searchMirror(ctx context.Context, s *search) error {
	attribute := a.Rules.Vault.Accounts.LoginName
	looked := 0
	for it := a.View.Profiled().Iterator(); it.HasNext(); looked++ {
		if looked%checkEvery == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		p, ok, err := a.View.Person(it.Next())
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		c := Candidate{ID: p.ID, Name: p.Value(identity.DisplayName), Login: cmp.Or(p.Value(attribute), p.Value(identity.UserPrincipalName))}
		switch {
		case s.is(p.Value(attribute)), s.is(p.Value(identity.UserPrincipalName)), s.is(p.Value(identity.Mail)):
			s.byAddress[p.ID] = c
		case s.is(c.Name):
			s.byName[p.ID] = c
		}
	}
	return nil
}

// searchAccounts looks at the accounts of the vault: they have the names of
// people whom the local copy has let go.
func (a *answer) searchAccounts(ctx context.Context, s *search) error {
	owner, owned, err := a.Tx.LoginOwner(s.want)
	if err != nil {
		return err
	}
	looked := 0
	for record, err := range a.Tx.Accounts() {
		if err != nil {
			return err
		}
		if looked++; looked%checkEvery == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch {
		case owned && owner == record.Person, s.is(record.Login()), s.is(record.Fields["email"].Value):
			s.byAddress[record.Person] = withAccount(s.byAddress[record.Person], record)
		case s.is(record.Fields["fullName"].Value):
			s.byName[record.Person] = withAccount(s.byName[record.Person], record)
		}
	}
	return nil
}

// withAccount adds what the vault's state knows to what the directory says.
func withAccount(c Candidate, record snapshot.Account) Candidate {
	return Candidate{
		ID: record.Person, Name: cmp.Or(c.Name, record.Fields["fullName"].Value),
		Login: cmp.Or(c.Login, record.Login()), Account: record.State.String(),
	}
}
