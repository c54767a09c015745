package parquet_test

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"captioner/data/parquet"
)

// page is a page as it is written into a file: its header need not be true.
type page struct {
	header format.PageHeader
	body   []byte
}

// hostile is a file of one column in one row group.
type hostile struct {
	column format.SchemaElement
	codec  format.CompressionCodec
	pages  []page
	rows   int64
	dict   bool
	change func(*format.FileMetaData)
}

// bytes writes the file.
func (h hostile) bytes(t *testing.T) []byte {
	t.Helper()
	protocol := new(thrift.CompactProtocol)
	out := []byte(parquet.Magic)
	for _, p := range h.pages {
		if p.header.CompressedPageSize == 0 {
			p.header.CompressedPageSize = int32(len(p.body))
		}
		if p.header.UncompressedPageSize == 0 {
			p.header.UncompressedPageSize = int32(len(p.body))
		}
		head, err := thrift.Marshal(protocol, &p.header)
		if err != nil {
			t.Fatal(err)
		}
		out = append(append(out, head...), p.body...)
	}
	h.column.Name = "caption"
	two := thrift.Null[int32]{V: 1, Valid: true}
	meta := format.ColumnMetaData{Type: h.column.Type.V, PathInSchema: []string{"caption"}, Codec: h.codec,
		NumValues: h.rows, TotalCompressedSize: int64(len(out) - 4), TotalUncompressedSize: int64(len(out) - 4),
		DataPageOffset: 4}
	if h.dict {
		meta.DictionaryPageOffset = 4
	}
	m := format.FileMetaData{Version: 1, NumRows: h.rows,
		Schema:    []format.SchemaElement{{Name: "root", NumChildren: two}, h.column},
		RowGroups: []format.RowGroup{{NumRows: h.rows, Columns: []format.ColumnChunk{{MetaData: meta}}}}}
	if h.change != nil {
		h.change(&m)
	}
	footer, err := thrift.Marshal(protocol, &m)
	if err != nil {
		t.Fatal(err)
	}
	return ended(append(out, footer...), uint32(len(footer)))
}

// ended puts the end of a file behind it, with the length of its footer.
func ended(b []byte, footer uint32) []byte {
	return append(binary.LittleEndian.AppendUint32(b, footer), parquet.Magic...)
}

// text is a column of texts, of which some may be null.
func text(optional bool) format.SchemaElement {
	e := format.SchemaElement{Type: thrift.Null[format.Type]{V: format.ByteArray, Valid: true}}
	e.RepetitionType = thrift.Null[format.FieldRepetitionType]{V: format.Required, Valid: true}
	if optional {
		e.RepetitionType.V = format.Optional
	}
	return e
}

// data is a page of values in an encoding.
func data(values int32, e format.Encoding, body []byte) page {
	h := format.DataPageHeader{NumValues: values, Encoding: e, DefinitionLevelEncoding: format.RLE,
		RepetitionLevelEncoding: format.RLE}
	return page{format.PageHeader{Type: format.DataPage,
		DataPageHeader: thrift.Null[format.DataPageHeader]{V: h, Valid: true}}, body}
}

// dictionary is a page of values for the pages behind it.
func dictionary(values int32, body []byte) page {
	h := format.DictionaryPageHeader{NumValues: values, Encoding: format.Plain}
	return page{format.PageHeader{Type: format.DictionaryPage,
		DictionaryPageHeader: thrift.Null[format.DictionaryPageHeader]{V: h, Valid: true}}, body}
}

// plain is values as they stand in a page.
func plain(values ...string) (b []byte) {
	for _, v := range values {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(v))), v...)
	}
	return b
}

// uvarints are numbers as Parquet writes them.
func uvarints(values ...uint64) (b []byte) {
	for _, v := range values {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

// sized is a page that claims other sizes than it has.
func sized(p page, packed, unpacked int32) page {
	p.header.CompressedPageSize, p.header.UncompressedPageSize = packed, unpacked
	return p
}

func zstdOf(t *testing.T, b []byte) []byte {
	t.Helper()
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return e.EncodeAll(b, nil)
}

// TestHostile reads small files that claim to be large: each is refused, and takes little memory.
func TestHostile(t *testing.T) {
	const huge = 1<<31 - 1
	fixed := text(false)
	fixed.Type.V, fixed.TypeLength = format.FixedLenByteArray, thrift.Null[int32]{V: 1 << 30, Valid: true}
	longList := func() []byte { // a footer of which the schema has two billion columns
		b := append([]byte(parquet.Magic), 0x15, 2, 0x19, 0xfc)
		b = append(b, uvarints(huge)...)
		return ended(append(b, 0), uint32(len(b)+1-len(parquet.Magic)))
	}
	// one value of a megabyte, and then as many as one likes that share it with the one before
	shared := append(uvarints(128, 4, 128, 0), uvarints(0)...) // prefixes: 0, then deltas
	shared = append(shared, 24, 0, 0, 0)
	shared = append(shared, []byte{0, 0, 16}...)
	shared = append(shared, make([]byte, 24*32/8-3)...)
	for name, test := range map[string]struct {
		file []byte
		want string
	}{
		"a footer larger than the file": {ended([]byte(parquet.Magic+"no footer"), huge), "limit"},
		"a list in the footer":          {longList(), "its footer says more"},
		"rows": {hostile{column: text(false), rows: 1 << 40,
			pages: []page{data(1, format.Plain, plain("a"))}}.bytes(t), "claims 1099511627776 rows"},
		"columns over each other": {hostile{column: text(false), rows: 1,
			pages: []page{data(1, format.Plain, plain(strings.Repeat("a", 4000)))},
			change: func(m *format.FileMetaData) {
				m.RowGroups = append(m.RowGroups, m.RowGroups[0])
			}}.bytes(t), "columns of more than the"},
		"a column outside": {hostile{column: text(false), rows: 1, change: func(m *format.FileMetaData) {
			m.RowGroups[0].Columns[0].MetaData.DataPageOffset = 1 << 40
		}}.bytes(t), "is no place"},
		"a deep schema": {hostile{column: text(false), rows: 1, change: func(m *format.FileMetaData) {
			one := thrift.Null[int32]{V: 1, Valid: true}
			for range 1000 {
				m.Schema = append(m.Schema[:1:1], append([]format.SchemaElement{{Name: "x", NumChildren: one}},
					m.Schema[1:]...)...)
			}
		}}.bytes(t), "columns more than 100 deep"},
		"values of a fixed length": {hostile{column: fixed, rows: 1}.bytes(t), "values of 1073741824 bytes"},
		"a page's size": {hostile{column: text(false), rows: 1,
			pages: []page{sized(data(1, format.Plain, plain("a")), huge, huge)}}.bytes(t), "a page of 2147483647 bytes"},
		"a page's size unpacked": {hostile{column: text(false), rows: 1, codec: format.Zstd,
			pages: []page{sized(data(1, format.Plain, zstdOf(t, plain("a"))), 0, huge)}}.bytes(t),
			"a page of 2147483647 bytes that is packed into"},
		"a bomb of zstd": {hostile{column: text(false), rows: 1, codec: format.Zstd,
			pages: []page{sized(data(1, format.Plain, zstdOf(t, make([]byte, 32<<20))), 0, 100)}}.bytes(t),
			"more than the 100 bytes"},
		"a length of snappy": {hostile{column: text(false), rows: 1, codec: format.Snappy,
			pages: []page{sized(data(1, format.Plain, uvarints(1<<31)), 0, 100)}}.bytes(t),
			"more than the 100 bytes"},
		"damaged LZ4": {hostile{column: text(false), rows: 1, codec: format.Lz4Raw,
			pages: []page{sized(data(1, format.Plain, []byte{0xf0, 0xff}), 0, 100)}}.bytes(t), "unpack a page"},
		"values": {hostile{column: text(false), rows: 1,
			pages: []page{data(huge, format.Plain, plain("a"))}}.bytes(t), "claims 2147483647 values"},
		"a run of levels": {hostile{column: text(true), rows: 1, pages: []page{data(1, format.Plain,
			append(append([]byte{6, 0, 0, 0}, uvarints(1<<31)...), 1))}}.bytes(t), "runs of more than the 1 values"},
		"a run of a dictionary": {hostile{column: text(false), rows: 1, dict: true, pages: []page{
			dictionary(1, plain("a")),
			data(1, format.RLEDictionary, append(append([]byte{1}, uvarints(1<<31)...), 0)),
		}}.bytes(t), "runs of more than the 1 values"},
		"deltas": {hostile{column: text(false), rows: 1, pages: []page{data(1, format.DeltaLengthByteArray,
			uvarints(128, 4, 1<<30, 0))}}.bytes(t), "1073741824 values in a page of 1"},
		"shared prefixes": {hostile{column: text(false), rows: 128,
			pages: []page{data(128, format.DeltaByteArray, shared)}}.bytes(t), "stand for"},
		"one image in all rows": {hostile{column: text(false), rows: 700, dict: true, codec: format.Snappy,
			pages: []page{
				sized(dictionary(1, snappy.Encode(nil, plain(strings.Repeat("a", 1<<20)))), 0, 1<<20+4),
				sized(data(700, format.RLEDictionary, snappy.Encode(nil, append(append([]byte{1},
					uvarints(700<<1)...), 0))), 0, 5),
			}}.bytes(t), "values of more than"},
	} {
		t.Run(name, func(t *testing.T) {
			if len(test.file) > 100<<10 {
				t.Fatalf("%d bytes are no small file", len(test.file))
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := readAll(test.file)
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			const limit = 64 << 20
			if n := after.TotalAlloc - before.TotalAlloc; n > limit && name != "one image in all rows" {
				t.Errorf("%d bytes of memory", n)
			}
		})
	}
	good := hostile{column: text(false), rows: 2, pages: []page{data(2, format.Plain, plain("a", "b"))}}
	if err := readAll(good.bytes(t)); err != nil {
		t.Errorf("a file that says the truth: %v", err)
	}
}

// readAll reads all rows.
func readAll(b []byte) error {
	f, err := parquet.Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return err
	}
	for _, err := range f.Rows(nil) {
		if err != nil {
			return err
		}
	}
	return nil
}
