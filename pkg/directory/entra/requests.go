package entra

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	abstractions "github.com/microsoft/kiota-abstractions-go"
	khttp "github.com/microsoft/kiota-http-go"
	"github.com/microsoftgraph/msgraph-sdk-go/groups"
	"github.com/microsoftgraph/msgraph-sdk-go/users"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// The application permissions that calls take.
const (
	needGroups   = "GroupMember.Read.All"
	needUsers    = "User.Read.All"
	needProfiles = "User.Read.All (and, in some tenants, Directory.Read.All)"
)

// groupProperties are selected for what Groups and Search tell.
func groupProperties() []string {
	return []string{"id", "displayName", "securityEnabled", "mailEnabled", "groupTypes", "visibility", "membershipRule"}
}

// parameters are the SDK's path parameters for a builder of this client.
func (c *Client) parameters(pairs ...string) map[string]string {
	m := map[string]string{"baseurl": c.base.String()}
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

// groupDelta asks for the members of up to 50 groups from the start. The link
// is minted by this enumeration, never by $deltatoken=latest.
func (c *Client) groupDelta(ctx context.Context, ids []identity.ObjectID) (*abstractions.RequestInformation, error) {
	terms := make([]string, len(ids))
	for i, id := range ids {
		terms[i] = "id eq '" + id.String() + "'"
	}
	filter := strings.Join(terms, " or ")
	return groups.NewDeltaRequestBuilderInternal(c.parameters(), c.adapter).ToGetRequestInformation(ctx,
		&groups.DeltaRequestBuilderGetRequestConfiguration{QueryParameters: &groups.DeltaRequestBuilderGetQueryParameters{
			Select: []string{"id", "displayName", "visibility", "members"},
			Filter: &filter,
		}})
}

// userDelta asks for all users from the start.
func (c *Client) userDelta(ctx context.Context, properties []string) (*abstractions.RequestInformation, error) {
	return users.NewDeltaRequestBuilderInternal(c.parameters(), c.adapter).ToGetRequestInformation(ctx,
		&users.DeltaRequestBuilderGetRequestConfiguration{QueryParameters: &users.DeltaRequestBuilderGetQueryParameters{Select: properties}})
}

// followLink asks for a link that was checked, exactly as it is written.
func (c *Client) followLink(ctx context.Context, collection, link string) (info *abstractions.RequestInformation, err error) {
	if collection == "users" {
		info, err = users.NewDeltaRequestBuilder(link, c.adapter).ToGetRequestInformation(ctx, nil)
	} else {
		info, err = groups.NewDeltaRequestBuilder(link, c.adapter).ToGetRequestInformation(ctx, nil)
	}
	if err == nil {
		info.AddRequestOptions([]abstractions.RequestOption{&khttp.ParametersNameDecodingOptions{Enable: false}})
	}
	return info, err
}

// groupGet asks for one group.
func (c *Client) groupGet(ctx context.Context, id identity.ObjectID) (*abstractions.RequestInformation, error) {
	return groups.NewGroupItemRequestBuilderInternal(c.parameters("group%2Did", id.String()), c.adapter).ToGetRequestInformation(ctx,
		&groups.GroupItemRequestBuilderGetRequestConfiguration{QueryParameters: &groups.GroupItemRequestBuilderGetQueryParameters{Select: groupProperties()}})
}

// memberCount asks for the number of direct members.
func (c *Client) memberCount(ctx context.Context, id identity.ObjectID) (*abstractions.RequestInformation, error) {
	info, err := groups.NewItemMembersCountRequestBuilderInternal(c.parameters("group%2Did", id.String()), c.adapter).ToGetRequestInformation(ctx, nil)
	if err == nil {
		info.Headers.TryAdd("ConsistencyLevel", "eventual")
	}
	return info, err
}

// groupList asks for groups; search and filter may be empty.
func (c *Client) groupList(ctx context.Context, search, filter string, properties []string, top int) (*abstractions.RequestInformation, error) {
	query := &groups.GroupsRequestBuilderGetQueryParameters{Select: properties, Top: new(int32(top))}
	if search != "" {
		query.Search = &search
	}
	if filter != "" {
		query.Filter = &filter
	}
	info, err := groups.NewGroupsRequestBuilderInternal(c.parameters(), c.adapter).ToGetRequestInformation(ctx,
		&groups.GroupsRequestBuilderGetRequestConfiguration{QueryParameters: query})
	if err == nil && search != "" {
		info.Headers.TryAdd("ConsistencyLevel", "eventual")
	}
	return info, err
}

// userGet asks for one person.
func (c *Client) userGet(ctx context.Context, id identity.ObjectID, properties []string) (*abstractions.RequestInformation, error) {
	return users.NewUserItemRequestBuilderInternal(c.parameters("user%2Did", id.String()), c.adapter).ToGetRequestInformation(ctx,
		&users.UserItemRequestBuilderGetRequestConfiguration{QueryParameters: &users.UserItemRequestBuilderGetQueryParameters{Select: properties}})
}

// maxByIDs is how many ids one getByIds takes.
const maxByIDs = 1000

// usersByID asks for the profiles of up to 1,000 people. The SDK's own builder
// has no $select for it, so the template is written here.
func (c *Client) usersByID(ids []identity.ObjectID, properties []string) (*abstractions.RequestInformation, error) {
	info := abstractions.NewRequestInformationWithMethodAndUrlTemplateAndPathParameters(
		abstractions.POST, "{+baseurl}/directoryObjects/getByIds{?%24select}", c.parameters())
	info.QueryParameters["%24select"] = strings.Join(properties, ",")
	return withJSON(info, struct {
		IDs   []identity.ObjectID `json:"ids"`
		Types []string            `json:"types"`
	}{ids, []string{"user"}})
}

// batchOf asks for up to 20 requests in one.
func (c *Client) batchOf(items []batchItem) (*abstractions.RequestInformation, error) {
	info := abstractions.NewRequestInformationWithMethodAndUrlTemplateAndPathParameters(
		abstractions.POST, "{+baseurl}/$batch", c.parameters())
	return withJSON(info, struct {
		Requests []batchItem `json:"requests"`
	}{items})
}

func withJSON(info *abstractions.RequestInformation, body any) (*abstractions.RequestInformation, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("write a request: %w", err)
	}
	info.Content = raw
	info.Headers.TryAdd("Accept", "application/json")
	info.Headers.TryAdd("Content-Type", "application/json")
	info.Headers.TryAdd("Content-Length", strconv.Itoa(len(raw)))
	return info, nil
}
