package bounds

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// The limits of pages. Images are packed already; text and numbers become some twenty times smaller.
const (
	unpackedAByte = 64        // bytes of a page, and of all pages, for each of their packed bytes
	smallPage     = 64 << 20  // but a page of so many bytes may be packed into any number
	smallFile     = 512 << 20 // and so many of all pages that are read
	maxHeader     = 16 << 20  // bytes of a page's header
)

// Pages counts what the pages of a file take that are read. It is not safe for concurrent use.
type Pages struct {
	r        io.ReaderAt
	size     int64
	values   int64 // so far
	unpacked int64
	given    int64
	unpacker unpacker
}

// NewPages counts the pages of a file of this size.
func NewPages(r io.ReaderAt, size int64) *Pages { return &Pages{r: r, size: size} }

// Given counts bytes of values that were handed on: a value of a dictionary may stand for any number of rows.
func (p *Pages) Given(n int) error {
	if p.given += int64(n); p.given > smallFile+unpackedAByte*p.size {
		return fmt.Errorf("values of more than %d bytes, in a file of %d", int64(smallFile+unpackedAByte*p.size), p.size)
	}
	return nil
}

// Check walks over the pages of a column chunk.
func (p *Pages) Check(column *parquet.Column, m *format.ColumnMetaData) error {
	at := m.DataPageOffset
	if m.DictionaryPageOffset != 0 {
		at = m.DictionaryPageOffset
	}
	end := min(at+m.TotalCompressedSize, p.size)
	for at < end {
		header, length, err := p.header(at, end)
		if err != nil {
			return err
		}
		if at += length; int64(header.CompressedPageSize) > end-at {
			return fmt.Errorf("a page of %d bytes, where %d are left of its column", header.CompressedPageSize, end-at)
		}
		if err := p.page(column, m.Codec, header, at); err != nil {
			return err
		}
		at += int64(header.CompressedPageSize)
	}
	return nil
}

// header reads the header of the page at a place of the file, and its length.
func (p *Pages) header(at, end int64) (*format.PageHeader, int64, error) {
	for n := int64(512); ; n *= 8 {
		n = min(n, end-at, maxHeader)
		b := make([]byte, n)
		if _, err := p.r.ReadAt(b, at); err != nil {
			return nil, 0, err
		}
		length, err := thriftLength(b)
		if err == io.ErrUnexpectedEOF && n < min(end-at, maxHeader) {
			continue
		}
		if err == io.ErrUnexpectedEOF {
			err = fmt.Errorf("it is damaged: a page's header does not end")
		}
		if err != nil {
			return nil, 0, err
		}
		h := new(format.PageHeader)
		reader := new(thrift.CompactProtocol).NewReaderFromBytes(b[:length])
		if err := thrift.NewDecoder(reader).Decode(h); err != nil {
			return nil, 0, fmt.Errorf("read a page's header: %w", err)
		}
		return h, int64(length), nil
	}
}

// page checks one page, whose bytes begin at a place of the file.
func (p *Pages) page(c *parquet.Column, codec format.CompressionCodec, h *format.PageHeader, at int64) error {
	packed, size := int64(h.CompressedPageSize), int64(h.UncompressedPageSize)
	if packed < 0 || size < 0 || size > max(smallPage, unpackedAByte*packed) {
		return fmt.Errorf("a page of %d bytes that is packed into %d", size, packed)
	}
	if p.unpacked += size; p.unpacked > smallFile+unpackedAByte*p.size {
		return fmt.Errorf("pages of more than %d bytes, in a file of %d", int64(smallFile+unpackedAByte*p.size), p.size)
	}
	values := int64(valuesOf(h))
	if p.values += values; values < 0 || p.values > rowsAByte*p.size {
		return fmt.Errorf("a page claims %d values, limit %d in all of a file of %d bytes", values, rowsAByte*p.size,
			p.size)
	}
	b := make([]byte, packed)
	if _, err := p.r.ReadAt(b, at); err != nil {
		return err
	}
	switch h.Type {
	case format.DictionaryPage:
		if e := h.DictionaryPageHeader.V.Encoding; e != format.Plain && e != format.PlainDictionary {
			return fmt.Errorf("a dictionary in the encoding %v, want plain values", e)
		}
		b, err := p.unpacker.unpack(codec, b, size)
		if err != nil {
			return err
		}
		return checkFixed(c, int(values), len(b))
	case format.DataPage:
		return p.pageV1(c, codec, h, b)
	case format.DataPageV2:
		return p.pageV2(c, codec, h, b)
	}
	return nil
}

// valuesOf is the number of values that a page claims.
func valuesOf(h *format.PageHeader) int32 {
	switch h.Type {
	case format.DictionaryPage:
		return h.DictionaryPageHeader.V.NumValues
	case format.DataPageV2:
		return h.DataPageHeaderV2.V.NumValues
	}
	return h.DataPageHeader.V.NumValues
}

// pageV1 checks a page whose levels and values are packed together.
func (p *Pages) pageV1(c *parquet.Column, codec format.CompressionCodec, h *format.PageHeader, b []byte) error {
	b, err := p.unpacker.unpack(codec, b, int64(h.UncompressedPageSize))
	if err != nil {
		return err
	}
	v := &h.DataPageHeader.V
	for _, l := range []struct {
		most     int
		encoding format.Encoding
	}{{c.MaxRepetitionLevel(), v.RepetitionLevelEncoding}, {c.MaxDefinitionLevel(), v.DefinitionLevelEncoding}} {
		if l.most == 0 {
			continue
		}
		if len(b) < 4 {
			return io.ErrUnexpectedEOF
		}
		n := int64(binary.LittleEndian.Uint32(b))
		if b = b[4:]; n > int64(len(b)) {
			return io.ErrUnexpectedEOF
		}
		if l.encoding == format.RLE {
			if err := checkRuns(b[:n], bitWidth(l.most), int(v.NumValues)); err != nil {
				return err
			}
		}
		b = b[n:]
	}
	return checkValues(c, v.Encoding, int(v.NumValues), b)
}

// pageV2 checks a page whose levels stand before its packed values.
func (p *Pages) pageV2(c *parquet.Column, codec format.CompressionCodec, h *format.PageHeader, b []byte) error {
	v := &h.DataPageHeaderV2.V
	for _, l := range []struct {
		most   int
		length int32
	}{{c.MaxRepetitionLevel(), v.RepetitionLevelsByteLength}, {c.MaxDefinitionLevel(), v.DefinitionLevelsByteLength}} {
		if l.length < 0 || int64(l.length) > int64(len(b)) {
			return io.ErrUnexpectedEOF
		}
		if l.most > 0 {
			if err := checkRuns(b[:l.length], bitWidth(l.most), int(v.NumValues)); err != nil {
				return err
			}
		}
		b = b[l.length:]
	}
	if !v.IsCompressed.Valid || v.IsCompressed.V {
		var err error
		if b, err = p.unpacker.unpack(codec, b, int64(h.UncompressedPageSize)); err != nil {
			return err
		}
	}
	return checkValues(c, v.Encoding, int(v.NumValues), b)
}

// checkValues holds what the values of a page would take to their bytes.
func checkValues(c *parquet.Column, e format.Encoding, values int, b []byte) error {
	kind := c.Type().Kind()
	switch e {
	case format.PlainDictionary, format.RLEDictionary:
		if len(b) == 0 {
			return nil
		}
		return checkRuns(b[1:], int(b[0]), values)
	case format.RLE:
		if kind != parquet.Boolean || len(b) < 4 {
			return nil
		}
		return checkRuns(b[4:], 1, values)
	case format.DeltaBinaryPacked:
		_, _, err := deltas(b, values, false)
		return err
	case format.DeltaLengthByteArray:
		return checkLengths(b, values)
	case format.DeltaByteArray:
		return checkPrefixes(b, values)
	}
	return checkFixed(c, values, len(b))
}

// checkLengths holds the lengths of values to the bytes behind them.
func checkLengths(b []byte, values int) error {
	length, rest, err := deltas(b, values, true)
	if err == nil && length > uint64(len(rest)) {
		err = fmt.Errorf("it is damaged: values of %d bytes, where a page has %d", length, len(rest))
	}
	return err
}

// checkPrefixes holds values that begin with a part of the one before, which the bytes leave out, to the limit of a
// page.
func checkPrefixes(b []byte, values int) error {
	shared, rest, err := deltas(b, values, true)
	if err != nil {
		return err
	}
	if limit := uint64(max(smallPage, unpackedAByte*len(b))); shared > limit {
		return fmt.Errorf("a page whose %d bytes stand for %d", len(b), shared)
	}
	return checkLengths(rest, values)
}

// checkFixed holds values of a fixed length to the limit of a page.
func checkFixed(c *parquet.Column, values, length int) error {
	t := c.Type()
	if t.Kind() != parquet.FixedLenByteArray {
		return nil
	}
	if limit := max(smallPage, unpackedAByte*length); values > limit/max(t.Length(), 1) {
		return fmt.Errorf("%d values of %d bytes in a page of %d", values, t.Length(), length)
	}
	return nil
}
