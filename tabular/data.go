// Package tabular turns rows of typed columns into what tabular models read: it infers
// columns, keeps vocabularies and transforms that were fitted on training rows only,
// and splits without leakage.
package tabular

// Kind is what a model predicts.
type Kind string

// The kinds of target.
const (
	Regression Kind = "regression" // a float64
	Binary     Kind = "binary"     // one of two classes
	Multiclass Kind = "multiclass" // one of three classes or more
)

// Data is encoded rows, of training or of a question. All slices are row-major and
// belong to whoever made the Data; models read them only.
type Data struct {
	Rows int

	Num      []float32 // [Rows × NumWidth] transformed numeric columns
	NumWidth int
	Bin      []float32 // [Rows × BinWidth] 0 or 1
	BinWidth int
	Cat      []int32 // [Rows × len(CatSizes)] codes 0..size-1; size: not in the vocabulary
	CatSizes []int   // sizes of the vocabularies

	Kind    Kind
	Classes int       // of Binary (2) and Multiclass
	Y       []float32 // [Rows] the standardised target, or the class; nil in a question
	Mean    float64   // of the training targets; a prediction is y·Std + Mean
	Std     float64   // of the training targets, population
}
