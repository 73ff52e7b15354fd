package entra

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"software.sslmate.com/src/go-pkcs12"
)

// maxSecretFile is the largest credential file read, in bytes.
const maxSecretFile = 1 << 20

// stamp tells whether the files of a credential have changed.
type stamp struct {
	size     [2]int64
	modified [2]time.Time
}

// stampOf reads the stamp of up to two files; a file that cannot be looked at
// has the zero stamp.
func stampOf(paths ...string) stamp {
	var s stamp
	for i, path := range paths {
		if path == "" {
			continue
		}
		if info, err := os.Stat(path); err == nil {
			s.size[i], s.modified[i] = info.Size(), info.ModTime()
		}
	}
	return s
}

// material is what a credential is made of.
type material struct {
	secret string
	certs  []*x509.Certificate
	key    crypto.PrivateKey
	digest [sha256.Size]byte
}

// readSecretFile reads a file that holds a secret. On Unix it refuses one that
// everybody may read or write.
func readSecretFile(key, path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	if info.IsDir() {
		return nil, fmt.Errorf("%s: %s is a directory", key, path)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o006 != 0 {
		return nil, fmt.Errorf("%s: every user of this machine may read or write %s (mode %04o); run: chmod 600 %s", key, path, info.Mode().Perm(), path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	if len(data) > maxSecretFile {
		return nil, fmt.Errorf("%s: %s is larger than 1 MiB", key, path)
	}
	return data, nil
}

// trimSecret takes off the line end that editors add, and nothing else.
func trimSecret(key string, data []byte) (string, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	text := string(bytes.TrimRight(data, "\r\n"))
	if text == "" {
		return "", fmt.Errorf("%s: there is no secret in it", key)
	}
	return text, nil
}

// readClientSecret reads the client secret from its file or variable.
func readClientSecret(c Credential) (material, error) {
	var text string
	if c.SecretEnv != "" {
		value, ok := c.LookupEnv(c.SecretEnv)
		if !ok {
			return material{}, fmt.Errorf("credential.secretEnv: the environment variable %s is not set", c.SecretEnv)
		}
		var err error
		if text, err = trimSecret("credential.secretEnv", []byte(value)); err != nil {
			return material{}, err
		}
	} else {
		data, err := readSecretFile("credential.secretFile", c.SecretFile)
		if err != nil {
			return material{}, err
		}
		if text, err = trimSecret("credential.secretFile", data); err != nil {
			return material{}, err
		}
	}
	return material{secret: text, digest: sha256.Sum256([]byte(text))}, nil
}

// readCertificate reads a certificate and its key from PEM or PKCS#12.
func readCertificate(c Credential) (material, error) {
	data, err := readSecretFile("credential.certificateFile", c.CertificateFile)
	if err != nil {
		return material{}, err
	}
	var password string
	if c.CertificatePasswordFile != "" {
		raw, err := readSecretFile("credential.certificatePasswordFile", c.CertificatePasswordFile)
		if err != nil {
			return material{}, err
		}
		if password, err = trimSecret("credential.certificatePasswordFile", raw); err != nil {
			return material{}, err
		}
	}
	m := material{digest: sha256.Sum256(append(bytes.Clone(data), password...))}
	if bytes.Contains(data, []byte("-----BEGIN ")) {
		return m.fromPEM(c.CertificateFile, data)
	}
	return m.fromPKCS12(c.CertificateFile, data, password)
}

func (m material) fromPEM(path string, data []byte) (material, error) {
	if bytes.Contains(data, []byte("ENCRYPTED")) {
		return material{}, fmt.Errorf("credential.certificateFile: the key in %s is encrypted, which PEM files must not be here; use a PKCS#12 file with certificatePasswordFile", path)
	}
	certs, key, err := azidentity.ParseCertificates(data, nil)
	if err != nil {
		return material{}, fmt.Errorf("credential.certificateFile: %s wants a certificate and its private key in PEM: %w", path, err)
	}
	m.certs, m.key = certs, key
	return m, nil
}

func (m material) fromPKCS12(path string, data []byte, password string) (material, error) {
	key, leaf, chain, err := pkcs12.DecodeChain(data, password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return material{}, fmt.Errorf("credential.certificateFile: the password of %s is wrong; check certificatePasswordFile", path)
	case err != nil:
		return material{}, fmt.Errorf("credential.certificateFile: %s is neither PEM nor PKCS#12: %w", path, err)
	}
	private, ok := key.(crypto.PrivateKey)
	if !ok || private == nil {
		return material{}, fmt.Errorf("credential.certificateFile: %s holds no private key", path)
	}
	m.certs, m.key = append([]*x509.Certificate{leaf}, chain...), private
	return m, nil
}

// expires is when the certificate that matches the key ends; zero without one.
func (m material) expires() time.Time {
	private, ok := m.key.(interface{ Public() crypto.PublicKey })
	if !ok {
		return time.Time{}
	}
	public, ok := private.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return time.Time{}
	}
	for _, cert := range m.certs {
		if public.Equal(cert.PublicKey) {
			return cert.NotAfter
		}
	}
	return time.Time{}
}
