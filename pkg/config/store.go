package config

import (
	"time"

	"go.yaml.in/yaml/v3"
)

// readStore reads the store of a vault; the keys beside type are the driver's.
func readStore(s *Store) reader {
	return func(v value) {
		if v.node.Kind != yaml.MappingNode {
			v.fault("wants keys and values, not "+describe(v.node), "write {type: embedded}")
			return
		}
		kind := need("type", "write embedded or scim", into(&s.Type, oneOf("embedded", "scim")))
		switch v.peek("type") {
		case "embedded":
			v.object(kind)
		case "scim":
			s.SCIM = defaultSCIM()
			v.object(append(scimFields(s.SCIM, v.doc.dir), kind)...)
			v.exactlyOne("tokenFile", "tokenEnv", "oauth")
		default:
			// What the other keys should be is not known without the type, so
			// nothing is said of them.
			fields := scimFields(defaultSCIM(), v.doc.dir)
			for i := range fields {
				fields[i].needed = false
				fields[i].read = func(value) {}
			}
			v.object(append(fields, kind)...)
		}
	}
}

func defaultSCIM() *SCIM {
	return &SCIM{Bulk: "auto", Patch: "auto", Parallel: 4, PageSize: 100, MemberChunk: 100, Timeout: 30 * time.Second}
}

func scimFields(s *SCIM, dir string) []field {
	return []field{
		need("url", "write the service's base URL, like https://scim.contoso.com/v2", into(&s.URL, httpsURL(true))),
		may("tokenFile", "", into(&s.TokenFile, path(dir))),
		may("tokenEnv", "", into(&s.TokenEnv, envName())),
		trap("token", "tokenFile"),
		may("oauth", "", func(v value) {
			s.OAuth = &OAuth{}
			readOAuth(s.OAuth)(v)
		}),
		may("caFile", "the machine's trust roots", into(&s.CAFile, optional(path(dir)))),
		may("proxy", "the environment's", into(&s.Proxy, optional(proxyURL()))),
		may("bulk", "auto", into(&s.Bulk, oneOf("auto", "on", "off"))),
		may("patch", "auto", into(&s.Patch, oneOf("auto", "on", "off"))),
		may("parallel", "4", into(&s.Parallel, number(1, 64))),
		may("pageSize", "100", into(&s.PageSize, number(1, 10000))),
		may("memberChunk", "100", into(&s.MemberChunk, number(1, 10000))),
		may("licenseAttribute", "none", into(&s.LicenseAttribute, text(true))),
		may("licenseExhausted", "none", into(&s.LicenseExhausted, text(true))),
		may("timeout", "30s", into(&s.Timeout, span(time.Second))),
	}
}

func readOAuth(o *OAuth) reader {
	return func(v value) {
		known := v.object(
			need("tokenUrl", "write the URL that gives out tokens", into(&o.TokenURL, httpsURL(true))),
			need("clientId", "write the client's id", into(&o.ClientID, text(false))),
			may("secretFile", "", into(&o.SecretFile, path(v.doc.dir))),
			may("secretEnv", "", into(&o.SecretEnv, envName())),
			trap("secret", "secretFile"),
			trap("clientSecret", "secretFile"),
			may("scope", "none", into(&o.Scope, text(true))),
		)
		if known {
			v.exactlyOne("secretFile", "secretEnv")
		}
	}
}
