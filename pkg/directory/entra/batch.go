package entra

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	abstractions "github.com/microsoft/kiota-abstractions-go"

	"github.com/vaultsync/vaultsync/pkg/directory"
)

// maxBatch is how many requests one $batch takes.
const maxBatch = 20

// part is one request that may travel in a batch.
type part struct {
	what, need string
	request    func(ctx context.Context) (*abstractions.RequestInformation, error)
	// use reads the body of a success, once. Its error becomes err, unless it
	// is one of the receiver, which ends everything.
	use func(body []byte) error
	// ended, when set, is told once the part is done, refused or failed.
	ended func(*part) error

	// How it ended: done, or one of reply (refused) and err.
	done  bool
	reply *reply
	err   error
}

func (p *part) open() bool { return !p.done && p.reply == nil && p.err == nil }

// refusal is why a part did not succeed; nil when it did.
func (p *part) refusal() error {
	switch {
	case p.err != nil:
		return p.err
	case p.reply != nil:
		return p.reply.refusal(p.what, p.need)
	default:
		return nil
	}
}

// receiverError is an error of the receiver of pages: it ends everything.
type receiverError struct{ err error }

func (e *receiverError) Error() string { return e.err.Error() }
func (e *receiverError) Unwrap() error { return e.err }

// batchItem is one request on the wire.
type batchItem struct {
	ID      string            `json:"id"`
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    json.RawMessage   `json:"body,omitempty"`
}

// ask makes the requests of the parts, up to 20 in one, and judges each reply
// on its own. A batch that the directory refuses as such is made as single
// requests. The error is for what ended everything; parts carry their own.
func (c *Client) ask(ctx context.Context, p *patience, parts []*part) error {
	for chunk := range slices.Chunk(parts, maxBatch) {
		err := c.askBatch(ctx, p, chunk)
		if !errors.Is(err, errNoBatch) {
			if err != nil {
				return err
			}
			continue
		}
		c.log.Warn("the directory refuses $batch; asking one by one", "error", err)
		for _, part := range chunk {
			if part.open() {
				if err := c.askSingle(ctx, p, part); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// errNoBatch means that the requests must be made one by one.
var errNoBatch = errors.New("the batch was refused")

func (c *Client) askBatch(ctx context.Context, p *patience, parts []*part) error {
	if len(parts) == 1 {
		return c.askSingle(ctx, p, parts[0])
	}
	renewed := false
	for try := 0; ; try++ {
		generation := c.signIn.generationNow()
		open := slices.DeleteFunc(slices.Clone(parts), func(p *part) bool { return !p.open() })
		answers := make([]*reply, len(open))
		items, err := c.items(ctx, open)
		if err != nil {
			return err
		}
		refused, err := c.do(ctx, p, call{
			what: "a batch of " + strconv.Itoa(len(open)) + " requests",
			need: needGroups,
			request: func(context.Context) (*abstractions.RequestInformation, error) {
				return c.batchOf(stillOpen(open, items))
			},
			use: func(_ http.Header, body *watchedBody) error { return c.readBatch(body, open, answers) },
		})
		switch {
		case refused != nil && refused.status == http.StatusUnauthorized:
			return refused.refusal("a batch", needGroups)
		case refused != nil:
			return fmt.Errorf("%w: %s", errNoBatch, refused.words())
		case errors.Is(err, directory.ErrProtocol) && !errors.Is(err, directory.ErrUnreachable):
			return fmt.Errorf("%w: %w", errNoBatch, err)
		case err != nil:
			return err
		}
		again, stop, err := c.judge(ctx, p, open, answers, &renewed, generation, try)
		if err != nil || stop {
			return err
		}
		if !again {
			return nil
		}
	}
}

func stillOpen(parts []*part, items []batchItem) []batchItem {
	left := make([]batchItem, 0, len(items))
	for i, part := range parts {
		if part.open() {
			left = append(left, items[i])
		}
	}
	return left
}

// judge looks at the parts that were not answered with a success: again says
// that some are worth another batch, after the longest wait that they ask for.
func (c *Client) judge(ctx context.Context, p *patience, open []*part, answers []*reply, renewed *bool, generation, try int) (again, stop bool, err error) {
	var worst *Error
	signIn := false
	for i, part := range open {
		if !part.open() {
			continue
		}
		r := answers[i]
		switch {
		case r == nil: // not among the replies
			worst = graver(worst, protocol("%s: the batch's reply lacks it", part.what))
		case r.status == http.StatusUnauthorized && !*renewed:
			signIn = true
		case r.status == http.StatusUnauthorized:
			return false, true, r.refusal(part.what, part.need)
		case transient(r.status):
			failure := r.refusal(part.what, part.need)
			failure.Kind = directory.ErrUnreachable
			failure.after = retryAfter(r.header, c.options.Now())
			failure.wide = r.status == http.StatusTooManyRequests
			worst = graver(worst, failure)
		default:
			part.reply = r
		}
	}
	if signIn {
		*renewed = true
		c.signIn.renew(generation)
	}
	if worst == nil {
		return signIn, false, nil
	}
	if errors.Is(worst.Kind, directory.ErrProtocol) && try >= maxGarbled {
		c.fail(open, worst)
		return false, true, nil
	}
	if err := c.wait(ctx, p, worst, try); err != nil {
		var own *Error
		if errors.As(err, &own) && !own.wide {
			c.fail(open, own)
			return false, true, nil
		}
		return false, true, err
	}
	return true, false, nil
}

func (c *Client) fail(parts []*part, err *Error) {
	for _, part := range parts {
		if part.open() {
			part.err = err
		}
	}
}

// graver keeps the failure that asks for the longest wait; a refusal for
// throttling comes before others.
func graver(a, b *Error) *Error {
	switch {
	case a == nil:
		return b
	case a.wide != b.wide:
		if a.wide {
			return a
		}
		return b
	case b.after > a.after, errors.Is(a.Kind, directory.ErrProtocol):
		return b
	default:
		return a
	}
}

// items are the parts as they stand in a batch; ids are their places.
func (c *Client) items(ctx context.Context, parts []*part) ([]batchItem, error) {
	items := make([]batchItem, len(parts))
	for i, part := range parts {
		info, err := part.request(ctx)
		if err != nil {
			return nil, err
		}
		info.PathParameters["baseurl"] = c.base.String()
		asWritten := info.PathParameters["request-raw-url"] != "" // gone after GetUri
		u, err := info.GetUri()
		if err != nil {
			return nil, fmt.Errorf("write a request: %w", err)
		}
		relative := strings.TrimPrefix(u.EscapedPath(), c.base.path)
		if u.RawQuery != "" {
			query := u.RawQuery
			if !asWritten {
				query = strings.ReplaceAll(query, "%24", "$") // as the SDK's middleware does
			}
			relative += "?" + query
		}
		item := batchItem{ID: strconv.Itoa(i), Method: info.Method.String(), URL: relative, Body: info.Content, Headers: map[string]string{}}
		for _, key := range info.Headers.ListKeys() {
			if !strings.EqualFold(key, "Content-Length") {
				item.Headers[key] = strings.Join(info.Headers.Get(key), ",")
			}
		}
		items[i] = item
	}
	return items, nil
}

// readBatch hands each success to its part as it is read, and keeps the other
// replies.
func (c *Client) readBatch(body io.Reader, parts []*part, answers []*reply) error {
	return decodeBatch(body, c.options.MaxPage, func(in inner) error {
		i, err := strconv.Atoi(in.id)
		if err != nil || i < 0 || i >= len(parts) {
			return fmt.Errorf("%w: the batch's reply answers what was not asked", directory.ErrProtocol)
		}
		part := parts[i]
		if !part.open() {
			return nil // answered before the network failed, or twice
		}
		if in.status < 200 || in.status > 299 {
			r := reply{status: in.status, header: in.header}
			r.parse(in.body)
			answers[i] = &r
			return nil
		}
		c.throttle.answered(in.header)
		return part.finish(in.body)
	})
}

// finish gives a success to the part.
func (p *part) finish(body []byte) error {
	err := p.use(body)
	var receiver *receiverError
	switch {
	case err == nil:
		p.done = true
	case errors.As(err, &receiver):
		return err
	default:
		p.err = err
	}
	return nil
}

// askSingle makes one part's request on its own.
func (c *Client) askSingle(ctx context.Context, p *patience, part *part) error {
	refused, err := c.do(ctx, p, call{
		what:    part.what,
		need:    part.need,
		request: part.request,
		use: func(_ http.Header, body *watchedBody) error {
			raw, err := io.ReadAll(body)
			if err != nil {
				return err
			}
			return part.finish(raw)
		},
	})
	switch {
	case err == nil:
		if refused != nil && refused.status == http.StatusUnauthorized {
			return refused.refusal(part.what, part.need)
		}
		part.reply = refused
		return nil
	case endsAll(ctx, err):
		return err
	default:
		part.err = err
		return nil
	}
}

// endsAll tells failures of the directory as a whole, of the receiver and of
// ctx from those of one request.
func endsAll(ctx context.Context, err error) bool {
	var receiver *receiverError
	if ctx.Err() != nil || errors.As(err, &receiver) || errors.Is(err, directory.ErrSignIn) {
		return true
	}
	var own *Error
	return errors.As(err, &own) && own.wide
}
