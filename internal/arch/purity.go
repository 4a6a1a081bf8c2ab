package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// clock are the functions of package time that ask for the time or let it pass.
var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// seeded are the names of math/rand and math/rand/v2 that do not use the
// package's hidden, global source.
var seeded = []string{"New", "NewSource", "NewPCG", "NewChaCha8", "NewZipf", "Rand", "Source", "Source64", "PCG", "ChaCha8", "Zipf"}

// checkPure finds what a pure package may not do, in one source file.
func checkPure(name string, src []byte) (findings []string) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
	if err != nil {
		return []string{err.Error()}
	}
	imports := importNames(file)
	add := func(n ast.Node, what string) {
		findings = append(findings, fmt.Sprintf("%s: %s", fset.Position(n.Pos()), what))
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			add(n, "a pure package starts no goroutine")
		case *ast.SelectStmt:
			add(n, "a pure package has no select")
		case *ast.ChanType:
			add(n, "a pure package has no channels")
		case *ast.SendStmt:
			add(n, "a pure package sends on no channel")
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				add(n, "a pure package receives from no channel")
			}
		case *ast.SelectorExpr:
			id, ok := n.X.(*ast.Ident)
			if !ok {
				break
			}
			switch imports[id.Name] {
			case "time":
				if slices.Contains(clock, n.Sel.Name) {
					add(n, "a pure package does not use time."+n.Sel.Name)
				}
			case "math/rand", "math/rand/v2":
				if !slices.Contains(seeded, n.Sel.Name) {
					add(n, "a pure package draws no random number from the global source: rand."+n.Sel.Name)
				}
			}
		}
		return true
	})
	return findings
}

// importNames maps the names under which a file uses its imports to their paths.
func importNames(file *ast.File) map[string]string {
	names := map[string]string{}
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		name := path[strings.LastIndexByte(path, '/')+1:]
		if path == "math/rand/v2" {
			name = "rand"
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = path
	}
	return names
}

// shapeNumbers are borders of the default bank's item ranges; shapeName is the
// form of its nodes' and clusters' names.
var (
	shapeNumbers = []int64{3000, 3001, 6000, 6001, 9000}
	shapeName    = regexp.MustCompile(`^[nc][0-9]+$`)
)

// checkShapeless finds the default bank's numbers and names in one source file.
func checkShapeless(name string, src []byte) (findings []string) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
	if err != nil {
		return []string{err.Error()}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok {
			return true
		}
		switch lit.Kind {
		case token.INT:
			if v, err := strconv.ParseInt(lit.Value, 0, 64); err == nil && slices.Contains(shapeNumbers, v) {
				findings = append(findings, fmt.Sprintf("%s: %d belongs into a topology", fset.Position(n.Pos()), v))
			}
		case token.STRING:
			if v, err := strconv.Unquote(lit.Value); err == nil && shapeName.MatchString(v) {
				findings = append(findings, fmt.Sprintf("%s: %q belongs into a topology", fset.Position(n.Pos()), v))
			}
		}
		return true
	})
	return findings
}

// packageComment reports whether the file says what its package is for.
// Generated files need not.
func packageComment(name string, src []byte) (has bool, err error) {
	file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		return false, err
	}
	return ast.IsGenerated(file) || file.Doc != nil && strings.TrimSpace(file.Doc.Text()) != "", nil
}
