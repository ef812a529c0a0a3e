package dataset

import (
	"bytes"
	"fmt"
)

// group reads the links and attributes of the root group.
func (h *HDF5) group(addr int64) error {
	list, err := h.header(addr)
	if err != nil {
		return err
	}
	for _, m := range list {
		switch m.kind {
		case msgSymbolTable:
			err = h.symbolTable(m.body)
		case msgLink:
			err = h.link(m.body)
		case msgLinkInfo:
			err = h.linkInfo(m.body)
		case msgAttribute:
			if m.flags&2 == 0 {
				err = h.attribute(m)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// linkInfo refuses groups whose links live in a fractal heap: more than eight
// links written with libver="latest".
func (h *HDF5) linkInfo(b []byte) error {
	c := &cursor{b: b, h: h}
	c.skip(1)
	flags := c.u8()
	if flags&1 != 0 {
		c.skip(8)
	}
	if heap := c.addr(); c.err == nil && heap != undefined {
		return fmt.Errorf("%w: a group with dense links; write it with libver=\"earliest\"", ErrUnsupported)
	}
	return c.err
}

// link reads a link message and keeps it if it is a hard link.
func (h *HDF5) link(b []byte) error {
	c := &cursor{b: b, h: h}
	if version := c.u8(); version != 1 {
		return fmt.Errorf("%w: link version %d", ErrUnsupported, version)
	}
	flags, kind := c.u8(), 0
	if flags&8 != 0 {
		kind = c.u8()
	}
	if flags&4 != 0 {
		c.skip(8) // creation order
	}
	if flags&16 != 0 {
		c.skip(1) // character set
	}
	n := c.uint(1 << (flags & 3))
	if n > uint64(len(c.b)) {
		return fmt.Errorf("%w: link name of %d bytes", ErrFormat, n)
	}
	name := c.bytes(int(n))
	if kind == 0 {
		if addr := c.addr(); c.err == nil {
			h.links[string(name)] = addr
		}
	}
	return c.err
}

// symbolTable reads an old-style group: a version 1 B-tree of symbol nodes whose
// names lie in a local heap.
func (h *HDF5) symbolTable(b []byte) error {
	c := &cursor{b: b, h: h}
	tree, heap := c.addr(), c.addr()
	if c.err != nil {
		return c.err
	}
	hc, err := h.signed(heap, int64(8+2*h.lsize+h.osize), "HEAP")
	if err != nil {
		return err
	}
	hc.skip(4)
	size := hc.length()
	hc.length()
	data := hc.addr()
	if size > maxBlock {
		return fmt.Errorf("%w: name heap of %d bytes", ErrTooLarge, size)
	}
	names, err := h.block(data, size)
	if err != nil {
		return err
	}
	return h.walk(tree, 0, h.lsize, func(_ []byte, node int64) error {
		return h.symbols(node, names)
	})
}

// symbols reads one symbol table node.
func (h *HDF5) symbols(addr int64, names []byte) error {
	head, err := h.signed(addr, 8, "SNOD")
	if err != nil {
		return err
	}
	head.skip(2)
	n := head.u16()
	b, err := h.block(addr+8, int64(n*(2*h.osize+24)))
	if err != nil {
		return err
	}
	c := &cursor{b: b, h: h}
	for range n {
		name, obj := c.addr(), c.addr()
		c.skip(24)
		if c.err != nil {
			return c.err
		}
		if name < 0 || name >= int64(len(names)) {
			return fmt.Errorf("%w: link name outside its heap", ErrFormat)
		}
		text, _, _ := bytes.Cut(names[name:], []byte{0})
		h.links[string(text)] = obj
	}
	return nil
}

// walk visits the leaf entries of a version 1 B-tree of a type (0 group, 1
// chunks), with the key before each child.
func (h *HDF5) walk(addr int64, kind, keySize int, leaf func(key []byte, child int64) error) error {
	type step struct {
		addr  int64
		level int // -1: the root, whose level is not known yet
	}
	todo := []step{{addr, -1}}
	// Every node is visited once, so together they fit in the file; nodes that
	// share a child or form a ring do not.
	for left := h.size; len(todo) > 0; {
		s := todo[0]
		todo = todo[1:]
		head := int64(8 + 2*h.osize)
		c, err := h.signed(s.addr, head, "TREE")
		if err != nil {
			return err
		}
		k, level, n := c.u8(), c.u8(), c.u16()
		if k != kind || s.level >= 0 && level != s.level {
			return fmt.Errorf("%w: B-tree node of type %d and level %d", ErrFormat, k, level)
		}
		size := int64(n * (keySize + h.osize))
		if left -= head + size; left < 0 {
			return fmt.Errorf("%w: B-tree nodes that repeat", ErrFormat)
		}
		b, err := h.block(s.addr+head, size)
		if err != nil {
			return err
		}
		c = &cursor{b: b, h: h}
		for range n {
			key, child := c.bytes(keySize), c.addr()
			if level == 0 {
				if err := leaf(key, child); err != nil {
					return err
				}
				continue
			}
			todo = append(todo, step{child, level - 1})
		}
	}
	return nil
}
