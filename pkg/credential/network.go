package credential

import (
	"crypto/x509"
	"net/http"
	"net/url"
	"os"
)

// Roots are the system's trust roots and those of a file in PEM; nil, which is
// the system's alone, where path is "".
func Roots(key, path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // tls.Config.RootCAs takes it so
	}
	pem, _, err := readFile(key, path, maxRoots, func(os.FileInfo) *Error { return nil })
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, &Error{Place: key, Text: "there is no certificate in " + path, Fix: "write the certificate of the authority in PEM, beginning with -----BEGIN CERTIFICATE-----"}
	}
	return pool, nil
}

// Proxy is the choice of a proxy for http.Transport: the one at text, which may
// hold a user and a password and is never shown, or the environment's
// (HTTPS_PROXY, NO_PROXY) where text is "". The schemes are those that
// http.Transport speaks; it takes others for http without a word.
func Proxy(key, text string) (func(*http.Request) (*url.URL, error), error) {
	if text == "" {
		return http.ProxyFromEnvironment, nil
	}
	const fix = "write it like http://proxy.contoso.com:8080 (http, https or socks5); a user and password must be percent-encoded"
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" { // the error of Parse would show the password
		return nil, &Error{Place: key, Text: "it is not the address of a proxy", Fix: fix}
	}
	switch u.Scheme {
	case "http", "https", "socks5":
		return http.ProxyURL(u), nil
	default:
		return nil, &Error{Place: key, Text: "it is of a kind that is not known", Fix: fix}
	}
}
