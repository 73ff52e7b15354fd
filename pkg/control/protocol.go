package control

import (
	"context"
	"errors"
	"io"
	"time"
)

// version is the protocol's. The daemon refuses another: commands and daemon
// are of one release.
const version = 1

// The bounds of an exchange.
const (
	// answerWithin is how long the daemon may take to accept a request.
	answerWithin = 10 * time.Second
	// pingEvery is how often the daemon shows that it is still there, and
	// silentFor how long a client waits without hearing anything.
	pingEvery = 10 * time.Second
	silentFor = 60 * time.Second
	// writeWithin is how long a client may take to read what it was sent;
	// after that it counts as gone.
	writeWithin = 30 * time.Second
	// cancelWithin is how long the daemon may take to read that a command is
	// to stop, before the client leaves.
	cancelWithin = 2 * time.Second
	// requestWithin is how long a client may take to send its request.
	requestWithin = 30 * time.Second
	// lingerFor is how long a client may take to read why it is refused.
	lingerFor = 2 * time.Second
	// maxInputs bounds the inputs of one request together.
	maxInputs = 256 << 20
	// maxClients bounds the commands under way at the same time.
	maxClients = 64
)

// The errors that callers tell apart.
var (
	// ErrNoDaemon means that nothing listens: no daemon runs on this data
	// directory, and the command may do the work itself.
	ErrNoDaemon = errors.New("no daemon is running")
	// ErrNotAnswering means that a daemon is there but does not answer in time.
	ErrNotAnswering = errors.New("the daemon does not answer")
	// ErrOtherConfig means that the daemon runs with another configuration
	// than the command: nothing was done.
	ErrOtherConfig = errors.New("the running daemon has another configuration")
	// ErrOtherVersion means that the daemon is of another release.
	ErrOtherVersion = errors.New("the running daemon is of another version of vaultsync")
	// ErrDenied means that this user may not command the daemon.
	ErrDenied = errors.New("this user may not command the daemon")
	// ErrBusy means that too many commands are under way.
	ErrBusy = errors.New("the daemon has too many commands under way")
	// ErrInUse means that another daemon listens at this endpoint.
	ErrInUse = errors.New("another daemon is running on this data directory")
	// ErrClientGone is the cause of a command's context when its client left.
	ErrClientGone = errors.New("the command was interrupted")
	// ErrBroken means that the connection ended before the command did: what
	// it did until then is done.
	ErrBroken = errors.New("the connection to the daemon broke: whether the command was done is not known")
)

// Error adds to one of the errors above where it was met and what to do.
type Error struct {
	Kind  error
	Where string
	Err   error // the cause, may be nil
}

// Error names the endpoint and what is wrong.
func (e *Error) Error() string {
	s := e.Kind.Error()
	if e.Where != "" {
		s += " (" + e.Where + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives kind and cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// Hint says what to do.
func (e *Error) Hint() string {
	switch {
	case errors.Is(e.Kind, ErrOtherConfig):
		return "let the daemon read the files again with `vaultsync reload`, or give the daemon's file with -c"
	case errors.Is(e.Kind, ErrOtherVersion):
		return "restart the daemon after an update: vaultsync service stop, then vaultsync service start"
	case errors.Is(e.Kind, ErrNotAnswering):
		return "look at the daemon's log; if it hangs, restart it"
	case errors.Is(e.Kind, ErrDenied):
		return "run the command as the daemon's user or as administrator"
	case errors.Is(e.Kind, ErrBusy):
		return "wait for the other commands to end"
	case errors.Is(e.Kind, ErrInUse):
		return "stop the other daemon first, or give this one its own dataDir"
	case errors.Is(e.Kind, ErrBroken):
		return "see `vaultsync status` and `vaultsync log` for what was done"
	}
	return ""
}

// Request is one command.
type Request struct {
	// Args are the command line after the global flags.
	Args []string `json:"args"`
	// ConfigDigest is that of the command's configuration; "" is not compared,
	// as for `reload`.
	ConfigDigest string `json:"configDigest"`
	// StdoutTerminal and StderrTerminal say whether these are terminals.
	StdoutTerminal bool `json:"stdoutTerminal"`
	StderrTerminal bool `json:"stderrTerminal"`
	// Width of the terminal in columns; 0: not known.
	Width int `json:"width"`
	// Inputs are the files that the command line names, read by the client.
	Inputs []Input `json:"-"`
}

// Input returns the named input.
func (r Request) Input(name string) ([]byte, bool) {
	for _, input := range r.Inputs {
		if input.Name == name {
			return input.Data, true
		}
	}
	return nil, false
}

// Input is one file that a command reads.
type Input struct {
	Name string
	Data []byte
}

// hello is the request as it is sent; the inputs follow in their order.
type hello struct {
	Version int `json:"version"`
	Request
	Inputs []inputSize `json:"inputs"`
}

type inputSize struct {
	Name string `json:"name"`
	Size int    `json:"size"`
}

// refusal is why a request is not executed.
type refusal struct {
	Reason  string `json:"reason"`
	Message string `json:"message,omitempty"`
}

// The reasons of a refusal, and what they are to the client.
const (
	refusedVersion = "version"
	refusedConfig  = "config"
	refusedUser    = "user"
	refusedBusy    = "busy"
	refusedRequest = "request"
)

func (r refusal) kind() error {
	switch r.Reason {
	case refusedVersion:
		return ErrOtherVersion
	case refusedConfig:
		return ErrOtherConfig
	case refusedUser:
		return ErrDenied
	case refusedBusy:
		return ErrBusy
	}
	return errFrame
}

// Streams are where a command prints. Writes fail once the client is gone or
// does not read; the command's context is done then.
type Streams struct {
	Stdout io.Writer
	Stderr io.Writer
}

// Handler executes one command and returns its exit code. When ctx is done it
// ends at its next safe point.
type Handler func(ctx context.Context, request Request, streams Streams) (exit int)
