// Command _asm writes the amd64 kernels of package simd. It is a module of its
// own so that avo is no dependency of Eider. Run it by go generate in simd.
//
// Every distance kernel comes in three shapes with one body (see shape.go): a
// pair, consecutive rows, and rows by id. What a body computes is an op: the
// float ops are in float.go, bytes in byte.go, bits in bits.go. Affine codes, in
// affine.go and code.go, have rows and rows by id only. What is not a distance is in
// vector.go; functions of elements and rows, and steps of optimisers, are walks of
// sweep.go.
package main

import (
	"flag"
	"log"

	. "github.com/mmcloughlin/avo/build"
)

func main() {
	isa := flag.String("isa", "", "avx512, avx2, hop, gemm or functions")
	flag.Parse()
	ConstraintExpr("!purego")
	var i ISA
	switch *isa {
	case "avx512":
		i = AVX512
	case "avx2":
		i = AVX2
		masks()
		cpuid()
	case "hop":
		hops()
		Generate()
		return
	case "gemm":
		gemms()
		Generate()
		return
	case "functions":
		functions()
		Generate()
		return
	default:
		log.Fatalf("isa %q: must be avx512, avx2, hop, gemm or functions", *isa)
	}
	for _, l2 := range []bool{false, true} {
		shapes(&float{isa: i, l2: l2})
		shapes(&float{isa: i, l2: l2, half: true})
		shapes(newBytes(i, l2, true))
		shapes(newBytes(i, l2, false))
	}
	shapes(&bits{isa: i})
	affines(i, &affine8{lanes{i}})
	affines(i, &affine4{lanes{i}})
	affines(i, &affine1{isa: i})
	popcount(i)
	cosine(i)
	axpy(i)
	toHalf(i)
	fromHalf(i)
	probe(i)
	largest(i)
	Generate()
}
