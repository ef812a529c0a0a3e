package hnsw_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/hnsw"
	"github.com/eiderdb/eider/index/indextest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHNSWKeepsTheIndexContract(t *testing.T) {
	for name, f := range map[string]indextest.Factory{
		"float32":      open,
		"int8":         indextest.Coded(open, index.Int8),
		"int4":         indextest.Coded(open, index.Int4),
		"int8 on disk": indextest.OnDisk(open, index.Int8),
		"int8 nested":  indextest.Nested(open, index.Int8),
		"int4 nested":  indextest.Nested(open, index.Int4),
		"int8 rotated": indextest.Rotated(open, index.Int8),
		"int4 rotated": indextest.Rotated(open, index.Int4),
		"int4 on disk": indextest.OnDisk(open, index.Int4),
		"bit":          indextest.Coded(open, index.Bit),
		"bit on disk":  indextest.OnDisk(open, index.Bit),
	} {
		if race && name != "float32" && name != "int8 on disk" {
			continue // the others differ in arithmetic only
		}
		indextest.Run(t, name, f)
	}
}

func open(cfg index.Config) (index.Index, error) {
	x, err := hnsw.New(cfg)
	if err != nil {
		return nil, err
	}
	return x, nil
}
