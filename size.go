package eider

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes that reads and writes JSON as text like "512MiB".
type Size int64

// units of Size, largest first.
var units = []struct {
	name  string
	bytes int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}}

// String is the size in the largest binary unit of which it is a whole number.
func (s Size) String() string {
	for _, u := range units[:4] {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// MarshalText gives the form of String.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the form of ParseSize.
func (s *Size) UnmarshalText(b []byte) error {
	v, err := ParseSize(string(b))
	*s = v
	return err
}

// ParseSize reads a number of bytes: digits, perhaps with a fraction, and one of B, kB,
// MB, GB, TB, KiB, MiB, GiB, TiB in any case, or nothing for bytes.
func ParseSize(text string) (Size, error) {
	number, times := strings.TrimSpace(text), int64(1)
	for _, u := range units {
		if n := len(number) - len(u.name); n > 0 && strings.EqualFold(number[n:], u.name) {
			number, times = strings.TrimSpace(number[:n]), u.bytes
			break
		}
	}
	if n, err := strconv.ParseUint(number, 10, 63); err == nil && n <= math.MaxInt64/uint64(times) {
		return Size(n) * Size(times), nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || f < 0 || f*float64(times) >= math.MaxInt64 || strings.ContainsAny(number, "xXpPeE_+nN") {
		return 0, fmt.Errorf("%w: size %q; use a number and B, KiB, MiB, GiB or TiB, like \"512MiB\"", ErrInvalid, text)
	}
	return Size(math.Round(f * float64(times))), nil
}
