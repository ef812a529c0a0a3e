// Package train is time in learning: epochs over mini-batches, when to look, when
// to stop, and how to go on after an interruption as if there had been none. It
// knows a model as parameters, running statistics, and a gradient for a batch.
//
//	result, err := train.Run(ctx, model, batches, train.Options{
//		Epochs: 20, Optimizer: nn.Adam{}, Rate: nn.Constant(1e-3), Clip: 10,
//		Evaluate: evaluate, Metric: "gauc", Patience: 3,
//		Save: save, Resume: last, Progress: show,
//	})
//
// # Exactness
//
// A run is a function of the model's weights, the Source and the Options: equal
// ones give equal bits on one path of simd. A checkpoint holds all that the rest of
// a run depends on, so a run that was killed and resumed from any of its
// checkpoints ends with the bytes of one that was not. Source makes the batches of
// an epoch from its number alone, and a resumed run skips those it has seen.
//
// # Interruption
//
// A run ends early when its context does, when its time is up, or when the metric
// has not bettered for Patience epochs. It ends between steps, with the model whole,
// and says why in Result.Reason. Only the first is an error.
package train
