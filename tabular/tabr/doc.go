// Package tabr is TabR (Y. Gorishniy et al., "TabR: Tabular Deep Learning Meets
// Nearest Neighbors", ICLR 2024): a network that predicts a row of a table from the
// row and from the labels of the rows nearest to it, in a space that it learns.
//
// A Model has the weights, Fit trains it, Freeze makes what serves of it, and a
// Predictor holds candidates, rows with known labels, which may be added and deleted
// after training: predictions change with them at once, and each can name the
// candidates it used.
//
// # Architecture
//
//	u = numbers (or their embedding), binary, one-hot categories
//	e = E(u) = W_in u + b_in, then encoder blocks
//	k = W_K e + b_K, of layer-normed e if there are encoder blocks
//	p = softmax over the m nearest candidates of -‖k - k_i‖²
//	e = e + Σ p_i (Y(y_i) + W_T2 drop(relu(W_T1 (k - k_i) + b_T1)))
//	prediction = W_h relu(norm(P(e))) + b_h, P being predictor blocks
//
// # Exact rewrites
//
// W_T2 and Y have no part of their own in the sum over candidates, so both are applied
// once, to sums weighted by p. W_T1(k - k_i) is a difference of two vectors, one of
// which belongs to the candidate. And where E is one linear layer of few columns,
// k - k_i = W_K W_in (u - u_i): distances are those of R u with RᵀR = (W_K W_in)ᵀ W_K W_in,
// in as many dimensions as u has, and W_T1 W_K W_in is applied to differences of rows.
// Biases of E and K cancel, so that without encoder blocks b_K has no gradient.
package tabr
