package din_test

import (
	"context"
	"fmt"
	"iter"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/internal/train"
	"github.com/eiderdb/eider/recsys/din"
)

// A shop of four items in two categories. Who looked at one of a category clicks on
// the other of it.
func Example() {
	fields := []din.Field{{Name: "item", Rows: 4, Dim: 8}, {Name: "category", Rows: 2, Dim: 4}}
	items, err := din.NewItems(4, fields, []din.Column{{}, {IDs: []uint32{0, 0, 1, 1}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	c := din.Default(fields, nil)
	c.Unit.Hidden, c.Head.Hidden = []int{8}, []int{8}
	m, err := din.New(c, items, 1)
	if err != nil {
		fmt.Println(err)
		return
	}

	var b din.Batch
	b.Reset()
	b.Add(nil, []uint32{0}, []uint32{1, 2, 3}, []float32{1, 0, 0})
	b.Add(nil, []uint32{3}, []uint32{2, 0, 1}, []float32{1, 0, 0})
	source := func(int) iter.Seq2[*din.Batch, error] {
		return func(yield func(*din.Batch, error) bool) { yield(&b, nil) }
	}
	if _, err := train.Run(context.Background(), m, source, train.Options{
		Epochs: 300, Optimizer: nn.Adam{}, Rate: nn.Constant(0.01),
	}); err != nil {
		fmt.Println(err)
		return
	}

	s := m.Scorer(false)
	offered := []uint32{1, 2}
	logits, weights := make([]float32, 2), make([]float32, 2*2)
	for _, past := range [][]uint32{{0, 0}, {3, 3}} {
		if err := s.Score(din.Request{Past: past, Items: offered}, logits, weights); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("after %v: item 1 before item 2: %t; the history weighs %.1f\n", past, logits[0] > logits[1], weights[:2])
	}
	// Output:
	// after [0 0]: item 1 before item 2: true; the history weighs [0.5 0.5]
	// after [3 3]: item 1 before item 2: false; the history weighs [0.5 0.5]
}
