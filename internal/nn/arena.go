package nn

// slab hands out slices of T from chunks and takes them all back at once.
// Chunks double; after a step that needed more than one, reset puts a single
// chunk of their sum in their place, so a step that needs no more than an
// earlier one allocates nothing.
type slab[T any] struct {
	chunks [][]T
	chunk  int // chunks[chunk] is in use, those before it are full
	used   int // elements of it that are taken
}

// least is the size of the first chunk, in elements.
const least = 1 << 10

// take returns n elements with whatever was in them.
func (s *slab[T]) take(n int) []T {
	for s.chunk < len(s.chunks) {
		if c := s.chunks[s.chunk]; s.used+n <= len(c) {
			part := c[s.used : s.used+n : s.used+n]
			s.used += n
			return part
		}
		s.chunk++
		s.used = 0
	}
	size := max(n, least)
	if last := len(s.chunks) - 1; last >= 0 {
		size = max(n, 2*len(s.chunks[last]))
	}
	s.chunks = append(s.chunks, make([]T, size))
	s.used = n
	return s.chunks[s.chunk][:n:n]
}

// reset takes back everything.
func (s *slab[T]) reset() {
	if s.chunk > 0 {
		total := 0
		for _, c := range s.chunks {
			total += len(c)
		}
		s.chunks = append(s.chunks[:0:0], make([]T, total))
	}
	s.chunk, s.used = 0, 0
}

// bytes64 rounds a count of float32 up to whole cache lines, so that every
// slice of an arena starts on one.
func bytes64(n int) int { return (n + 15) &^ 15 }
