package scim

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// filterable is an attribute that users are found by.
type filterable uint8

const (
	byExternalID filterable = iota
	byLoginName
	byEmail
	filterables
)

func (f filterable) attribute() string {
	switch f {
	case byExternalID:
		return "externalId"
	case byLoginName:
		return "userName"
	case byEmail, filterables:
	}
	return "emails.value"
}

// value is what the filter compares with, of a user that is known.
func (f filterable) value(u vault.User) string {
	switch f {
	case byExternalID:
		return u.ExternalID
	case byLoginName:
		return u.LoginName
	case byEmail, filterables:
	}
	return u.Email
}

// verdict is what is known of a filter.
type verdict uint8

const (
	untested verdict = iota
	// believed filters have found somebody who is there, written in another
	// case where case must not matter, and nobody else.
	believed
	// doubted filters have not: that they find nobody means nothing.
	doubted
)

// trust is what is known of the service's filters.
type trust struct {
	mu       sync.Mutex
	verdicts [filterables]verdict
}

func (t *trust) of(f filterable) verdict {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.verdicts[f]
}

func (t *trust) set(f filterable, v verdict) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.verdicts[f] = v
}

// test tries a filter on somebody who is known to be there. Without anybody
// fit for it the filter stays untested.
func (s *Store) test(ctx context.Context, v *service, f filterable, known []vault.User) (verdict, error) {
	if !v.filter {
		s.trust.set(f, doubted)
		return doubted, nil
	}
	for _, u := range known {
		value := f.value(u)
		asked := value
		if f != byExternalID {
			asked = swapCase(value)
		}
		if !plain(value) || f != byExternalID && asked == value {
			continue
		}
		found, err := s.filtered(ctx, v, f, asked)
		if err != nil && !refusesFilter(err) {
			return untested, err
		}
		verdict := doubted
		for _, hit := range found {
			if hit.ID == u.ID {
				verdict = believed
			}
		}
		s.trust.set(f, verdict)
		return verdict, nil
	}
	return untested, nil
}

// errUnfiltered says that a filter was not applied at all.
var errUnfiltered = errors.New("the filter is not applied")

// filtered asks with a filter and keeps what really matches.
func (s *Store) filtered(ctx context.Context, v *service, f filterable, value string) ([]vault.User, error) {
	var found []vault.User
	strangers := 0
	for d, err := range s.pages(ctx, v.users, equals(f.attribute(), value), nil) {
		if err != nil {
			return nil, err
		}
		u := s.mapping.user(v, d)
		switch {
		case f.matches(u, value):
			found = append(found, u)
		case f == byEmail && hasMail(d, value):
			// Another of the user's addresses: not the one that is ours.
		default:
			if strangers++; strangers > 2 {
				return nil, errUnfiltered
			}
		}
	}
	return found, nil
}

func hasMail(d document, value string) bool {
	for _, m := range d.list("emails") {
		if identity.Fold(asDocument(m).text("value")) == identity.Fold(value) {
			return true
		}
	}
	return false
}

func (f filterable) matches(u vault.User, value string) bool {
	if f == byExternalID {
		return u.ExternalID == value
	}
	return value != "" && identity.Fold(f.value(u)) == identity.Fold(value)
}

// refusesFilter says that an error is the service's answer to the filter, not a
// failure to answer.
func refusesFilter(err error) bool {
	switch s := status(err); {
	case errors.Is(err, errUnfiltered):
		return true
	case s == http.StatusUnauthorized, s == http.StatusForbidden, s == http.StatusTooManyRequests,
		s == http.StatusBadGateway, s == http.StatusServiceUnavailable, s == http.StatusGatewayTimeout:
		return false
	default:
		return s >= 400
	}
}
