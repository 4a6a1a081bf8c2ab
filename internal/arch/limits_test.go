package arch

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// limitFiles are the files whose bounds ARCHITECTURE.md lists under "Limits".
var limitFiles = []string{"server/replica/limits.go", "server/paxos/limits.go"}

// The limits that ARCHITECTURE.md lists are those of the code.
func TestLimitsTableIsTrue(t *testing.T) {
	var want []string
	for _, name := range limitFiles {
		src, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		rows, err := limitRows(name, src)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, rows...)
	}
	page, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Limits\n")
	section, _, _ = strings.Cut(section, "\n## ")
	have := regexp.MustCompile("(?m)^\\| `[A-Za-z]+` \\| [^|]+ \\|").FindAllString(section, -1)
	for _, w := range want {
		if !slices.Contains(have, w) {
			t.Errorf("ARCHITECTURE.md, Limits: the code has a row that begins %s", w)
		}
	}
	for _, h := range have {
		if !slices.Contains(want, h) {
			t.Errorf("ARCHITECTURE.md, Limits: the code does not have %s", h)
		}
	}
}

func TestLimitRows(t *testing.T) {
	got, err := limitRows("x.go", []byte(`package x
const Millisecond, small = 1000, 3 * Millisecond
const maxFrame = 1 << 20
func DefaultLimits() Limits { return Limits{Wait: 2 * Second, Max: 65_536} }
`))
	want := []string{"| `small` | 3 ms |", "| `maxFrame` | 1,048,576 |", "| `Wait` | 2 s |", "| `Max` | 65,536 |"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// limitRows returns the beginnings of the table's rows for the constants and the
// fields of composite literals in a file, in its order. The units themselves are
// no limits.
func limitRows(name string, src []byte) (rows []string, err error) {
	file, err := parser.ParseFile(token.NewFileSet(), name, src, 0)
	if err != nil {
		return nil, err
	}
	add := func(name string, value ast.Expr) {
		if strings.EqualFold(name, "millisecond") || strings.EqualFold(name, "second") || err != nil {
			return
		}
		var shown string
		if shown, err = limitValue(value); err == nil {
			rows = append(rows, fmt.Sprintf("| `%s` | %s |", name, shown))
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			for i, v := range n.Values {
				add(n.Names[i].Name, v)
			}
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok {
				add(key.Name, n.Value)
			}
		}
		return true
	})
	return rows, err
}

// limitValue shows a number, or a number times a unit of time.
func limitValue(e ast.Expr) (string, error) {
	unit := ""
	if product, ok := e.(*ast.BinaryExpr); ok && product.Op == token.MUL {
		if id, ok := product.Y.(*ast.Ident); ok {
			unit = map[string]string{"millisecond": " ms", "second": " s"}[strings.ToLower(id.Name)]
			e = product.X
		}
	}
	v, err := types.Eval(token.NewFileSet(), nil, token.NoPos, types.ExprString(e))
	if err != nil {
		return "", fmt.Errorf("%s: %w", types.ExprString(e), err)
	}
	digits := constant.ToInt(v.Value).ExactString()
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits + unit, nil
}
