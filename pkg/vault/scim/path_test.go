package scim

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParsePath(t *testing.T) {
	t.Parallel()
	const enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	for text, want := range map[string]Path{
		"title":                              {Attr: "title"},
		"name.givenName":                     {Attr: "name", Sub: "givenName"},
		`emails[type eq "work"].value`:       {Attr: "emails", SelectBy: "type", Select: "work", Sub: "value"},
		`emails[type EQ "work"]`:             {Attr: "emails", SelectBy: "type", Select: "work"},
		`roles[primary eq true].value`:       {Attr: "roles", SelectBy: "primary", Select: "true", Sub: "value"},
		`phoneNumbers[type eq "a]b"].value`:  {Attr: "phoneNumbers", SelectBy: "type", Select: "a]b", Sub: "value"},
		enterprise + ":department":           {Schema: enterprise, Attr: "department"},
		enterprise + ":manager.value":        {Schema: enterprise, Attr: "manager", Sub: "value"},
		info1:                                {Schema: strings.TrimSuffix(info1, ":info1"), Attr: "info1"},
		userSchema + ":title":                {Attr: "title"},
		`urn:x:y:User:things[kind eq "a:b"]`: {Schema: "urn:x:y:User", Attr: "things", SelectBy: "kind", Select: "a:b"},
	} {
		if got, err := ParsePath(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", " ", ".", "a.", ".b", "a.b.c", "1a", "a b", "urn:", "urn:x", "urn:x:y:", `a[type eq "x"`, `a[type ne "x"]`, `a[type eq x]`,
		`a[type eq "x"]b`, `a[type eq "x"].`, `a[]`, "a]", `"a"`, "a\nb", `a[type eq "x" or type eq "y"]`,
	} {
		if got, err := ParsePath(text); err == nil {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
}

func TestAttributesThatCannotBeTargets(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"info1", "userName", "active", "id", "groups", "password", "meta.version", "schemas", "x["} {
		o := withToken(t, Options{URL: "https://scim.contoso.com", Attributes: []string{target}})
		if _, err := Open(o); err == nil {
			t.Errorf("%s is taken", target)
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, seed := range []string{"title", `emails[type eq "work"].value`, info1, `a[b eq "\"]"].c`, "urn:::a", `roles[primary eq true]`} {
		f.Add(seed, "value")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		p, err := ParsePath(text)
		if err != nil {
			return
		}
		if again, err := ParsePath(p.String()); err != nil || again != p {
			t.Fatalf("%q is %+v, its text %q is %+v, %v", text, p, p.String(), again, err)
		}
		if value == "" || strings.EqualFold(p.sub(), p.SelectBy) || strings.EqualFold(p.Attr, "schemas") || strings.EqualFold(p.Schema, "schemas") {
			return
		}
		d := document{"other": "stays"}
		p.set(d, value)
		if got := p.get(d); got != value {
			t.Fatalf("%q: wrote %q, read %q in %v", text, value, got, d)
		}
		p.set(d, nil)
		if got := p.get(d); got != "" || d["other"] != "stays" && !strings.EqualFold(p.Attr, "other") {
			t.Fatalf("%q: cleared, and read %q in %v", text, got, d)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"totalResults":1,"Resources":[{"id":7,"userName":"a","active":"True","emails":[{"value":"x","primary":true}]}]}`))
	f.Add([]byte(`{"Resources":{"id":"1","members":["a",{"value":"b"}],"name":[],"emails":{}}}`))
	f.Add([]byte(`{"detail":5,"Operations":[{"status":{"code":"200"}}],"patch":{"supported":"true"},"bulk":{"maxOperations":1e99}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := decode(body)
		if err != nil {
			return
		}
		v := &service{fullName: Path{Attr: "displayName"}}
		v.readConfig(d)
		v.readTypes(d)
		v.readSchemas(d)
		m := mapping{attributes: map[string]Path{"x": {Attr: "name", Sub: "givenName"}}}
		for _, r := range append(resources(d), d) {
			_, _ = m.user(v, r), memberIDs(r)
			_ = operationAnswer(r)
		}
		_, _ = answer{body: body}.detail()
	})
}

func TestFilterValuesAreEscaped(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`a`:                    `userName eq "a"`,
		`a" or userName pr or`: `userName eq "a\" or userName pr or"`,
		`CONTOSO\ann`:          `userName eq "CONTOSO\\ann"`,
		"a\nb":                 `userName eq "a\nb"`,
		"<&>":                  `userName eq "<&>"`,
	} {
		if got := equals("userName", value); got != want {
			t.Errorf("%q: %s", value, got)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "x": 0, "-5": 0, "0": time.Second, "7": 7 * time.Second, " 7 ": 7 * time.Second, "99999999999": 24 * time.Hour,
		now.Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second, now.Add(-time.Hour).Format(http.TimeFormat): time.Second,
	} {
		if got := retryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestFieldsAreWrittenWithTheTypesOfTheSchema(t *testing.T) {
	t.Parallel()
	v := &service{attributes: map[string]definition{"urn:x:y:user:flag": {kind: "boolean"}, "urn:x:y:user:number": {kind: "integer"}}}
	for text, values := range map[string]map[string]any{
		"urn:x:y:User:flag":   {"true": true, "false": false, "maybe": "maybe", "": nil},
		"urn:x:y:User:number": {"12": json.Number("12"), "x": "x", "": nil},
		"urn:x:y:User:other":  {"true": "true", "12": "12"},
	} {
		p, err := ParsePath(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range slices.Sorted(maps.Keys(values)) {
			if got := v.typed(p, value); got != values[value] {
				t.Errorf("%s %q: %v", text, value, got)
			}
		}
	}
}
