package ingest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// What a Parquet file may announce. Writers keep pages near 1 MiB and footers
// below a few.
const (
	maxFooter     = 64 << 20
	maxPage       = 256 << 20 // bytes of a page, packed or not
	maxPageValues = 1 << 24
	maxPageHeader = 1 << 20
)

// checkFooter checks the footer's length before the library allocates it.
func checkFooter(r io.ReaderAt, size int64) error {
	var tail [8]byte
	if size < 12 {
		return fmt.Errorf("%d bytes are no Parquet file", size)
	}
	if _, err := r.ReadAt(tail[:], size-8); err != nil {
		return err
	}
	if string(tail[4:]) != "PAR1" {
		return errors.New("the end is not a Parquet file's: it is cut short, damaged or encrypted")
	}
	if n := int64(binary.LittleEndian.Uint32(tail[:])); n > size-12 || n > maxFooter {
		return fmt.Errorf("a footer of %d bytes in a file of %d", n, size)
	}
	return nil
}

// checkPages walks the pages of all columns and checks the sizes and counts they
// announce, since the library allocates by them without asking. It unpacks every
// page, which reading does once more; building an index costs far more than that.
func checkPages(r io.ReaderAt, size int64, f *parquet.File) error {
	meta := f.Metadata()
	var columns []*parquet.Column
	for _, c := range f.Root().Columns() {
		columns = appendLeaves(columns, c)
	}
	w := &walk{r: r, head: make([]byte, 4<<10)}
	defer w.close()
	for g, group := range meta.RowGroups {
		for c, column := range group.Columns {
			m := column.MetaData
			from := m.DataPageOffset
			if m.DictionaryPageOffset > 0 {
				from = min(from, m.DictionaryPageOffset)
			}
			if from < 4 || m.TotalCompressedSize < 0 || from > size || m.TotalCompressedSize > size-from {
				return fmt.Errorf("column %d of row group %d lies outside the file", c, g)
			}
			if c >= len(columns) {
				return fmt.Errorf("row group %d has more columns than the schema", g)
			}
			if err := w.chunk(from, from+m.TotalCompressedSize, m.Codec, columns[c]); err != nil {
				return fmt.Errorf("column %d of row group %d: %w", c, g, err)
			}
		}
	}
	return nil
}

// appendLeaves appends the columns that hold values, in file order.
func appendLeaves(all []*parquet.Column, c *parquet.Column) []*parquet.Column {
	if c.Leaf() {
		return append(all, c)
	}
	for _, sub := range c.Columns() {
		all = appendLeaves(all, sub)
	}
	return all
}

// walk is the working memory of checkPages.
type walk struct {
	pageReader
	r    io.ReaderAt
	head []byte
}

// chunk checks the pages of one column chunk, which lie from at to end.
func (w *walk) chunk(at, end int64, codec format.CompressionCodec, c *parquet.Column) error {
	for at < end {
		n, err := w.r.ReadAt(w.head[:min(int64(len(w.head)), end-at)], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		in := new(thrift.CompactProtocol).NewReaderFromBytes(w.head[:n])
		var h format.PageHeader
		if err := thrift.NewDecoder(in).Decode(&h); err != nil {
			if int64(n) < end-at && len(w.head) < maxPageHeader {
				w.head = make([]byte, len(w.head)*16)
				continue
			}
			return fmt.Errorf("page header: %w", err)
		}
		at += int64(in.BytesRead())
		if err := checkPage(&h); err != nil {
			return err
		}
		if int64(h.CompressedPageSize) > end-at {
			return errors.New("the last page ends outside of the column")
		}
		if w.raw = w.raw[:0]; cap(w.raw) < int(h.CompressedPageSize) {
			w.raw = make([]byte, h.CompressedPageSize)
		}
		w.raw = w.raw[:h.CompressedPageSize]
		if _, err := w.r.ReadAt(w.raw, at); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		at += int64(h.CompressedPageSize)
		switch h.Type {
		case format.DataPage, format.DataPageV2:
			err = w.checkData(&h, w.raw, codec, c.MaxRepetitionLevel(), c.MaxDefinitionLevel())
		case format.DictionaryPage:
			_, err = w.unpack(codec, w.raw, int(h.UncompressedPageSize))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkPage checks one header.
func checkPage(h *format.PageHeader) error {
	packed, full := h.CompressedPageSize, h.UncompressedPageSize
	if packed < 0 || full < 0 || packed > maxPage || full > maxPage {
		return fmt.Errorf("a page of %d bytes, %d unpacked; at most %d are read", packed, full, maxPage)
	}
	values := int64(h.DataPageHeader.V.NumValues)
	switch h.Type {
	case format.DataPageV2:
		values = int64(h.DataPageHeaderV2.V.NumValues)
	case format.DictionaryPage:
		values = int64(h.DictionaryPageHeader.V.NumValues)
	}
	if values < 0 || values > maxPageValues {
		return fmt.Errorf("a page of %d values; at most %d are read", values, maxPageValues)
	}
	return nil
}
