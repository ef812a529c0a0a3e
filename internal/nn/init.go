package nn

import (
	"math"
	"math/rand/v2"
)

// Uniform draws every element from [-limit, limit).
func (p *Param) Uniform(rng *rand.Rand, limit float32) *Param {
	for i := range p.Value.Data {
		p.Value.Data[i] = limit * (2*rng.Float32() - 1)
	}
	return p
}

// Normal draws every element from N(0, dev²).
func (p *Param) Normal(rng *rand.Rand, dev float32) *Param {
	for i := range p.Value.Data {
		p.Value.Data[i] = dev * float32(rng.NormFloat64())
	}
	return p
}

// Fill sets every element to x.
func (p *Param) Fill(x float32) *Param {
	for i := range p.Value.Data {
		p.Value.Data[i] = x
	}
	return p
}

// Glorot draws a weight of out x in from U(±√(6/(in+out))), also called Xavier.
func (p *Param) Glorot(rng *rand.Rand) *Param {
	return p.Uniform(rng, float32(math.Sqrt(6/float64(p.Value.Rows+p.Value.Cols))))
}

// GlorotNormal draws a weight of out x in from N(0, 2/(in+out)).
func (p *Param) GlorotNormal(rng *rand.Rand) *Param {
	return p.Normal(rng, float32(math.Sqrt(2/float64(p.Value.Rows+p.Value.Cols))))
}

// He draws a weight of out x in from N(0, 2/in), for ReLU.
func (p *Param) He(rng *rand.Rand) *Param {
	return p.Normal(rng, float32(math.Sqrt(2/float64(p.Value.Cols))))
}

// LeCun draws a weight of out x in from N(0, 1/in), for SELU.
func (p *Param) LeCun(rng *rand.Rand) *Param {
	return p.Normal(rng, float32(math.Sqrt(1/float64(p.Value.Cols))))
}
