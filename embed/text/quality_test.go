package text

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/eiderdb/eider/embed"
)

// sharedData finds the folder of public data sets: EIDER_DATA, or shared/data
// in a folder above.
func sharedData(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("EIDER_DATA"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		data := filepath.Join(dir, "shared", "data")
		if _, err := os.Stat(data); err == nil {
			return data
		}
		if filepath.Dir(dir) == dir {
			t.Skip("the shared data sets are not here; set EIDER_DATA to their folder")
		}
		dir = filepath.Dir(dir)
	}
}

// The model's makers report about 0.62 and 0.51 for static-tiny; the hashed
// encoder has no other yardstick than itself.
func TestSimilarityOfSentencesFollowsHumanJudgement(t *testing.T) {
	dir := filepath.Join(sharedData(t), "stsbenchmark")
	for _, split := range []struct {
		name                    string
		static, hashed, withIDF float64
	}{{"sts-dev.csv", 0.620, 0.68, 0.75}, {"sts-test.csv", 0.510, 0.60, 0.69}} {
		scores, left, right := readPairs(t, filepath.Join(dir, split.name))
		idf := FitIDF(slices.Values(slices.Concat(left, right)))
		for _, c := range []struct {
			name string
			want float64
			open func() (embed.Encoder, error)
		}{
			{"static-tiny", split.static, func() (embed.Encoder, error) { return Open(StaticTiny) }},
			{"hashed", split.hashed, func() (embed.Encoder, error) { return Open(HashedName) }},
			{"hashed with IDF", split.withIDF, func() (embed.Encoder, error) { return NewHashed(HashedOptions{IDF: idf}) }},
		} {
			e, err := c.open()
			if err != nil {
				t.Fatal(err)
			}
			a, b := make([][]float32, len(left)), make([][]float32, len(left))
			for texts, rows := range map[*[]string][][]float32{&left: a, &right: b} {
				if err := e.Encode(context.Background(), *texts, rows); err != nil {
					t.Fatal(err)
				}
			}
			near := make([]float64, len(a))
			for i := range a {
				near[i] = cosine(a[i], b[i])
			}
			rho := spearman(near, scores)
			t.Logf("%s, %s: Spearman %.3f", split.name, c.name, rho)
			if rho < c.want {
				t.Errorf("%s, %s: Spearman %.3f, below %.3f", split.name, c.name, rho, c.want)
			}
		}
	}
}

func readPairs(t *testing.T, path string) (scores []float64, left, right []string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		t.Skipf("no %s", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Split(strings.TrimRight(line, "\r\n"), "\t")
		score, err := strconv.ParseFloat(f[4], 64)
		if err != nil {
			t.Fatal(err)
		}
		scores, left, right = append(scores, score), append(left, f[5]), append(right, f[6])
	}
	return scores, left, right
}

// spearman is the correlation of ranks; ties share their mean rank.
func spearman(x, y []float64) float64 {
	centred := func(v []float64) []float32 {
		order := make([]int, len(v))
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(a, b int) int { return cmp.Compare(v[a], v[b]) })
		ranks := make([]float32, len(v))
		for i := 0; i < len(order); {
			j := i
			for j < len(order) && v[order[j]] == v[order[i]] {
				j++
			}
			for _, k := range order[i:j] {
				ranks[k] = float32(i+j-len(v)) / 2
			}
			i = j
		}
		return ranks
	}
	return cosine(centred(x), centred(y))
}
