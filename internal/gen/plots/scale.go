package main

import (
	"math"
	"strconv"
)

// scale maps the values of an axis to pixels.
type scale struct {
	high     float64 // value at the end; the axis begins at 0
	from, to float64 // pixels of 0 and high
	step     float64 // between two ticks
}

// ticksWanted on an axis, more or less.
const ticksWanted = 6

// newScale is an axis from 0 up to the first tick that is not below highest.
func newScale(highest, from, to float64) scale {
	if highest <= 0 {
		highest = 1
	}
	raw := highest / ticksWanted
	unit := math.Pow(10, math.Floor(math.Log10(raw)))
	step := 10 * unit
	for _, f := range []float64{1, 2, 5} {
		if f*unit >= raw {
			step = f * unit
			break
		}
	}
	return scale{high: step * math.Ceil(highest/step-1e-9), from: from, to: to, step: step}
}

func (s *scale) at(v float64) float64 { return s.from + (s.to-s.from)*v/s.high }

// ticks are the values that the axis names, 0 first.
func (s *scale) ticks() []float64 {
	var all []float64
	for i := 0; float64(i)*s.step <= s.high*(1+1e-9); i++ {
		all = append(all, float64(i)*s.step)
	}
	return all
}

// label shows a tick or a value: thousands are grouped, and what binary fractions
// add is dropped.
func label(v float64) string {
	if v != math.Trunc(v) || math.Abs(v) >= 1e15 {
		return strconv.FormatFloat(v, 'g', 6, 64)
	}
	text := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
