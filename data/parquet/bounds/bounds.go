// Package bounds holds a Parquet file to its own size before it is read: a file of one kilobyte may claim that its
// footer, a page or a row group has billions of bytes or values, and a reader that believes it reserves the memory, or
// counts to the end.
//
// Footer checks the structure and the claims of a footer. Pages.Check walks over the pages of a column chunk, unpacks
// them within limits, and counts what their values would take.
package bounds

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// The limits of a file. A row of captions or images takes bytes of its own, however well the table is packed: a
// thousand rows in sixteen bytes are no such table.
const (
	rowsAByte   = 64        // rows of the file, and values of the columns that are read, for each of its bytes
	maxFooter   = 256 << 20 // bytes
	maxElements = 1 << 16   // of the schema
	maxDepth    = 100       // of the schema
	maxFixed    = 16 << 20  // bytes of a value of a fixed length
)

const magic = "PAR1"

// Footer checks the footer of a file of this size. What is malformed without being too large, the reader of the file
// says.
func Footer(r io.ReaderAt, size int64) error {
	var tail [8]byte
	if size < int64(len(magic)+len(tail)) {
		return fmt.Errorf("%d bytes are no Parquet file", size)
	}
	if _, err := r.ReadAt(tail[:], size-int64(len(tail))); err != nil {
		return err
	}
	if string(tail[4:]) != magic {
		return fmt.Errorf("it ends with %q, want %q: it is damaged or not whole", tail[4:], magic)
	}
	n := int64(binary.LittleEndian.Uint32(tail[:]))
	if most := size - int64(len(magic)+len(tail)); n > most || n > maxFooter {
		return fmt.Errorf("a footer of %d bytes, limit %d in a file of %d", n, min(most, maxFooter), size)
	}
	b := make([]byte, n)
	if _, err := r.ReadAt(b, size-int64(len(tail))-n); err != nil {
		return err
	}
	length, err := thriftLength(b)
	if err == io.ErrUnexpectedEOF {
		err = fmt.Errorf("it is damaged: its footer says more than the footer's %d bytes hold", n)
	}
	if err != nil {
		return err
	}
	var m format.FileMetaData
	if err := thrift.NewDecoder(new(thrift.CompactProtocol).NewReaderFromBytes(b[:length])).Decode(&m); err != nil {
		return fmt.Errorf("read the footer: %w", err)
	}
	if err := checkSchema(m.Schema); err != nil {
		return err
	}
	return checkGroups(m.RowGroups, size)
}

// checkSchema holds the tree of columns to a size and a depth.
func checkSchema(all []format.SchemaElement) error {
	if len(all) > maxElements {
		return fmt.Errorf("%d columns, limit %d", len(all), maxElements)
	}
	var open []int32 // children that the nodes above still want
	for _, e := range all {
		for len(open) > 0 && open[len(open)-1] == 0 {
			open = open[:len(open)-1]
		}
		if len(open) > 0 {
			open[len(open)-1]--
		}
		if n := e.NumChildren.V; n > 0 {
			open = append(open, n)
		} else if n < 0 {
			return fmt.Errorf("it is damaged: column %q has %d parts", e.Name, n)
		}
		if len(open) > maxDepth {
			return fmt.Errorf("columns more than %d deep", maxDepth)
		}
		if n := e.TypeLength.V; n < 0 || n > maxFixed {
			return fmt.Errorf("column %q has values of %d bytes, limit %d", e.Name, n, maxFixed)
		}
	}
	return nil
}

// checkGroups holds the rows and the column chunks to the size of the file. Chunks lie beside each other: together they
// are no larger than the file.
func checkGroups(groups []format.RowGroup, size int64) error {
	rows, packed := int64(0), int64(0)
	for i, g := range groups {
		if rows += g.NumRows; g.NumRows < 0 || g.NumRows > rowsAByte*size || rows > rowsAByte*size {
			return fmt.Errorf("row group %d claims %d rows, limit %d in a file of %d bytes", i, g.NumRows,
				rowsAByte*size, size)
		}
		for j, c := range g.Columns {
			m := &c.MetaData
			for _, at := range []int64{m.DataPageOffset, m.DictionaryPageOffset, m.TotalCompressedSize} {
				if at < 0 || at > size {
					return fmt.Errorf("row group %d, column %d: %d is no place in a file of %d bytes", i, j, at, size)
				}
			}
			if packed += m.TotalCompressedSize; packed > size {
				return fmt.Errorf("columns of more than the %d bytes of the file", size)
			}
		}
	}
	return nil
}
