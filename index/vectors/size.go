package vectors

import (
	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/quant"
)

// perID is about what a slot's id, states and place in the map take; see MapBytes.
const perID = 20

// SlotBytes is about the memory that a set of cfg takes for each slot. Errors: those of New.
func SlotBytes(cfg index.Config) (int64, error) {
	if err := Check(cfg); err != nil {
		return 0, err
	}
	n := int64(perID)
	if cfg.Source == nil {
		width := 4
		if cfg.Storage == index.Float16 {
			width = 2
		}
		n += int64(stride(cfg.Dim, width) * width)
	}
	if cfg.Codes != index.None {
		codec, err := quant.New(cfg.Codes, cfg.Dim, cfg.Widths...)
		if err != nil {
			return 0, err
		}
		n += int64(codec.Size())
	}
	return n, nil
}
