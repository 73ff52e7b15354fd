package embedded

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// Sizes in bytes. A folded name can be eighteen times as long as the name and
// must still fit into a key of bbolt (32 KiB).
const (
	maxKey  = 1 << 10
	maxText = 1 << 15
)

func checkUser(login, fullName, email, external string, attributes map[string]string) error {
	if err := checkName("the login name", login); err != nil {
		return err
	}
	if err := checkKey("the e-mail address", email); err != nil {
		return err
	}
	if err := checkKey("the external id", external); err != nil {
		return err
	}
	if err := checkText("the full name", fullName); err != nil {
		return err
	}
	for name, value := range attributes {
		if name == "" {
			return fmt.Errorf("%w: an attribute without a name", vault.ErrInvalid)
		}
		if err := checkKey("the attribute's name", name); err != nil {
			return err
		}
		if err := checkText("attribute "+name, value); err != nil {
			return err
		}
	}
	return nil
}

// checkName is for what is compared folded and must not be empty.
func checkName(what, value string) error {
	if err := checkKey(what, value); err != nil {
		return err
	}
	if identity.Fold(value) == "" {
		return fmt.Errorf("%w: %s is empty", vault.ErrInvalid, what)
	}
	return nil
}

// checkKey is for what is looked up by: no control characters, which nobody
// would see in a list.
func checkKey(what, value string) error {
	if len(value) > maxKey {
		return fmt.Errorf("%w: %s has %d bytes, more than %d", vault.ErrInvalid, what, len(value), maxKey)
	}
	if strings.ContainsFunc(value, unicode.IsControl) {
		return fmt.Errorf("%w: %s has control characters: %q", vault.ErrInvalid, what, value)
	}
	return checkText(what, value)
}

// checkText is for what is only stored: anything that can be given back as it
// was, line breaks included.
func checkText(what, value string) error {
	if len(value) > maxText {
		return fmt.Errorf("%w: %s has %d bytes, more than %d", vault.ErrInvalid, what, len(value), maxText)
	}
	if !utf8.ValidString(value) {
		return fmt.Errorf("%w: %s is not UTF-8: %q", vault.ErrInvalid, what, value)
	}
	return nil
}
