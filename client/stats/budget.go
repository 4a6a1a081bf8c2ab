package stats

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Budget is how many failed repetitions are tolerated. The zero value tolerates
// none.
type Budget struct {
	share bool
	count int     // when it is no share
	part  float64 // in [0, 1]
}

// ParseBudget reads a number of repetitions ("2") or a share of them ("5%").
func ParseBudget(s string) (Budget, error) {
	text := strings.TrimSpace(s)
	if percent, found := strings.CutSuffix(text, "%"); found {
		v, err := strconv.ParseFloat(strings.TrimSpace(percent), 64)
		if err != nil || math.IsNaN(v) || v < 0 || v > 100 {
			return Budget{}, fmt.Errorf("%q is no share between 0%% and 100%%", s)
		}
		return Budget{share: true, part: v / 100}, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return Budget{}, fmt.Errorf("%q is neither a number of repetitions such as 2 nor a share such as 5%%", s)
	}
	return Budget{count: n}, nil
}

// Of is how many of so many repetitions may fail. A share is rounded down.
func (b Budget) Of(runs int) int {
	if !b.share {
		return b.count
	}
	// What a share such as 0.29 lacks for being no binary fraction is no failure
	// less.
	return int(math.Floor(b.part*float64(runs) + 1e-9))
}

// String is the budget as ParseBudget reads it.
func (b Budget) String() string {
	if b.share {
		return strconv.FormatFloat(math.Round(b.part*1e8)/1e6, 'f', -1, 64) + "%"
	}
	return strconv.Itoa(b.count)
}
