package text

import (
	"encoding/binary"
	"io"
	"iter"
	"maps"
	"math"
	"slices"
)

// IDF weighs words by how few texts of a corpus hold them.
//
// It keeps the count of at most maxWords words, by their hash; the words met
// after the table is full count as rare.
type IDF struct {
	texts uint64
	count map[uint64]uint32
}

// maxWords bounds an IDF table: about 50 MB.
const maxWords = 1 << 20

// FitIDF counts the words of a corpus. Time is linear in its bytes.
func FitIDF(texts iter.Seq[string]) *IDF {
	d := &IDF{count: map[uint64]uint32{}}
	seen := map[uint64]bool{}
	var w words
	for text := range texts {
		d.texts++
		clear(seen)
		w.reset(text)
		for w.next() {
			id := hash(w.word, seedWord)
			if seen[id] {
				continue
			}
			seen[id] = true
			if n, ok := d.count[id]; ok || len(d.count) < maxWords {
				d.count[id] = n + 1
			}
		}
	}
	return d
}

// Texts returns how many texts were counted.
func (d *IDF) Texts() uint64 { return d.texts }

// weight is ln((N+1)/(n+1)) + 0.1, scaled so that a word never seen weighs 1.
func (d *IDF) weight(word uint64) float64 {
	top := math.Log(float64(d.texts+1)) + 0.1
	return (math.Log(float64(d.texts+1)/float64(d.count[word]+1)) + 0.1) / top
}

// digest writes the table in a fixed order.
func (d *IDF) digest(w io.Writer) {
	var b [12]byte
	binary.LittleEndian.PutUint64(b[:], d.texts)
	w.Write(b[:8])
	for _, id := range slices.Sorted(maps.Keys(d.count)) {
		binary.LittleEndian.PutUint64(b[:], id)
		binary.LittleEndian.PutUint32(b[8:], d.count[id])
		w.Write(b[:])
	}
}
