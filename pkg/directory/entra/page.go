package entra

import (
	"fmt"
	"io"

	"github.com/vaultsync/vaultsync/pkg/directory"
)

// page is one decoded page of a collection.
type page struct {
	directory.Page
	next  string // @odata.nextLink
	delta string // @odata.deltaLink
}

// objects is how many objects the page holds, members included.
func (p *page) objects() int {
	n := len(p.People)
	for i := range p.Groups {
		n += 1 + len(p.Groups[i].Members)
	}
	return n
}

// pageRules say how a page is read.
type pageRules struct {
	// people are read with this selection; nil reads groups.
	people *selection
	// later is set in rounds from a stored link, where null means cleared.
	later bool
	// plain is a page of a collection that has no delta link and may have no
	// next one.
	plain bool
	// hidden tells whether hidden memberships cannot be read.
	hidden bool
}

// readPage decodes one page as it streams in. Whatever it lacks is an error,
// never an empty page.
func readPage(in io.Reader, rules pageRules) (*page, error) {
	d := newDecoder(in)
	p, err := rules.read(d)
	if err != nil {
		return nil, err
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	return p, nil
}

func (rules pageRules) read(d *decoder) (*page, error) {
	p := &page{}
	hasValue := false
	present, err := d.object("the reply", func(key string) (err error) {
		switch key {
		case "@odata.nextLink":
			p.next, _, err = d.text("@odata.nextLink")
		case "@odata.deltaLink":
			p.delta, _, err = d.text("@odata.deltaLink")
		case "value":
			hasValue, err = d.array("value", func() error { return rules.entry(d, p) })
		default:
			err = d.skip()
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case !present || !hasValue:
		return nil, fmt.Errorf("%w: the reply has no value", directory.ErrProtocol)
	case p.next != "" && p.delta != "":
		return nil, fmt.Errorf("%w: the reply has both a next and a delta link", directory.ErrProtocol)
	case p.next == "" && p.delta == "" && !rules.plain:
		return nil, fmt.Errorf("%w: the reply has neither a next nor a delta link", directory.ErrProtocol)
	default:
		return p, nil
	}
}

func (rules pageRules) entry(d *decoder, p *page) error {
	if rules.people != nil {
		person, err := rules.person(d)
		if err == nil {
			p.People = append(p.People, person)
		}
		return err
	}
	group, err := rules.group(d)
	if err == nil {
		p.Groups = append(p.Groups, group)
	}
	return err
}

func (rules pageRules) person(d *decoder) (directory.PersonChange, error) {
	var c directory.PersonChange
	profile := profile{cleared: rules.later}
	present, err := d.object("a person", func(key string) (err error) {
		switch key {
		case "id":
			c.ID, err = d.id("a person's id")
		case "@removed":
			c.Removal, err = removal(d)
		default:
			node := rules.people.children[key]
			if node == nil {
				return d.skip()
			}
			err = profile.read(d, node)
		}
		return err
	})
	if err == nil && (!present || c.ID.IsZero()) {
		err = fmt.Errorf("%w: a person has no id", directory.ErrProtocol)
	}
	if c.Removal == directory.Present {
		c.Attributes = profile.values
		if c.Attributes == nil {
			c.Attributes = map[string]string{}
		}
	}
	return c, err
}

func (rules pageRules) group(d *decoder) (directory.GroupChange, error) {
	var c directory.GroupChange
	present, err := d.object("a group", func(key string) error {
		switch key {
		case "id":
			id, err := d.id("a group's id")
			c.ID = id
			return err
		case "@removed":
			gone, err := removal(d)
			c.Removal = gone
			return err
		case "displayName":
			name, ok, err := d.text("displayName")
			if ok {
				c.Name = &name
			}
			return err
		case "visibility":
			visibility, _, err := d.text("visibility")
			hidden := rules.hidden && visibility == "HiddenMembership"
			c.Hidden = &hidden
			return err
		case "members@delta":
			_, err := d.array("members@delta", func() error {
				m, err := member(d)
				if err == nil {
					c.Members = append(c.Members, m)
				}
				return err
			})
			return err
		default:
			return d.skip()
		}
	})
	if err == nil && (!present || c.ID.IsZero()) {
		err = fmt.Errorf("%w: a group has no id", directory.ErrProtocol)
	}
	return c, err
}

func member(d *decoder) (directory.MemberChange, error) {
	var c directory.MemberChange
	present, err := d.object("a member", func(key string) error {
		switch key {
		case "id":
			id, err := d.id("a member's id")
			c.ID = id
			return err
		case "@odata.type":
			name, err := d.word("@odata.type")
			c.Kind = kindOf(name)
			return err
		case "@removed":
			// Any reason removes: all published samples say deleted, also
			// when only the membership ended.
			gone, err := removal(d)
			c.Removed = gone != directory.Present
			return err
		default:
			return d.skip()
		}
	})
	if err == nil && (!present || c.ID.IsZero()) {
		err = fmt.Errorf("%w: a member has no id", directory.ErrProtocol)
	}
	return c, err
}

func kindOf(odataType string) directory.Kind {
	switch odataType {
	case "#microsoft.graph.user":
		return directory.KindPerson
	case "#microsoft.graph.group":
		return directory.KindGroup
	default:
		return directory.KindOther
	}
}

// removal reads @removed. An unknown reason counts as one that can be undone.
func removal(d *decoder) (directory.Removal, error) {
	gone := directory.SoftDeleted
	present, err := d.object("@removed", func(key string) error {
		if key != "reason" {
			return d.skip()
		}
		reason, err := d.word("the reason of @removed")
		if reason == "deleted" {
			gone = directory.Deleted
		}
		return err
	})
	if !present {
		gone = directory.Present
	}
	return gone, err
}
