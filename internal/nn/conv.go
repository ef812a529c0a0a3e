package nn

import "fmt"

// Window says which pixels a convolution reads. An image is Height x Width pixels, each
// a row of a matrix with its channels as columns, in rows from the top left; a sequence
// is an image of Height 1. Images of a batch are below each other. It must not change
// until Backward has returned.
type Window struct {
	Height, Width int // of an image
	Rows, Cols    int // of the kernel
	Above, Beside int // zeros around the image: above and below, left and right
	Stride        int // in both directions; 0 stands for 1
}

// Out is the size of the result for one image.
func (w *Window) Out() (height, width int) {
	s := max(1, w.Stride)
	return (w.Height+2*w.Above-w.Rows)/s + 1, (w.Width+2*w.Beside-w.Cols)/s + 1
}

// each calls fn for each pixel that is read, images·Out·Rows·Cols times less those
// outside: row out of the result, place k of the kernel, row in of the operand.
func (w *Window) each(images int, fn func(out, k, in int)) {
	height, width := w.Out()
	s := max(1, w.Stride)
	for n := range images {
		for y := range height {
			for x := range width {
				out := (n*height+y)*width + x
				for i := max(0, w.Above-y*s); i < min(w.Rows, w.Height+w.Above-y*s); i++ {
					in := (n*w.Height+y*s+i-w.Above)*w.Width + x*s - w.Beside
					for j := max(0, w.Beside-x*s); j < min(w.Cols, w.Width+w.Beside-x*s); j++ {
						fn(out, i*w.Cols+j, in+j)
					}
				}
			}
		}
	}
}

// Patches lays out what a kernel reads (im2col): a row for each place of the kernel,
// columns by channel, then row, then column of the kernel, PyTorch's order of weights.
// What is outside the image is 0.
func (t *Tape) Patches(x *Var, w *Window) *Var {
	height, width := w.Out()
	size := w.Rows * w.Cols
	if w.Height < 1 || w.Width < 1 || size < 1 || height < 1 || width < 1 || w.Above < 0 || w.Beside < 0 || x.Rows%(w.Height*w.Width) != 0 {
		panic(fmt.Sprintf("nn: Patches: %s through %+v", x, *w))
	}
	images := x.Rows / (w.Height * w.Width)
	v := t.leaf(t.Matrix(images*height*width, x.Cols*size), false)
	v.zero()
	w.each(images, func(out, k, in int) {
		to := v.Row(out)[k:]
		for c, e := range x.Row(in) {
			to[c*size] = e
		}
	})
	t.join(v, fusedBack, []*Var{x})
	v.op = w
	return v
}

// Backward implements Op for Patches: each pixel gets the sum over the places that
// read it.
func (w *Window) Backward(t *Tape, v *Var, in []*Var) {
	g, size := t.Grad(in[0]), w.Rows*w.Cols
	w.each(in[0].Rows/(w.Height*w.Width), func(out, k, in int) {
		from := v.grad.Row(out)[k:]
		for c, to := 0, g.Row(in); c < len(to); c++ {
			to[c] += from[c*size]
		}
	})
}

// Conv is the convolution of x by weight, filters x (channels·Rows·Cols), PyTorch's
// weight of Conv1d and Conv2d in one row a filter, plus bias, 1 x filters or nil. The
// result has the filters as channels.
func (t *Tape) Conv(x, weight, bias *Var, w *Window) *Var {
	return t.Linear(t.Patches(x, w), weight, bias)
}
