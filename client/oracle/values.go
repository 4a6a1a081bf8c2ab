package oracle

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Values is a set of balances: those listed or, where List is nil, all from Lo to
// Hi. The zero value with Lo > Hi is never handed out.
type Values struct {
	List   []int64 // ascending, without repetition
	Lo, Hi int64   // the least and the greatest, of a list too
}

func one(v int64) Values { return Values{List: []int64{v}, Lo: v, Hi: v} }

// span is all of lo..hi, listed when that is one value.
func span(lo, hi int64) Values {
	if lo == hi {
		return one(lo)
	}
	return Values{Lo: lo, Hi: hi}
}

func listed(list []int64) Values {
	slices.Sort(list)
	list = slices.Compact(list)
	if len(list) > maxValues {
		return span(list[0], list[len(list)-1])
	}
	return Values{List: list, Lo: list[0], Hi: list[len(list)-1]}
}

// Contains reports whether v is in the set.
func (s Values) Contains(v int64) bool {
	if s.List == nil {
		return s.Lo <= v && v <= s.Hi
	}
	_, found := slices.BinarySearch(s.List, v)
	return found
}

// Single returns the value of a set of one.
func (s Values) Single() (v int64, ok bool) { return s.Lo, s.Lo == s.Hi }

// union is the set of what either holds, or a range around it.
func (s Values) union(other Values) Values {
	switch {
	case s.List != nil && other.List != nil:
		return listed(append(slices.Clone(s.List), other.List...))
	case s.List == nil && s.Lo <= other.Lo && other.Hi <= s.Hi:
		return s
	case other.List == nil && other.Lo <= s.Lo && s.Hi <= other.Hi:
		return other
	}
	return span(min(s.Lo, other.Lo), max(s.Hi, other.Hi))
}

// String is the set as people read it: "9", "8, 9 or 11", "3 to 20".
func (s Values) String() string {
	if s.List == nil {
		if s.Hi == math.MaxInt64 {
			return fmt.Sprintf("%d or more", s.Lo)
		}
		return fmt.Sprintf("%d to %d", s.Lo, s.Hi)
	}
	words := make([]string, len(s.List))
	for i, v := range s.List {
		words[i] = strconv.FormatInt(v, 10)
	}
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " or " + words[n-1]
	}
	return words[0]
}

// condition is the set as an expected file writes it, alternatives with |. A
// range that is too wide for that becomes its lower end, which allows more.
func (s Values) condition() string {
	list := s.List
	if list == nil {
		if s.Hi-s.Lo >= maxValues || s.Hi-s.Lo < 0 {
			return ">=" + strconv.FormatInt(s.Lo, 10)
		}
		for v := s.Lo; v <= s.Hi; v++ {
			list = append(list, v)
		}
	}
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = strconv.FormatInt(v, 10)
	}
	return strings.Join(words, "|")
}

// add adds without overflow, which only balances that cannot occur could cause.
func add(a, b int64) int64 {
	switch sum := a + b; {
	case a > 0 && b > 0 && sum < 0:
		return math.MaxInt64
	case a < 0 && b < 0 && sum >= 0:
		return math.MinInt64
	default:
		return sum
	}
}
