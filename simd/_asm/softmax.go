package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/reg"
)

// softmax is three passes: the largest element, the exponentials of the
// differences from it with their sum, and the division by that.
func softmax(isa ISA) {
	kernel(isa, "softmax", "(dst, src []float32) (most, sum float32)")
	dst, src, s := base("dst"), base("src"), over(isa, "src")
	most := []reg.VecVirtual{isa.fixed(float32(math.Inf(-1))), isa.vec()}
	VMOVAPS(most[0], most[1])
	s.each(2, func(j int, k tail) {
		x := s.load(src, k)
		s.clear(x, most[0], k)
		VMAXPS(most[j], x, most[j])
	})
	VMAXPS(most[1], most[0], most[0])
	isa.across(most[0], floatMax)
	exp, sum := newExp(isa).falling(), isa.sums(1)
	s.each(1, func(_ int, k tail) {
		x := s.load(src, k)
		VSUBPS(most[0], x, x)
		y := exp(x)
		s.clear(y, nil, k)
		VADDPS(y, sum[0], sum[0])
		s.store(y, dst, k)
	})
	total := isa.total(sum)
	share := isa.fixed(1)
	VDIVPS(total, share, share)
	s.each(2, func(_ int, k tail) {
		y := s.load(dst, k)
		VMULPS(share, y, y)
		s.store(y, dst, k)
	})
	result("most", most[0])
	result("sum", total)
	end()
}
