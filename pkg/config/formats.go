package config

import (
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// name is the name of a vault or a directory, which becomes a file's name on
// every platform.
func name() format[string] {
	const fix = "use up to 64 letters (a-z), digits, '-', '_' and '.', with no '.' at either end"
	pattern := regexp.MustCompile(`^[A-Za-z0-9_-]([A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?$`)
	device := regexp.MustCompile(`(?i)^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?$`)
	return format[string]{textual, func(s string) (string, *fault) {
		switch {
		case s == "":
			return "", &fault{"is empty", fix}
		case !pattern.MatchString(s):
			return "", &fault{quote(s) + " cannot be a name", fix}
		case device.MatchString(s):
			return "", &fault{quote(s) + " is a device on Windows and cannot be a file there", "choose another name"}
		}
		return s, nil
	}}
}

// guid is a GUID, in lower case; what says whose, fix where to find it.
func guid(what, fix string) format[string] {
	return format[string]{textual, func(s string) (string, *fault) {
		id, wrong := objectID(what, fix).parse(s)
		return id.String(), wrong
	}}
}

// objectID is the id of a directory object.
func objectID(what, fix string) format[identity.ObjectID] {
	return format[identity.ObjectID]{textual, func(s string) (identity.ObjectID, *fault) {
		id, err := identity.ParseObjectID(s)
		switch {
		case err != nil:
			return identity.ObjectID{}, &fault{quote(s) + " is not " + what, fix}
		case id.IsZero():
			return identity.ObjectID{}, &fault{"the id of zeros names nothing", fix}
		}
		return id, nil
	}}
}

// path is a file or folder, relative to dir. It is not shown when it is wrong:
// somebody may have put the secret where its file belongs.
func path(dir string) format[string] {
	return format[string]{textual, func(s string) (string, *fault) {
		switch {
		case s == "":
			return "", &fault{"is empty", "name a file or folder, or leave the key out"}
		case !printable(s):
			return "", &fault{"is not a path: it has a control character in it", "name the file, never its content"}
		case filepath.IsAbs(s):
			return filepath.Clean(s), nil
		}
		return filepath.Join(dir, s), nil
	}}
}

// optional is f, or "" for nothing.
func optional[T any](f format[T]) format[T] {
	return format[T]{f.kind, func(s string) (T, *fault) {
		if s == "" {
			var none T
			return none, nil
		}
		return f.parse(s)
	}}
}

// envName is the name of an environment variable. It is not shown when it is
// wrong: it may be the secret itself.
func envName() format[string] {
	pattern := regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	return format[string]{textual, func(s string) (string, *fault) {
		if !pattern.MatchString(s) {
			return "", &fault{"is not the name of an environment variable", "write the variable's name, never the secret itself"}
		}
		return s, nil
	}}
}

// httpsURL is an absolute https URL without anything but host and path, its
// final slash taken off. With loopback, http is taken for this machine. The
// URL is not shown when it is wrong: it may hold a password.
func httpsURL(loopback bool) format[string] {
	fix := "write it like https://graph.contoso.com"
	if loopback {
		fix = "write it like https://scim.contoso.com/v2; http is taken for 127.0.0.1, [::1] and localhost alone"
	}
	return format[string]{textual, func(s string) (string, *fault) {
		u, err := url.Parse(s)
		switch {
		case err != nil || u.Host == "" || u.Hostname() == "" || !printable(s) || strings.ContainsAny(s, " \\") || badPort(u):
			return "", &fault{"is not an absolute URL", fix}
		case u.Scheme != "https" && (u.Scheme != "http" || !loopback || !loopbackHost(u.Hostname())):
			return "", &fault{"is not an https URL", fix}
		case u.User != nil:
			return "", &fault{"holds a user name or password", "remove everything up to the @"}
		case u.RawQuery != "" || u.ForceQuery || strings.Contains(s, "#"):
			return "", &fault{"has a query or fragment", "remove everything from the ? or # on"}
		}
		return strings.TrimRight(s, "/"), nil
	}}
}

// proxyURL is a proxy, which may hold a password and is never shown.
func proxyURL() format[Secret] {
	return format[Secret]{textual, func(s string) (Secret, *fault) {
		const fix = "write it like http://proxy.contoso.com:8080 (http, https or socks5)"
		u, err := url.Parse(s)
		if err != nil || u.Hostname() == "" || badPort(u) || !printable(s) {
			return "", &fault{"is not the URL of a proxy", fix}
		}
		if u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5" {
			return "", &fault{"is not a kind of proxy that is known", fix}
		}
		if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(s, "#") {
			return "", &fault{"has a path, query or fragment", fix}
		}
		return Secret(s), nil
	}}
}

func badPort(u *url.URL) bool {
	if strings.HasSuffix(u.Host, ":") {
		return true
	}
	if u.Port() == "" {
		return false
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	return err != nil || n == 0
}

// listenAddress is host:port on this machine, or "" for none.
func listenAddress() format[string] {
	const fix = "write 127.0.0.1:8390, [::1]:8390 or localhost:8390, or \"\" to switch it off"
	return optional(format[string]{textual, func(s string) (string, *fault) {
		host, port, err := net.SplitHostPort(s)
		if err != nil {
			return "", &fault{quote(s) + " is not host:port", fix}
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return "", &fault{quote(port) + " is not a port", fix}
		}
		if !loopbackHost(host) {
			return "", &fault{quote(s) + " could be reached from other machines, which the API is not made for: it asks nobody for a password", fix}
		}
		return s, nil
	}})
}

// loopbackHost reports whether a host names this machine and no other.
func loopbackHost(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// source is the path of a property of a directory user.
func source() format[string] {
	pattern := regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)?$`)
	return format[string]{textual, func(s string) (string, *fault) {
		if len(s) > 256 || !pattern.MatchString(s) {
			return "", &fault{quote(s) + " is not a property of a directory user", "write it as the directory spells it, like department or onPremisesExtensionAttributes.extensionAttribute1"}
		}
		return s, nil
	}}
}

// same is ==, for intoList.
func same[T comparable](a, b T) bool { return a == b }

// sameFolded compares names as people do.
func sameFolded(a, b string) bool { return identity.Fold(a) == identity.Fold(b) }
