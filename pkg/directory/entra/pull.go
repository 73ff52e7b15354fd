package entra

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// pull is one call of Pull.
type pull struct {
	c          *Client
	request    directory.Request
	deliver    func(directory.Page) error
	selection  *selection
	properties []string
	patience   *patience

	mu       sync.Mutex
	pages    int
	objects  int
	complete int   // streams that ended with a link, and profiles read
	failed   error // the first failure of a stream that was out of reach
	rest     []*stream
	unsure   []identity.ObjectID // people whom getByIds did not return
}

// Pull reads the streams and profiles asked for; see directory.Directory.
// Stored links and profiles travel in batches, streams from the start and
// whatever goes on after a batch in single requests, a few side by side.
func (c *Client) Pull(ctx context.Context, request directory.Request, deliver func(directory.Page) error) error {
	u := &pull{
		c:         c,
		request:   request,
		deliver:   deliver,
		selection: newSelection(request.Select),
		patience:  newPatience(c.options.Patience),
	}
	u.properties = u.selection.properties()
	err := u.run(ctx)
	var receiver *receiverError
	switch {
	case errors.As(err, &receiver):
		return receiver.err
	case err != nil:
		return fmt.Errorf("pull: %w", err)
	case u.failed != nil && u.complete == 0:
		return fmt.Errorf("pull: %w", u.failed)
	default:
		return nil
	}
}

func (u *pull) run(ctx context.Context) error {
	parts, err := u.plan()
	if err != nil {
		return err
	}
	if err := u.together(ctx, len(parts), func(ctx context.Context, i int) error {
		return u.c.ask(ctx, u.patience, parts[i])
	}); err != nil {
		return err
	}
	for _, batch := range parts {
		for _, part := range batch {
			if err := part.ended(part); err != nil {
				return err
			}
		}
	}
	if err := u.together(ctx, len(u.rest), func(ctx context.Context, i int) error {
		return u.rest[i].read(ctx)
	}); err != nil {
		return err
	}
	return u.confirm(ctx)
}

// together runs n jobs, a few side by side, until one of them fails.
func (u *pull) together(ctx context.Context, n int, job func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(u.c.options.Parallel)
	for i := range n {
		group.Go(func() error {
			if err := ended(ctx); err != nil {
				return err
			}
			return job(ctx, i)
		})
	}
	return group.Wait()
}

// plan packs stored links and profiles into batches and puts the streams that
// are read from the start aside.
func (u *pull) plan() ([][]*part, error) {
	var parts []*part
	for i, wanted := range u.request.Streams {
		if len(wanted.Groups) > directory.MaxGroupsPerStream {
			return nil, fmt.Errorf("stream %d names %d groups, at most %d can be read together", i, len(wanted.Groups), directory.MaxGroupsPerStream)
		}
		s := &stream{pull: u, index: i, groups: wanted.Groups, collection: "groups", what: "reading group members", need: needGroups}
		if len(wanted.Groups) == 0 {
			s.collection, s.what, s.need = "users", "reading people", needUsers
		}
		if wanted.Link == "" {
			u.rest = append(u.rest, s)
			continue
		}
		if _, err := u.c.base.deltaLink(s.collection, wanted.Link); err != nil {
			// The directory has moved, or the file was tampered with: the link
			// is not followed, and its stream is read from the start.
			if err := s.fail(fmt.Errorf("%w: %w", directory.ErrTokenLost, err)); err != nil {
				return nil, err
			}
			continue
		}
		s.later, s.link = true, wanted.Link
		parts = append(parts, s.part())
	}
	parts = append(parts, u.profileParts()...)
	var batches [][]*part
	for len(parts) > 0 {
		n := min(len(parts), maxBatch)
		batches = append(batches, parts[:n])
		parts = parts[n:]
	}
	return batches, nil
}

// hand gives one page to the receiver. Pages are never handed over side by
// side.
func (u *pull) hand(p directory.Page, objects int) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if p.Err == nil {
		u.pages++
		u.objects += objects
		if p.Link != "" || p.Stream == directory.Profiles {
			u.complete++
		}
	} else if u.failed == nil && errors.Is(p.Err, directory.ErrUnreachable) {
		u.failed = p.Err
	}
	if err := u.deliver(p); err != nil {
		return &receiverError{err}
	}
	if p.Err == nil && u.request.Progress != nil {
		u.request.Progress(u.pages, u.objects)
	}
	return nil
}

// hidden reports whether hidden memberships cannot be read. Without a token
// whose permissions can be read the answer is yes: unknown is never empty.
func (u *pull) hidden() bool {
	c, _, _ := u.c.signIn.state()
	return !c.mayReadHidden()
}
