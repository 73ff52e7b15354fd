package entra

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// claims is what a token says of itself. It is read to tell permissions apart
// and to explain; nothing is trusted on its word alone.
type claims struct {
	tenant string
	app    string
	roles  []string // sorted
	exp    time.Time
}

// hiddenMembers is the permission to read hidden memberships.
const hiddenMembers = "Member.Read.Hidden"

// parseClaims reads a token's payload; a token that is not a JWT has none.
func parseClaims(token string) claims {
	parts := strings.Split(token, ".")
	if len(parts) < 2 {
		return claims{}
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return claims{}
	}
	var body struct {
		Tenant string   `json:"tid"`
		App    string   `json:"appid"`
		Azp    string   `json:"azp"`
		Roles  []string `json:"roles"`
		Exp    float64  `json:"exp"`
	}
	if json.Unmarshal(raw, &body) != nil {
		return claims{}
	}
	c := claims{tenant: body.Tenant, app: body.App, roles: body.Roles}
	if c.app == "" {
		c.app = body.Azp
	}
	if body.Exp > 0 && body.Exp < 1<<40 {
		c.exp = time.Unix(int64(body.Exp), 0).UTC()
	}
	slices.Sort(c.roles)
	c.roles = slices.Compact(c.roles)
	return c
}

// mayReadHidden reports whether hidden memberships can be read.
func (c claims) mayReadHidden() bool { return slices.Contains(c.roles, hiddenMembers) }
