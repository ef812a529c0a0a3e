package text

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/eiderdb/eider/embed"
)

// BERT is an encoder of the BERT family (BERT, MiniLM, BGE, E5 and what is trained
// from them): a transformer, whose last hidden states are pooled to one vector.
// Any layer may be the last and any prefix of the vector may be kept; models
// trained for it (Matryoshka, 2DMSE, Starbucks) stay good at that.
//
// Only the beginning of a long text is read, its first MaxTokens tokens with the
// sentence marks, as in sentence-transformers. The batch that a text is in does not
// change its vector. Between implementations of package simd the last bits differ.
//
// Safe for concurrent use. Encode splits its batch over goroutines, which have
// ended when it returns, and reuses its memory: about 16 KB for each token in hand
// at 384 dimensions.
type BERT struct {
	name, fingerprint string
	tok               *tokenizer
	marks             marks
	config            bertConfig
	prompt            string
	promptTokens      int
	layers, dim       int
	maxTokens         int
	threads           int // 0 = one for each CPU
	cls, unit         bool

	words, places []float32 // rows by token and by position; places include the type
	entry         affine    // of the embeddings
	blocks        []block

	batches, passes sync.Pool
}

// Name returns the name the encoder was loaded under.
func (e *BERT) Name() string { return e.name }

// Dim returns the width of the vectors.
func (e *BERT) Dim() int { return e.dim }

// Fingerprint returns 32 hexadecimal digits that name the vector space: the files,
// the layers and the width in use, and every option but Threads.
func (e *BERT) Fingerprint() string { return e.fingerprint }

// MaxTokens returns how many tokens of a text are read, sentence marks included.
func (e *BERT) MaxTokens() int { return e.maxTokens }

// errOverflow says that the weights are not those of a model.
var errOverflow = modelError("model.safetensors: the weights give no finite vector")

// passTokens is how many tokens run together at most, save for one longer text:
// enough that packing a weight for the product costs little beside the product,
// few enough that the hidden states stay in the second cache.
const passTokens = 512

// batch is the texts of one Encode.
type batch struct {
	scratch scratch
	ids     []uint32
	starts  []int // text i is ids[starts[i]:starts[i+1]]
	order   []int // texts, the longest first
	cuts    []int // group i is order[cuts[i]:cuts[i+1]]
	next    atomic.Int64
	failed  atomic.Bool
	wait    sync.WaitGroup
}

// Encode implements [embed.Encoder].
func (e *BERT) Encode(ctx context.Context, texts []string, dst [][]float32) error {
	if err := embed.Rows(texts, dst, e.dim); err != nil {
		return err
	}
	b, _ := e.batches.Get().(*batch)
	if b == nil {
		b = &batch{}
	}
	defer e.batches.Put(b)
	empty, err := e.tokenize(ctx, b, texts)
	if err != nil {
		return err
	}
	workers := e.threads
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	b.group(workers)
	if err := e.groups(ctx, b, min(workers, len(b.cuts)-1), dst); err != nil {
		return err
	}
	if empty {
		return &embed.TextError{Index: len(b.starts) - 1, Err: embed.ErrEmpty}
	}
	return nil
}

// tokenize fills b with the tokens of texts, up to one that has none but unknown
// ones.
func (e *BERT) tokenize(ctx context.Context, b *batch, texts []string) (empty bool, err error) {
	b.ids, b.starts = b.ids[:0], append(b.starts[:0], 0)
	unk := e.tok.model.unknown()
	for _, text := range texts {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if e.prompt != "" {
			text = e.prompt + text
		}
		ids := e.tok.encode(text, &b.scratch)
		if !slices.ContainsFunc(ids[min(e.promptTokens, len(ids)):], func(id int32) bool { return id != unk && id != none }) {
			return true, nil
		}
		kept := e.maxTokens - len(e.marks.before) - len(e.marks.after)
		for _, part := range [][]int32{e.marks.before, ids[:min(len(ids), kept)], e.marks.after} {
			for _, id := range part {
				if id != none {
					b.ids = append(b.ids, uint32(id))
				}
			}
		}
		b.starts = append(b.starts, len(b.ids))
	}
	return false, nil
}

// text is the tokens of text i.
func (b *batch) text(i int) []uint32 { return b.ids[b.starts[i]:b.starts[i+1]] }

// group cuts the texts into groups of about the same number of tokens, as many for
// each worker.
func (b *batch) group(workers int) {
	b.order = b.order[:0]
	for i := range len(b.starts) - 1 {
		b.order = append(b.order, i)
	}
	slices.SortStableFunc(b.order, func(x, y int) int { return cmp.Compare(len(b.text(y)), len(b.text(x))) })
	rounds := (len(b.ids) + workers*passTokens - 1) / (workers * passTokens)
	size := len(b.ids)/max(1, workers*rounds) + 1
	b.cuts = append(b.cuts[:0], 0)
	tokens := 0
	for i, t := range b.order {
		n := len(b.text(t))
		if tokens > 0 && tokens+n > size {
			b.cuts = append(b.cuts, i)
			tokens = 0
		}
		tokens += n
	}
	if len(b.order) > 0 {
		b.cuts = append(b.cuts, len(b.order))
	}
}

// groups encodes all groups of b, on so many goroutines, the caller's being one.
func (e *BERT) groups(ctx context.Context, b *batch, workers int, dst [][]float32) error {
	b.next.Store(0)
	b.failed.Store(false)
	errs := make([]error, max(workers, 1))
	for w := 1; w < workers; w++ {
		b.wait.Add(1)
		go func() {
			defer b.wait.Done()
			errs[w] = e.work(ctx, b, dst)
		}()
	}
	errs[0] = e.work(ctx, b, dst)
	b.wait.Wait()
	return cmp.Or(errs...)
}

// work encodes groups until none is left or one failed.
func (e *BERT) work(ctx context.Context, b *batch, dst [][]float32) error {
	p, _ := e.passes.Get().(*pass)
	if p == nil {
		p = &pass{}
	}
	defer e.passes.Put(p)
	for !b.failed.Load() {
		at := int(b.next.Add(1)) - 1
		if at >= len(b.cuts)-1 {
			return nil
		}
		if err := e.encode(ctx, b, b.order[b.cuts[at]:b.cuts[at+1]], p, dst); err != nil {
			b.failed.Store(true)
			return err
		}
	}
	return nil
}

// encode runs the network over some texts of b.
func (e *BERT) encode(ctx context.Context, b *batch, texts []int, p *pass, dst [][]float32) error {
	p.reset()
	for _, t := range texts {
		p.add(b.text(t))
	}
	if err := e.run(ctx, p, e.layers); err != nil {
		return err
	}
	for i, t := range texts {
		if !e.pool(p, i, dst[t]) {
			return &embed.TextError{Index: t, Err: errOverflow}
		}
	}
	return nil
}
