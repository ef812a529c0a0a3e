package eider

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/eiderdb/eider/rank"
	"github.com/eiderdb/eider/storage/format"
)

const (
	// MaxRanks is the most rank phases of a query.
	MaxRanks = 4
	// DefaultTop is how many candidates a rank phase scores when the query names no
	// number.
	DefaultTop = 100
)

// Rank is a phase that puts the best candidates in order by a model's score.
type Rank struct {
	// Model is a reference such as "ctr@production" or "ctr@7"; the query's LSN
	// decides which version that is.
	Model string `json:"model"`
	// Top is how many candidates it scores, 1..1000, default 100. The others stay
	// below these, in the order and with the scores that they had. Without Retrieve
	// the candidates are the documents that pass Filter, in the order of ids.
	Top int `json:"top,omitempty"`
	// Weight, above 0 and up to 1, is the share of the model in the new score: 1, the
	// default, makes it the model's score; less makes it a weighted sum of this and
	// the score before, both first brought to [0, 1] among the candidates.
	Weight float64 `json:"weight,omitempty"`
	// User is whose history the model reads, for kinds that read one.
	User string `json:"user,omitempty"`
}

// RankScore is what one rank phase did to a hit.
type RankScore struct {
	Phase int     `json:"phase"` // position in Query.Rank
	Model string  `json:"model"` // the version that scored, as in "ctr@7"
	Score float64 `json:"score"` // the model's
	From  int     `json:"from"`  // rank before the phase, from 1
	Was   float64 `json:"was"`   // score before the phase
	// Features is what carried the model's score, for kinds that can say: by field, or
	// by item of the user's history.
	Features map[string]float64 `json:"features,omitempty"`
}

func (r *Rank) top() int {
	if r.Top == 0 {
		return DefaultTop
	}
	return r.Top
}

func (r *Rank) check(i int, bad func(at, format string, args ...any) error) error {
	switch {
	case r.Model == "":
		return bad(rankAt(i, "/model"), "a rank phase names a model, such as ctr@production")
	case r.Top < 0 || r.Top > MaxLimit:
		return bad(rankAt(i, "/top"), "top %d; use 1 to %d", r.Top, MaxLimit)
	case !(r.Weight >= 0 && r.Weight <= 1):
		return bad(rankAt(i, "/weight"), "weight %v; use a number above 0 and up to 1", r.Weight)
	}
	return nil
}

// rankAt points at a part of rank phase i of a query.
func rankAt(i int, part string) string { return "/rank/" + strconv.Itoa(i) + part }

// beginRank finds the models of the rank phases, as of the query's view.
func (s *search) beginRank() error {
	for i := range s.q.Rank {
		r := &s.q.Rank[i]
		l, err := s.c.db.serving.at(s.ctx, s.view, r.Model)
		if err == nil {
			err = s.st.checkInputs(l)
		}
		if err != nil {
			return locate(rankAt(i, "/model"), unprefixed{err})
		}
		if err := l.checkUser(r.User); err != nil {
			return locate(rankAt(i, "/user"), err)
		}
		s.models = append(s.models, l)
		s.result.Models = append(s.result.Models, l.String())
	}
	return nil
}

// candidatesWanted is how many candidates the phases after retrieval work on, where
// need are wanted after them.
func (s *search) candidatesWanted(need int) int {
	for i := range s.q.Rank {
		need = max(need, s.q.Rank[i].top())
	}
	return need
}

// rerank runs the rank phases over candidates, in place.
func (s *search) rerank(rows []row) error {
	for i, l := range s.models {
		head := rows[:min(s.q.Rank[i].top(), len(rows))]
		if len(head) == 0 {
			continue
		}
		if err := s.rankBy(i, l, head); err != nil {
			return locate(rankAt(i, ""), err)
		}
		p := Phase{Name: "rank", Plan: fmt.Sprintf("%v (%s)", l, l.model.Kind), In: len(rows), Out: len(rows)}
		if s.q.Explain {
			p.Counts = map[string]int{"phase": i, "scored": len(head)}
		}
		s.phase(p)
		if n := int(s.matches.GetCardinality()); len(s.q.Retrieve) == 0 && n > s.q.Rank[i].top() {
			s.advise("%v ranks the first %d of %d documents in the order of ids; retrieve candidates, or filter", l, s.q.Rank[i].top(), n)
		}
	}
	return nil
}

// rankBy orders rows by a model. Rows that get no finite score go to the end.
func (s *search) rankBy(phase int, l *loaded, rows []row) error {
	x := examples{n: len(rows), values: make([]format.Value, 0, len(rows)*len(l.needs.fields)), user: s.q.Rank[phase].User, view: s.view}
	for i := range rows {
		if i%64 == 0 && s.ctx.Err() != nil {
			return s.ctx.Err()
		}
		rec, id, err := s.reader.Record(s.st.id, rows[i].ord)
		if err != nil {
			return err
		}
		x.addDoc(l, string(id), rec.Body)
	}
	scores := make([]float64, len(rows))
	var why []map[string]float64
	if s.q.Explain {
		why = make([]map[string]float64, len(rows))
	}
	if err := l.score(s.ctx, &x, scores, why); err != nil {
		return err
	}
	for i := range scores {
		if !finite(scores[i]) {
			scores[i] = -math.MaxFloat64
			s.advise("%v gives some candidates scores that are not finite; they come last", l)
		}
	}
	if s.q.Explain {
		for i := range rows {
			r := RankScore{Phase: phase, Model: l.String(), Score: scores[i], From: i + 1, Was: rows[i].score, Features: why[i]}
			rows[i].ranked = append(rows[i].ranked, r)
		}
	}
	mix(rows, scores, s.q.Rank[phase].Weight)
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(b.score, a.score) })
	return nil
}

// mix gives rows their new scores: the model's, or its share of them.
func mix(rows []row, scores []float64, weight float64) {
	if weight == 0 || weight == 1 {
		for i := range rows {
			rows[i].score = scores[i]
		}
		return
	}
	sources := []rank.Source{{Weight: 1 - weight}, {Weight: weight}}
	for i := range rows {
		sources[0].Candidates = append(sources[0].Candidates, rank.Candidate{ID: uint32(i), Score: rows[i].score})
		sources[1].Candidates = append(sources[1].Candidates, rank.Candidate{ID: uint32(i), Score: scores[i]})
	}
	for _, f := range rank.Weighted(rank.MinMax, sources...) {
		rows[f.ID].score = f.Score
	}
}
