// Package nn is the training core: matrices, a tape that records what is
// computed from them, the gradients of it, parameters, losses and optimisers.
//
// # The tape
//
// A Tape is a list of nodes (Var) in the order they were computed. Each method
// of Tape that returns a Var computes its value at once and appends a node that
// remembers its inputs and a backward function. Backward walks the list from
// its end: when a node is reached, all that was computed from it has added its
// share to the node's gradient, and the node hands it on to its inputs.
//
//	t.Reset()                             // everything of the last step is gone
//	x := t.Input(batch)                   // n x 8, no gradient
//	h := t.ReLU(hidden.Forward(t, x))     // n x 32
//	loss := t.BCE(out.Forward(t, h), clicks, nil)
//	t.Backward(loss)                      // gradients are in the parameters
//	nn.ClipNorm(params, 10)
//	adam.Step(params, rate(step))         // moves them and clears the gradients
//
// A node that no parameter feeds into has no gradient and costs nothing in
// Backward; with NoGrad set, no node has one.
//
// # Ownership
//
// Values, gradients and scratch of a step lie in the tape's arena. They are
// valid until Reset, which keeps the memory for the next step: once steps stop
// growing, a step allocates nothing. Slices that a caller passes (ids, masks,
// segments, targets, the data of inputs) stay the caller's; they are kept, not
// copied, and must not change until Backward has returned. Parameters, their
// gradients and optimiser state outlive the tape.
//
// Slice, Columns and Reshape are views: they share the memory of their operand,
// values and gradient both. Gradients of inner nodes are moved or overwritten
// while Backward hands them on, so after it only those of leaves (Leaf, and the
// Grad of parameters) mean anything.
//
// # Shapes
//
// Everything is a row-major float32 matrix whose rows may be further apart than
// they are long (Stride). A batch of sequences is one matrix with the positions
// of all sequences below each other, and Segments says where each one starts:
// no padding is stored or computed. Sequences padded to one length are segments
// of equal size (Uniform) and a mask with one number a row, 1 for a position
// that counts and 0 for padding.
//
// A wrong shape is a programming error and panics with a message that names the
// operation and the shapes.
//
// # Determinism
//
// Sums are taken in one fixed order, dropout masks are a function of the tape's
// Seed and Step, the dropout's number within the step and the position, and
// nothing reads a clock or a map's order: equal inputs give equal bits on the
// same simd path. A tape belongs to one goroutine at a time.
//
// # Fused operations
//
// A model that computes several steps in one pass implements Op and appends its
// value with Record; nntest.Check compares it with a float64 reference as
// it does the operations of this package.
package nn
