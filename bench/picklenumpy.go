package bench

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// global does the opcodes that name something: two lines, or two strings on the
// stack.
func (u *unpickler) global(stacked bool) error {
	var words [2]string
	for i := range words {
		if stacked {
			v, err := u.pop()
			if err != nil {
				return err
			}
			words[1-i], _ = v.(string)
			continue
		}
		line, err := u.r.ReadSlice('\n') // an error as well if longer than the buffer
		if err != nil {
			return torn(err)
		}
		words[i] = strings.TrimSuffix(string(line), "\n")
	}
	module := words[0]
	if module == "numpy.core.multiarray" || module == "numpy._core.multiarray" {
		module = "multiarray"
	}
	switch n := name(module + " " + words[1]); n {
	case rebuild, scalar, ndarray, dtype, encode:
		return u.push(n)
	}
	return fmt.Errorf("%w: it names %q of %q", errPickle, words[1], words[0])
}

// numpy does the opcodes that make an object of a name and a tuple, or fill one.
func (u *unpickler) numpy(fill bool) error {
	v, err := u.pop()
	if err != nil {
		return err
	}
	args, ok := v.([]any)
	on, err := u.pop()
	if err != nil {
		return err
	}
	var made any
	if a, isArray := on.(*array); ok && fill && isArray {
		made, ok = a, a.fill(args)
		u.held += len(a.ints)
	} else if of, isName := on.(name); ok && !fill && isName {
		made, ok = of.call(args)
		if text, isText := made.(string); isText {
			u.held += len(text)
		}
	} else {
		ok = false
	}
	if !ok {
		return fmt.Errorf("%w: %v with arguments of no array of whole numbers", errPickle, on)
	}
	return u.push(made)
}

// call makes a type, a number of it, or an array to be filled.
func (n name) call(args []any) (any, bool) {
	if len(args) == 0 {
		return nil, false
	}
	switch n {
	case dtype:
		word, _ := args[0].(string)
		size, ok := map[string]int{"i4": 4, "i8": 8}[word]
		return &array{size: size}, ok
	case scalar:
		if len(args) != 2 {
			return nil, false
		}
		of, _ := args[0].(*array)
		text, _ := args[1].(string)
		if of == nil || of.size == 0 || len(text) != of.size {
			return nil, false
		}
		return of.numbers(text)[0], true
	case rebuild:
		return &array{}, args[0] == ndarray
	case encode:
		if len(args) != 2 || args[1] != "latin1" {
			return nil, false
		}
		return latin1(args[0])
	}
	return nil, false
}

// latin1 is a text's bytes, one of each character below 256.
func latin1(v any) (any, bool) {
	text, ok := v.(string)
	b := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 255 {
			return nil, false
		}
		b = append(b, byte(r))
	}
	return string(b), ok
}

// fill takes the state of a type, (version, order of bytes, ..), or of an array,
// (version, shape, type, by columns, bytes).
func (a *array) fill(args []any) bool {
	if a.size != 0 {
		return len(args) > 1 && args[1] == "<"
	}
	if len(args) != 5 {
		return false
	}
	shape, _ := args[1].([]any)
	of, _ := args[2].(*array)
	text, ok := args[4].(string)
	if !ok || len(shape) != 1 || of == nil || of.size == 0 || shape[0] != int64(len(text)/of.size) || len(text)%of.size != 0 {
		return false
	}
	a.ints = of.numbers(text)
	return true
}

// numbers decodes little-endian bytes of a's size each.
func (a *array) numbers(text string) []int64 {
	out := make([]int64, len(text)/a.size)
	for i := range out {
		b := []byte(text[i*a.size : (i+1)*a.size])
		if a.size == 4 {
			out[i] = int64(int32(binary.LittleEndian.Uint32(b)))
		} else {
			out[i] = int64(binary.LittleEndian.Uint64(b))
		}
	}
	return out
}
