package entra

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/vaultsync/vaultsync/pkg/directory"
)

// inner is one reply of a batch.
type inner struct {
	id     string
	status int
	header http.Header
	body   []byte
}

// decodeBatch reads the replies of a batch one after the other.
func decodeBatch(in io.Reader, limit int64, each func(inner) error) error {
	d := newDecoder(in)
	has := false
	_, err := d.object("the batch's reply", func(key string) (err error) {
		if key != "responses" {
			return d.skip()
		}
		has, err = d.array("responses", func() error {
			one, err := decodeInner(d, limit)
			if err != nil {
				return err
			}
			return each(one)
		})
		return err
	})
	if err != nil {
		return err
	}
	if !has {
		return fmt.Errorf("%w: the batch's reply has no responses", directory.ErrProtocol)
	}
	return d.end()
}

func decodeInner(d *decoder, limit int64) (inner, error) {
	one := inner{header: http.Header{}}
	_, err := d.object("a response", func(key string) error {
		switch key {
		case "id":
			id, _, err := d.scalar()
			one.id = id
			return err
		case "status":
			text, _, err := d.scalar()
			one.status, _ = strconv.Atoi(text) // checked below
			return err
		case "headers":
			_, err := d.object("headers", func(name string) error {
				value, ok, err := d.scalar()
				if ok {
					one.header.Add(name, value)
				}
				return err
			})
			return err
		case "body":
			d.in.limit = limit
			defer func() { d.in.limit = maxToken }()
			value, err := d.ReadValue()
			if err != nil {
				return d.wrap(err)
			}
			one.body = plainBody(value)
			return nil
		default:
			return d.skip()
		}
	})
	if err == nil && (one.status < 100 || one.status > 599 || one.id == "") {
		err = fmt.Errorf("%w: a response of the batch has no id or status", directory.ErrProtocol)
	}
	return one, err
}

// plainBody is the body of an inner reply: JSON as it is, anything else comes
// as a string, mostly in base64.
func plainBody(value jsontext.Value) []byte {
	if value.Kind() != '"' {
		return bytes.Clone(value)
	}
	var text string
	if json.Unmarshal(value, &text) != nil {
		return nil
	}
	if _, err := strconv.Atoi(text); err == nil {
		return []byte(text)
	}
	if raw, err := base64.StdEncoding.DecodeString(text); err == nil {
		return raw
	}
	return []byte(text)
}
