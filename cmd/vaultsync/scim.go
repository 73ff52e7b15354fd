package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/vault/scim"
	"github.com/vaultsync/vaultsync/pkg/wholefile"
)

// openSCIM opens a vault's SCIM service, once; a.mu is held.
func (a *app) openSCIM(v config.Vault) (*scim.Store, error) {
	if s := a.scims[v.Name]; s != nil {
		return s, nil
	}
	o := scimOptions(v)
	o.Logger = a.log
	a.recallMembers(v, &o)
	s, err := scim.Open(o)
	if err != nil {
		return nil, usageError{text: fmt.Sprintf("%s: %v", v.File, err), hint: hintOf(err)}
	}
	if a.scims == nil {
		a.scims = map[string]*scim.Store{}
	}
	a.scims[v.Name] = s
	return s, nil
}

// members is what is remembered of a service between two programs: that its
// groups show no members. Without it the first full run after each restart would
// add every member again to find that out. Losing it does no more harm.
type members struct {
	URL    string `json:"url"`
	Hidden bool   `json:"membersHidden"`
}

func (a *app) membersPath(name string) string {
	return filepath.Join(a.cfg.DataDir, "services", strings.ToLower(name)+".json")
}

// recallMembers takes what an earlier program found out of the service, and
// keeps what this one does.
func (a *app) recallMembers(v config.Vault, o *scim.Options) {
	if a.cfg.DataDir == "" {
		return
	}
	path := a.membersPath(v.Name)
	var known members
	if text, err := os.ReadFile(path); err == nil && json.Unmarshal(text, &known) == nil && known.URL == o.URL {
		o.MembersHidden = known.Hidden
	}
	url, log := o.URL, a.log
	o.MembersFound = func(hidden bool) {
		text, err := json.Marshal(members{URL: url, Hidden: hidden})
		if err == nil {
			err = os.MkdirAll(filepath.Dir(path), 0o700)
		}
		if err == nil {
			err = wholefile.WriteBytes(path, text)
		}
		if err != nil && log != nil {
			log.Warn("what was found out of a vault's service is not kept", "vault", v.Name, "error", err)
		}
	}
}

// checkTarget says what is wrong with an attribute that a vault's file names.
func checkTarget(storeType, target string) error {
	if storeType != "scim" {
		return nil
	}
	return scim.CheckTarget(target)
}

// scimOptions are a vault's settings in the words of the driver.
func scimOptions(v config.Vault) scim.Options {
	c := v.Store.SCIM
	o := scim.Options{
		URL: c.URL, TokenFile: credentialFile(c.TokenFile), TokenEnv: c.TokenEnv, CAFile: c.CAFile, Proxy: c.Proxy.Reveal(),
		Bulk: c.Bulk, Patch: c.Patch, Parallel: c.Parallel, PageSize: c.PageSize, MemberChunk: c.MemberChunk,
		LicenseAttribute: c.LicenseAttribute, LicenseExhausted: c.LicenseExhausted, Timeout: c.Timeout,
	}
	if c.OAuth != nil {
		o.OAuth = &scim.OAuth{
			TokenURL: c.OAuth.TokenURL, ClientID: c.OAuth.ClientID, SecretFile: credentialFile(c.OAuth.SecretFile),
			SecretEnv: c.OAuth.SecretEnv, Scope: c.OAuth.Scope,
		}
	}
	for _, attribute := range v.Attributes {
		o.Attributes = append(o.Attributes, attribute.Target)
	}
	return o
}

// scimService tries a SCIM service and tells what it offers. It reads a page of
// users and one of groups, and writes nothing.
func (c *checkup) scimService(ctx context.Context, about string, store *scim.Store) {
	r, err := store.Check(ctx)
	if err != nil {
		c.failed(ctx, about, "store", err)
		return
	}
	users := "it does not say how many users it has"
	if r.Users >= 0 {
		users = fmt.Sprintf("it says that it has %d users", r.Users)
	}
	c.ok(about, "store", "SCIM service %s answers and takes the %s; %s", r.URL, r.SignIn, users)
	writes := "changes by PUT"
	if r.Patch {
		writes = "changes by PATCH"
	}
	if r.Bulk {
		writes += fmt.Sprintf(", in bulk of up to %d operations", r.BulkOperations)
	}
	c.ok(about, "SCIM", "%s; the filter by userName is %s", writes, r.LoginFilter)
	for _, a := range r.Attributes {
		switch a.State {
		case "known":
			c.ok(about, "attribute", "%s is in the service's schemas", a.Target)
		case "unverified":
			c.ok(about, "attribute", "%s cannot be verified: the service has no schemas", a.Target)
		default: // a remark says what it means
		}
	}
	for _, remark := range r.Remarks {
		c.warn(about, "SCIM", remark, "vaultsync manual scim")
	}
}
