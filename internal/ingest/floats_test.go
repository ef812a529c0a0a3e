package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// sameAsStrconv checks one number against the standard library.
func sameAsStrconv(t *testing.T, s string) {
	t.Helper()
	want, err := strconv.ParseFloat(s, 32)
	out, n, got := ParseFloats([]byte("["+s+"]"), nil)
	if (err != nil) != (got != nil) {
		t.Fatalf("%s: %v, strconv says %v", s, got, err)
	}
	if err == nil && (len(out) != 1 || n != len(s)+2 || math.Float32bits(out[0]) != math.Float32bits(float32(want))) {
		t.Fatalf("%s: %v, strconv says %v", s, out, float32(want))
	}
}

func TestParseFloatsRoundsAsStrconvDoes(t *testing.T) {
	for _, s := range []string{"0", "-0", "0.0", "-0e5", "1", "16777217", "16777219", "3.4028235e38", "3.4028236e38", "3.5e38", "1e-45", "1e-46", "7.1e-46",
		"1.17549435e-38", "1.1754942e-38", "0.1", "123456789012345678901234567890", "0.000000000000000000000000000000000000011754944",
		"9007199254740993e-10", "1e22", "1e23", "12345678901234567890123e-20", "1e-400", "1e400", "1e99999999999", "1e-99999999999", "0e999",
		"1.00000005960464477539062499999999999", "1.00000005960464477539062500000000001", "1.000000059604644775390625"} {
		sameAsStrconv(t, s)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		bits := math.Float32frombits(r.Uint32())
		if bits != bits || math.IsInf(float64(bits), 0) {
			continue
		}
		sameAsStrconv(t, strconv.FormatFloat(float64(bits), 'g', -1, 32))
		sameAsStrconv(t, strconv.FormatFloat(float64(bits), 'e', 3+r.IntN(20), 64))
		// The middle between two neighbours, and just beside it.
		middle := (float64(bits) + float64(math.Nextafter32(bits, 4))) / 2
		sameAsStrconv(t, strconv.FormatFloat(middle, 'g', -1, 64))
		sameAsStrconv(t, strconv.FormatFloat(math.Nextafter(middle, 0), 'g', -1, 64))
		sameAsStrconv(t, fmt.Sprintf("%.*f", r.IntN(20), r.NormFloat64()))
	}
}

func TestParseFloatsRefusesWhatIsNoListOfNumbers(t *testing.T) {
	for _, s := range []string{"", "1", "[", "[1", "[1,", "[1,]", "[,1]", "[01]", "[1.]", "[.5]", "[+1]", "[1e]", "[1e+]", "[-]", "[NaN]", "[null]", `["1"]`, "[1 2]", "[[1]]", "[1e39]", "[0x1p3]", "[1_0]"} {
		if out, _, err := ParseFloats([]byte(s), nil); !errors.Is(err, ErrRow) {
			t.Errorf("%s gives %v, %v", s, out, err)
		}
	}
	long := "[" + strings.Repeat("1,", MaxVector) + "1]"
	if out, _, err := ParseFloats([]byte(long), nil); !errors.Is(err, ErrRow) || len(out) != MaxVector {
		t.Errorf("%d numbers: %v", MaxVector+1, err)
	}
}

func TestParseFloatsAppendsAndCountsBytes(t *testing.T) {
	out, n, err := ParseFloats([]byte(" \n[ 1 ,\t-2.5e0 ] , 7"), []float32{9})
	if err != nil || n != 16 || fmt.Sprint(out) != "[9 1 -2.5]" {
		t.Errorf("%v %d %v", out, n, err)
	}
}

// vectorJSON is a 384-dimensional vector as Go and Python write them.
func vectorJSON() []byte {
	r := rand.New(rand.NewPCG(3, 4))
	v := make([]float32, 384)
	for i := range v {
		v[i] = float32(r.NormFloat64() / 20)
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func BenchmarkParseFloats384(b *testing.B) {
	data := vectorJSON()
	dst := make([]float32, 0, 384)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := ParseFloats(data, dst); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodingJSON384(b *testing.B) {
	data := vectorJSON()
	dst := make([]float32, 0, 384)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if err := json.Unmarshal(data, &dst); err != nil {
			b.Fatal(err)
		}
	}
}
