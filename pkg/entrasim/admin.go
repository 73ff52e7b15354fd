package entrasim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// serveAdmin drives the simulator from outside Go:
//
//	POST /_sim/apply   a change script (Tenant.Apply); the reply is 204
//	POST /_sim/fault   a Fault as JSON, with "delay" as text; the reply is 204
//	POST /_sim/faults/clear
//	GET  /_sim/stats   Stats as JSON
//	POST /_sim/stats/reset
//	POST /_sim/clock   {"advance":"8d"}
//	GET  /_sim/rules, POST /_sim/rules   Rules as JSON; fields that are absent stay
//	POST /_sim/revoke  every access token issued so far
//	GET  /_sim/ca      the authority's certificate
//
// ?tenant=ID names the tenant when there are several.
func (s *Server) serveAdmin(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<20))
	if err == nil {
		err = s.admin(w, r, body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

func (s *Server) admin(w http.ResponseWriter, r *http.Request, body []byte) error {
	t, err := s.adminTenant(r)
	if err != nil {
		return err
	}
	switch r.Method + " " + strings.TrimPrefix(r.URL.Path, "/_sim/") {
	case "POST apply":
		err = t.Apply(string(body))
	case "POST fault":
		err = s.adminFault(body)
	case "POST faults/clear":
		s.ClearFaults()
	case "GET stats":
		return writeJSON(w, s.Stats())
	case "POST stats/reset":
		s.ResetStats()
	case "POST clock":
		err = adminClock(t, body)
	case "GET rules":
		return writeJSON(w, t.Rules())
	case "POST rules":
		t.SetRules(func(rules *Rules) { err = strictJSON(body, rules) })
	case "POST revoke":
		s.RevokeAccess(t)
	case "GET ca":
		w.Header().Set("Content-Type", "application/x-pem-file")
		_, _ = w.Write(s.CAPEM())
		return nil
	default:
		http.NotFound(w, r)
		return nil
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) adminTenant(r *http.Request) (*Tenant, error) {
	if name := r.URL.Query().Get("tenant"); name != "" {
		if t := s.tenantNamed(name); t != nil {
			return t, nil
		}
		return nil, fmt.Errorf("tenant %q is %w", name, ErrUnknown)
	}
	if len(s.tenants) != 1 {
		return nil, fmt.Errorf("there are %d tenants: say which with ?tenant=ID", len(s.tenants))
	}
	for _, t := range s.tenants {
		return t, nil
	}
	return nil, ErrUnknown
}

func (s *Server) adminFault(body []byte) error {
	var order struct {
		Fault
		Delay string `json:"delay"`
	}
	if err := strictJSON(body, &order); err != nil {
		return err
	}
	if order.Delay != "" {
		d, err := parseDuration(order.Delay)
		if err != nil {
			return err
		}
		order.Fault.Delay = d
	}
	_, err := s.Inject(order.Fault)
	return err
}

func adminClock(t *Tenant, body []byte) error {
	var order struct {
		Advance string `json:"advance"`
	}
	if err := strictJSON(body, &order); err != nil {
		return err
	}
	d, err := parseDuration(order.Advance)
	if err != nil {
		return err
	}
	t.Advance(d)
	return nil
}

func strictJSON(body []byte, into any) error {
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	return nil
}

func writeJSON(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(b, '\n'))
	return nil
}
