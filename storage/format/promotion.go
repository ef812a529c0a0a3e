package format

import (
	"encoding/binary"
	"fmt"
	"math"
)

const promotionVersion = 1

// Promotion is one change of an alias of a model. The newest one of an alias says
// which version it points to; the ones before are its history.
type Promotion struct {
	Model    string // label
	Alias    string // label that is not a number
	LSN      uint64 // of the commit
	Time     int64  // nanoseconds since 1970 UTC
	Version  uint32 // the version from now on, 0 if the alias was removed
	Previous uint32 // the version until now, 0 for none
	Back     uint64 // LSN of the promotion that a rollback returns to, 0 for none
	Rollback bool   // it was one
	Forced   bool   // whatever the metric said
	Note     string // up to MaxNote bytes

	// The comparison that let it pass, or that was overruled; Metric is "" for none.
	Metric    string
	Margin    float64
	Candidate float64
	Served    float64 // 0 if Previous is
}

// Check reports what is wrong with a promotion: ErrValue.
func (p *Promotion) Check() error {
	for _, label := range []string{p.Model, p.Alias} {
		if err := CheckLabel(label); err != nil {
			return err
		}
	}
	if p.Metric != "" {
		if err := CheckLabel(p.Metric); err != nil {
			return err
		}
	}
	sum := p.Margin + p.Candidate + p.Served
	if len(p.Note) > MaxNote || !plain(p.Note) || p.Back >= p.LSN || math.IsNaN(sum) || math.IsInf(sum, 0) || p.Margin < 0 {
		return fmt.Errorf("%w: promotion of %s@%s: want a note of at most %d bytes of plain text, finite numbers, a margin that is not negative", ErrValue, p.Model, p.Alias, MaxNote)
	}
	return nil
}

const (
	promotionRollback = 1 << iota
	promotionForced
)

// AppendPromotion appends p's envelope to dst. Error: ErrValue.
func AppendPromotion(dst []byte, p *Promotion) ([]byte, error) {
	if err := p.Check(); err != nil {
		return dst, err
	}
	start := len(dst)
	dst = beginEnvelope(dst, EnvPromotion, promotionVersion)
	dst = appendBlock(dst, []byte(p.Model))
	dst = appendBlock(dst, []byte(p.Alias))
	dst = binary.LittleEndian.AppendUint64(dst, p.LSN)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(p.Time))
	dst = binary.LittleEndian.AppendUint32(dst, p.Version)
	dst = binary.LittleEndian.AppendUint32(dst, p.Previous)
	dst = binary.LittleEndian.AppendUint64(dst, p.Back)
	flags := byte(0)
	if p.Rollback {
		flags |= promotionRollback
	}
	if p.Forced {
		flags |= promotionForced
	}
	dst = appendBlock(append(dst, flags), []byte(p.Metric))
	for _, x := range []float64{p.Margin, p.Candidate, p.Served} {
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(x))
	}
	return endEnvelope(appendBlock(dst, []byte(p.Note)), start)
}

// ParsePromotion decodes an envelope of AppendPromotion. Errors: ErrCorrupt,
// ErrVersion.
func ParsePromotion(b []byte) (*Promotion, error) {
	_, body, err := OpenEnvelope(b, EnvPromotion, promotionVersion)
	if err != nil {
		return nil, err
	}
	c := cursor{b: body}
	p := &Promotion{Model: string(c.block(MaxLabel)), Alias: string(c.block(MaxLabel)), LSN: c.u64(), Time: int64(c.u64())}
	p.Version, p.Previous, p.Back = c.u32(), c.u32(), c.u64()
	flags := c.u8()
	p.Rollback, p.Forced = flags&promotionRollback != 0, flags&promotionForced != 0
	p.Metric = string(c.block(MaxLabel))
	p.Margin, p.Candidate, p.Served = c.f64(), c.f64(), c.f64()
	p.Note = string(c.block(MaxNote))
	if !c.done() || flags > promotionRollback|promotionForced {
		return nil, corrupt("promotion of %d bytes", len(body))
	}
	if err := p.Check(); err != nil {
		return nil, corrupt("%v", err)
	}
	return p, nil
}

// Keys of the model registry, after the byte of its key prefix. A label holds
// no zero byte, so none is the prefix of another's.

// First bytes of the keys of the registry.
const (
	KeyModel     = 'm' // m model                 -> next version:4
	KeyVersion   = 'v' // v model 0 version:4     -> Model
	KeyPromotion = 'p' // p model 0 alias 0 LSN:8 -> Promotion
)

// ModelKey is the key of the number that the next version of a model gets.
func ModelKey(model string) []byte { return append([]byte{KeyModel}, model...) }

// VersionsKey is what the keys of a model's versions begin with.
func VersionsKey(model string) []byte { return append(append([]byte{KeyVersion}, model...), 0) }

// VersionKey is the key of a version's manifest.
func VersionKey(model string, version uint32) []byte {
	return binary.BigEndian.AppendUint32(VersionsKey(model), version)
}

// PromotionsKey is what the keys of promotions begin with: of a model, or of one
// of its aliases.
func PromotionsKey(model, alias string) []byte {
	k := append(append([]byte{KeyPromotion}, model...), 0)
	if alias != "" {
		k = append(append(k, alias...), 0)
	}
	return k
}

// PromotionKey is the key of a promotion.
func PromotionKey(model, alias string, lsn uint64) []byte {
	return binary.BigEndian.AppendUint64(PromotionsKey(model, alias), lsn)
}
