package din

import "github.com/eiderdb/eider/simd"

// Count adds b to the counts of rows that regularisation divides by: n_j is the
// number of samples, items offered with their history, that use row j. Call it
// with every batch of an epoch before training. Error: ErrBatch.
func (m *Model) Count(b *Batch) error {
	if err := m.check(b, false); err != nil {
		return err
	}
	if m.counts == nil {
		for _, p := range m.tables {
			m.counts = append(m.counts, make([]float64, p.Value.Rows))
		}
	}
	for r := range b.Requests() {
		items, past := b.Items[b.Offers[r]:b.Offers[r+1]], b.Past[b.Starts[r]:b.Starts[r+1]]
		for i := range m.config.Item {
			m.count(i, items, 1)
			m.count(i, past, float64(len(items)))
		}
		for i := range m.config.User {
			m.counts[len(m.config.Item)+i][b.User[i][r]] += float64(len(items))
		}
	}
	return nil
}

func (m *Model) count(field int, items []uint32, times float64) {
	m.ids, m.starts = m.ids[:0], m.starts[:0]
	ids, _ := m.column(field, items)
	for _, id := range ids {
		m.counts[field][id] += times
	}
}

// Regularise adds λ/n_j·w_j to the gradient of every row that has one, those the
// batch used (5). Time is that of the rows used, whatever the size of the tables. A
// row that was never counted counts once.
func (m *Model) Regularise() {
	if m.config.Lambda == 0 {
		return
	}
	for i, p := range m.tables {
		for j, id := range p.Touched() {
			n := 1.0
			if m.counts != nil {
				n = max(n, m.counts[i][id])
			}
			simd.Axpy(m.config.Lambda/float32(n), p.Value.Row(int(id)), p.Grad.Row(j))
		}
	}
}
