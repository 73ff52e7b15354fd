package entra

import (
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/vaultsync/vaultsync/pkg/directory"
)

const (
	// maxDepth is how deep a reply may nest; Graph's own do not pass 10.
	maxDepth = 64
	// maxToken is the longest string or number in a reply, in bytes.
	maxToken = 1 << 20
)

// errCutShort is a reply that ends before its JSON does.
var errCutShort = fmt.Errorf("%w: the reply is cut short", directory.ErrProtocol)

// decoder reads JSON token by token and holds no more than one of them. All
// its errors wrap directory.ErrProtocol, but those of the reader.
type decoder struct {
	*jsontext.Decoder
	in *boundedReader
	// names holds keys and type names seen, so that a page of a million
	// members does not make a million strings of them.
	names map[string]string
}

// maxNames bounds what a hostile page can make the table hold.
const maxNames = 512

// boundedReader refuses a token that would have to be held and is too long.
type boundedReader struct {
	in    io.Reader
	dec   *jsontext.Decoder
	total int64
	limit int64 // of one token
	begun bool
}

// errLongToken is a string that no directory object has.
var errLongToken = fmt.Errorf("%w: a value in the reply is too long", directory.ErrProtocol)

// Read passes on, without the byte order mark that some servers put first.
func (r *boundedReader) Read(p []byte) (int, error) {
	if r.dec != nil && r.total-r.dec.InputOffset() > r.limit {
		return 0, errLongToken
	}
	if !r.begun {
		r.begun = true
		n, err := r.first(p)
		r.total += int64(n)
		return n, err
	}
	n, err := r.in.Read(p)
	r.total += int64(n)
	return n, err
}

func (r *boundedReader) first(p []byte) (int, error) {
	if len(p) < 3 {
		return 0, io.ErrShortBuffer
	}
	n, err := io.ReadAtLeast(r.in, p, 3)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	if n >= 3 && p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf {
		n = copy(p, p[3:n])
	}
	return n, err
}

func newDecoder(in io.Reader) *decoder {
	r := &boundedReader{in: in, limit: maxToken}
	d := jsontext.NewDecoder(r, jsontext.AllowInvalidUTF8(true))
	r.dec = d
	return &decoder{Decoder: d, in: r, names: make(map[string]string, 16)}
}

// wrap makes every error of the syntax one of the protocol.
func (d *decoder) wrap(err error) error {
	if err == nil || errors.Is(err, directory.ErrProtocol) {
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCutShort
	}
	if _, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		// The error's own text may quote the reply.
		return fmt.Errorf("%w: the reply is not JSON near byte %d", directory.ErrProtocol, d.InputOffset())
	}
	return err
}

func wrongType(what string, want string, got jsontext.Kind) error {
	return fmt.Errorf("%w: %s is %s instead of %s", directory.ErrProtocol, what, kindName(got), want)
}

func kindName(k jsontext.Kind) string {
	switch k {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '{', '}':
		return "an object"
	case '[', ']':
		return "an array"
	default:
		return "nothing"
	}
}

// peek is the kind of what comes next; an error of it shows at the next read.
func (d *decoder) peek() jsontext.Kind { return d.PeekKind() }

// open reads the beginning of an object ('{') or array ('['). null is told by
// ok == false.
func (d *decoder) open(kind jsontext.Kind, what string) (ok bool, err error) {
	token, err := d.ReadToken()
	if err != nil {
		return false, d.wrap(err)
	}
	switch token.Kind() {
	case 'n':
		return false, nil
	case kind:
		if d.StackDepth() > maxDepth {
			return false, fmt.Errorf("%w: the reply nests too deep", directory.ErrProtocol)
		}
		return true, nil
	default:
		return false, wrongType(what, kindName(kind), token.Kind())
	}
}

// close reads the end of an object or array.
func (d *decoder) close() error {
	_, err := d.ReadToken()
	return d.wrap(err)
}

// more reports whether the object or array goes on.
func (d *decoder) more() bool {
	switch d.PeekKind() {
	case '}', ']', jsontext.KindInvalid:
		return false
	default:
		return true
	}
}

// object reads an object and calls field for each key with the value next;
// field reads exactly that value. null is an object without keys; present
// says which it was.
func (d *decoder) object(what string, field func(key string) error) (present bool, err error) {
	if present, err = d.open('{', what); !present || err != nil {
		return false, err
	}
	for d.more() {
		raw, err := d.ReadValue()
		if err != nil {
			return false, d.wrap(err)
		}
		key, err := d.name(raw)
		if err != nil {
			return false, err
		}
		if err := field(key); err != nil {
			return false, err
		}
	}
	return true, d.close()
}

// name is the text of a raw string that is likely to come again.
func (d *decoder) name(raw jsontext.Value) (string, error) {
	if name, ok := d.names[string(raw)]; ok {
		return name, nil
	}
	unquoted, err := jsontext.AppendUnquote(nil, raw)
	if err != nil && !utf8Error(raw) {
		return "", fmt.Errorf("%w: a name in the reply is not a string", directory.ErrProtocol)
	}
	name := string(unquoted)
	if len(d.names) < maxNames && len(raw) < 128 {
		d.names[string(raw)] = name
	}
	return name, nil
}

// utf8Error reports whether raw holds bytes that are not UTF-8, which are
// replaced rather than refused.
func utf8Error(raw []byte) bool { return !utf8.Valid(raw) }

// array reads an array and calls element for each value.
func (d *decoder) array(what string, element func() error) (present bool, err error) {
	if present, err = d.open('[', what); !present || err != nil {
		return false, err
	}
	for d.more() {
		if err := element(); err != nil {
			return false, err
		}
	}
	return true, d.close()
}

// skip reads past one value without holding it, however large, and refuses one
// that nests too deep.
func (d *decoder) skip() error {
	depth := d.StackDepth()
	for {
		if _, err := d.ReadToken(); err != nil {
			return d.wrap(err)
		}
		now := d.StackDepth()
		if now > maxDepth {
			return fmt.Errorf("%w: the reply nests too deep", directory.ErrProtocol)
		}
		if now <= depth {
			return nil
		}
	}
}

// end makes sure that nothing but white space follows.
func (d *decoder) end() error {
	_, err := d.ReadToken()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		return fmt.Errorf("%w: something follows the reply's end", directory.ErrProtocol)
	}
	return d.wrap(err)
}
