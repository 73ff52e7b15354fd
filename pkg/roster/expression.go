package roster

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// userProperties are the properties of a directory user that rules may read:
// those that users/delta can track (facts: the directory's own store).
var userProperties = []string{ //nolint:gochecknoglobals // a constant list
	"id", "userPrincipalName", "displayName", "mail", "givenName", "surname", "jobTitle",
	"department", "companyName", "city", "country", "state", "streetAddress", "postalCode",
	"officeLocation", "mobilePhone", "businessPhones", "faxNumber", "preferredLanguage", "usageLocation",
	"employeeId", "employeeType", "userType", "mailNickname", "creationType", "externalUserState",
	"ageGroup", "onPremisesSamAccountName", "onPremisesUserPrincipalName", "onPremisesDomainName",
	"onPremisesDistinguishedName", "onPremisesSecurityIdentifier", "onPremisesImmutableId",
	"accountEnabled", "onPremisesSyncEnabled",
}

const extensionAttributes = "onPremisesExtensionAttributes"

// directoryExtension is a property that the tenant has defined itself.
var directoryExtension = regexp.MustCompile(`^extension_[0-9a-fA-F]{32}_[A-Za-z0-9_]{1,120}$`)

func knownPath(path string) bool {
	if path == "accountEnabled" || path == "onPremisesSyncEnabled" || slices.Contains(userProperties, path) {
		return true
	}
	if name, ok := strings.CutPrefix(path, extensionAttributes+"."); ok {
		var n int
		_, err := fmt.Sscanf(name, "extensionAttribute%d", &n)
		return err == nil && n >= 1 && n <= 15 && name == fmt.Sprintf("extensionAttribute%d", n)
	}
	return directoryExtension.MatchString(path)
}

func suggest(path string) string {
	for _, known := range userProperties {
		if strings.EqualFold(path, known) {
			return fmt.Sprintf("; did you mean %s?", known)
		}
	}
	return "; nested properties are written onPremisesExtensionAttributes.extensionAttribute1"
}

type wanted int

const (
	wantBool wanted = iota
	wantString
)

// expression is a compiled expression over one directory user, with the name
// user: user.department == "Sales".
type expression struct {
	program *vm.Program
	paths   []string
}

// limits keep one expression from eating a run: it sees one person's strings
// and may be this large.
const maxNodes = 200

func compile(text string, want wanted) (*expression, error) {
	text = strings.TrimSpace(text)
	seen := &pathVisitor{}
	options := []expr.Option{
		expr.Env(environmentTypes()), expr.MaxNodes(maxNodes), expr.Optimize(true),
		expr.DisableBuiltin("now"), expr.DisableBuiltin("repeat"), expr.DisableBuiltin("date"),
	}
	switch want {
	case wantBool:
		options = append(options, expr.AsBool())
	case wantString:
		options = append(options, expr.AsKind(reflect.String))
	}
	// The paths are read from the text as written, before it is optimized.
	tree, err := expr.Compile(text, append(options, expr.Optimize(false))...)
	if err != nil {
		return nil, fmt.Errorf("the expression cannot be used: %s", strings.TrimSpace(err.Error()))
	}
	node := tree.Node()
	ast.Walk(&node, seen)
	if seen.whole > 0 {
		return nil, errors.New("the expression cannot be used: name the properties one by one, as in user.department or user.onPremisesExtensionAttributes.extensionAttribute1: user as a whole does not say which ones to read")
	}
	program, err := expr.Compile(text, options...)
	if err != nil {
		return nil, fmt.Errorf("the expression cannot be used: %s", strings.TrimSpace(err.Error()))
	}
	return &expression{program: program, paths: seen.paths}, nil
}

func environmentTypes() types.Map {
	user := types.Map{}
	for _, name := range userProperties {
		user[name] = types.String
	}
	user["accountEnabled"], user["onPremisesSyncEnabled"] = types.Bool, types.Bool
	extension := types.Map{}
	for i := 1; i <= 15; i++ {
		extension[fmt.Sprintf("extensionAttribute%d", i)] = types.String
	}
	user[extensionAttributes] = extension
	return types.Map{"user": user}
}

func environment(p identity.Person) map[string]any {
	user := make(map[string]any, len(userProperties)+1)
	for _, name := range userProperties {
		user[name] = p.Value(name)
	}
	user["accountEnabled"] = !p.Disabled()
	user["onPremisesSyncEnabled"] = p.Value("onPremisesSyncEnabled") == "true"
	extension := make(map[string]any, 15)
	for i := 1; i <= 15; i++ {
		name := fmt.Sprintf("extensionAttribute%d", i)
		extension[name] = p.Value(extensionAttributes + "." + name)
	}
	user[extensionAttributes] = extension
	return map[string]any{"user": user}
}

func (e *expression) truth(p identity.Person) (bool, error) {
	out, err := expr.Run(e.program, environment(p))
	if err != nil {
		return false, fmt.Errorf("evaluate the expression: %w", err)
	}
	yes, ok := out.(bool)
	if !ok {
		return false, fmt.Errorf("the expression gave %T, want true or false", out)
	}
	return yes, nil
}

func (e *expression) text(p identity.Person) (string, error) {
	out, err := expr.Run(e.program, environment(p))
	if err != nil {
		return "", fmt.Errorf("evaluate the expression: %w", err)
	}
	s, ok := out.(string)
	if !ok {
		return "", fmt.Errorf("the expression gave %T, want text", out)
	}
	return s, nil
}

func (e *expression) addSources(sources map[string]bool) {
	for _, p := range e.paths {
		sources[p] = true
	}
}

// pathVisitor collects the properties of user that an expression names.
type pathVisitor struct {
	paths []string
	// whole counts the uses of user, or of the extension attributes, that name
	// no property: what they read cannot be told.
	whole int
}

// Visit is called for each node, inner ones first.
func (v *pathVisitor) Visit(node *ast.Node) {
	if whole, ok := (*node).(*ast.IdentifierNode); ok && (whole.Value == "user" || whole.Value == "$env") {
		v.whole++ // until the node around it turns out to name a property
	}
	member, ok := (*node).(*ast.MemberNode)
	if !ok {
		return
	}
	name, ok := member.Property.(*ast.StringNode)
	if !ok {
		return
	}
	switch inner := member.Node.(type) {
	case *ast.IdentifierNode:
		if inner.Value == "user" && name.Value != extensionAttributes {
			v.whole--
			v.paths = append(v.paths, name.Value)
		}
	case *ast.MemberNode:
		if parent, ok := inner.Property.(*ast.StringNode); ok && parent.Value == extensionAttributes {
			v.whole--
			v.paths = append(v.paths, extensionAttributes+"."+name.Value)
		}
	}
}
