package observe

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// guarded lets only programs of this machine through to next, not web pages
// that its browser shows. A page can make the browser ask 127.0.0.1, and by
// letting its own name point there (DNS rebinding) even read the answer; the
// Host header then still has the page's name, an Origin or Sec-Fetch-Site says
// that a page is asking.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		switch {
		case !thisMachine(r.Host):
			http.Error(w, "the Host header names another machine; ask for localhost or 127.0.0.1 (a proxy must set it so)", http.StatusMisdirectedRequest)
		case r.Header["Origin"] != nil || fromElsewhere(r.Header.Values("Sec-Fetch-Site")):
			http.Error(w, "web pages may not ask", http.StatusForbidden)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// thisMachine reports whether a Host header names this machine whatever any
// DNS server says: localhost or a loopback address, with or without a port.
func thisMachine(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else if bare, ok := strings.CutPrefix(host, "["); ok {
		host, ok = strings.CutSuffix(bare, "]")
		if !ok {
			return false
		}
	}
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Zone() == "" && ip.Unmap().IsLoopback()
}

func fromElsewhere(sites []string) bool {
	for _, site := range sites {
		if site != "none" && site != "same-origin" {
			return true
		}
	}
	return false
}
