package output

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"

	"captioner/cli/cloud"
	"captioner/data/parquet"
	"captioner/data/unpack"
)

// extensionFormats are the formats that a file's name asks for.
var extensionFormats = map[string]string{
	".txt": "text", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv", ".json": "coco",
	".tar": "webdataset", ".parquet": "parquet", "": "text",
}

// NameHelp says which names ask for a format.
const NameHelp = ".txt, .jsonl, .ndjson, .csv, .tsv, .json, .tar or .parquet, or in one of these but the " +
	"last and .gz or .zst"

// FormatOf is the format that a file's name asks for, in any case; "" where its extension is none that is known. A name
// without an extension asks for text.
func FormatOf(path string) string {
	if p, err := cloud.Parse(path); err == nil {
		path = p.Key
	}
	name := strings.ToLower(filepath.Base(path))
	if packed := packing(name); packed == parquetExtension {
		return "parquet"
	} else if strings.HasSuffix(strings.TrimSuffix(name, packed), parquetExtension) {
		return "" // it is compressed in itself
	}
	return extensionFormats[filepath.Ext(strings.TrimSuffix(name, packing(name)))]
}

// parquetExtension is that of the format which is made of JSON lines at the end, as a compressed file is made of a
// plain one.
const parquetExtension = ".parquet"

// packing is the extension of a file that is compressed or of Parquet, in lower case; "" for others.
func packing(path string) string {
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".gz", ".zst", parquetExtension:
		return ext
	}
	return ""
}

// Packed is write, whose text is compressed if the name of the file says so: for atomicfile.WriteFile.
func Packed(path string, write func(io.Writer) error) func(io.Writer) error {
	return func(w io.Writer) error {
		var z io.WriteCloser
		switch packing(path) {
		case ".gz":
			z = gzip.NewWriter(w)
		case ".zst":
			var err error
			if z, err = zstd.NewWriter(w, zstd.WithEncoderConcurrency(1)); err != nil {
				return err
			}
		case parquetExtension:
			z = parquet.NewWriter(w)
		default:
			return write(w)
		}
		if err := write(z); err != nil {
			z.Close()
			return err
		}
		return z.Close()
	}
}

// unpackTo writes the bytes of a file, unpacked if they are packed.
func unpackTo(w io.Writer, f *os.File) (int64, error) {
	if parquet.Begins(f) {
		return parquet.WriteLines(w, f)
	}
	r, err := unpack.NewReader(f)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return io.Copy(w, r)
}

// unpackedCopy is a file with the bytes of another one, unpacked, that has no name and is gone when it is closed.
func unpackedCopy(f *os.File) (*os.File, error) {
	out, err := os.CreateTemp("", "captioner-*")
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	os.Remove(out.Name())
	if _, err := unpackTo(out, f); err != nil {
		out.Close()
		return nil, err
	}
	return out, nil
}
