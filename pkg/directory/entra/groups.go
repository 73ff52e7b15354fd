package entra

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"

	abstractions "github.com/microsoft/kiota-abstractions-go"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// Groups reads the state of each group; see directory.Directory.
func (c *Client) Groups(ctx context.Context, ids []identity.ObjectID) ([]directory.GroupInfo, error) {
	infos := make([]directory.GroupInfo, len(ids))
	parts := make([]*part, len(ids))
	for i, id := range ids {
		parts[i] = &part{
			what:    "reading a group",
			need:    needGroups,
			request: func(ctx context.Context) (*abstractions.RequestInformation, error) { return c.groupGet(ctx, id) },
			use: func(body []byte) error {
				d := newDecoder(bytes.NewReader(body))
				info, err := c.groupInfo(d)
				if err == nil {
					err = d.end()
				}
				if err == nil && info.ID != id {
					err = protocol("asked for one group, the directory answered with another")
				}
				infos[i] = info
				return err
			},
		}
	}
	if err := c.ask(ctx, newPatience(c.options.Patience), parts); err != nil {
		return nil, fmt.Errorf("read groups: %w", err)
	}
	for i, p := range parts {
		if p.done {
			continue
		}
		infos[i] = directory.GroupInfo{ID: ids[i], Members: -1, State: directory.GroupUnreadable}
		if p.reply != nil && p.reply.notFound() {
			infos[i].State = directory.GroupMissing
			infos[i].Why = "the directory has no group with this id; it was deleted or never there"
			continue
		}
		infos[i].Why = why(p)
	}
	return infos, nil
}

// why says in words why a group cannot be read.
func why(p *part) string {
	if p.reply != nil && p.reply.status == http.StatusForbidden {
		return "the directory refuses to show it: grant the application permission " + needGroups + " and give admin consent"
	}
	return p.refusal().Error()
}

// groupInfo reads one group object.
func (c *Client) groupInfo(d *decoder) (directory.GroupInfo, error) {
	info := directory.GroupInfo{Members: -1}
	var security, mail bool
	var types, visibility string
	present, err := d.object("a group", func(key string) (err error) {
		switch key {
		case "id":
			info.ID, err = d.id("a group's id")
		case "displayName":
			info.Name, _, err = d.text(key)
		case "visibility":
			visibility, _, err = d.text(key)
		case "securityEnabled":
			security, err = d.truth()
		case "mailEnabled":
			mail, err = d.truth()
		case "groupTypes":
			types, _, err = d.scalar()
		default:
			err = d.skip()
		}
		return err
	})
	if err == nil && (!present || info.ID.IsZero()) {
		err = fmt.Errorf("%w: a group has no id", directory.ErrProtocol)
	}
	if err != nil {
		return directory.GroupInfo{}, err
	}
	types = "," + types + ","
	info.Dynamic = strings.Contains(types, ",DynamicMembership,")
	info.Kind = groupKind(strings.Contains(types, ",Unified,"), security, mail)
	info.Hidden = visibility == "HiddenMembership"
	if token, _, _ := c.signIn.state(); info.Hidden && !token.mayReadHidden() {
		info.State = directory.GroupUnreadable
		info.Why = "its membership is hidden: grant the application permission " + hiddenMembers + " and give admin consent"
	}
	return info, nil
}

// groupKind names the kind of a group.
//
//	unified | security | mail | kind
//	yes     |          |      | microsoft365
//	no      | yes      | yes  | mailSecurity
//	no      | no       | yes  | distribution
//	no      |          | no   | security
func groupKind(unified, security, mail bool) string {
	switch {
	case unified:
		return "microsoft365"
	case security && mail:
		return "mailSecurity"
	case mail:
		return "distribution"
	default:
		return "security"
	}
}

// truth reads a boolean; null is false.
func (d *decoder) truth() (bool, error) {
	token, err := d.ReadToken()
	if err != nil {
		return false, d.wrap(err)
	}
	switch token.Kind() {
	case 't', 'f':
		return token.Bool(), nil
	case 'n':
		return false, nil
	default:
		return false, wrongType("a property", "a boolean", token.Kind())
	}
}
