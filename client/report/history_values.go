package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// microseconds is a duration that is written as microseconds, with as many decimals as
// it takes to read the same nanoseconds again: the order of two events that are
// less than a microsecond apart may decide a verdict.
type microseconds time.Duration

// MarshalJSON writes a number such as 812 or 812.25.
func (m microseconds) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 24)
	n := uint64(m)
	if m < 0 {
		b, n = append(b, '-'), -n
	}
	b = strconv.AppendUint(b, n/1000, 10)
	if rest := n % 1000; rest != 0 {
		b = append(b, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
		for b[len(b)-1] == '0' {
			b = b[:len(b)-1]
		}
	}
	return b, nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (m *microseconds) UnmarshalJSON(data []byte) error {
	whole, decimals, _ := strings.Cut(string(data), ".")
	if len(decimals) > 3 {
		return fmt.Errorf("%s: a time has at most three decimals", data)
	}
	n, err := strconv.ParseInt(whole+decimals+"000"[len(decimals):], 10, 64)
	if err != nil {
		return fmt.Errorf("%s is not a time in microseconds", data)
	}
	*m = microseconds(n)
	return nil
}

// hexID is a number that is written as 16 hexadecimal digits, since JSON numbers
// are too small for it in most programs.
type hexID uint64

// MarshalText writes 16 digits.
func (h hexID) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%016x", uint64(h)), nil }

// UnmarshalText reads what MarshalText writes.
func (h *hexID) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 16, 64)
	if err != nil {
		return fmt.Errorf("%q is not a hexadecimal number", text)
	}
	*h = hexID(n)
	return nil
}
