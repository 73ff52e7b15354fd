package credential

// Error is what is wrong with a setting, or with the file or variable that it
// names. It never holds what was read.
type Error struct {
	Place string // the setting ("credential.secretFile")
	Text  string // what is wrong
	Fix   string // what to do
	Cause error  // of the operating system; may be nil
}

// Error is the setting, what is wrong and the cause.
func (e *Error) Error() string {
	text := e.Place + ": " + e.Text
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Hint says what to do.
func (e *Error) Hint() string { return e.Fix }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }
