package eider

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
)

// browse returns the first need documents that pass the filter, by Sort or in
// id order.
func (s *search) browse(need int) ([]row, error) {
	if len(s.q.Sort) == 0 {
		return s.byID(need)
	}
	first := s.q.Sort[0]
	if _, indexed, _ := s.fields.Type(first.Field); len(s.q.Sort) == 1 && indexed {
		return s.byIndex(first, need)
	}
	rows := make([]row, 0, s.matches.GetCardinality())
	for it := s.matches.Iterator(); it.HasNext(); {
		rows = append(rows, row{ord: it.Next()})
	}
	rows, err := s.sortRows(rows)
	return rows[:min(need, len(rows))], err
}

// byID walks the ids in order.
func (s *search) byID(need int) ([]row, error) {
	var rows []row
	var n int
	var stop error
	err := s.view.ScanIDs(s.st.id, "", func(_ string, ord uint32, _ uint64) bool {
		if n++; n%1024 == 0 {
			if stop = s.ctx.Err(); stop != nil {
				return false
			}
		}
		if s.matches.Contains(ord) {
			rows = append(rows, row{ord: ord})
		}
		return len(rows) < need
	})
	s.phase(Phase{Name: "retrieve", Plan: "id order", In: int(s.matches.GetCardinality()), Out: len(rows)})
	return rows, cmp.Or(stop, err)
}

// byIndex walks the values of an indexed field in order and keeps the
// documents that match, each where its first value stands; documents without
// the field follow in ordinal order.
func (s *search) byIndex(by Sort, need int) ([]row, error) {
	var rows []row
	seen := roaring.New()
	var n int
	values := storage.TermScan{Lo: []byte{termValue}, LoIncl: true, Descending: by.Desc}
	err := s.view.Terms(s.ctx, s.st.id, s.st.stored.FieldID[by.Field], values, func(_ []byte, ids *roaring.Bitmap) bool {
		n++
		hit := roaring.And(ids, s.matches)
		hit.AndNot(seen)
		for it := hit.Iterator(); it.HasNext(); {
			rows = append(rows, row{ord: it.Next()})
		}
		seen.Or(hit)
		return len(rows) < need
	})
	if err == nil && len(rows) < need {
		for it := roaring.AndNot(s.matches, seen).Iterator(); it.HasNext() && len(rows) < need; {
			rows = append(rows, row{ord: it.Next()})
		}
	}
	ph := Phase{Name: "sort", Plan: "walk the index of " + by.Field, In: int(s.matches.GetCardinality()), Out: len(rows)}
	if s.q.Explain {
		ph.Counts = map[string]int{"values": n}
	}
	s.phase(ph)
	return rows, err
}

// sortRows orders rows by the query's keys, read from the documents; ties keep
// their order (score, or ordinal).
func (s *search) sortRows(rows []row) ([]row, error) {
	type keyed struct {
		row
		keys []format.Value
	}
	all := make([]keyed, len(rows))
	for i, r := range rows {
		if i%256 == 0 && s.ctx.Err() != nil {
			return nil, s.ctx.Err()
		}
		rec, _, err := s.reader.Record(s.st.id, r.ord)
		if err != nil {
			return nil, err
		}
		all[i] = keyed{r, make([]format.Value, len(s.q.Sort))}
		for j, by := range s.q.Sort {
			v, _ := format.Lookup(rec.Body, by.Field)
			all[i].keys[j] = extreme(v, by.Desc)
		}
	}
	slices.SortStableFunc(all, func(a, b keyed) int {
		for j, by := range s.q.Sort {
			x, y := a.keys[j], b.keys[j]
			if x.IsNull() || y.IsNull() { // missing values last, whichever way
				if c := cmp.Compare(null(x), null(y)); c != 0 {
					return c
				}
				continue
			}
			c := compareValues(x, y)
			if by.Desc {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return 0
	})
	for i := range all {
		rows[i] = all[i].row
	}
	s.phase(Phase{Name: "sort", Plan: "read the documents", In: len(rows), Out: len(rows)})
	if len(s.q.Retrieve) == 0 && len(rows) > 1000 {
		for _, by := range s.q.Sort {
			if _, indexed, _ := s.fields.Type(by.Field); !indexed || len(s.q.Sort) > 1 {
				s.advise("sorting %d documents by %s reads them all; sort by one indexed field to walk its index", len(rows), by.Field)
				break
			}
		}
	}
	return rows, nil
}

// compareValues orders numbers numerically across int64 and float64, all else
// as format.Value.Compare.
func compareValues(a, b format.Value) int {
	if a.Kind() != b.Kind() {
		return as(a, Float64).Compare(as(b, Float64))
	}
	return a.Compare(b)
}

// extreme is the value a list field sorts by: its least, or when descending its
// greatest.
func extreme(v format.Value, desc bool) format.Value {
	list := v.List()
	if v.Kind() != format.KindList {
		return v
	}
	if len(list) == 0 {
		return format.Null()
	}
	if desc {
		return slices.MaxFunc(list, compareValues)
	}
	return slices.MinFunc(list, compareValues)
}

func null(v format.Value) int {
	if v.IsNull() {
		return 1
	}
	return 0
}

// groups asks more for ever more ordered candidates until enough groups are
// filled or there are no more. The rows returned head their groups; the rest of
// each group is kept for flatten.
func (s *search) groups(more func(k int) (rows []row, last bool, err error)) ([]row, error) {
	for k := (s.want + 1) * (s.q.GroupBy.Size + 1); ; k *= 4 {
		k = min(max(k, fusedK), MaxOffset)
		rows, last, err := more(k)
		if err != nil {
			return nil, err
		}
		heads, full, err := s.group(rows)
		if err != nil {
			return nil, err
		}
		if last || k == MaxOffset || full {
			s.phase(Phase{Name: "group", Plan: "by " + s.q.GroupBy.Field, In: len(rows), Out: len(heads)})
			return heads, nil
		}
	}
}

// group deals rows into groups by value, in order of their best row. full
// reports that every wanted group has its hits.
func (s *search) group(rows []row) (heads []row, full bool, err error) {
	s.members = map[string][]row{}
	names := []string{}
	byKey := map[string]row{}
	for _, r := range rows {
		rec, _, err := s.reader.Record(s.st.id, r.ord)
		if err != nil {
			return nil, false, err
		}
		v, _ := format.Lookup(rec.Body, s.q.GroupBy.Field)
		key, value := groupKey(v)
		r.group = value
		if _, ok := byKey[key]; !ok {
			byKey[key] = r
			names = append(names, key)
		}
		if m := s.members[key]; len(m) < s.q.GroupBy.Size {
			s.members[key] = append(m, r)
		}
	}
	full = len(names) > s.want
	for i, key := range names {
		h := byKey[key]
		h.key = key
		heads = append(heads, h)
		if i < s.want && len(s.members[key]) < s.q.GroupBy.Size {
			full = false
		}
	}
	return heads, full, nil
}

// groupKey names the group of a value: a list groups by its first element,
// documents without the field by themselves under nil.
func groupKey(v format.Value) (string, any) {
	if v.Kind() == format.KindList {
		if len(v.List()) == 0 {
			v = format.Null()
		} else {
			v = v.List()[0]
		}
	}
	return fmt.Sprintf("%d:%s", v.Kind(), v), decodeValue(v)
}

// flatten lists the members of each group in place of its head.
func (s *search) flatten(heads []row) []row {
	var out []row
	for _, h := range heads {
		out = append(out, s.members[h.key]...)
	}
	return out
}

// facets counts the values of the facet fields among the matches.
func (s *search) facets() error {
	if len(s.q.Facets) == 0 {
		return nil
	}
	s.result.Facets = map[string][]FacetCount{}
	total := int(s.matches.GetCardinality())
	for _, name := range sortedKeys(s.q.Facets) {
		if err := s.st.checkFields([]string{name}, "/facets/"+name); err != nil {
			return err
		}
		counts, plan, err := s.facet(name)
		if err != nil {
			return err
		}
		slices.SortFunc(counts, func(a, b FacetCount) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(facetText(a.Value), facetText(b.Value)))
		})
		counts = counts[:min(len(counts), s.q.Facets[name])]
		s.result.Facets[name] = counts
		s.phase(Phase{Name: "facets", Plan: name + ": " + plan, In: total, Out: len(counts)})
	}
	return nil
}

func facetText(v any) string {
	if t, ok := v.(time.Time); ok {
		return t.Format(time.RFC3339Nano)
	}
	return fmt.Sprint(v)
}

// facet counts one field, by its index or, for few matches or a field without
// one, by reading documents.
func (s *search) facet(name string) ([]FacetCount, string, error) {
	t, indexed, _ := s.fields.Type(name)
	if indexed && t != Point {
		var counts []FacetCount
		values := storage.TermScan{Lo: []byte{termValue}, LoIncl: true}
		err := s.view.Terms(s.ctx, s.st.id, s.st.stored.FieldID[name], values, func(term []byte, ids *roaring.Bitmap) bool {
			if c := s.matches.AndCardinality(ids); c > 0 {
				if v, ok := parseTerm(term); ok {
					counts = append(counts, FacetCount{Value: decodeValue(v), Count: c})
				}
			}
			return true
		})
		return counts, "index", err
	}
	if s.matches.GetCardinality() > 1000 {
		s.advise("the facet %q reads every matching document; add an index to the field", name)
	}
	at := map[string]int{}
	var counts []FacetCount
	err := s.fields.Scan(s.ctx, name, s.matches, func(_ uint32, values []any) {
		seen := map[string]bool{}
		for _, v := range values {
			key := fmt.Sprintf("%T:%s", v, facetText(v))
			if seen[key] {
				continue
			}
			seen[key] = true
			i, ok := at[key]
			if !ok {
				i = len(counts)
				at[key] = i
				counts = append(counts, FacetCount{Value: v})
			}
			counts[i].Count++
		}
	})
	return counts, "documents", err
}
