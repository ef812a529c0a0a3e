package text

import (
	"context"
	"os"
	"strings"
	"testing"
)

// sentence has 20 tokens of the built-in vocabulary.
const sentence = "a small program that finds files by name and content, with filters for size, date and owner"

func BenchmarkStaticEncode(b *testing.B) {
	e, err := tiny()
	if err != nil {
		b.Fatal(err)
	}
	benchmark(b, e)
}

func BenchmarkHashedEncode(b *testing.B) {
	e, err := NewHashed(HashedOptions{})
	if err != nil {
		b.Fatal(err)
	}
	benchmark(b, e)
}

func benchmark(b *testing.B, e interface {
	Encode(context.Context, []string, [][]float32) error
	Dim() int
}) {
	texts, rows := []string{sentence}, [][]float32{make([]float32, e.Dim())}
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Encode(context.Background(), texts, rows); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStaticEncodeUnicode(b *testing.B) {
	e, err := tiny()
	if err != nil {
		b.Fatal(err)
	}
	texts, rows := []string{strings.ReplaceAll(sentence, "e", "é")}, [][]float32{make([]float32, e.Dim())}
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Encode(context.Background(), texts, rows); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoadTiny(b *testing.B) {
	for b.Loop() {
		if _, err := LoadStatic("x", modelFS(b)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoadMiniLM(b *testing.B) {
	root := os.DirFS(miniLM(b))
	for b.Loop() {
		if _, err := LoadBERT("x", root, BERTOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
