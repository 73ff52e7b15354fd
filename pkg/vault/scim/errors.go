package scim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/vaultsync/vaultsync/pkg/vault"
)

// errSignIn is the kind of errors of secrets and tokens. Nothing was changed
// and nothing is known: to callers they are vault.ErrUnreachable.
var errSignIn = fmt.Errorf("sign-in failed: %w", vault.ErrUnreachable)

// ErrSignIn tells errors of signing in (secret, token, 401) from others that
// are vault.ErrUnreachable.
var ErrSignIn = errSignIn

// Error is a failure in the words of an operator.
type Error struct {
	// Place is what was asked of the service ("POST /Users") or the setting at
	// fault.
	Place string
	// Text is what happened; Fix what to do about it, "" where nothing helps
	// but trying again.
	Text string
	Fix  string
	// Status is the service's answer, 0 without one, and Type its scimType.
	Status int
	Type   string

	kind  error
	cause error
}

// Error is place, kind and what happened.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Place != "" {
		b.WriteString(e.Place)
		b.WriteString(": ")
	}
	if e.kind != nil {
		b.WriteString(e.kind.Error())
		b.WriteString(": ")
	}
	b.WriteString(e.Text)
	if e.cause != nil {
		b.WriteString(": ")
		b.WriteString(e.cause.Error())
	}
	return b.String()
}

// Hint says what to do.
func (e *Error) Hint() string { return e.Fix }

// Unwrap gives the kind, an error of package vault, and the cause.
func (e *Error) Unwrap() []error {
	var list []error
	for _, err := range []error{e.kind, e.cause} {
		if err != nil {
			list = append(list, err)
		}
	}
	return list
}

// answerError is the error of an answer that is not a success.
func answerError(place string, a answer, write bool) *Error {
	detail, scimType := a.detail()
	e := &Error{Place: place, Status: a.status, Type: scimType, Text: fmt.Sprintf("the service answered %d %s", a.status, http.StatusText(a.status))}
	if detail != "" {
		e.Text += fmt.Sprintf(" (%s)", detail)
	}
	switch {
	case a.spent && write:
		e.kind, e.Fix = vault.ErrNoLicense, "get more licences of the service, or take some from people who need none: accounts.releaseLicense"
	case a.status >= 300 && a.status < 400:
		e.kind = vault.ErrUnreachable
		e.Text += ", a redirect, which is not followed: the token goes to the configured service alone"
		e.Fix = "write the address that the service wants into store.url"
	case a.status == http.StatusUnauthorized:
		e.kind, e.Fix = errSignIn, "the token or client secret is wrong, expired or of another service: put a new one into its file"
	case a.status == http.StatusForbidden && write:
		e.kind, e.Fix = vault.ErrInvalid, "the token may not make this change: give it the permission to write users and groups, or see whether the service protects this account"
	case a.status == http.StatusForbidden:
		e.kind, e.Fix = vault.ErrUnreachable, "the token may not read this: give it the permission to read users and groups"
	case a.status == http.StatusNotFound:
		e.kind = vault.ErrNotFound
	case a.status == http.StatusConflict:
		e.kind = vault.ErrExists
	case a.status == http.StatusTooManyRequests, a.status == http.StatusServiceUnavailable:
		e.kind, e.Fix = vault.ErrUnreachable, "the service throttles or is overloaded: lower store.parallel, or let it be"
	case a.status >= 500 && a.status != http.StatusNotImplemented && write:
		e.kind, e.Fix = vault.ErrUnknownOutcome, "the service failed: its log says why"
	case a.status >= 500 && a.status != http.StatusNotImplemented:
		e.kind, e.Fix = vault.ErrUnreachable, "the service failed: its log says why"
	default:
		e.kind = vault.ErrInvalid
	}
	return e
}

// detail is what an error answer says, cut to a line, and its scimType.
func (a answer) detail() (detail, scimType string) {
	var body struct {
		Detail   any    `json:"detail"`
		Message  any    `json:"message"`
		ScimType string `json:"scimType"`
		Error    any    `json:"error"`
	}
	if json.Unmarshal(a.body, &body) != nil {
		return "", ""
	}
	for _, said := range []any{body.Detail, body.Message, body.Error} {
		if text, ok := said.(string); ok && text != "" {
			return oneLine(text), body.ScimType
		}
	}
	return "", body.ScimType
}

// oneLine makes a foreign text fit to be shown.
func oneLine(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }), " ")
	const most = 300
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return text
}

// status is the service's answer behind an error, 0 without one.
func status(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status
	}
	return 0
}
