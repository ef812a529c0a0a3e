package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/eiderdb/eider/simd"
)

// Run is one run of a suite on a set: its figures, and what it takes to judge and
// to repeat them. It is the content of a results file.
type Run struct {
	Suite   string    `json:"suite"`
	Set     string    `json:"set"`
	Command string    `json:"command,omitempty"`
	Time    time.Time `json:"time"` // of the end, UTC
	Machine Machine   `json:"machine"`
	Engines []About   `json:"engines,omitempty"`
	Figures []Figure  `json:"figures"`
}

// Machine is what the figures were measured on, and with which build.
type Machine struct {
	CPU      string `json:"cpu"`
	Cores    int    `json:"cores"`  // CPUs this process may use
	Memory   int64  `json:"memory"` // bytes, 0 if unknown
	Platform string `json:"platform"`
	Load     string `json:"load,omitempty"` // averages of 1, 5 and 15 minutes at the end of the run
	Go       string `json:"go"`
	SIMD     string `json:"simd"`               // kernels chosen
	Revision string `json:"revision,omitempty"` // commit of this program, "+" when changed
}

// About is one engine of a run: its name in figures, its version and how it ran.
type About struct {
	Name string `json:"name"`
	How  string `json:"how"`
}

// maxResults bounds a results file that is read, in bytes.
const maxResults = 64 << 20

// ErrResults reports a file that holds no results of a run.
var ErrResults = errors.New("not a results file of eider bench")

// ReadRun decodes one results file. Errors: ErrResults, or the reader's.
func ReadRun(r io.Reader) (*Run, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxResults+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxResults {
		return nil, fmt.Errorf("%w: it is larger than %d MiB", ErrResults, maxResults>>20)
	}
	var run Run
	if err := json.Unmarshal(b, &run); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrResults, err)
	}
	if run.Suite == "" || len(run.Figures) == 0 {
		return nil, fmt.Errorf("%w: it names no suite or holds no figures; write one with --out", ErrResults)
	}
	return &run, nil
}

// Write encodes the run with one figure per line, so that two runs can be compared
// line by line.
func (run *Run) Write(w io.Writer) error {
	head := *run
	head.Figures = []Figure{}
	b, err := json.MarshalIndent(head, "", " ")
	if err != nil {
		return err
	}
	var out bytes.Buffer
	out.Write(bytes.TrimSuffix(b, []byte("[]\n}")))
	for i, f := range run.Figures {
		line, err := json.Marshal(f)
		if err != nil {
			return err
		}
		if i == 0 {
			out.WriteString("[\n  ")
		} else {
			out.WriteString(",\n  ")
		}
		out.Write(line)
	}
	if len(run.Figures) == 0 {
		out.WriteString("[")
	}
	out.WriteString("\n ]\n}\n")
	_, err = w.Write(out.Bytes())
	return err
}

// run is what the report holds, as a results file has it.
func (r *report) run(o Options) *Run {
	return &Run{Suite: r.suite, Set: r.set, Command: o.Command, Time: time.Now().UTC().Truncate(time.Second),
		Machine: thisMachine(), Engines: r.about, Figures: r.all}
}

// finish prints the table and writes the files that o asks for. It returns the
// first error of any write of the report.
func (r *report) finish(o Options) error {
	r.table()
	if r.err != nil {
		return r.err
	}
	run := r.run(o)
	if o.Out != "" {
		path := filepath.Join(o.Out, r.suite+"-"+safe(r.set)+".json")
		if err := write(path, run.Write); err != nil {
			return err
		}
		o.log("figures are in %s", path)
	}
	if o.HTML != "" {
		return write(o.HTML, func(w io.Writer) error { return Page(w, []*Run{run}) })
	}
	return nil
}

// write makes a file and the directories above it.
func write(path string, to func(io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(to(f), f.Close())
}

// safe keeps letters, digits, dots and dashes of a file name.
func safe(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '_'
	}, name)
}

// thisMachine describes where this process runs and what it was built from.
func thisMachine() Machine {
	m := Machine{CPU: cpuName(), Cores: runtime.GOMAXPROCS(0), Memory: memory(), Load: loadAverage(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), SIMD: simd.Active()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return m
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			m.Revision = s.Value + m.Revision
		case s.Key == "vcs.modified" && s.Value == "true":
			m.Revision += "+"
		}
	}
	return m
}
