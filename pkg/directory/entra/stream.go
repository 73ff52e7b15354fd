package entra

import (
	"bytes"
	"context"
	"hash/maphash"
	"io"
	"net/http"

	abstractions "github.com/microsoft/kiota-abstractions-go"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// stream is one delta query on its way from a stored link, or the start, to
// its next delta link.
type stream struct {
	pull       *pull
	index      int
	groups     []identity.ObjectID
	collection string // users or groups
	what, need string
	later      bool   // the round began with a stored link
	link       string // the page to read next; "" is the start
	pages      int
	strikes    int  // replies of 400 to the stored link, in a row
	alone      bool // read by requests of its own, no longer in a batch
	seed       maphash.Seed
	seen       map[uint64]struct{}
}

// part is the stream's first request as a part of a batch.
func (s *stream) part() *part {
	return &part{
		what:    s.what,
		need:    s.need,
		request: s.request,
		use:     func(body []byte) error { return s.take(bytes.NewReader(body)) },
		ended: func(p *part) error {
			switch {
			case p.err != nil:
				return s.fail(p.err)
			case p.reply != nil:
				return s.refused(p.reply)
			case s.link != "":
				s.pull.later(s)
			}
			return nil
		},
	}
}

// later puts a stream on the list of those that are read one request at a time.
func (u *pull) later(s *stream) { u.rest = append(u.rest, s) }

func (s *stream) request(ctx context.Context) (*abstractions.RequestInformation, error) {
	switch {
	case s.link != "":
		return s.pull.c.followLink(ctx, s.collection, s.link)
	case s.collection == "users":
		return s.pull.c.userDelta(ctx, s.pull.properties)
	default:
		return s.pull.c.groupDelta(ctx, s.groups)
	}
}

// read follows the stream to its end. Its error is for what ends the pull;
// what ends the stream alone is delivered.
func (s *stream) read(ctx context.Context) error {
	s.alone = true
	for {
		refused, err := s.pull.c.do(ctx, s.pull.patience, call{
			what:    s.what,
			need:    s.need,
			request: s.request,
			use:     func(_ http.Header, body *watchedBody) error { return s.take(body) },
		})
		switch {
		case err != nil && endsAll(ctx, err):
			return err
		case err != nil:
			return s.fail(err)
		case refused != nil && refused.status == http.StatusUnauthorized:
			return refused.refusal(s.what, s.need)
		case refused != nil:
			again := s.mayAskAgain(refused)
			if err := s.refused(refused); err != nil || !again {
				return err
			}
		case s.link == "":
			return nil
		}
	}
}

// mayAskAgain reports whether a refusal of a stored link is the first of its
// kind: a single 400 may be an accident, two in a row are a lost token.
func (s *stream) mayAskAgain(r *reply) bool {
	return s.later && s.pages == 0 && r.status == http.StatusBadRequest && !r.tokenLost() && s.strikes == 0
}

// refused decides what a refusal means (the rule of facts/graph.md, 1.6).
//
//	reply            | first page of a stored link | a further page, or from the start
//	410, reset codes | token lost                  | token lost; from the start: give up until the next run
//	page expired     | token lost                  | give up until the next run
//	other 400, once  | ask again, alone            | refused
//	other 400, twice | token lost                  |
//	anything else    | refused                     | refused
//
// A Location is never followed: the caller reads from the start.
func (s *stream) refused(r *reply) error {
	first := s.later && s.pages == 0
	switch {
	case r.tokenLost() && first, r.tokenLost() && s.later && !r.has("Directory_ExpiredPageToken"):
		return s.lost(r)
	case r.tokenLost():
		return s.fail(&Error{
			Kind: directory.ErrUnreachable, Status: r.status, Code: r.code(),
			Text: s.what + ": the directory gave the read up half-way (" + r.words() + "); the next run reads anew",
		})
	case s.mayAskAgain(r):
		if s.strikes++; !s.alone {
			s.pull.later(s)
		}
		return nil
	case first && r.status == http.StatusBadRequest:
		return s.lost(r)
	default:
		refusal := r.refusal(s.what, s.need)
		if r.status == http.StatusBadRequest {
			refusal.hint = "if the message names a property, take it out of the vaults' attributes, loginName and scope"
		}
		return s.fail(refusal)
	}
}

func (s *stream) lost(r *reply) error {
	s.pull.c.log.Info("a stored delta link is no longer good; reading from the start", "stream", s.index, "status", r.status, "code", r.code())
	return s.fail(&Error{Kind: directory.ErrTokenLost, Status: r.status, Code: r.code(), Text: s.what + " was answered with " + r.words()})
}

func (s *stream) fail(err error) error {
	s.link = ""
	return s.pull.hand(directory.Page{Stream: s.index, Err: err}, 0)
}

// take decodes and delivers one page that streams in.
func (s *stream) take(body io.Reader) error {
	rules := pageRules{later: s.later, hidden: s.pull.hidden()}
	if s.collection == "users" {
		rules.people = s.pull.selection
	}
	p, err := readPage(body, rules)
	if err != nil {
		return err
	}
	p.Stream = s.index
	base := s.pull.c.base
	if p.delta != "" {
		if _, err := base.deltaLink(s.collection, p.delta); err != nil {
			return err
		}
		p.Link = p.delta
	} else if err := s.advance(p.next); err != nil {
		return err
	}
	s.pages++
	s.link = p.next
	return s.pull.hand(p.Page, p.objects())
}

// advance checks the next link: it must stay within the directory, be new, and
// the stream must not go on for ever.
func (s *stream) advance(next string) error {
	if _, err := s.pull.c.base.deltaLink(s.collection, next); err != nil {
		return err
	}
	if s.seen == nil {
		s.seed, s.seen = maphash.MakeSeed(), map[uint64]struct{}{}
	}
	s.seen[maphash.String(s.seed, s.link)] = struct{}{}
	key := maphash.String(s.seed, next)
	if _, again := s.seen[key]; again {
		return protocol("%s: the directory's pages go round in circles", s.what)
	}
	if s.pages+1 >= s.pull.c.options.MaxPages {
		return protocol("%s: no end after %d pages", s.what, s.pages+1)
	}
	return nil
}
