package nn

import "math"

// Schedule is a learning rate by step, counted from 0.
type Schedule func(step int) float32

// Constant is one rate for all steps.
func Constant(rate float32) Schedule { return func(int) float32 { return rate } }

// Exponential multiplies the rate by decay once every period steps, in stairs.
func Exponential(rate, decay float32, period int) Schedule {
	return func(step int) float32 {
		return float32(float64(rate) * math.Pow(float64(decay), float64(step/period)))
	}
}

// Cosine falls from rate to floor along half a cosine over steps, then stays.
func Cosine(rate, floor float32, steps int) Schedule {
	return func(step int) float32 {
		x := min(1, float64(step)/float64(steps))
		return floor + (rate-floor)*float32((1+math.Cos(math.Pi*x))/2)
	}
}

// Warmup rises in a line over the first steps, from s(0)/steps to s(steps-1),
// and is s from then on.
func Warmup(s Schedule, steps int) Schedule {
	return func(step int) float32 {
		if step >= steps {
			return s(step)
		}
		return s(step) * float32(step+1) / float32(steps)
	}
}

// Cubic goes from first to last in n stairs of period steps that begin at step
// start and get flatter: s_t = last + (first-last)·(1 - (t-start)/(n·period))³. It
// is the sparsity of gradual pruning (Zhu and Gupta 2017).
func Cubic(first, last float32, start, n, period int) Schedule {
	return func(step int) float32 {
		stairs := min(max((step-start)/period, 0), n)
		rest := 1 - float64(stairs)/float64(n)
		return float32(float64(last) + (float64(first)-float64(last))*rest*rest*rest)
	}
}

// Plateau multiplies a rate by Factor whenever Patience reports in a row did not
// better the best score by more than Delta. Higher scores are better.
type Plateau struct {
	Rate          float32
	Factor, Delta float32
	Patience      int
	Least         float32 // the rate does not fall below it

	Best float64 // of the scores reported
	Bad  int     // reports since the best one or the last fall
	seen bool
}

// Report takes the score of an epoch and returns the rate of the next.
func (p *Plateau) Report(score float64) float32 {
	if !p.seen || score > p.Best+float64(p.Delta) {
		p.Best, p.Bad, p.seen = score, 0, true
		return p.Rate
	}
	if p.Bad++; p.Bad >= p.Patience {
		p.Bad = 0
		p.Rate = max(p.Least, p.Rate*p.Factor)
	}
	return p.Rate
}
