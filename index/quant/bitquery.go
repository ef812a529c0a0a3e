package quant

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/simd"
)

// The 16 levels of a query reach spread standard deviations from the middle, and
// zero lies aside of the border of two levels by this part of a step. If it lay on
// the border the magnitudes of normally distributed coordinates would be found
// 1.5 % too large, and so would products with near vectors, whose signs are those
// of the query: the error of the midpoint rule, which is none at (1−1/√3)/2. What
// is cut off at the ends leaves 0.05 %.
const (
	spread = 3.4
	aside  = 0.2113
)

// facing is a query, or a row in the place of one, against bits.
type facing struct {
	y      []float32
	levels []uint8
	planes []uint64
	k      [5]float32
	row    bool // made by PrepareRow: out of the kernel comes scale·(4·Σc·c' − 2·Σc)
	ones   float32
	shift  float32
	length float32 // ‖x'‖
	norm   float32
	metric index.Metric
}

func (f *facing) grow(w *bitter) {
	if len(f.y) != w.size {
		f.y, f.levels, f.planes = make([]float32, w.size), make([]uint8, w.size), make([]uint64, w.size/16)
	}
}

func (w *bitter) prepare(q *Query, metric index.Metric, v []float32) {
	f := &q.face
	f.grow(w)
	f.row = false
	sum, m := mean(v)
	w.turn(f.y, v, float32(m))
	rest, _ := mean(f.y)
	n := float64(w.size)
	_, two := lengths(f.y)
	_, norm := lengths(v)
	step, inv := inverse(float32(spread * math.Sqrt(two/n) / 7.5))
	simd.Quantise(f.levels, f.y, &simd.Steps{Offset: step * (aside - 7.5), Scale: step, Inv: inv, Lo: 0, Hi: 15})
	var total, squares, along float64 // Σu, Σu², Σu·y
	for j, u := range f.levels {
		g := float64(u)
		total += g
		squares += g * g
		along += float64(g * float64(f.y[j]))
	}
	slice(f.planes, f.levels)
	mid := total / n
	along -= mid * rest
	t := 0.0
	if along > 0 {
		t = max(0, two-rest*rest/n) / along
	}
	// ‖z − ẑ‖, with ẑ = t·(u − mid)
	err := math.Sqrt(max(0, two-2*t*along+t*t*(squares-n*mid*mid))) + 1e-5*math.Sqrt(two)
	q.upto[0] = Bounds{
		metric: metric, err: err, norm: math.Sqrt(norm), dim: n,
		bits: true, sum: math.Abs(sum), root: math.Sqrt(float64(len(v))),
	}
	q.rest[0] = tail{}
	a, b, c := float32(t), float32(sum), float32(t*mid)
	switch metric {
	case index.L2:
		f.k = [5]float32{float32(norm), -2 * a, -2 * b, 2 * c, 1}
	case index.IP:
		f.k = [5]float32{0, -a, -b, c, 0}
	default:
		f.k = [5]float32{1, -a, -b, c, 0}
	}
}

// slice takes the four lower bits of u apart: bit j of plane p is bit p of u[j].
func slice(planes []uint64, u []uint8) {
	const lowest, collect = 0x0101010101010101, 0x0102040810204080
	words := len(planes) / 4
	for i := range words {
		var p [4]uint64
		for j := range 8 {
			x := binary.LittleEndian.Uint64(u[64*i+8*j:])
			for k := range p {
				// The product brings bit 0 of byte b to bit 56+b.
				p[k] |= x >> k & lowest * collect >> 56 << (8 * j)
			}
		}
		for k := range p {
			planes[k*words+i] = p[k]
		}
	}
}

// prepareRow makes q what row stands for. Estimates of distance between two codes
// take the share of bits in which they differ for the angle: of random planes that
// many lie between the two.
func (w *bitter) prepareRow(q *Query, dim int, metric index.Metric, row []byte) {
	f := &q.face
	f.grow(w)
	words := w.size / 64
	ones := 0
	for i := range words {
		x := binary.LittleEndian.Uint64(row[header+8*i:])
		ones += bits.OnesCount64(x)
		for p := range 4 {
			f.planes[p*words+i] = x
		}
	}
	_, shift := parameters(row)
	f.row, f.metric, f.ones, f.shift, f.norm = true, metric, float32(ones), shift, norm(row)
	f.length = length(row, dim)
	f.k = [5]float32{0, 4. / 15, 0, -2, 0}
	n := math.Sqrt(float64(f.norm))
	q.upto[0] = Bounds{metric: metric, norm: n, dim: float64(w.size), bits: true,
		sum: math.Abs(float64(shift) * float64(dim)), root: math.Sqrt(float64(dim))}
}

// length is about ‖x'‖ of a row.
func length(row []byte, dim int) float32 {
	_, shift := parameters(row)
	return float32(math.Sqrt(float64(max(0, norm(row)-float32(dim)*shift*shift))))
}

// pair turns what the kernel made of a row, for a query that is one, into a
// distance.
func (w *bitter) pair(f *facing, dim int, row []byte, u float32) float32 {
	scale, shift := parameters(row)
	cos := float32(1)
	if scale > 0 {
		n := float32(w.size)
		r := float64(clamp((u/scale+n-2*f.ones)/n, -1, 1))
		cos = float32(math.Sin(math.Pi / 2 * r))
	}
	ip := float32(dim)*shift*f.shift + f.length*length(row, dim)*cos
	switch f.metric {
	case index.L2:
		return max(0, f.norm+norm(row)-2*ip)
	case index.IP:
		return -ip
	}
	return 1 - ip
}

func (c *Codec) rowsBit(q *Query, rows []byte, out []float32) {
	f := &q.face
	simd.AffineRowsI1(f.planes, &f.k, rows, c.size, out)
	if f.row {
		for i, u := range out {
			out[i] = c.bits.pair(f, c.dim, rows[i*c.size:][:c.size], u)
		}
	}
}

func (c *Codec) gatherBit(q *Query, rows []byte, ids []uint32, out []float32) {
	f := &q.face
	simd.AffineGatherI1(f.planes, &f.k, rows, c.size, ids, out)
	if f.row {
		for i, id := range ids {
			out[i] = c.bits.pair(f, c.dim, rows[int(id)*c.size:][:c.size], out[i])
		}
	}
}
