package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

const roleTenant = "tenant"

// tenantFacts are what the others must know of the tenant.
type tenantFacts struct {
	URL       string   `json:"url"`
	TenantID  string   `json:"tenantId"`
	ClientID  string   `json:"clientId"`
	Roots     []string `json:"roots"` // the top groups
	AllGroups []string `json:"allGroups"`
	Nesting   int      `json:"nesting"`
	// CAFile and SecretFile lie in the folder of the run.
	CAFile     string `json:"caFile"`
	SecretFile string `json:"secretFile"`
}

// serveTenant generates a tenant and serves it until its input ends. Each line
// of input is a percentage of the people to change; it is answered with the
// number of changes.
func serveTenant(in io.Reader, out io.Writer, args []string) (err error) {
	if len(args) != 2 {
		return errors.New("tenant: want SIZE and DIR")
	}
	s, err := parseSize(args[0])
	if err != nil {
		return err
	}
	facts := tenantFacts{
		TenantID: entrasim.DemoTenantID().String(), Nesting: s.Nesting,
		CAFile: filepath.Join(args[1], "ca.pem"), SecretFile: filepath.Join(args[1], "secret"),
	}
	tenant := entrasim.Generate(entrasim.Spec{
		People: s.People, Groups: s.Groups, Nesting: s.Nesting, MembershipsPerPerson: s.Memberships, Seed: 1,
	})
	app := entrasim.DemoApp()
	facts.ClientID = app.ClientID
	if err := os.WriteFile(facts.SecretFile, []byte(app.Secrets[0].Value), 0o600); err != nil {
		return fmt.Errorf("write the tenant's secret: %w", err)
	}
	server, err := entrasim.Start(entrasim.Options{CAFile: facts.CAFile}, tenant)
	if err != nil {
		return fmt.Errorf("serve the tenant: %w", err)
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	facts.URL = server.URL()
	for i, id := range tenant.GroupIDs() {
		facts.AllGroups = append(facts.AllGroups, id.String())
		if i%(s.Nesting+1) == 0 {
			facts.Roots = append(facts.Roots, id.String())
		}
	}
	answers := json.NewEncoder(out)
	if err := answers.Encode(facts); err != nil {
		return fmt.Errorf("tell of the tenant: %w", err)
	}
	seed := uint64(1)
	for lines := bufio.NewScanner(in); lines.Scan(); seed++ {
		var percent float64
		if err := json.Unmarshal(lines.Bytes(), &percent); err != nil {
			return fmt.Errorf("read an order: %w", err)
		}
		if err := answers.Encode(tenant.Churn(seed, percent).Total()); err != nil {
			return fmt.Errorf("answer an order: %w", err)
		}
	}
	return nil
}
