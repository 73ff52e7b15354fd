package entrasim

import (
	"bytes"
	"compress/gzip"
	"context"
	"maps"
	"net/http"
	"strings"
	"time"
)

// compressAbove is the size in bytes from which a reply is compressed.
const compressAbove = 1400

// send puts a reply on the wire, through the faults of the wire.
func (s *Server) send(w http.ResponseWriter, r *http.Request, rep reply, path string) {
	fault := func(kind FaultKind) *Fault { return s.faults.take(kind, path, false) }
	if fault(FaultHang) != nil {
		<-r.Context().Done()
		panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's way to break a connection
	}
	body := rep.body
	if fault(FaultBOM) != nil {
		body = append([]byte("\xef\xbb\xbf"), body...)
	}
	header := w.Header()
	maps.Copy(header, rep.header)
	if f := fault(FaultContentType); f != nil {
		header.Set("Content-Type", "text/html; charset=utf-8")
		if f.Body != "" {
			header.Set("Content-Type", f.Body)
		}
	}
	accepted := strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
	if fault(FaultGzip) != nil || accepted && len(body) > compressAbove {
		body = s.zip(body)
		header.Set("Content-Encoding", "gzip")
	}
	header.Set("Content-Length", itoa(len(body)))
	if fault(FaultReset) != nil {
		header.Set("Content-Length", itoa(max(len(body), 1)))
		w.WriteHeader(rep.status)
		flush(w)
		panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's way to break a connection
	}
	w.WriteHeader(rep.status)
	if f := fault(FaultTruncate); f != nil && len(body) > 0 {
		n := f.Count
		if n <= 0 || n >= len(body) {
			n = len(body) / 2
		}
		_, _ = w.Write(body[:n])
		flush(w)
		panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's way to break a connection
	}
	if f := fault(FaultDrip); f != nil {
		drip(r.Context(), w, body, max(f.Count, 1), f.Delay)
		return
	}
	if f := fault(FaultChunks); f != nil {
		drip(r.Context(), w, body, len(body)/2+1, f.Delay)
		return
	}
	_, _ = w.Write(body) // a client that went away is no concern of ours
}

// drip writes size bytes at a time with pauses.
func drip(ctx context.Context, w http.ResponseWriter, body []byte, size int, pause time.Duration) {
	for len(body) > 0 {
		n := min(size, len(body))
		if _, err := w.Write(body[:n]); err != nil {
			return
		}
		flush(w)
		if body = body[n:]; len(body) == 0 {
			return
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's way to break a connection
		}
	}
}

func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

func (s *Server) zip(body []byte) []byte {
	z, ok := s.zippers.Get().(*gzip.Writer)
	if !ok {
		z, _ = gzip.NewWriterLevel(nil, gzip.BestSpeed) // a level that exists
	}
	defer s.zippers.Put(z)
	var b bytes.Buffer
	z.Reset(&b)
	_, _ = z.Write(body) // into memory: cannot fail
	_ = z.Close()
	return b.Bytes()
}
