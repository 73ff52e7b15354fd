package entra

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/vaultsync/vaultsync/pkg/directory"
)

// base is an address that requests are pinned to.
type base struct {
	host string // lower case, always with a port
	path string // without a slash at its end; "" is the root
	text string // scheme and host as written, without the path
}

// parseBase reads a configured https URL.
func parseBase(key, text string) (base, error) {
	u, err := url.Parse(text)
	if err != nil {
		return base{}, fmt.Errorf("endpoints.%s is not a URL", key)
	}
	if u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return base{}, fmt.Errorf("endpoints.%s must be an absolute https URL without user, query and fragment", key)
	}
	path := strings.TrimRight(u.Path, "/")
	if !plainPath(path) || u.RawPath != "" {
		return base{}, fmt.Errorf("endpoints.%s has a path that is not plain", key)
	}
	return base{host: hostPort(u), path: path, text: "https://" + u.Host}, nil
}

// origin is the scheme and host, e.g. https://graph.microsoft.com.
func (b base) origin() string { return b.text }

// String is the whole base, e.g. https://graph.microsoft.com/v1.0.
func (b base) String() string { return b.text + b.path }

// covers reports whether a request to u stays within the base.
func (b base) covers(u *url.URL) bool {
	if u.Scheme != "https" || u.User != nil || u.Opaque != "" || hostPort(u) != b.host {
		return false
	}
	if !plainPath(u.Path) || strings.Contains(u.RawPath, "%2f") || strings.Contains(u.RawPath, "%2F") {
		return false
	}
	return b.path == "" || strings.HasPrefix(u.Path, b.path+"/")
}

// hostPort is the host of u in lower case and its port, the scheme's own when
// none is written.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "443"
		if u.Scheme == "http" {
			port = "80"
		}
	}
	return net.JoinHostPort(strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), port)
}

// plainPath reports whether a decoded path has no part that a server or proxy
// could read as another path.
func plainPath(path string) bool {
	if strings.ContainsAny(path, "\\\x00\r\n") {
		return false
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "." || part == ".." {
			return false
		}
	}
	return true
}

// maxLink is the longest link accepted, in bytes. Observed ones are a few KiB.
const maxLink = 64 << 10

// deltaLink checks a link of a reply or of the store: it must lead to the
// delta function of that collection ("users" or "groups") within the base. It
// returns the path and query below the base, as they are written, which is
// what a batch wants. Links are opaque otherwise (facts/graph.md, 1.1).
func (b base) deltaLink(collection, link string) (relative string, err error) {
	u, err := b.checkLink(link)
	if err != nil {
		return "", err
	}
	relative = strings.TrimPrefix(u.EscapedPath(), b.path)
	first, function, _ := strings.Cut(strings.Trim(strings.TrimPrefix(u.Path, b.path), "/"), "/")
	function = strings.TrimSuffix(strings.ToLower(function), "()")
	if !strings.EqualFold(first, collection) || (function != "delta" && function != "microsoft.graph.delta") {
		return "", &Error{Kind: directory.ErrUntrustedLink, Text: fmt.Sprintf("a link for %s leads to another part of the directory", collection)}
	}
	if u.RawQuery != "" {
		relative += "?" + u.RawQuery
	}
	return relative, nil
}

// checkLink refuses a link that leaves the base, naming its host.
func (b base) checkLink(link string) (*url.URL, error) {
	if len(link) > maxLink {
		return nil, &Error{Kind: directory.ErrProtocol, Text: "a link in a reply is longer than 64 KiB"}
	}
	u, err := url.Parse(link)
	if err != nil {
		return nil, &Error{Kind: directory.ErrProtocol, Text: "a link in a reply is not a URL"}
	}
	if !b.covers(u) || u.Fragment != "" {
		return nil, b.refusal(u)
	}
	return u, nil
}

func (b base) refusal(u *url.URL) error {
	where := u.Scheme + "://" + u.Host
	if u.Scheme == "https" && hostPort(u) == b.host {
		where += " below another path"
	}
	return &Error{
		Kind: directory.ErrUntrustedLink,
		Text: fmt.Sprintf("the reply points to %.200q, the directory is at %s; nothing was sent there", where, b),
		hint: "if the directory has moved, set cloud or endpoints; otherwise a proxy or server between rewrites its replies",
	}
}
