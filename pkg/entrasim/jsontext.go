package entrasim

import (
	"strconv"
	"unicode/utf8"
)

// Pages are written by appending: a simulator that is slower than the client
// would hide what the client costs.

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x80 || c < 0x20 || c == '"' || c == '\\' {
			return appendEscaped(b, s, i)
		}
		b = append(b, c)
	}
	return append(b, '"')
}

// appendEscaped finishes a string of which the first from bytes are written.
func appendEscaped(b []byte, s string, from int) []byte {
	for i := from; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += size
			continue
		}
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, c)
		}
		i++
	}
	return append(b, '"')
}

func appendKey(b []byte, key string) []byte {
	if n := len(b); n > 0 && b[n-1] != '{' {
		b = append(b, ',')
	}
	b = appendString(b, key)
	return append(b, ':')
}

func appendField(b []byte, key, value string) []byte {
	return appendString(appendKey(b, key), value)
}

func appendID(b []byte, id ID) []byte {
	b = appendKey(b, "id")
	b = append(b, '"')
	b = append(b, id.String()...)
	return append(b, '"')
}

// fill says what to write for properties that were never set.
type fill bool

const (
	omitUnset fill = false // delta [DOC]
	nullUnset fill = true  // every other read
)

// appendProperties appends the selected properties of a user or group. Delta
// omits what was never set and writes null for what was cleared [DOC].
func (t *Tenant) appendProperties(b []byte, o *object, mask uint64, f fill) []byte {
	if o.group != nil {
		return t.appendGroupProperties(b, o, mask, f)
	}
	s := t.userSchema
	for p := range userExt1 {
		if mask&p.bit() == 0 {
			continue
		}
		switch p {
		case userAccountEnabled:
			b = appendKey(b, s.names[p])
			b = strconv.AppendBool(b, o.flags&flagDisabled == 0)
		case userType:
			b = appendKey(b, s.names[p])
			switch {
			case o.flags&flagNoType != 0:
				b = append(b, "null"...)
			case o.flags&flagGuest != 0:
				b = append(b, `"Guest"`...)
			default:
				b = append(b, `"Member"`...)
			}
		case userBusinessPhones:
			value, set := o.value(p)
			if !set && f == omitUnset {
				continue
			}
			b = append(appendKey(b, s.names[p]), '[')
			if value != "" {
				b = appendString(b, value)
			}
			b = append(b, ']')
		case userOnPremSync:
			value, set := o.value(p)
			if !set && f == omitUnset {
				continue
			}
			b = appendKey(b, s.names[p])
			if value != "true" && value != "false" {
				value = "null"
			}
			b = append(b, value...)
		default:
			b = appendProperty(b, s.names[p], o, p, f)
		}
	}
	if mask>>userExt1&(1<<userExtCount-1) != 0 {
		b = t.appendExtensions(b, o, f)
	}
	return b
}

func appendProperty(b []byte, name string, o *object, p property, f fill) []byte {
	value, set := o.value(p)
	switch {
	case value != "":
		return appendField(b, name, value)
	case set || f == nullUnset:
		return append(appendKey(b, name), "null"...)
	}
	return b
}

// appendExtensions writes the whole object: its parts are null one by one.
func (t *Tenant) appendExtensions(b []byte, o *object, f fill) []byte {
	any := false
	for _, a := range o.attrs {
		any = any || a.key >= userExt1
	}
	if !any && f == omitUnset {
		return b
	}
	b = append(appendKey(b, extensionObject), '{')
	for i := range property(userExtCount) {
		b = appendProperty(b, t.userSchema.names[userExt1+i], o, userExt1+i, nullUnset)
	}
	return append(b, '}')
}

func (t *Tenant) appendGroupProperties(b []byte, o *object, mask uint64, f fill) []byte {
	s := t.groupSchema
	kind := o.group.kind
	for p := groupDisplayName; p <= groupMembershipRule; p++ {
		if mask&p.bit() == 0 {
			continue
		}
		switch p {
		case groupMailEnabled:
			b = strconv.AppendBool(appendKey(b, s.names[p]), kind != Security)
		case groupSecurityEnabled:
			b = strconv.AppendBool(appendKey(b, s.names[p]), kind == Security || kind == MailSecurity)
		case groupTypes:
			b = append(appendKey(b, s.names[p]), '[')
			if kind == Microsoft365 {
				b = append(b, `"Unified"`...)
			}
			if o.group.rule {
				if kind == Microsoft365 {
					b = append(b, ',')
				}
				b = append(b, `"DynamicMembership"`...)
			}
			b = append(b, ']')
		case groupVisibility:
			switch {
			case o.flags&flagHidden != 0:
				b = appendField(b, s.names[p], "HiddenMembership")
			case kind == Microsoft365:
				b = appendField(b, s.names[p], "Private")
			case f == nullUnset:
				b = append(appendKey(b, s.names[p]), "null"...)
			}
		default:
			b = appendProperty(b, s.names[p], o, p, f)
		}
	}
	return b
}
