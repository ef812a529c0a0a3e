package nn

import "math"

// ClipNorm scales all gradients by one factor so that their Euclidean norm,
// taken over all parameters together, is at most limit, and returns the norm
// they had. It is PyTorch's clip_grad_norm_: the factor is limit/(norm + 1e-6).
func ClipNorm(params []*Param, limit float32) float32 {
	sum := 0.0
	for _, p := range params {
		for i := range p.spans() {
			_, g, _ := p.span(i)
			n := float64(length(g))
			sum += n * n
		}
	}
	norm := math.Sqrt(sum)
	if factor := float64(limit) / (norm + 1e-6); factor < 1 {
		for _, p := range params {
			scale(p.Grad, float32(factor))
		}
	}
	return float32(norm)
}

// Noise adds normal noise of variance eta/(1+step)^0.55 to all gradients, of
// tables to those of touched rows (Neelakantan et al. 2015). It is a function of
// seed, step and position.
func Noise(params []*Param, eta float32, seed, step uint64) {
	dev := math.Sqrt(float64(eta) / math.Pow(1+float64(step), 0.55))
	for k, p := range params {
		key := mix(mix(mix(seed+golden)+step*golden) + uint64(k)*golden)
		for i := range p.spans() {
			_, g, at := p.span(i)
			for j := range g {
				g[j] += float32(dev * normal(key, uint64(at+j)))
			}
		}
	}
}

// normal is number n of a stream of independent N(0, 1), by Box and Muller.
func normal(key, n uint64) float64 {
	bits := mix(key + n*golden)
	u := (float64(bits>>32) + 0.5) / (1 << 32)
	w := float64(bits&math.MaxUint32) / (1 << 32)
	return math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*w)
}
