// Package din is the Deep Interest Network (Zhou et al., KDD 2018): a model of
// clicks whose view of a user depends on the item that is offered.
//
// # The model
//
// An item is the concatenation of the vectors of its fields (id, category, ...),
// d numbers. With v_A the item offered and e_1..e_T the items of the user's
// history, in the same tables,
//
//	v_U(A) = Σ_j a(e_j, v_A)·e_j                       (3)
//
// where a, the activation unit, is a small network of [v_A, e_j, v_A-e_j, v_A⊙e_j]
// with one output. A second network, the head, reads the user's fields, v_A and
// v_U(A) and gives the logit of a click. The base model of the paper, to compare
// with, averages the history instead: Pooling "mean".
//
// # What the paper says and what programs do
//
//   - The paper does not normalise the weights: Σ_j a says how strong an interest
//     is. The authors' program, and FuxiCTR on Amazon, take a softmax over the
//     history, the authors' of scores divided by √d: Config.Softmax and Scaled.
//   - The input of the unit has an "out product" in the paper, v_A⊙e_j and the
//     difference in every program. So it is here.
//   - Dice takes the statistics of a batch while it trains and running ones after.
//     Here those of the unit leave padding out, since no padding exists; FuxiCTR
//     and DeepCTR count it. The authors' program never trains them, DIEN takes
//     those of the batch when it serves, and RecBole's has no parameter at all.
//   - Regularisation by mini-batch (5): a row of a table that a batch uses gets
//     λ/n_j·w_j, n_j being how often training uses it: Config.Lambda. FuxiCTR
//     decays whole tables with every step.
//   - The authors' program puts v_U through a norm and a linear layer, normalises
//     what the head reads, v_U⊙v_A with it, and adds a bias of the item:
//     Config.Project, Layers.Input, Config.Product and Bias. The paper ends in a softmax of two outputs,
//     programs in one logit, which is the same function.
//
// # How it is computed
//
// The first layer of the unit, W·[v_A; e; v_A-e; v_A⊙e] + b with W in four parts,
// is (W_q+W_d)·v_A + b, once per item offered, plus (W_k-W_d)·e, once per item of
// a history, plus W_p·(v_A⊙e), once per pair: a quarter of the products, and no
// concatenation in memory. Training and serving do so; a batch lists requests, so
// that items offered together share their history.
package din
