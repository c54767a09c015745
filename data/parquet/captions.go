package parquet

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// caption is a row of captions, with the fields of captioner's JSON lines.
type caption struct {
	Path       string    `json:"path" parquet:"path"`
	PathBytes  []byte    `json:"path_bytes,omitempty" parquet:"path_bytes,optional"`
	Caption    string    `json:"caption" parquet:"caption"`
	LogProb    *float64  `json:"logprob" parquet:"logprob,optional"`
	Confidence *float64  `json:"confidence" parquet:"confidence,optional"`
	Uncertain  bool      `json:"uncertain,omitempty" parquet:"uncertain"`
	Model      string    `json:"model" parquet:"model,dict"`
	Preview    string    `json:"preview,omitempty" parquet:"preview,optional,dict"`
	Captions   []another `json:"captions,omitempty" parquet:"captions,list"`
	Keywords   []keyword `json:"keywords,omitempty" parquet:"keywords,list"`
	Tags       []tag     `json:"tags,omitempty" parquet:"tags,list"`
}

type tag struct {
	Tag        string  `json:"tag" parquet:"tag"`
	Similarity float64 `json:"similarity" parquet:"similarity"`
}

type another struct {
	Caption    string   `json:"caption" parquet:"caption"`
	LogProb    *float64 `json:"logprob" parquet:"logprob,optional"`
	Confidence *float64 `json:"confidence" parquet:"confidence,optional"`
	Uncertain  bool     `json:"uncertain,omitempty" parquet:"uncertain"`
}

type keyword struct {
	Keyword     string  `json:"keyword" parquet:"keyword"`
	Probability float64 `json:"probability" parquet:"probability"`
}

// rowsAGroup is how many rows are written together: they wait in memory.
const rowsAGroup = 10_000

// Writer makes a Parquet file of JSON lines of captions.
type Writer struct {
	rows *parquet.GenericWriter[caption]
	line []byte // the begin of one
	n    int
}

// NewWriter begins a file.
func NewWriter(w io.Writer) *Writer {
	return &Writer{rows: parquet.NewGenericWriter[caption](w, parquet.Compression(&zstd.Codec{}),
		parquet.CreatedBy("captioner", "", ""))}
}

// Write takes JSON lines, in whatever pieces.
func (w *Writer) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			w.line = append(w.line, b...)
			break
		}
		w.line = append(w.line, b[:end]...)
		if err := w.put(w.line); err != nil {
			return 0, err
		}
		w.line, b = w.line[:0], b[end+1:]
	}
	return n, nil
}

func (w *Writer) put(line []byte) error {
	if len(bytes.TrimSpace(line)) == 0 {
		return nil
	}
	var c caption
	if err := json.Unmarshal(line, &c); err != nil {
		return fmt.Errorf("parquet: a line that is no caption: %w", err)
	}
	if _, err := w.rows.Write([]caption{c}); err != nil {
		return err
	}
	if w.n++; w.n%rowsAGroup == 0 {
		return w.rows.Flush()
	}
	return nil
}

// Close writes the end of the file.
func (w *Writer) Close() error {
	if err := w.put(w.line); err != nil {
		return err
	}
	return w.rows.Close()
}

// WriteLines writes the captions of a file that Writer made as the JSON lines that they were, and gives their length.
func WriteLines(w io.Writer, f *os.File) (n int64, err error) {
	defer caught(&err)
	table, err := openFile(f)
	if err != nil {
		return 0, err
	}
	file := table.file
	for _, name := range []string{"path", "caption", "model"} {
		if c, ok := file.Schema().Lookup(name); !ok || c.Node.Type().Kind() != parquet.ByteArray {
			return 0, fmt.Errorf("parquet: no column %q, want a file of captioner's captions", name)
		}
	}
	if err := table.checkAll(); err != nil {
		return 0, fmt.Errorf("parquet: %w", err)
	}
	rows := parquet.NewGenericReader[caption](file)
	defer rows.Close()
	out := bufio.NewWriter(w)
	var batch [64]caption
	for {
		clear(batch[:])
		k, err := rows.Read(batch[:])
		for _, c := range batch[:k] {
			line, err := marshal(c)
			if err != nil {
				return n, err
			}
			m, err := out.Write(line)
			n += int64(m)
			if err != nil {
				return n, err
			}
		}
		if err == io.EOF {
			return n, out.Flush()
		}
		if err != nil {
			return n, fmt.Errorf("parquet: %w", err)
		}
	}
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}
