package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"github.com/vaultsync/vaultsync/pkg/config"
)

// dataFolder looks whether the state is for its owner alone and can be
// written.
func (c *checkup) dataFolder() {
	const about, check = "configuration", "data directory"
	dir := c.cfg.DataDir
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.warn(about, check, dir+" does not exist yet; it is made with the first run", "")
		return
	case err != nil:
		c.fail(exitUsage, about, check, err.Error(), "let the account of the service read and write "+dir)
		return
	case !info.IsDir():
		c.fail(exitUsage, about, check, dir+" is not a folder", "name another dataDir")
		return
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		c.fail(exitUsage, about, check, fmt.Sprintf("others may look into %s (mode %04o)", dir, info.Mode().Perm()), "chmod 700 "+dir)
		return
	}
	probe, err := os.CreateTemp(dir, ".check-")
	if err != nil {
		c.fail(exitUsage, about, check, "nothing can be written to "+dir+": "+err.Error(), "let the account of the service write to "+dir+", and see that the disk is not full")
		return
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		c.fail(exitUsage, about, check, err.Error(), "let the account of the service write to "+dir)
		return
	}
	c.ok(about, check, "%s can be written, by its owner alone", dir)
}

// directorySecrets looks at the files of a directory's credential.
func (c *checkup) directorySecrets(d config.Directory) {
	about := "directory " + d.Name
	cred := d.Credential
	c.secretFile(about, "secret", cred.SecretFile, "vaultsync secret set "+d.Name)
	c.secretFile(about, "certificate", cred.CertificateFile, "copy the certificate with its key to "+cred.CertificateFile)
	c.secretFile(about, "certificate password", cred.CertificatePasswordFile, "vaultsync secret set "+d.Name)
	c.secretEnv(about, cred.SecretEnv)
	if d.CAFile != "" {
		if _, err := os.Stat(d.CAFile); err != nil {
			c.fail(exitUsage, about, "caFile", err.Error(), "name a PEM file of the trust roots, or take caFile out")
		}
	}
}

// vaultSecrets looks at the files that a vault's store is signed in with.
func (c *checkup) vaultSecrets(v config.Vault) {
	if v.Store.SCIM == nil {
		return
	}
	about := "vault " + v.Name
	c.secretFile(about, "token", v.Store.SCIM.TokenFile, "vaultsync secret set "+v.Name)
	c.secretEnv(about, v.Store.SCIM.TokenEnv)
	if o := v.Store.SCIM.OAuth; o != nil {
		c.secretFile(about, "client secret", o.SecretFile, "vaultsync secret set "+v.Name)
		c.secretEnv(about, o.SecretEnv)
	}
}

// secretFile looks at one file that holds a secret; what is in it is not read.
func (c *checkup) secretFile(about, check, path, make string) {
	if path == "" {
		return
	}
	named := path
	path = credentialFile(path)
	f, err := os.Open(path) //nolint:gosec // named by the configuration
	if err != nil {
		fix := make
		if !errors.Is(err, fs.ErrNotExist) {
			fix = "let the account of the service read " + path
		}
		c.fail(exitUsage, about, check, err.Error(), fix)
		return
	}
	defer f.Close() //nolint:errcheck // was only looked at
	info, err := f.Stat()
	switch mode := fs.FileMode(0); {
	case err != nil:
		c.fail(exitUsage, about, check, err.Error(), "let the account of the service read "+path)
	case !info.Mode().IsRegular():
		c.fail(exitUsage, about, check, path+" is not a file", make)
	case info.Size() == 0:
		c.fail(exitUsage, about, check, path+" is empty", make)
	case runtime.GOOS == "windows":
		c.ok(about, check, "%s can be read", path)
	case path != named:
		c.ok(about, check, "%s was handed over by systemd", named)
	default:
		mode = info.Mode().Perm()
		switch {
		case mode&0o007 != 0:
			c.fail(exitUsage, about, check, fmt.Sprintf("every user of this machine may use %s (mode %04o)", path, mode), "chmod 600 "+path)
		case mode&0o070 != 0:
			c.warn(about, check, fmt.Sprintf("the group of %s may use it too (mode %04o)", path, mode), "chmod 600 "+path+", unless the service runs with that group")
		default:
			c.ok(about, check, "%s is for its owner alone", path)
		}
	}
}

// secretEnv looks whether a variable is set, in the daemon's environment when
// there is a daemon.
func (c *checkup) secretEnv(about, name string) {
	if name == "" {
		return
	}
	if value, ok := os.LookupEnv(name); !ok || value == "" {
		c.fail(exitUsage, about, "secret", "the environment variable "+name+" is not set", "set it for the service, or keep the secret in a file")
		return
	}
	c.ok(about, "secret", "the environment variable %s is set", name)
}
