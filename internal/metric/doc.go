// Package metric is judgement: recall against exact neighbours, ranking and click
// quality, quantiles, and the speed an engine has at a given recall. It depends
// on nothing of ours, so a benchmark, a test and a training loop share one
// definition of every figure.
package metric
