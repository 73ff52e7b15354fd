package entra

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	abstractions "github.com/microsoft/kiota-abstractions-go"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

const (
	// pageTop is the largest page of a list call.
	pageTop = 999
	// maxCounted is for how many groups the members are counted; a count
	// costs as much as three other requests.
	maxCounted = 100
)

// Search finds groups by name; see directory.Directory. A limit of 0 or less
// is 100. The directory's own search goes by words, so its answer is narrowed
// to names that contain the text.
func (c *Client) Search(ctx context.Context, text string, exact bool, limit int) ([]directory.GroupInfo, error) {
	if limit <= 0 {
		limit = 100
	}
	text = strings.TrimSpace(text)
	p := newPatience(c.options.Patience)
	wanted := identity.Fold(text)
	fits := func(info directory.GroupInfo) bool {
		name := identity.Fold(info.Name)
		if exact {
			return name == wanted
		}
		return strings.Contains(name, wanted)
	}
	search, filter := "", ""
	switch {
	case exact:
		filter = "displayName eq '" + strings.ReplaceAll(text, "'", "''") + "'"
	case text != "":
		search = `"displayName:` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
	}
	found, refused, err := c.list(ctx, p, search, filter, limit, fits)
	if err == nil && refused != nil && refused.status == http.StatusBadRequest && search != "" {
		// Not every cloud searches; a beginning can always be asked for.
		filter = "startswith(displayName,'" + strings.ReplaceAll(text, "'", "''") + "')"
		found, refused, err = c.list(ctx, p, "", filter, limit, fits)
	}
	if err == nil && refused != nil {
		err = refused.refusal("searching groups", needGroups)
	}
	if err != nil {
		return nil, fmt.Errorf("search groups: %w", err)
	}
	slices.SortFunc(found, func(a, b directory.GroupInfo) int {
		if order := strings.Compare(identity.Fold(a.Name), identity.Fold(b.Name)); order != 0 {
			return order
		}
		return a.ID.Compare(b.ID)
	})
	if err := c.count(ctx, p, found); err != nil {
		return nil, fmt.Errorf("count members: %w", err)
	}
	return found, nil
}

// list reads groups page by page until limit of them fit.
func (c *Client) list(ctx context.Context, p *patience, search, filter string, limit int, fits func(directory.GroupInfo) bool) ([]directory.GroupInfo, *reply, error) {
	var found []directory.GroupInfo
	seen := map[string]bool{}
	for next := ""; ; {
		var batch []directory.GroupInfo
		var following string
		refused, err := c.do(ctx, p, call{
			what: "searching groups",
			need: needGroups,
			request: func(ctx context.Context) (*abstractions.RequestInformation, error) {
				if next == "" {
					return c.groupList(ctx, search, filter, groupProperties(), min(limit, pageTop))
				}
				info, err := c.followLink(ctx, "groups", next)
				if err == nil && search != "" {
					info.Headers.TryAdd("ConsistencyLevel", "eventual")
				}
				return info, err
			},
			use: func(_ http.Header, body *watchedBody) (err error) {
				batch, following, err = c.groupPage(body)
				return err
			},
		})
		if err != nil || refused != nil {
			return nil, refused, err
		}
		for _, info := range batch {
			if fits(info) && len(found) < limit {
				found = append(found, info)
			}
		}
		if following == "" || len(found) == limit {
			return found, nil, nil
		}
		if _, err := c.base.checkLink(following); err != nil {
			return nil, nil, err
		}
		if seen[following] || len(seen) >= c.options.MaxPages {
			return nil, nil, protocol("searching groups: the directory's pages have no end")
		}
		seen[following] = true
		next = following
	}
}

// groupPage reads one page of a list of groups.
func (c *Client) groupPage(body io.Reader) (infos []directory.GroupInfo, next string, err error) {
	d := newDecoder(body)
	hasValue := false
	_, err = d.object("the reply", func(key string) (err error) {
		switch key {
		case "@odata.nextLink":
			next, _, err = d.text(key)
		case "value":
			hasValue, err = d.array("value", func() error {
				info, err := c.groupInfo(d)
				if err == nil {
					infos = append(infos, info)
				}
				return err
			})
		default:
			err = d.skip()
		}
		return err
	})
	if err == nil {
		err = d.end()
	}
	if err == nil && !hasValue {
		err = fmt.Errorf("%w: the reply has no value", directory.ErrProtocol)
	}
	return infos, next, err
}

// count fills in how many direct members the first groups have, where the
// directory says so; a count that cannot be had stays -1.
func (c *Client) count(ctx context.Context, p *patience, infos []directory.GroupInfo) error {
	var parts []*part
	for i := range infos[:min(len(infos), maxCounted)] {
		info := &infos[i]
		if info.State != directory.GroupPresent {
			continue
		}
		parts = append(parts, &part{
			what: "counting members",
			need: needGroups,
			request: func(ctx context.Context) (*abstractions.RequestInformation, error) {
				return c.memberCount(ctx, info.ID)
			},
			use: func(body []byte) error {
				n, err := strconv.Atoi(string(bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))))
				if err == nil && n >= 0 {
					info.Members = n
				}
				return nil
			},
		})
	}
	if err := c.ask(ctx, p, parts); err != nil && ctx.Err() != nil {
		return ended(ctx)
	}
	return nil
}
