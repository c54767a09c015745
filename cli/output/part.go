package output

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"captioner/cli/console"
	"captioner/data/parquet"
	"captioner/data/unpack"
	"captioner/weights"
)

// partReader reads back what predict wrote, image by image.
type partReader struct {
	path     string
	file     *os.File
	unpacked io.Closer
	read     func() (unit, error) // one line, row or object
	alone    bool                 // each is an image's all
	ahead    *unit                // read, but of the next image
}

func openPart(path, format string) (*partReader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, weights.Reason(err)
	}
	r := &partReader{path: path, file: f}
	z, err := unpackedReader(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	r.unpacked = z
	b := bufio.NewReaderSize(z, 64<<10)
	switch format {
	case "jsonl", "parquet":
		r.read = lineReader(b, jsonPath)
	case "tsv":
		if _, err = readLine(b); err == nil {
			r.read = lineReader(b, tabPath)
		}
	case "csv":
		r.read, err = csvReader(b)
	case "coco":
		r.alone = true
		r.read, err = cocoReader(b)
	case "webdataset":
		r.read = sampleReader(b)
	default:
		r.read = lineReader(b, tabPath)
	}
	if err != nil {
		r.close()
		if err == io.EOF {
			err = errors.New("the file is empty, want at least its first line")
		}
		return nil, err
	}
	return r, nil
}

// unpackedReader reads a file, unpacked: Parquet as JSON lines.
func unpackedReader(f *os.File) (io.ReadCloser, error) {
	if !parquet.Begins(f) {
		return unpack.NewReader(f)
	}
	lines, err := unpackedCopy(f)
	if err != nil {
		return nil, err
	}
	_, err = lines.Seek(0, io.SeekStart)
	return lines, err
}

func (r *partReader) close() {
	r.unpacked.Close()
	r.file.Close()
}

// next is all that one image has; io.EOF at the end.
func (r *partReader) next() (unit, error) {
	u, err := unit{}, error(nil)
	if r.ahead != nil {
		u, r.ahead = *r.ahead, nil
	} else if u, err = r.read(); err != nil {
		return u, err
	}
	for {
		if r.alone {
			return u, nil
		}
		more, err := r.read()
		if err == io.EOF {
			return u, nil
		}
		if err != nil {
			return u, err
		}
		if more.path != u.path {
			r.ahead = &more
			return u, nil
		}
		u.text = append(u.text, more.text...)
	}
}

// readLine is one line with its end; a last line without one is not whole.
func readLine(r *bufio.Reader) ([]byte, error) {
	b, err := r.ReadBytes('\n')
	if err == io.EOF && len(b) > 0 {
		err = errors.New("the last line is not whole")
	}
	return b, err
}

func lineReader(r *bufio.Reader, path func([]byte) (string, error)) func() (unit, error) {
	n := 0
	return func() (unit, error) {
		line, err := readLine(r)
		if err != nil {
			return unit{}, err
		}
		n++
		p, err := path(line)
		if err != nil {
			return unit{}, fmt.Errorf("line %d: %w", n, err)
		}
		return unit{p, line}, nil
	}
}

func jsonPath(line []byte) (string, error) {
	var l struct {
		Path  string `json:"path"`
		Bytes []byte `json:"path_bytes"`
	}
	if err := json.Unmarshal(line, &l); err != nil {
		return "", fmt.Errorf("it is no JSON object: %w", err)
	}
	if len(l.Bytes) > 0 {
		l.Path = string(l.Bytes)
	}
	if l.Path == "" {
		return "", errors.New("it has no path")
	}
	return l.Path, nil
}

func tabPath(line []byte) (string, error) {
	path, _, ok := bytes.Cut(line, []byte("\t"))
	if !ok {
		return "", console.WithHint(errors.New("it has no tab after a path"),
			"text that a --template made cannot be merged; --format jsonl can")
	}
	return console.Unescape(string(path)), nil
}

func csvReader(b *bufio.Reader) (func() (unit, error), error) {
	r := csv.NewReader(b)
	head, err := r.Read()
	if err != nil {
		return nil, err
	}
	if head[0] != "path" {
		return nil, fmt.Errorf("its first column is %q, want path", head[0])
	}
	return func() (unit, error) {
		row, err := r.Read()
		if err != nil {
			return unit{}, err
		}
		var text bytes.Buffer
		w := csv.NewWriter(&text)
		err = w.Write(row)
		w.Flush()
		return unit{row[0], text.Bytes()}, err
	}, nil
}

func cocoReader(b *bufio.Reader) (func() (unit, error), error) {
	d := json.NewDecoder(b)
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return nil, errors.New("it is no JSON array")
	}
	return func() (unit, error) {
		if !d.More() {
			if _, err := d.Token(); err != nil {
				return unit{}, errors.New("the array does not end")
			}
			return unit{}, io.EOF
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return unit{}, err
		}
		id, err := resultID(raw)
		if err != nil {
			return unit{}, err
		}
		return unit{id, raw}, nil
	}, nil
}

// firstLine is the first line of a file, unpacked.
func firstLine(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, weights.Reason(err)
	}
	defer f.Close()
	z, err := unpack.NewReader(f)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	return readLine(bufio.NewReader(z))
}

// joined writes units in one form.
type joined struct {
	w      io.Writer
	format string
	some   bool
}

// begin writes what stands before the first unit: where that is a line of names, the one of the parts.
func (j *joined) begin(parts []string) error {
	switch j.format {
	case "csv", "tsv":
		head := ""
		for _, p := range parts {
			line, err := firstLine(p)
			if err != nil {
				return err
			}
			if head != "" && string(line) != head {
				return fmt.Errorf("merge: the columns of %q are %q, those of %q %q", p, strings.TrimSpace(string(line)), parts[0],
					strings.TrimSpace(head))
			}
			head = string(line)
		}
		_, err := io.WriteString(j.w, head)
		return err
	case "coco":
		return (&coco{}).Begin(j.w)
	}
	return nil
}

func (j *joined) write(u unit) error {
	if j.format == "coco" {
		comma := "\n"
		if j.some {
			comma = ",\n"
		}
		if _, err := io.WriteString(j.w, comma); err != nil {
			return err
		}
	}
	j.some = true
	_, err := j.w.Write(u.text)
	return err
}

func (j *joined) end() error {
	if j.format == "webdataset" {
		return new(samples).End(j.w)
	}
	if j.format == "coco" {
		return (&coco{}).End(j.w)
	}
	return nil
}
