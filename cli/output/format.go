// Package output writes captions: as text, JSON lines, CSV, TSV, COCO results or WebDataset, into one file that can be
// gone on with, into files beside the images, and as a page. It reads such files back to join them.
package output

import (
	"encoding/csv"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"captioner/cli/console"
	"captioner/models/captioner"
)

// Format writes results in one form. Errors are not part of a format: with jsonl they are objects of their own.
type Format interface {
	Begin(w io.Writer) error            // what stands before the first result
	Write(w io.Writer, r *Result) error // one result
	End(w io.Writer) error              // what stands behind the last
	Resume()                            // there are results already
}

// Formats are the words of --format.
var Formats = []string{"text", "jsonl", "csv", "tsv", "coco", "webdataset", "parquet"}

// Style is what formats need to know of a run.
type Style struct {
	Model    string
	Many     bool     // more than one caption of each image
	Marks    bool     // captions may be uncertain
	Keywords bool     // captions have keywords
	Tags     bool     // images have tags
	Template Template // nil for none
}

// NewFormat is the format of a name among Formats.
func NewFormat(name string, s Style) Format {
	switch name {
	case "jsonl", "parquet": // Parquet is made of JSON lines: see Packed
		return &jsonLines{s}
	case "csv":
		return &table{',', s}
	case "tsv":
		return &table{'\t', s}
	case "coco":
		return &coco{}
	case "webdataset":
		return &samples{jsonLines{s}}
	default:
		return textLines{s}
	}
}

// textLines is "path<TAB>caption", the path escaped; further captions of an image have lines of their own.
// A template takes the place of that form.
type textLines struct{ Style }

func (textLines) Begin(io.Writer) error { return nil }
func (textLines) End(io.Writer) error   { return nil }
func (textLines) Resume()               {}
func (t textLines) Write(w io.Writer, r *Result) error {
	for _, c := range r.captions() {
		if t.Template != nil {
			if _, err := io.WriteString(w, t.Template.Render(r, t.Model, c)+"\n"); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintf(w, "%s\t%s\n", console.Escape(r.Path), r.Marked(c, console.Visible(c.Text))); err != nil {
			return err
		}
	}
	return nil
}

// jsonLines is one object an image.
type jsonLines struct{ Style }

// CaptionLine is one line of jsonl.
type CaptionLine struct {
	Path string `json:"path"`
	// base64, where the path is not UTF-8 and Path only looks like it
	PathBytes  []byte          `json:"path_bytes,omitempty"`
	Caption    string          `json:"caption"`
	LogProb    console.Rounded `json:"logprob"`
	Confidence console.Rounded `json:"confidence"`
	Uncertain  bool            `json:"uncertain,omitempty"` // below --min-confidence
	Model      string          `json:"model"`
	Preview    string          `json:"preview,omitempty"`  // kind of a raw file of which the preview was captioned
	Captions   []alternative   `json:"captions,omitempty"` // all, the best first, where more than one was asked for
	Keywords   []keyword       `json:"keywords,omitempty"`
	Tags       []tag           `json:"tags,omitempty"`
}

// tag is a tag of --tags, for JSON.
type tag struct {
	Tag        string          `json:"tag"`
	Similarity console.Rounded `json:"similarity"`
}

// tags are those of an image, for JSON.
func (r *Result) tags() (all []tag) {
	for _, t := range r.Tags {
		all = append(all, tag{t.Text, console.Rounded(t.Similarity)})
	}
	return all
}

// tagWords are the tags of an image without their numbers.
func (r *Result) tagWords() (all []string) {
	for _, t := range r.Tags {
		all = append(all, t.Text)
	}
	return all
}

type keyword struct {
	Keyword     string          `json:"keyword"`
	Probability console.Rounded `json:"probability"`
}

// keywords are a caption's keywords, for JSON.
func keywords(c captioner.Caption) (all []keyword) {
	for _, k := range c.Keywords {
		all = append(all, keyword{k.Word, console.Rounded(k.Probability)})
	}
	return all
}

// words are a caption's keywords without their numbers.
func words(c captioner.Caption) (all []string) {
	for _, k := range c.Keywords {
		all = append(all, k.Word)
	}
	return all
}

type alternative struct {
	Caption    string          `json:"caption"`
	LogProb    console.Rounded `json:"logprob"`
	Confidence console.Rounded `json:"confidence"`
	Uncertain  bool            `json:"uncertain,omitempty"`
}

func (*jsonLines) Begin(io.Writer) error                { return nil }
func (*jsonLines) End(io.Writer) error                  { return nil }
func (*jsonLines) Resume()                              {}
func (f *jsonLines) Write(w io.Writer, r *Result) error { return console.WriteJSON(w, f.line(r)) }

// line is what is known of a result.
func (f *jsonLines) line(r *Result) CaptionLine {
	c := r.Caption
	line := CaptionLine{Path: r.Path, PathBytes: RawBytes(r.Path), Caption: c.Text, LogProb: console.Rounded(c.LogProb),
		Confidence: console.Rounded(c.Confidence),
		Uncertain:  r.Uncertain(c), Model: f.Model, Preview: r.Preview, Keywords: keywords(c), Tags: r.tags()}
	if f.Many {
		for _, c := range r.captions() {
			line.Captions = append(line.Captions, alternative{c.Text, console.Rounded(c.LogProb), console.Rounded(c.Confidence),
				r.Uncertain(c)})
		}
	}
	return line
}

// RawBytes is a path that JSON cannot hold; nil for others.
func RawBytes(path string) []byte {
	if utf8.ValidString(path) {
		return nil
	}
	return []byte(path)
}

// table is csv or tsv with a header; further captions of an image have rows of their own. Where captions may be
// uncertain, a column says which are; where they have keywords or tags, one lists them with semicolons between.
type table struct {
	comma rune
	Style
}

func (t *table) Begin(w io.Writer) error {
	return t.row(w, "path", "caption", "logprob", "confidence", "uncertain", "keywords", "tags")
}
func (t *table) End(io.Writer) error { return nil }
func (t *table) Resume()             {}
func (t *table) Write(w io.Writer, r *Result) error {
	for _, c := range r.captions() {
		if err := t.row(w, r.Path, c.Text, decimal(c.LogProb), decimal(c.Confidence),
			strconv.FormatBool(r.Uncertain(c)), strings.Join(words(c), ";"),
			strings.Join(r.tagWords(), ";")); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) row(w io.Writer, fields ...string) error {
	const marks, words, tags = 4, 5, 6
	if !t.Tags {
		fields = fields[:tags]
	}
	if !t.Keywords {
		fields = slices.Delete(fields, words, words+1)
	}
	if !t.Marks {
		fields = slices.Delete(fields, marks, marks+1)
	}
	if t.comma == '\t' { // readers of tsv know no quotes
		for i, f := range fields {
			fields[i] = console.Escape(f)
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
	b, _ := console.Rounded(x).MarshalJSON() // it never fails
	return string(b)
}

// coco is the result form of the COCO caption challenge: an array of image_id and caption. The id is the number at the
// end of the file's name ("COCO_val2014_000000391895.jpg" is 391895); a name without one stands as it is.
type coco struct{ some bool }

func (*coco) Begin(w io.Writer) error { _, err := io.WriteString(w, "["); return err }
func (c *coco) End(w io.Writer) error { _, err := io.WriteString(w, "\n]\n"); return err }
func (c *coco) Resume()               { c.some = true }
func (c *coco) Write(w io.Writer, r *Result) error {
	b, err := console.MarshalJSON(struct {
		ID        any    `json:"image_id"`
		Caption   string `json:"caption"`
		Uncertain bool   `json:"uncertain,omitempty"`

		Keywords []keyword `json:"keywords,omitempty"`
		Tags     []tag     `json:"tags,omitempty"`
	}{imageID(r.Path), r.Caption.Text, r.Uncertain(r.Caption), keywords(r.Caption), r.tags()})
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
