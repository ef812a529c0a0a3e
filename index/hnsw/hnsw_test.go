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
	indextest.Run(t, "hnsw", func(cfg index.Config) (index.Index, error) {
		x, err := hnsw.New(cfg)
		if err != nil {
			return nil, err
		}
		return x, nil
	})
}
