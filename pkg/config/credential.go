package config

import (
	"slices"
	"strings"
)

// readCredential reads where a directory's secret is. Whether the files are
// there is not looked at: that is for those who open them, on the machine and
// under the account that needs them.
func readCredential(c *Credential) reader {
	return func(v value) {
		known := v.object(
			need("type", "write clientSecret, clientCertificate, managedIdentity or workloadIdentity",
				into(&c.Type, oneOf("clientSecret", "clientCertificate", "managedIdentity", "workloadIdentity"))),
			may("secretFile", "", into(&c.SecretFile, path(v.doc.dir))),
			may("secretEnv", "", into(&c.SecretEnv, envName())),
			may("certificateFile", "", into(&c.CertificateFile, path(v.doc.dir))),
			may("certificatePasswordFile", "no password", into(&c.CertificatePasswordFile, path(v.doc.dir))),
			trap("secret", "secretFile"),
			trap("clientSecret", "secretFile"),
			trap("password", "secretFile"),
			trap("certificatePassword", "certificatePasswordFile"),
		)
		if !known {
			return
		}
		switch c.Type {
		case "clientSecret":
			v.exactlyOne("secretFile", "secretEnv")
			v.onlyWith(c.Type, "secretFile", "secretEnv")
		case "clientCertificate":
			v.exactlyOne("certificateFile")
			v.onlyWith(c.Type, "certificateFile", "certificatePasswordFile")
		case "managedIdentity", "workloadIdentity":
			v.onlyWith(c.Type)
		default: // reported already
		}
	}
}

// onlyWith reports keys of a credential that its type has no use for.
func (v value) onlyWith(kind string, taken ...string) {
	for _, name := range []string{"secretFile", "secretEnv", "certificateFile", "certificatePasswordFile"} {
		key := join(v.key, name)
		if slices.Contains(taken, name) || !v.doc.has(key) {
			continue
		}
		fix := "remove it, or change the type"
		if len(taken) > 0 {
			fix += "; it takes " + strings.Join(taken, ", ")
		}
		v.doc.to.add(v.doc.at(key), "has no meaning with type "+kind, fix)
	}
}
