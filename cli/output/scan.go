package output

import (
	"archive/tar"
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
	"captioner/weights"
	"captioner/weights/atomicfile"
	"captioner/weights/plural"
)

// scanned is what a file of captions holds, whoever wrote it.
type scanned struct {
	paths   []string // of the images, in order; of COCO results the ids
	end     int64    // where the next result goes
	foreign int      // lines that are no captions
	open    bool     // the last line lacks its end
}

// errHalf refuses a last line of which nobody can say whether it is whole.
var errHalf = errors.New("its last line has no end, and may be half of one")

// scanCaptions reads a file of captions in one of Formats, to add to it. lost says that the last line may be half of
// one. A file that is none of that format is refused, one line of many that is no caption is counted.
func scanCaptions(f *os.File, format string, lost bool) (scanned, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return scanned{}, err
	}
	switch format {
	case "coco":
		return scanCOCO(f, lost)
	case "csv":
		return scanCSV(f, lost)
	case "webdataset":
		return scanSamples(f, lost)
	case "jsonl", "parquet":
		return scanLines(f, jsonPath, false, false)
	case "tsv":
		return scanLines(f, tabPath, true, lost)
	}
	return scanLines(f, tabPath, false, lost)
}

// scanLines reads lines. An empty one is foreign too: somebody put it there.
func scanLines(f *os.File, path func([]byte) (string, error), headed, lost bool) (s scanned, err error) {
	var why error // of the first line that is no caption
	r := bufio.NewReaderSize(f, 1<<16)
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return s, err
		}
		if len(line) == 0 {
			break
		}
		if err == io.EOF && lost {
			return s, errHalf
		}
		s.end += int64(len(line))
		s.open = err == io.EOF
		switch p, bad := path(line); {
		case headed && n == 1:
		case bad == nil:
			s.paths = append(s.paths, strings.TrimSuffix(p, "\n"))
		default:
			if s.foreign++; why == nil {
				why = fmt.Errorf("line %d: %w", n, bad)
			}
		}
		if err == io.EOF {
			break
		}
	}
	if len(s.paths) == 0 && s.foreign > 0 {
		return s, why
	}
	return s, nil
}

// scanCSV reads rows, which may have several lines each.
func scanCSV(f *os.File, lost bool) (s scanned, err error) {
	r := csv.NewReader(f)
	r.ReuseRecord = true
	for n := 0; ; n++ {
		row, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return s, err
		}
		if n == 0 && row[0] != "path" {
			return s, fmt.Errorf("its first column is %q, want path", row[0])
		}
		if n > 0 {
			s.paths = append(s.paths, strings.Clone(row[0]))
		}
		s.end = r.InputOffset()
	}
	var last [1]byte
	if s.end > 0 {
		if _, err := f.ReadAt(last[:], s.end-1); err != nil {
			return s, err
		}
	}
	if s.open = s.end > 0 && last[0] != '\n'; s.open && lost { // half a row can look like a whole one
		return s, errHalf
	}
	return s, nil
}

// scanCOCO reads an array of results, which need not end.
func scanCOCO(f *os.File, lost bool) (s scanned, err error) {
	d := json.NewDecoder(f)
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return s, errors.New("it is no JSON array")
	}
	for d.More() {
		var raw json.RawMessage
		if err := d.Decode(&raw); lost && (errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF) {
			return s, nil // half of one
		} else if err != nil {
			return s, err
		}
		id, err := resultID(raw)
		if err != nil {
			return s, err
		}
		s.paths = append(s.paths, id)
		s.end = d.InputOffset()
	}
	if _, err := d.Token(); err == io.EOF {
		return s, nil // of a run that did not end
	} else if err != nil {
		return s, err
	}
	if _, err := d.Token(); err != io.EOF {
		return s, errors.New("something stands behind the array")
	}
	return s, nil
}

// resultID is the id of a COCO result, as text.
func resultID(raw []byte) (string, error) {
	var l struct {
		ID json.RawMessage `json:"image_id"`
	}
	if err := json.Unmarshal(raw, &l); err != nil || l.ID == nil {
		return "", errors.New("an object without image_id")
	}
	if s := ""; json.Unmarshal(l.ID, &s) == nil {
		return s, nil
	}
	return string(l.ID), nil
}

// scanSamples reads the samples of a tar. The blocks of zeros at its end give way to what is added.
func scanSamples(f *os.File, lost bool) (s scanned, err error) {
	const block = 512
	t := tar.NewReader(f)
	for {
		h, err := t.Next()
		if err == io.EOF {
			return s, nil
		}
		if lost && errors.Is(err, io.ErrUnexpectedEOF) {
			return s, nil // the file before it is half of one
		}
		if err != nil {
			return s, err
		}
		if strings.HasSuffix(h.Name, ".json") {
			b, err := io.ReadAll(t)
			if lost && errors.Is(err, io.ErrUnexpectedEOF) {
				return s, nil
			}
			if err != nil {
				return s, err
			}
			p, err := jsonPath(b)
			if err != nil {
				return s, fmt.Errorf("%q: %w", h.Name, err)
			}
			at, err := f.Seek(0, io.SeekCurrent)
			if err != nil {
				return s, err
			}
			s.paths = append(s.paths, p)
			s.end = (at + block - 1) / block * block // the .json ends a sample
		}
	}
}

// endOf is what a format writes behind the last result.
func endOf(format string) []byte {
	var b bytes.Buffer
	NewFormat(format, Style{}).End(&b) // a buffer takes all
	return b.Bytes()
}

// CheckOut refuses a file of --out that holds anything, where the command does not say what to do with it: nobody's
// work is thrown away.
func CheckOut(path string, o JournalOptions) error {
	if o.Resume || o.Overwrite {
		return nil
	}
	target, err := atomicfile.Target(path)
	if err != nil {
		return err
	}
	path = o.shown(path)
	for _, suffix := range []string{".part", ""} {
		f, err := os.Open(target + suffix)
		if err != nil {
			continue
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
			continue
		}
		what := "is there already"
		if suffix != "" {
			what = "has a run that did not end: " + fmt.Sprintf("%q", path+suffix) + " is there"
		}
		if suffix == "" && packing(target) != "" {
			if f, err = unpackedCopy(f); err != nil {
				return &weights.FileError{Doing: "read", File: path, Err: err}
			}
			defer f.Close()
		}
		s, err := scanCaptions(f, o.Format, suffix != "")
		if err != nil {
			return console.Usagef("--overwrite replaces it; or give another --out",
				"--out %q %s, and is no file of captions in the format %s",
				path, what, o.Format)
		}
		if n := count(s.paths); n > 0 {
			what += fmt.Sprintf(", with captions of %s", plural.Count(n, "image"))
		}
		return console.Usagef("--resume keeps them and goes on; --overwrite starts over", "--out %q %s", path, what)
	}
	return nil
}

// count counts paths, of which an image that has several captions has several one after the other.
func count(paths []string) (n int) {
	for i, p := range paths {
		if i == 0 || p != paths[i-1] {
			n++
		}
	}
	return n
}
