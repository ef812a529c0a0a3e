package flat_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/flat"
	"github.com/eiderdb/eider/index/indextest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFlatKeepsTheIndexContract(t *testing.T) {
	indextest.Run(t, "flat", func(cfg index.Config) (index.Index, error) {
		x, err := flat.New(cfg)
		if err != nil {
			return nil, err
		}
		return x, nil
	})
}
