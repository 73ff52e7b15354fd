package entra

import (
	"bytes"
	"context"
	"net/http"
	"slices"

	abstractions "github.com/microsoft/kiota-abstractions-go"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// profileParts ask for the profiles wanted, 1,000 people in each.
func (u *pull) profileParts() []*part {
	ids := slices.Clone(u.request.Profiles)
	slices.SortFunc(ids, identity.ObjectID.Compare)
	ids = slices.DeleteFunc(slices.Compact(ids), identity.ObjectID.IsZero)
	var parts []*part
	for chunk := range slices.Chunk(ids, maxByIDs) {
		parts = append(parts, u.profilePart(chunk))
	}
	return parts
}

func (u *pull) profilePart(ids []identity.ObjectID) *part {
	missing := ids
	return &part{
		what: "reading profiles",
		need: needProfiles,
		request: func(context.Context) (*abstractions.RequestInformation, error) {
			return u.c.usersByID(ids, u.properties)
		},
		use: func(body []byte) error {
			p, err := readPage(bytes.NewReader(body), pageRules{people: u.selection, plain: true})
			if err != nil {
				return err
			}
			// Only who was asked for, and is there, counts as an answer.
			p.People = slices.DeleteFunc(p.People, func(c directory.PersonChange) bool {
				_, asked := slices.BinarySearchFunc(ids, c.ID, identity.ObjectID.Compare)
				return !asked || c.Removal != directory.Present
			})
			missing = without(ids, p.People)
			if slices.ContainsFunc(p.People, u.isBare) {
				return bareError()
			}
			if len(p.People) == 0 {
				return nil
			}
			return u.hand(directory.Page{Stream: directory.Profiles, People: p.People}, len(p.People))
		},
		ended: func(p *part) error {
			if p.reply != nil {
				switch p.reply.status {
				case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
					// Not every permission and cloud has getByIds; each
					// person's own address needs no more than users/delta.
					u.c.log.Info("getByIds is refused; reading people one by one", "reply", p.reply.words())
				default:
					return u.hand(directory.Page{Stream: directory.Profiles, Err: p.refusal()}, 0)
				}
			}
			if p.err != nil {
				return u.hand(directory.Page{Stream: directory.Profiles, Err: p.err}, 0)
			}
			u.unsure = append(u.unsure, missing...)
			return nil
		},
	}
}

// isBare says that a person came with an id and nothing else. Nobody is like
// that: it is how the directory answers, with success, an application that may
// not read people. Taken at its word it would clear every attribute.
func (u *pull) isBare(c directory.PersonChange) bool {
	if !slices.Contains(u.request.Select, identity.UserPrincipalName) {
		return false // nothing was asked for that everybody has
	}
	for _, value := range c.Attributes {
		if value != "" {
			return false
		}
	}
	return true
}

func bareError() *Error {
	return &Error{
		Kind: directory.ErrForbidden,
		Text: "reading profiles: the directory shows people without any property; it takes the application permission " + needUsers,
		hint: "grant the application permission " + needUsers + " in the tenant and give admin consent",
	}
}

// without is those of ids who are not among people.
func without(ids []identity.ObjectID, people []directory.PersonChange) []identity.ObjectID {
	came := make(map[identity.ObjectID]struct{}, len(people))
	for i := range people {
		came[people[i].ID] = struct{}{}
	}
	var missing []identity.ObjectID
	for _, id := range ids {
		if _, ok := came[id]; !ok {
			missing = append(missing, id)
		}
	}
	return missing
}

// confirm asks for those whom getByIds did not return by their own address.
// Only the directory's word that this very id does not exist makes a person
// removed; whoever cannot be read otherwise is not delivered.
func (u *pull) confirm(ctx context.Context) error {
	chunks := slices.Collect(slices.Chunk(u.unsure, maxBatch))
	return u.together(ctx, len(chunks), func(ctx context.Context, i int) error {
		return u.confirmSome(ctx, chunks[i])
	})
}

func (u *pull) confirmSome(ctx context.Context, ids []identity.ObjectID) error {
	var people []directory.PersonChange
	rules := pageRules{people: u.selection}
	parts := make([]*part, len(ids))
	for i, id := range ids {
		parts[i] = &part{
			what: "reading one person",
			need: needUsers,
			request: func(ctx context.Context) (*abstractions.RequestInformation, error) {
				return u.c.userGet(ctx, id, u.properties)
			},
			use: func(body []byte) error {
				d := newDecoder(bytes.NewReader(body))
				person, err := rules.person(d)
				if err == nil {
					err = d.end()
				}
				if err != nil {
					return err
				}
				if person.ID != id || person.Removal != directory.Present {
					return protocol("asked for one person, the directory answered with another")
				}
				if u.isBare(person) {
					return bareError()
				}
				people = append(people, person)
				return nil
			},
		}
	}
	if err := u.c.ask(ctx, u.patience, parts); err != nil {
		return err
	}
	var failed error
	for i, p := range parts {
		switch {
		case p.done:
		case p.reply != nil && p.reply.notFound():
			people = append(people, directory.PersonChange{ID: ids[i], Removal: directory.Deleted})
		default:
			u.c.log.Warn("a person could not be read", "person", ids[i].String(), "error", p.refusal())
			if failed == nil {
				failed = p.refusal()
			}
		}
	}
	if len(people) > 0 {
		if err := u.hand(directory.Page{Stream: directory.Profiles, People: people}, len(people)); err != nil {
			return err
		}
	}
	if failed != nil {
		return u.hand(directory.Page{Stream: directory.Profiles, Err: failed}, 0)
	}
	return nil
}
