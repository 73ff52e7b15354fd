package config

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is text that must not be seen: whatever prints, logs or encodes it
// gets <redacted>. Only Reveal gives it out.
type Secret string

const redacted = "<redacted>"

// Reveal is the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String is <redacted>.
func (Secret) String() string { return redacted }

// Format writes <redacted> whatever the verb: a wrong one (%d) would otherwise
// print the value as part of its complaint.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue is <redacted>.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText writes <redacted>; JSON and XML use it as well.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalYAML writes <redacted>.
func (Secret) MarshalYAML() (any, error) { return redacted, nil }
