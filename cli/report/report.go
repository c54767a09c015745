// Package report writes what an evaluation found as one HTML page that needs nothing else: scores, histograms drawn as
// SVG, and photographs with the caption that they were given and those that people wrote, to be filtered and sorted by
// score in the browser. Photographs are shrunk and embedded. The page loads nothing from anywhere, and the same
// evaluation gives the same bytes.
//
// The package scores nothing, and shows no more images than it is told to: a page with thousands of photographs is no
// use to anybody.
package report

import (
	"bufio"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"

	"captioner/cli/enlarge"
	"captioner/data/image/thumbnail"
	"captioner/weights/plural"
)

// A Page is what is shown.
type Page struct {
	Title     string
	Signature string
	Warnings  []string
	Measures  []Measure
	Facts     []Fact // measures of the captions alone: vocabulary, mean length
	Other     string // the name of what the captions are compared with; "" if there is nothing

	Names  []string // of the scores that every item has; the first one ranks
	Items  []Item   // all captions that were scored
	Failed int      // images that have no caption
	Shown  int      // how many are shown with their photographs: the best, the worst, and as many evenly in between
}

// A Measure is a score of all captions together.
type Measure struct {
	Name             string
	Value, Low, High float64 // Low and High bound its interval; both 0 if there is none

	Compared                          bool // whether the rest holds
	Other, Delta, DeltaLow, DeltaHigh float64
	P                                 float64
}

// A Fact is a number that stands for itself.
type Fact struct{ Name, Value string }

// An Item is one photograph with its captions.
type Item struct {
	ID, Name   string // Name is that of the file
	Link       string // the address of the photograph for the page; "" for none
	Caption    string
	Other      string // the caption of what it is compared with, "" if there is none
	References []string
	Scores     []float64              // as Page.Names; NaN is unknown, but for the first
	Words      []string               // of the caption, as they were scored
	Reference  [][]string             // words of each reference
	Picture    func() ([]byte, error) // reads the encoded photograph; nil if there is none
}

//go:embed page.html
var pageSource string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"score":  func(x float64) string { return strconv.FormatFloat(x, 'f', 4, 64) },
	"short":  short,
	"full":   func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) },
	"signed": func(x float64) string { return fmt.Sprintf("%+.4f", x) },
}).Parse(enlarge.In(pageSource)))

// short is a score of one caption; it may be unknown.
func short(x float64) string {
	if math.IsNaN(x) {
		return "–"
	}
	return strconv.FormatFloat(x, 'f', 3, 64)
}

// view is what the template sees.
type view struct {
	Page
	Counted    string // "12 captions scored, 4 images failed"
	Explained  []Fact // what the measures say, a sentence each
	Histograms []template.HTML
	Groups     []group
	Ranges     []span
	Chosen     int
	Absent     int // of the chosen: those without a photograph
}

type group struct {
	Name, Key string
	Items     []card
}

type card struct {
	Item
	Group string
	Rank  int // 1 is the best
	Image template.URL
	Alt   string
	Why   string // there is no photograph
}

// span is the range of a score among the cards.
type span struct {
	Name      string
	Low, High float64
}

// Write writes the page. Photographs that cannot be read are shown as a note; only errors of w and of a page that is
// not consistent are returned.
func Write(w io.Writer, p Page) error {
	for _, it := range p.Items {
		if len(it.Scores) != len(p.Names) || len(p.Names) == 0 {
			return fmt.Errorf("write report: %q has %s, want %d", it.ID, plural.Count(len(it.Scores), "score"), len(p.Names))
		}
	}
	v := view{Page: p, Counted: plural.Count(len(p.Items), "caption") + " scored", Explained: explained(p.Measures)}
	if p.Failed > 0 {
		v.Counted += ", " + plural.Count(p.Failed, "image") + " failed"
	}
	ranked := rank(p.Items)
	v.Histograms = histograms(p)
	v.Groups = v.choose(ranked)
	for i, name := range p.Names {
		s := span{Name: name, Low: math.Inf(1), High: math.Inf(-1)}
		for _, it := range p.Items {
			if x := it.Scores[i]; !math.IsNaN(x) {
				s.Low, s.High = min(s.Low, x), max(s.High, x)
			}
		}
		v.Ranges = append(v.Ranges, s)
	}
	out := bufio.NewWriter(w)
	if err := page.Execute(out, v); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return out.Flush()
}

// rank orders items from the best to the worst by their scores, the first one first; equals stay in their order.
func rank(items []Item) []Item {
	ranked := slices.Clone(items)
	slices.SortStableFunc(ranked, func(a, b Item) int { return slices.Compare(b.Scores, a.Scores) })
	return ranked
}

// choose takes the items to show, and reads their photographs.
func (v *view) choose(ranked []Item) []group {
	n := min(max(v.Shown, 0), len(ranked))
	third := (n + 2) / 3
	best, worst := min(third, n), min(third, n-min(third, n))
	middle := n - best - worst
	groups := []group{{Name: "The best", Key: "best"}, {Name: "In between", Key: "middle"},
		{Name: "The worst", Key: "worst"}}
	add := func(g, at int) { groups[g].Items = append(groups[g].Items, v.card(ranked[at], groups[g].Key, at+1)) }
	for i := range best {
		add(0, i)
	}
	rest := len(ranked) - best - worst
	for i := range middle {
		add(1, best+(2*i+1)*rest/(2*middle))
	}
	for i := range worst {
		add(2, len(ranked)-worst+i)
	}
	v.Chosen = n
	return slices.DeleteFunc(groups, func(g group) bool { return len(g.Items) == 0 })
}

func (v *view) card(it Item, group string, rank int) card {
	c := card{Item: it, Group: group, Rank: rank, Alt: "photograph " + it.ID}
	if it.Picture == nil {
		c.Why = "no photograph"
	} else if b, err := it.Picture(); err != nil {
		c.Why = "no photograph: " + firstLine(err)
	} else if small, err := thumbnail.Of(b, thumbnail.Size, 0); err != nil {
		c.Why = "no photograph: " + firstLine(err)
	} else {
		c.Image = template.URL("data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(small))
	}
	if c.Why != "" {
		v.Absent++
	}
	return c
}

// firstLine is why there is no photograph, without the folder that it was looked for in: the page may go elsewhere.
func firstLine(err error) string {
	var file *fs.PathError
	if errors.As(err, &file) {
		err = file.Err
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
