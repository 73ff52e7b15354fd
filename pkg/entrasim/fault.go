package entrasim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// FaultKind is one way in which the service misbehaves.
type FaultKind string

// Faults of the answer as a whole. They replace the handler.
const (
	// FaultThrottle answers 429. RetryAfter is the header's text; "" sends
	// none, "date" the date form of Delay from now.
	FaultThrottle FaultKind = "throttle"
	// FaultStatus answers Status (500 unless set) with Code and Message, or
	// with Body as it is; RetryAfter as in FaultThrottle.
	FaultStatus FaultKind = "status"
	// FaultHTML answers Status (502 unless set) with a proxy's HTML page.
	FaultHTML FaultKind = "html"
	// FaultEmptyObject answers Status (400 unless set) with the body {}.
	FaultEmptyObject FaultKind = "emptyObject"
	// FaultClaims answers 401 with a claims challenge until a token is
	// presented that was issued for claims (continuous access evaluation).
	FaultClaims FaultKind = "claims"
	// FaultUnknownError answers a nextLink with 404 UnknownError and an empty
	// message [ISSUE docs#1000].
	FaultUnknownError FaultKind = "unknownError"
	// FaultFailedDependency answers 424 [DOC throttling.md].
	FaultFailedDependency FaultKind = "failedDependency"
	// FaultTokenExpired answers a token with Status 400 (the default) or 410;
	// NoLocation and NoBody shape a 410. On a nextLink, Code can name another
	// error, for instance Directory_ExpiredPageToken.
	FaultTokenExpired FaultKind = "tokenExpired"
	// FaultRedirect answers 307 to the foreign listener.
	FaultRedirect FaultKind = "redirect"
)

// Faults of a delta page. Those before FaultLoop are legal behaviour.
const (
	FaultEmptyPages       FaultKind = "emptyPages"       // value [] and a nextLink that leads on
	FaultRepeat           FaultKind = "repeat"           // the first Count entries appear twice
	FaultReplay           FaultKind = "replay"           // the last Count changes before the token come again
	FaultShuffle          FaultKind = "shuffle"          // entries in another order
	FaultKeyOrder         FaultKind = "keyOrder"         // @removed before id before @odata.type
	FaultRemovedInInitial FaultKind = "removedInInitial" // a first round begins with a removed stranger
	FaultSparse           FaultKind = "sparse"           // entries with members carry no other property
	FaultLoop             FaultKind = "loop"             // the nextLink is the link just asked for; needs more pages
	FaultEndless          FaultKind = "endless"          // always one more nextLink, each different
	FaultNoLink           FaultKind = "noLink"           // neither nextLink nor deltaLink
	FaultNoValue          FaultKind = "noValue"          // no value key
	FaultForeignNext      FaultKind = "foreignNext"      // the nextLink leads elsewhere, as Host says
	FaultForeignDelta     FaultKind = "foreignDelta"     // the deltaLink does
	FaultForeignLocation  FaultKind = "foreignLocation"  // a 410 whose Location does
)

// Faults of the wire.
const (
	FaultTruncate    FaultKind = "truncate"    // the connection ends after Count bytes of the body (half of it when 0)
	FaultDrip        FaultKind = "drip"        // Count bytes (1 when 0), then a pause of Delay, and so on
	FaultReset       FaultKind = "reset"       // headers, then the connection breaks
	FaultHang        FaultKind = "hang"        // no answer until the client gives up
	FaultChunks      FaultKind = "chunks"      // the body in two parts, Delay apart
	FaultBOM         FaultKind = "bom"         // a byte order mark before the body
	FaultContentType FaultKind = "contentType" // text/html around the right body, or Body as the type
	FaultGzip        FaultKind = "gzip"        // compressed whether accepted or not
)

// Fault orders a misbehaviour. Without Path, Times, Skip and Probability it
// strikes wherever it can, for ever.
type Fault struct {
	Kind FaultKind `json:"kind"`
	// Path limits it to requests whose path below /v1.0 begins so, in the plain
	// spelling: "/users/delta", "/$batch". The sign-in is "/token" and
	// "/discovery".
	Path string `json:"path,omitempty"`
	// Where is "outer" for requests of their own, "inner" for those inside a
	// batch, "" for both.
	Where       string  `json:"where,omitempty"`
	Times       int     `json:"times,omitempty"`       // at most so often; 0 is for ever
	Skip        int     `json:"skip,omitempty"`        // not the first so many
	Probability float64 `json:"probability,omitempty"` // 0 is always
	Seed        uint64  `json:"seed,omitempty"`

	Status     int    `json:"status,omitempty"`
	Code       string `json:"code,omitempty"`
	Message    string `json:"message,omitempty"`
	Body       string `json:"body,omitempty"`
	RetryAfter string `json:"retryAfter,omitempty"`
	NoLocation bool   `json:"noLocation,omitempty"`
	NoBody     bool   `json:"noBody,omitempty"`
	Count      int    `json:"count,omitempty"`
	// Host says where a foreign link leads: "host" (another host name, the
	// default), "port" (the same host, another port), "http" (without TLS).
	Host  string        `json:"host,omitempty"`
	Delay time.Duration `json:"-"`

	mu     *sync.Mutex
	seen   int
	fired  int
	random *rand.Rand
}

// Fired is how often the fault has struck.
func (f *Fault) Fired() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fired
}

// faultSet holds the faults that are ordered.
type faultSet struct {
	mu   sync.Mutex
	list []*Fault
}

func (s *faultSet) add(f Fault) *Fault {
	f.mu = &s.mu
	f.random = rand.New(rand.NewPCG(f.Seed, 0x5eed))
	added := &f
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, added)
	return added
}

func (s *faultSet) remove(f *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, g := range s.list {
		if g == f {
			s.list = append(s.list[:i:i], s.list[i+1:]...)
			return
		}
	}
}

func (s *faultSet) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = nil
}

// take is the first fault of the kind that strikes this request, counted.
func (s *faultSet) take(kind FaultKind, path string, inner bool) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.list {
		if f.Kind != kind || !strings.HasPrefix(strings.ToLower(path), strings.ToLower(f.Path)) {
			continue
		}
		if f.Where == "inner" && !inner || f.Where == "outer" && inner {
			continue
		}
		if f.Times > 0 && f.fired >= f.Times {
			continue
		}
		if f.seen++; f.seen <= f.Skip {
			continue
		}
		if f.Probability > 0 && f.random.Float64() >= f.Probability {
			continue
		}
		f.fired++
		return f
	}
	return nil
}

// counts is how often each kind has struck, by kind.
func (s *faultSet) counts() map[FaultKind]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[FaultKind]int{}
	for _, f := range s.list {
		counts[f.Kind] += f.fired
	}
	return counts
}

// FaultKinds lists every kind, so that a test can prove that it left none out.
func FaultKinds() []FaultKind {
	return []FaultKind{
		FaultThrottle, FaultStatus, FaultHTML, FaultEmptyObject, FaultClaims, FaultUnknownError,
		FaultFailedDependency, FaultTokenExpired, FaultRedirect,
		FaultEmptyPages, FaultRepeat, FaultReplay, FaultShuffle, FaultKeyOrder, FaultRemovedInInitial,
		FaultSparse, FaultLoop, FaultEndless, FaultNoLink, FaultNoValue,
		FaultForeignNext, FaultForeignDelta, FaultForeignLocation,
		FaultTruncate, FaultDrip, FaultReset, FaultHang, FaultChunks, FaultBOM, FaultContentType, FaultGzip,
	}
}

func (f Fault) validate() error {
	if slices.Contains(FaultKinds(), f.Kind) {
		return nil
	}
	return fmt.Errorf("unknown fault %q", f.Kind)
}

// needsForeign tells whether the fault leads to the foreign listener.
func (f Fault) needsForeign() bool {
	switch f.Kind {
	case FaultForeignNext, FaultForeignDelta, FaultForeignLocation, FaultRedirect:
		return true
	default:
		return false
	}
}
