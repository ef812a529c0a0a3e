package tabular

import (
	"fmt"
	"iter"
	"maps"
	"slices"
)

// Table is rows as they came, by column. It belongs to one goroutine while rows are
// appended, and serves many after that.
type Table struct {
	names []string
	at    map[string]int
	cells [][]value // by column; [rows] each
	rows  int
}

// NewTable returns an empty table with columns in this order; others are added as
// rows name them.
func NewTable(columns ...string) *Table {
	t := &Table{at: map[string]int{}}
	for _, name := range columns {
		t.column(name)
	}
	return t
}

// Read makes a table of rows: of the fields of documents, or of an import. Columns
// that the caller did not name are in order of the first row that has them, sorted
// within a row. Errors: of rows, ErrValue naming row and column.
func Read(rows iter.Seq2[map[string]any, error], columns ...string) (*Table, error) {
	t := NewTable(columns...)
	for fields, err := range rows {
		if err == nil {
			err = t.Append(fields)
		}
		if err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Append adds a row. Values are texts, numbers, booleans, times or nil; lists and
// objects are passed over. Error: ErrValue, with the table as it was.
func (t *Table) Append(fields map[string]any) error {
	row := make(map[string]value, len(fields))
	for name, v := range fields {
		cell, err := valueOf(v)
		if err != nil {
			return fmt.Errorf("%w in row %d, column %q", err, t.rows+1, name)
		}
		row[name] = cell
	}
	for _, name := range slices.Sorted(maps.Keys(row)) {
		t.column(name)
	}
	for i, name := range t.names {
		t.cells[i] = append(t.cells[i], row[name])
	}
	t.rows++
	return nil
}

// AppendText adds a row of a text file, a cell for each column. Error: ErrValue if
// there are more or fewer.
func (t *Table) AppendText(cells []string) error {
	if len(cells) != len(t.names) {
		return fmt.Errorf("%w: row %d has %d cells, the table %d columns", ErrValue, t.rows+1, len(cells), len(t.names))
	}
	for i, s := range cells {
		t.cells[i] = append(t.cells[i], textOf(s))
	}
	t.rows++
	return nil
}

// Rows is how many there are.
func (t *Table) Rows() int { return t.rows }

// Columns lists the names of columns. The slice is the caller's.
func (t *Table) Columns() []string { return slices.Clone(t.names) }

// Labelled lists the rows that have a value in a column: those that can be learned
// from if it is the target.
func (t *Table) Labelled(column string) []int {
	var rows []int
	for i, v := range t.get(column) {
		if v.form != absent {
			rows = append(rows, i)
		}
	}
	return rows
}

// column adds a column unless it is there.
func (t *Table) column(name string) {
	if _, known := t.at[name]; !known {
		t.at[name] = len(t.names)
		t.names = append(t.names, name)
		t.cells = append(t.cells, make([]value, t.rows))
	}
}

// get is the cells of a column: nil if there is no such column.
func (t *Table) get(name string) []value {
	if i, ok := t.at[name]; ok {
		return t.cells[i]
	}
	return nil
}

// cell is a cell of a column that get found: absent where there is none.
func cell(column []value, row int) value {
	if column == nil {
		return value{}
	}
	return column[row]
}
