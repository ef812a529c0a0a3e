package bench

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// errPickle reports bytes that are no pickle of the kind unpickler reads.
var errPickle = errors.New("not a pickle of lists, tuples and integers")

// Limits of a pickle. Nothing is sized by a number that a file states.
const (
	maxStack  = 1 << 16 // writers append a thousand elements at a time
	maxMemo   = 1 << 24
	maxString = 1 << 22 // bytes of one string, an array's numbers among them
	maxHeld   = 1 << 27 // values in lists and tuples and bytes in strings, of one pickle
)

// unpickler reads the few things that a data set of integers is made of, as Python
// 2 and 3 write them with protocols 2 to 4: integers, strings, tuples, lists, and
// numpy's arrays and scalars of 32 and 64 bits. It knows no other name, so nothing
// in a file is ever called.
//
// Values are int64, string, []any of a tuple, *list, and *array. Elements of a list
// that nothing holds, if they are tuples, go to row instead of into the list, so a
// list of millions takes no memory; for the same reason tuples are not remembered,
// and a file that asks for one again is refused.
type unpickler struct {
	r     *bufio.Reader
	row   func([]any) error
	stack []any
	marks []int
	memo  []any
	held  int
}

// list is a list of integers, or the root. It is shared, not copied.
type list struct {
	ints []uint32
	root bool
}

// array is numpy's of one dimension, and its type while that is being made.
type array struct {
	size int // bytes of a number, 0 of an array not filled yet
	ints []int64
}

// name is something of numpy's that a file may mention.
type name string

const (
	rebuild name = "multiarray _reconstruct"
	scalar  name = "multiarray scalar"
	ndarray name = "numpy ndarray"
	dtype   name = "numpy dtype"
	encode  name = "_codecs encode" // Python 3 writes bytes so with protocol 2
)

// memory of tuples.
type forgotten struct{}

// read reads one pickle, up to its end. row is for elements of the root. Error:
// errPickle, or those of the reader and row.
func (u *unpickler) read(row func([]any) error) (any, error) {
	u.row, u.stack, u.marks, u.memo, u.held = row, u.stack[:0], u.marks[:0], u.memo[:0], 0
	for {
		op, err := u.r.ReadByte()
		if err != nil {
			return nil, torn(err)
		}
		if op == '.' {
			v, err := u.pop()
			if err == nil && (len(u.stack) > 0 || len(u.marks) > 0) {
				err = fmt.Errorf("%w: it ends with %d values", errPickle, len(u.stack)+1)
			}
			return v, err
		}
		if err := u.step(op); err != nil {
			return nil, err
		}
		if len(u.stack) > maxStack || len(u.marks) > maxStack || u.held > maxHeld {
			return nil, fmt.Errorf("%w: too large", errPickle)
		}
	}
}

func torn(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%w: %w", errPickle, err)
}

// step does one opcode.
func (u *unpickler) step(op byte) error {
	switch op {
	case 0x80: // protocol
		if v, err := u.number(1); err != nil || v < 2 || v > 4 {
			return errors.Join(err, fmt.Errorf("%w: protocol %d; write it with 2 to 4", errPickle, v))
		}
		return nil
	case 0x95: // frame
		_, err := u.number(8)
		return err
	case '(':
		u.marks = append(u.marks, len(u.stack))
		return nil
	case ']':
		return u.push(&list{root: len(u.stack) == 0 && len(u.marks) == 0})
	case 'a', 'e':
		return u.extend(op == 'e')
	case 't', ')', 0x85, 0x86, 0x87:
		return u.tuple(op)
	case 'q', 'r', 0x94, 'h', 'j':
		return u.remember(op)
	case 'R', 'b':
		return u.numpy(op == 'b')
	case 'c', 0x93:
		return u.global(op == 0x93)
	case 'N':
		return u.push(nil)
	case 0x88, 0x89:
		return u.push(int64(0x89 - op)) // True is 1
	}
	return u.scalar(op)
}

// scalar does the opcodes of integers and strings.
func (u *unpickler) scalar(op byte) error {
	switch op {
	case 'K', 'M':
		n := 1
		if op == 'M' {
			n = 2
		}
		v, err := u.number(n)
		return errors.Join(err, u.push(int64(v)))
	case 'J':
		v, err := u.number(4)
		return errors.Join(err, u.push(int64(int32(v))))
	case 0x8a: // little-endian, of as many bytes as it needs
		n, err := u.number(1)
		if err != nil || n > 8 {
			return errors.Join(err, fmt.Errorf("%w: an integer of %d bytes", errPickle, n))
		}
		v, err := u.number(int(n))
		if n > 0 {
			shift := 64 - 8*n
			return errors.Join(err, u.push(int64(v<<shift)>>shift))
		}
		return errors.Join(err, u.push(int64(0)))
	case 'U', 'C', 0x8c:
		return u.text(1)
	case 'T', 'B', 'X':
		return u.text(4)
	}
	return fmt.Errorf("%w: opcode %#02x", errPickle, op)
}

// number reads n little-endian bytes, at most 8.
func (u *unpickler) number(n int) (uint64, error) {
	var b [8]byte
	if _, err := io.ReadFull(u.r, b[:n]); err != nil {
		return 0, torn(err)
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}

func (u *unpickler) text(prefix int) error {
	n, err := u.number(prefix)
	if err != nil {
		return err
	}
	if n > maxString {
		return fmt.Errorf("%w: a string of %d bytes", errPickle, n)
	}
	var b strings.Builder
	if _, err := io.CopyN(&b, u.r, int64(n)); err != nil {
		return torn(err)
	}
	u.held += int(n)
	return u.push(b.String())
}

func (u *unpickler) push(v any) error {
	u.stack = append(u.stack, v)
	return nil
}

// pop takes the top value, which lies above the last mark.
func (u *unpickler) pop() (any, error) {
	n := len(u.stack) - 1
	if n < 0 || len(u.marks) > 0 && n < u.marks[len(u.marks)-1] {
		return nil, fmt.Errorf("%w: it takes a value where there is none", errPickle)
	}
	v := u.stack[n]
	u.stack = u.stack[:n]
	return v, nil
}

// since takes the last mark and what lies above it, valid until the next push.
func (u *unpickler) since() ([]any, error) {
	n := len(u.marks) - 1
	if n < 0 {
		return nil, fmt.Errorf("%w: no mark", errPickle)
	}
	all := u.stack[u.marks[n]:]
	u.stack, u.marks = u.stack[:u.marks[n]], u.marks[:n]
	return all, nil
}

// extend appends to the list below: one value, or all since the mark.
func (u *unpickler) extend(many bool) error {
	var all []any
	var err error
	if many {
		all, err = u.since()
	} else {
		var one any
		one, err = u.pop()
		all = []any{one}
	}
	if err != nil {
		return err
	}
	top, err := u.pop()
	if err != nil {
		return err
	}
	to, ok := top.(*list)
	if !ok {
		return fmt.Errorf("%w: appending to a %T", errPickle, top)
	}
	for _, v := range all {
		switch v := v.(type) {
		case []any:
			if !to.root || u.row == nil {
				return fmt.Errorf("%w: a tuple within a list", errPickle)
			}
			err = u.row(v)
		default:
			var n uint32
			n, err = id(v)
			to.ints = append(to.ints, n)
			u.held++
		}
		if err != nil {
			return err
		}
	}
	return u.push(to)
}

// id is an integer that fits in 32 bits without sign.
func id(v any) (uint32, error) {
	n, ok := v.(int64)
	if !ok || n < 0 || n > 1<<32-1 {
		return 0, fmt.Errorf("%w: %v (%T) for an id", errPickle, v, v)
	}
	return uint32(n), nil
}

func (u *unpickler) tuple(op byte) error {
	var all []any
	switch op {
	case 't':
		var err error
		if all, err = u.since(); err != nil {
			return err
		}
		all = append([]any{}, all...)
	case ')':
		all = []any{}
	default:
		all = make([]any, op-0x84)
		for i := len(all) - 1; i >= 0; i-- {
			var err error
			if all[i], err = u.pop(); err != nil {
				return err
			}
		}
	}
	u.held += len(all) + 1
	return u.push(all)
}

// remember keeps the top value under a number, or gives back what one was kept under.
// Python numbers them in turn, from 0 or from 1.
func (u *unpickler) remember(op byte) error {
	at := uint64(len(u.memo))
	if op != 0x94 {
		size := 1
		if op == 'r' || op == 'j' {
			size = 4
		}
		var err error
		if at, err = u.number(size); err != nil {
			return err
		}
	}
	if op == 'h' || op == 'j' {
		if at >= uint64(len(u.memo)) || u.memo[at] == (forgotten{}) {
			return fmt.Errorf("%w: it asks for value %d, which is a tuple or nothing", errPickle, at)
		}
		return u.push(u.memo[at])
	}
	v, err := u.pop()
	if err != nil {
		return err
	}
	if at > uint64(len(u.memo))+1 || at >= maxMemo {
		return fmt.Errorf("%w: value %d after %d", errPickle, at, len(u.memo))
	}
	for uint64(len(u.memo)) <= at {
		u.memo = append(u.memo, forgotten{})
	}
	if _, ok := v.([]any); !ok {
		u.memo[at] = v
	}
	return u.push(v)
}
