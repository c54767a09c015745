package cli

import (
	"encoding/csv"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"
)

// format writes results in one form. Errors are not part of a format: with jsonl they are objects of their own.
type format interface {
	begin(w io.Writer) error            // what stands before the first result
	write(w io.Writer, r *result) error // one result
	end(w io.Writer) error              // what stands behind the last
	resume()                            // there are results already
}

// formats are the words of --format.
var formats = []string{"text", "jsonl", "csv", "tsv", "coco", "webdataset"}

// style is what formats need to know of a run.
type style struct {
	model    string
	many     bool     // more than one caption of each picture
	marks    bool     // captions may be uncertain
	template template // nil for none
}

func newFormat(name string, s style) format {
	switch name {
	case "jsonl":
		return &jsonLines{s}
	case "csv":
		return &table{',', s.marks}
	case "tsv":
		return &table{'\t', s.marks}
	case "coco":
		return &coco{}
	case "webdataset":
		return &samples{jsonLines{s}}
	default:
		return textLines{s}
	}
}

// textLines is "path<TAB>caption", the path escaped; further captions of a picture have lines of their own.
// A template takes the place of that form.
type textLines struct{ style }

func (textLines) begin(io.Writer) error { return nil }
func (textLines) end(io.Writer) error   { return nil }
func (textLines) resume()               {}
func (t textLines) write(w io.Writer, r *result) error {
	for _, c := range r.captions() {
		if t.template != nil {
			if _, err := io.WriteString(w, t.template.render(r, t.model, c)+"\n"); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintf(w, "%s\t%s\n", escape(r.path), r.marked(c, visible(c.Text))); err != nil {
			return err
		}
	}
	return nil
}

// jsonLines is one object a picture.
type jsonLines struct{ style }

// captionLine is one line of jsonl.
type captionLine struct {
	Path       string        `json:"path"`
	PathBytes  []byte        `json:"path_bytes,omitempty"` // base64, where the path is not UTF-8 and Path only looks like it
	Caption    string        `json:"caption"`
	LogProb    rounded       `json:"logprob"`
	Confidence rounded       `json:"confidence"`
	Uncertain  bool          `json:"uncertain,omitempty"` // below --min-confidence
	Model      string        `json:"model"`
	Captions   []alternative `json:"captions,omitempty"` // all, the best first, where more than one was asked for
}

type alternative struct {
	Caption    string  `json:"caption"`
	LogProb    rounded `json:"logprob"`
	Confidence rounded `json:"confidence"`
	Uncertain  bool    `json:"uncertain,omitempty"`
}

func (*jsonLines) begin(io.Writer) error                { return nil }
func (*jsonLines) end(io.Writer) error                  { return nil }
func (*jsonLines) resume()                              {}
func (f *jsonLines) write(w io.Writer, r *result) error { return writeJSON(w, f.line(r)) }

// line is what is known of a result.
func (f *jsonLines) line(r *result) captionLine {
	c := r.caption
	line := captionLine{Path: r.path, PathBytes: rawBytes(r.path), Caption: c.Text, LogProb: rounded(c.LogProb), Confidence: rounded(c.Confidence),
		Uncertain: r.uncertain(c), Model: f.model}
	if f.many {
		for _, c := range r.captions() {
			line.Captions = append(line.Captions, alternative{c.Text, rounded(c.LogProb), rounded(c.Confidence), r.uncertain(c)})
		}
	}
	return line
}

// rawBytes is a path that JSON cannot hold; nil for others.
func rawBytes(path string) []byte {
	if utf8.ValidString(path) {
		return nil
	}
	return []byte(path)
}

// table is csv or tsv with a header; further captions of a picture have rows of their own. Where captions may be uncertain, a column says
// which are.
type table struct {
	comma rune
	marks bool
}

func (t *table) begin(w io.Writer) error {
	return t.row(w, "path", "caption", "logprob", "confidence", "uncertain")
}
func (t *table) end(io.Writer) error { return nil }
func (t *table) resume()             {}
func (t *table) write(w io.Writer, r *result) error {
	for _, c := range r.captions() {
		if err := t.row(w, r.path, c.Text, decimal(c.LogProb), decimal(c.Confidence), strconv.FormatBool(r.uncertain(c))); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) row(w io.Writer, fields ...string) error {
	if !t.marks {
		fields = fields[:len(fields)-1]
	}
	if t.comma == '\t' { // readers of tsv know no quotes
		for i, f := range fields {
			fields[i] = escape(f)
		}
		_, err := io.WriteString(w, strings.Join(fields, "\t")+"\n")
		return err
	}
	c := csv.NewWriter(w)
	c.Comma = t.comma
	if err := c.Write(fields); err != nil {
		return err
	}
	c.Flush()
	return c.Error()
}

func decimal(x float64) string {
	b, _ := rounded(x).MarshalJSON() // it never fails
	return string(b)
}

// coco is the result form of the COCO caption challenge: an array of image_id and caption. The id is the number at the end of the file's name
// ("COCO_val2014_000000391895.jpg" is 391895); a name without one stands as it is.
type coco struct{ some bool }

func (*coco) begin(w io.Writer) error { _, err := io.WriteString(w, "["); return err }
func (c *coco) end(w io.Writer) error { _, err := io.WriteString(w, "\n]\n"); return err }
func (c *coco) resume()               { c.some = true }
func (c *coco) write(w io.Writer, r *result) error {
	b, err := marshal(struct {
		ID        any    `json:"image_id"`
		Caption   string `json:"caption"`
		Uncertain bool   `json:"uncertain,omitempty"`
	}{imageID(r.path), r.caption.Text, r.uncertain(r.caption)})
	if err != nil {
		return err
	}
	comma := ","
	if !c.some {
		comma, c.some = "", true
	}
	_, err = io.WriteString(w, comma+"\n"+strings.TrimSuffix(string(b), "\n"))
	return err
}

func imageID(path string) any {
	stem := stem(path)
	number := stem[strings.LastIndexFunc(stem, func(r rune) bool { return r < '0' || r > '9' })+1:]
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		return n
	}
	return stem
}

func stem(path string) string {
	base := filepath.Base(path)
	return strings.TrimSuffix(base, filepath.Ext(base))
}
