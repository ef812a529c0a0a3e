// Package bench measures: suites of figures, each printed as a JSON line or a row
// of a table, beside other libraries in the same run wherever one exists. It is
// the library behind `eider bench`.
//
// The rules every suite keeps (docs/PROMISES.md holds the figures they gave):
//
//   - Engines take turns within one run: repetition by repetition and setting by
//     setting, so a machine that slows down slows all of them. Medians are
//     reported.
//   - All engines get the same vectors, k, M and efConstruction, and one search
//     thread. Speeds are compared at equal measured recall, by interpolation
//     between measured points and never beyond them (metric.QPSAt).
//   - Recall is computed here, from ids and exact distances (metric.RecallAt);
//     what an engine says about itself does not count.
//   - A peer that is not installed is reported as absent, with the command that
//     installs it.
package bench

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Options choose what a suite runs on and how it reports. The zero value runs the
// full suite on the default set with every peer and prints a table.
type Options struct {
	Quick   bool     // a smaller set and fewer peers: under 50 s on two cores
	JSON    bool     // one JSON object per line instead of a table
	Gobench bool     // lines in Go's benchmark format, for benchstat, instead of a table
	Data    string   // data directory or file; "" means $EIDER_DATA, else ./data, else shared/data above
	Set     string   // data set, see Sets; "" means fashion-mnist if present, else clusters
	Peers   []string // peers to run, see Peers; nil means the suite's own choice, "none" none, "all" all
	Codes   []string // forms of Eider's vectors to run in turn, see Codes; nil means "none" alone
	// Prefixes of nested vectors and Rotate, to measure prefixes of rotated vectors
	// beside them, are for the suite nested.
	Prefixes []int
	Rotate   bool
	Out      string        // directory for the results file (see Run) and for scratch databases; "" writes none
	HTML     string        // file for the report of this run; "" writes none
	Command  string        // command line, kept with the results
	Seed     uint64        // of generated sets and of the index, default 1
	Rows     int           // at most so many base vectors, 0 means the suite's choice
	Seeds    int           // of suites that train models: so many of them, 0 means the suite's choice
	Queries  int           // at most so many queries, 0 means the suite's choice
	Time     time.Duration // how long timed loads and repetitions last, 0 means the suite's choice
	Serve    string        // eider binary for suites that need a server, "" means this executable
	Log      io.Writer     // progress, one line per step; nil means none
}

// Suite is one named group of figures.
type Suite struct {
	Name string // as in `eider bench NAME`
	Doc  string // one line of help
	// Run measures and writes figures to w as it goes. It stops with the context's
	// error soon after ctx ends.
	Run func(ctx context.Context, o Options, w io.Writer) error
}

// Suites lists every suite; to add one is to add a line.
func Suites() []Suite {
	return []Suite{
		{"ann", "recall, speed, build and memory of the graph index beside hnswlib, usearch, faiss and zvec", checked(ANN)},
		{"build", "vectors per CPU second and the speed-up of all threads, beside hnswlib", checked(Build)},
		{"churn", "recall, speed, reach and memory over ten turnovers of deletes and inserts, beside hnswlib", checked(Churn)},
		{"nested", "graphs walked on prefixes of nested vectors, beside full-width float32", checked(Nested)},
		{"exact", "exact search of 1M x 128 against the machine's memory bandwidth", checked(Exact)},
		{"filter", "recall and speed under filters from 90 to 0.01 %, random, near and far, beside hnswlib's functor", checked(Filter)},
		{"write", "durable single-document writes from 64 goroutines, beside Pebble alone", checked(Write)},
		{"import", "bulk load of 100,000 x 384 with the graph, by phase", checked(Import)},
		{"reopen", "Open to the first hit over 1M x 128, after Close and after SIGKILL", checked(Reopen)},
		{"latency", "search p50 and p99 while writers take half of the machine, and while it is idle", checked(Latency)},
		{"kernels", "distance kernels beside the same in C with intrinsics", checked(Kernels)},
		{"din", "Deep Interest Network on MovieLens-100K beside simpler rankers", checked(Din)},
		{"bottleneck", "classes that come two at a time, beside probes that forget, class means and nearest neighbours", checked(Bottleneck)},
		{"dinspeed", "training and serving of the Deep Interest Network beside PyTorch, DeepCTR-Torch and ONNX Runtime", checked(DinSpeed)},
		{"tabular", "TabM on a table beside XGBoost, LightGBM and scikit-learn's trees", checked(Tabular)},
		{"http", "search over HTTP beside the library call, and 1,000 requests/s", checked(HTTP)},
	}
}

// log writes a line of progress with the time since the program's start.
func (o Options) log(format string, args ...any) {
	if o.Log != nil {
		fmt.Fprintf(o.Log, "[%6.1fs] %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
}

var began = time.Now()
