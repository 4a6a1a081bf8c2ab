package grade

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// reader walks a YAML tree by hand: the library's decoder names Go types in its
// errors and stops at the first kind of them. Everything that is wrong is
// collected, each with its line.
type reader struct {
	name string
	errs []lineError
}

type lineError struct {
	line int
	error
}

func (r *reader) bad(line int, format string, args ...any) {
	r.errs = append(r.errs, lineError{line, fmt.Errorf("%s:%d: %s", r.name, line, fmt.Sprintf(format, args...))})
}

// err is everything that is wrong, in the order of the file, or nil.
func (r *reader) err() error {
	slices.SortStableFunc(r.errs, func(a, b lineError) int { return cmp.Compare(a.line, b.line) })
	list := make([]error, len(r.errs))
	for i, e := range r.errs {
		list[i] = e.error
	}
	return errors.Join(list...)
}

// yamlLine finds the line number in a syntax error of the library.
var yamlLine = regexp.MustCompile(`\bline (\d+)(?:, column \d+|\.\d+)?:? ?`)

// document is the root of the file's only document; nil when there is none,
// which is then an error.
func (r *reader) document(data []byte) *yaml.Node {
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	var doc, more yaml.Node
	err := decoder.Decode(&doc)
	switch {
	case errors.Is(err, io.EOF):
		r.bad(1, "the file is empty")
		return nil
	case err != nil:
		line, text := 1, strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n", " "), "yaml: ")
		if m := yamlLine.FindStringSubmatchIndex(text); m != nil {
			line, _ = strconv.Atoi(text[m[2]:m[3]])
			text = text[:m[0]] + text[m[1]:]
		}
		r.bad(line, "not YAML: %s", strings.TrimSpace(text))
		return nil
	case doc.Kind != yaml.DocumentNode || len(doc.Content) != 1:
		r.bad(1, "the file is empty")
		return nil
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		r.bad(max(more.Line, 1), "more than one YAML document in the file")
	}
	return doc.Content[0]
}

// fields are the values of a mapping by key.
type fields map[string]*yaml.Node

// mapping reads one whose keys are all known.
func (r *reader) mapping(n *yaml.Node, what string, known ...string) fields {
	f := fields{}
	r.pairs(n, what, "a mapping with "+strings.Join(known, ", "), func(key, value *yaml.Node) {
		if !slices.Contains(known, key.Value) {
			r.bad(key.Line, "%s has no field %q; it may have %s", what, key.Value, strings.Join(known, ", "))
			return
		}
		f[key.Value] = value
	})
	return f
}

// pairs visits the keys of a mapping in file order; null is an empty one.
func (r *reader) pairs(n *yaml.Node, what, form string, each func(key, value *yaml.Node)) {
	n = followed(n)
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.bad(n.Line, "%s must be %s", what, form)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if seen[key.Value] {
			r.bad(key.Line, "%s has %s twice", what, key.Value)
			continue
		}
		seen[key.Value] = true
		each(key, followed(n.Content[i+1]))
	}
}

func (r *reader) list(n *yaml.Node, what string) []*yaml.Node {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		r.bad(n.Line, "%s must be a list that is not empty", what)
		return nil
	}
	var all []*yaml.Node
	for _, c := range n.Content {
		all = append(all, followed(c))
	}
	return all
}

func followed(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// text stores a text; a field that is absent leaves it as it is. So do the
// methods below.
func (r *reader) text(f fields, key string, to *string) {
	n := f[key]
	if n == nil {
		return
	}
	if n.Kind != yaml.ScalarNode || isNull(n) || strings.TrimSpace(n.Value) == "" {
		r.bad(n.Line, "%s must be a text", key)
		return
	}
	*to = n.Value
}

// choice stores one of some words.
func (r *reader) choice(f fields, key string, to *string, words ...string) {
	if f[key] == nil {
		return
	}
	before := len(r.errs)
	r.text(f, key, to)
	if len(r.errs) == before && !slices.Contains(words, *to) {
		r.bad(f[key].Line, "%s: %q is none of %s", key, *to, strings.Join(words, ", "))
	}
}

func (r *reader) truth(f fields, key string, to *bool) {
	n := f[key]
	if n == nil {
		return
	}
	v, err := strconv.ParseBool(n.Value)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || err != nil {
		r.bad(n.Line, "%s must be true or false, got %q", key, n.Value)
		return
	}
	*to = v
}

func (r *reader) number(f fields, key string, to *int, least, most int) {
	n := f[key]
	if n == nil {
		return
	}
	v, err := strconv.Atoi(strings.ReplaceAll(n.Value, "_", ""))
	if n.Kind != yaml.ScalarNode || err != nil || v < least || v > most {
		r.bad(n.Line, "%s must be a whole number from %d to %d, got %q", key, least, most, n.Value)
		return
	}
	*to = v
}

// maxPoints of one section, so that sums stay exact enough.
const maxPoints = 1e6

func (r *reader) points(f fields, key string, to *float64) {
	n := f[key]
	if n == nil {
		return
	}
	v, err := strconv.ParseFloat(n.Value, 64)
	if n.Kind != yaml.ScalarNode || err != nil || !(v >= 0 && v <= maxPoints) {
		r.bad(n.Line, "%s must be a number of points such as 10 or 2.5, got %q", key, n.Value)
		return
	}
	*to = v
}

func (r *reader) duration(f fields, key string, to *time.Duration, least, most time.Duration) {
	n := f[key]
	if n == nil {
		return
	}
	v, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || v < least || v > most {
		r.bad(n.Line, "%s must be a duration from %s to %s, such as 90s or 5m, got %q", key, least, most, n.Value)
		return
	}
	*to = v
}

var sizePattern = regexp.MustCompile(`^([0-9]{1,9})\s*(B|KiB|MiB|GiB)$`)

// size stores a number of bytes written with its unit.
func (r *reader) size(f fields, key string, to *int64) {
	n := f[key]
	if n == nil {
		return
	}
	m := sizePattern.FindStringSubmatch(n.Value)
	if n.Kind != yaml.ScalarNode || m == nil {
		r.bad(n.Line, "%s must be a size with its unit, such as 200MiB, got %q", key, n.Value)
		return
	}
	v, _ := strconv.ParseInt(m[1], 10, 64) // nine digits always fit
	*to = v << map[string]int{"B": 0, "KiB": 10, "MiB": 20, "GiB": 30}[m[2]]
}
