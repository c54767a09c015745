package predictions

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"captioner/data"
	"captioner/data/record"
	"captioner/weights/plural"
)

// A Match puts predictions to the examples that they are of. What does not fit is listed, by the names of the examples
// or the ids of the predictions in the order of their files: nothing is left out without a word.
type Match struct {
	Pairs []Pair // examples that have references and a prediction, in the order of the examples

	Missing          []string // examples without a prediction
	Failed           []string // examples of which the predictions say why they have no caption
	Extra            []string // predictions of no example
	Repeated         []string // predictions of an example that has one: the first counts
	Empty            []string // pairs whose caption is empty; they are scored as they are
	Unreferenced     []string // examples without references, or with none but empty ones: they cannot be scored
	EmptyReferences  []string // examples some of whose references are empty; they are scored as they are
	RepeatedExamples []string // examples whose id another one had before: the first counts
}

// A Pair is a prediction with its example.
type Pair struct {
	Example data.Example
	Index   int // of the example among all
	Caption string
}

// NoMatchError says that predictions and references have nothing in common: they are of different splits, or name
// images in different ways.
type NoMatchError struct {
	Predictions, References int
	Prediction, Reference   string // the first id of each
}

func (e *NoMatchError) Error() string {
	return fmt.Sprintf("none of the %s (the first is of %q) is of an image with references (%s, the "+
		"first is %q)",
		plural.Count(e.Predictions, "prediction"), e.Prediction, plural.Count(e.References, "image"), e.Reference)
}

// Hint is the remedy.
func (e *NoMatchError) Hint() string {
	return "predictions and references must be of the same split, and name images by the same id, path or file name"
}

// SortError says that of predictions and references one is text alone, and the other names images.
type SortError struct{ Without, With string }

func (e *SortError) Error() string {
	return fmt.Sprintf("the %s are %s and the %s name their images, want both of the same sort", e.Without, KindLines,
		e.With)
}

// Hint says how a table names its images.
func (e *SortError) Hint() string {
	return "a table names its images in a column image, path or file_name, and captions in one named caption or text"
}

// Match puts predictions to examples: by id, or else by path, by file name, by file name without extension,
// or by the number that is all of a file's name or stands at the end of a name of COCO's. A name that several examples
// have puts nothing together. Lines go with lines, one by one.
func (p *Set) Match(kind data.Kind, list []data.Example) (*Match, error) {
	if (p.Kind == KindLines) != (kind == KindLines) {
		with, without := "predictions", "references"
		if p.Kind == KindLines {
			with, without = without, with
		}
		return nil, &SortError{Without: without, With: with}
	}
	if kind == KindLines && len(p.List) != len(list) {
		return nil, fmt.Errorf("%q has %s and the references have %d, want as many", p.File, plural.Count(len(p.List),
			"line"), len(list))
	}
	m := &Match{}
	list, index := m.examples(list)
	if len(list) == 0 {
		return nil, errors.New("no image has a reference, want some to score against")
	}
	found := make([]*Prediction, len(list))
	any := false
	names := namesOf(list)
	for i := range p.List {
		one := &p.List[i]
		k := names.find(one)
		switch {
		case k < 0:
			m.Extra = append(m.Extra, one.ID)
		case list[k].Captions == nil: // among Unreferenced
		case found[k] != nil && found[k].Failed != "" && one.Failed == "": // a later attempt went well
			found[k] = one
		case found[k] != nil:
			m.Repeated = append(m.Repeated, one.ID)
		default:
			found[k] = one
			any = true
		}
	}
	if !any && len(p.List) > 0 {
		return nil, m.nothing(p, list)
	}
	m.pair(list, index, found)
	return m, nil
}

// examples leaves out what cannot be scored and what stands twice. Examples without references stay in the list,
// without captions, so that their predictions find them; index are the places in the list that was given.
func (m *Match) examples(all []data.Example) (list []data.Example, index []int) {
	seen := map[string]bool{}
	referenced := 0
	for i, e := range all {
		if seen[e.ID] {
			m.RepeatedExamples = append(m.RepeatedExamples, e.ID)
			continue
		}
		seen[e.ID] = true
		empty := 0
		for _, c := range e.Captions {
			if record.Trim(c) == "" {
				empty++
			}
		}
		switch {
		case empty == len(e.Captions):
			m.Unreferenced = append(m.Unreferenced, e.ID)
			e.Captions = nil
		case empty > 0:
			m.EmptyReferences = append(m.EmptyReferences, e.ID)
		}
		if e.Captions != nil {
			referenced++
		}
		list, index = append(list, e), append(index, i)
	}
	if referenced == 0 {
		return nil, nil
	}
	return list, index
}

func (m *Match) nothing(p *Set, list []data.Example) error {
	e := &NoMatchError{Predictions: len(p.List), Prediction: p.List[0].ID}
	for _, x := range list {
		if x.Captions != nil {
			if e.References++; e.References == 1 {
				e.Reference = x.ID
			}
		}
	}
	return e
}

func (m *Match) pair(list []data.Example, index []int, found []*Prediction) {
	for k, e := range list {
		one := found[k]
		switch {
		case e.Captions == nil:
			continue
		case one == nil:
			m.Missing = append(m.Missing, e.ID)
			continue
		case one.Failed != "":
			m.Failed = append(m.Failed, e.ID)
			continue
		case one.Caption == "":
			m.Empty = append(m.Empty, e.ID)
		}
		m.Pairs = append(m.Pairs, Pair{e, index[k], one.Caption})
	}
}

// names finds examples by what may stand for them, the surest first.
type names [5]map[string]int // id, path, base, stem, number; -1 where several examples share a name

func namesOf(list []data.Example) *names {
	var n names
	for i := range n {
		n[i] = make(map[string]int, len(list))
	}
	for k, e := range list {
		n.add(0, e.ID, k)
		keys := keysOf(e.Path)
		for i, key := range keys {
			n.add(i+1, key, k)
		}
		if keys[3] == "" { // ids that look like paths
			for i, key := range keysOf(e.ID) {
				if i > 0 {
					n.add(i+1, key, k)
				}
			}
		}
	}
	return &n
}

func (n *names) add(level int, key string, k int) {
	if key == "" {
		return
	}
	if was, ok := n[level][key]; ok && was != k {
		k = -1
	}
	n[level][key] = k
}

// keysOf are the names of a path: whole, its last part, that without extension, and the number in it.
func keysOf(p string) [4]string {
	if p == "" {
		return [4]string{}
	}
	p = filepath.ToSlash(p)
	base := path.Base(p)
	stem := strings.TrimSuffix(base, path.Ext(base))
	return [4]string{path.Clean(p), base, stem, numberOf(stem)}
}

// cocoDigits is how many digits the numbers in COCO's file names have.
const cocoDigits = 12

// numberOf is the number that a file's name consists of, or that COCO put at its end, without zeros before it; else "".
func numberOf(stem string) string {
	digits := stem
	if i := len(stem) - cocoDigits; i > 0 && stem[i-1] == '_' {
		digits = stem[i:]
	}
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return ""
	}
	if digits = strings.TrimLeft(digits, "0"); digits == "" {
		return "0"
	}
	return digits
}

// find returns the example of a prediction, or -1.
func (n *names) find(p *Prediction) int {
	if k := n.lookup(p.ID, p.Path); k >= 0 {
		return k
	}
	if plain, ok := unescape(p.ID); ok {
		return n.lookup(plain, plain)
	}
	return -1
}

func (n *names) lookup(id, file string) int {
	if k, ok := n[0][id]; ok {
		return k
	}
	if file == "" {
		file = id
	}
	keys := keysOf(file)
	for i, key := range keys {
		if k, ok := n[i+1][key]; ok && key != "" && k >= 0 {
			return k
		}
	}
	if k, ok := n[0][keys[3]]; ok && keys[3] != "" { // the number in a file's name is the id
		return k
	}
	if k, ok := n[3][id]; ok { // the id is a file's name without extension
		return k
	}
	return -1
}

// unescape undoes the escapes that captioner writes into the paths of its text and TSV; ok only if there were some.
func unescape(s string) (string, bool) {
	if !strings.Contains(s, `\`) {
		return s, false
	}
	plain, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
	return plain, err == nil && plain != s
}
