package config

import (
	"math"
	"time"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// readServer reads the server's file but for the settings that environment and
// flags can override: those are noted in s.
func readServer(doc *document, s *settings, cfg *Config) {
	doc.root.object(
		s.field("dataDir"),
		s.field("vaults"),
		may("log", "{level: info, format: text}", keys(s.field("log.level"), s.field("log.format"))),
		s.field("concurrency"),
		may("api", "{listen: 127.0.0.1:8390}", keys(s.field("api.listen"))),
		may("guards", "the defaults", keys(
			may("disables", "{count: 500, percent: 20, minimum: 100}", readGuard(&cfg.Disables, "count", "percent", "minimum")),
		)),
		may("embeddedStore", "unlimited licences", readEmbeddedStore(&cfg.EmbeddedStore)),
		need("directories", "describe at least one directory", readDirectories(&cfg.Directories)),
	)
}

func readEmbeddedStore(store *EmbeddedStore) reader {
	types := oneOf(identity.LicenseNamed, identity.LicenseConcurrent, identity.LicenseReadOnly)
	return keys(may("licenses", "unlimited licences", items(func(v value) {
		pool := LicensePool{Count: -1}
		v.object(
			need("type", "write named, concurrent or readOnly", into(&pool.Type, types)),
			may("count", "no limit", into(&pool.Count, number(0, math.MaxInt32))),
		)
		for _, other := range store.Licenses {
			if pool.Type != "" && other.Type == pool.Type {
				v.fault(quote(string(pool.Type))+" stands twice", "add the two counts up")
			}
		}
		store.Licenses = append(store.Licenses, pool)
	})))
}

func readDirectories(list *[]Directory) reader {
	return func(v value) {
		if !v.each(func(_ int, item value) { *list = append(*list, readDirectory(item)) }) {
			return
		}
		if len(v.node.Content) == 0 {
			v.fault("is an empty list", "describe at least one directory")
		}
	}
}

func readDirectory(v value) Directory {
	d := Directory{Cloud: "public", Freshness: time.Minute, Profiles: "auto", Patience: 2 * time.Minute}
	known := v.object(
		need("name", "write the name by which vault files call it", into(&d.Name, name())),
		need("type", "write entra", into(&d.Type, oneOf("entra"))),
		need("tenantId", "write the tenant's id, a GUID", into(&d.TenantID, guid("a tenant id", "write the directory (tenant) id of the app registration, a GUID"))),
		may("clientId", "the machine's own identity, with credential type managedIdentity only", into(&d.ClientID, guid("a client id", "write the application (client) id of the app registration, a GUID"))),
		need("credential", "write {type: clientSecret, secretFile: …}", readCredential(&d.Credential)),
		may("cloud", "public", into(&d.Cloud, oneOf("public", "usGovernment", "usGovernmentDoD", "china"))),
		may("endpoints", "the cloud's", keys(
			may("graph", "the cloud's", into(&d.Endpoints.Graph, optional(httpsURL(false)))),
			may("authority", "the cloud's", into(&d.Endpoints.Authority, optional(httpsURL(false)))),
		)),
		may("freshness", "1m", into(&d.Freshness, span(0))),
		may("profiles", "auto", into(&d.Profiles, oneOf("auto", "stream", "read"))),
		may("patience", "2m", into(&d.Patience, span(0))),
		may("caFile", "the machine's trust roots", into(&d.CAFile, optional(path(v.doc.dir)))),
		may("proxy", "the environment's", into(&d.Proxy, optional(proxyURL()))),
	)
	clientID := join(v.key, "clientId")
	if known && !v.doc.has(clientID) && d.Credential.Type != "managedIdentity" {
		v.doc.to.add(v.doc.at(clientID), "is missing", "write the application (client) id of the app registration, a GUID")
	}
	return d
}
