package entra

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	abstractions "github.com/microsoft/kiota-abstractions-go"

	"github.com/vaultsync/vaultsync/pkg/directory"
)

// Check signs in anew, whatever tokens there are, asks for one group and says
// what the token may do; see directory.Directory. When only the question is
// refused, the access is returned along with the error.
func (c *Client) Check(ctx context.Context) (directory.Access, error) {
	c.signIn.renew(c.signIn.generationNow())
	var trip time.Duration
	start := time.Now()
	refused, err := c.do(ctx, newPatience(c.options.Patience), call{
		what: "asking for one group",
		need: needGroups,
		request: func(ctx context.Context) (*abstractions.RequestInformation, error) {
			// The sign-in is not part of the round trip.
			info, err := c.groupList(ctx, "", "", []string{"id"}, 1)
			if err != nil {
				return nil, err
			}
			if _, err := c.signIn.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{c.scope}, EnableCAE: true}); err != nil {
				return nil, err
			}
			start = time.Now()
			return info, nil
		},
		use: func(_ http.Header, body *watchedBody) error {
			trip = time.Since(start)
			_, _, err := c.groupPage(body)
			return err
		},
	})
	token, expires, certEnds := c.signIn.state()
	access := directory.Access{
		TenantID:          token.tenant,
		ClientID:          token.app,
		Permissions:       slices.Clone(token.roles),
		Expires:           expires,
		CredentialExpires: certEnds,
		RoundTrip:         trip,
	}
	if err == nil && refused != nil {
		err = refused.refusal("asking for one group", needGroups)
	}
	if err != nil {
		return access, fmt.Errorf("check the directory: %w", err)
	}
	return access, nil
}
