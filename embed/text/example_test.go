package text_test

import (
	"context"
	"fmt"

	"github.com/eiderdb/eider/embed/text"
)

func ExampleOpen() {
	encoder, err := text.Open("static-tiny")
	if err != nil {
		fmt.Println(err)
		return
	}
	vectors := make([][]float32, 3)
	if err := encoder.Encode(context.Background(), []string{"a doctor", "physician in a hospital", "a fast car"}, vectors); err != nil {
		fmt.Println(err)
		return
	}
	// Vectors of this encoder have length 1, so the dot product is the cosine.
	dot := func(a, b []float32) (sum float32) {
		for i := range a {
			sum += a[i] * b[i]
		}
		return sum
	}
	fmt.Println(encoder.Dim(), dot(vectors[0], vectors[1]) > dot(vectors[0], vectors[2]))
	// Output: 64 true
}
