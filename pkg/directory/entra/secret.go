package entra

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/vaultsync/vaultsync/pkg/credential"
)

// material is what a credential is made of.
type material struct {
	secret string
	certs  []*x509.Certificate
	key    crypto.PrivateKey
	digest [sha256.Size]byte
}

// readClientSecret reads the client secret from its file or variable.
func readClientSecret(c Credential) (material, error) {
	secret := credential.Secret{Key: "credential.secretFile", File: c.SecretFile, Env: c.SecretEnv, LookupEnv: c.LookupEnv}
	if c.SecretEnv != "" {
		secret.Key = "credential.secretEnv"
	}
	text, err := secret.Read()
	if err != nil {
		return material{}, err
	}
	return material{secret: text, digest: sha256.Sum256([]byte(text))}, nil
}

// readCertificate reads a certificate and its key from PEM or PKCS#12.
func readCertificate(c Credential) (material, error) {
	data, err := credential.ReadFile("credential.certificateFile", c.CertificateFile)
	if err != nil {
		return material{}, err
	}
	var password string
	if c.CertificatePasswordFile != "" {
		raw, err := credential.ReadFile("credential.certificatePasswordFile", c.CertificatePasswordFile)
		if err != nil {
			return material{}, err
		}
		if password, err = credential.Line("credential.certificatePasswordFile", raw); err != nil {
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
