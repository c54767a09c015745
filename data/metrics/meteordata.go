package metrics

import (
	"archive/zip"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"

	"captioner/data/metrics/ptb"
	"captioner/weights/plural"
)

// The files that pycocoevalcap ships in its folder meteor.
const (
	meteorJar         = "meteor-1.5.jar"
	meteorParaphrases = "data/paraphrase-en.gz"
)

// Whether a word before a full stop is an abbreviation.
const (
	prefixNever = iota
	prefixAlways
	prefixNumber // only before a number
)

// maxMeteorPart bounds each uncompressed part of the jar; the largest has 3.7 MB.
const maxMeteorPart = 64 << 20

// OpenMETEOR reads METEOR's English data from a folder that holds meteor-1.5.jar and data/paraphrase-en.gz, as the
// folder meteor of the Python package pycocoevalcap does. It takes seconds and some 150 MB of memory; the result is
// safe for concurrent use and can score any number of corpora.
func OpenMETEOR(dir string) (*METEOR, error) {
	m := &METEOR{function: map[string]bool{}, prefixes: map[string]int{}, bases: map[string][]string{},
		synsets: map[string][]int32{}}
	// The small files are read while the large one is unpacked.
	done := make(chan error, 1)
	go func() { done <- m.readJar(filepath.Join(dir, meteorJar)) }()
	path := filepath.Join(dir, filepath.FromSlash(meteorParaphrases))
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		size := int64(0)
		if info, err := f.Stat(); err == nil {
			size = info.Size()
		}
		if m.para, err = readParaphrases(f, size); err != nil {
			err = fmt.Errorf("read METEOR paraphrases %q: %w", path, err)
		}
	} else {
		err = fmt.Errorf("read METEOR paraphrases: %w", err)
	}
	if err := errors.Join(<-done, err); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *METEOR) readJar(path string) error {
	z, err := zip.OpenReader(path)
	if err != nil {
		return fmt.Errorf("read METEOR jar: %w", err)
	}
	defer z.Close()
	for _, part := range []struct {
		name string
		read func(*bufio.Scanner) error
	}{
		{"function/english.words", m.readFunctionWords},
		{"nonbreaking/english.prefixes", m.readPrefixes},
		{"synonym/english.exceptions", m.readExceptions},
		{"synonym/english.synsets", m.readSynsets},
	} {
		f, err := z.Open(part.name)
		if err != nil {
			return fmt.Errorf("read METEOR jar %q: %w", path, err)
		}
		sc := bufio.NewScanner(io.LimitReader(f, maxMeteorPart))
		sc.Buffer(nil, 1<<20)
		err = part.read(sc)
		if err == nil {
			err = sc.Err()
		}
		f.Close()
		if err != nil {
			return fmt.Errorf("read METEOR jar %q: %s: %w", path, part.name, err)
		}
	}
	return nil
}

func (m *METEOR) readFunctionWords(sc *bufio.Scanner) error {
	for sc.Scan() {
		m.function[sc.Text()] = true
	}
	return nil
}

func (m *METEOR) readPrefixes(sc *bufio.Scanner) error {
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		m.prefixes[f[0]] = prefixAlways
		if len(f) > 1 && f[1] == "#NUMERIC_ONLY#" {
			m.prefixes[f[0]] = prefixNumber
		}
	}
	return nil
}

// readExceptions reads pairs of lines: a base form, its irregular forms.
func (m *METEOR) readExceptions(sc *bufio.Scanner) error {
	for sc.Scan() {
		base := sc.Text()
		if !sc.Scan() {
			return fmt.Errorf("word %q: no line of forms after it", base)
		}
		for _, form := range strings.Fields(sc.Text()) {
			m.bases[form] = append(m.bases[form], base)
		}
	}
	return nil
}

// readSynsets reads pairs of lines: a word, the numbers of its sets of synonyms.
func (m *METEOR) readSynsets(sc *bufio.Scanner) error {
	for sc.Scan() {
		word := sc.Text()
		if !sc.Scan() {
			return fmt.Errorf("word %q: no line of sets after it", word)
		}
		var ids []int32
		for _, f := range strings.Fields(sc.Text()) {
			id, err := strconv.ParseInt(f, 10, 32)
			if err != nil {
				return fmt.Errorf("word %q: set %q is no number", word, f)
			}
			ids = append(ids, int32(id))
		}
		slices.Sort(ids)
		m.synsets[word] = ids
	}
	return nil
}

// synsetsOf returns the sets of a word and of its base forms, sorted.
func (m *METEOR) synsetsOf(word string) []int32 {
	ids := slices.Clone(m.synsets[word])
	if bases := m.bases[word]; bases != nil {
		for _, b := range bases {
			ids = append(ids, m.synsets[b]...)
		}
	} else {
		ids = append(ids, m.synsets[m.base(word)]...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// wordNetEndings are WordNet's endings of nouns, verbs and adjectives with those of their base forms.
var wordNetEndings = []change{{"s", ""}, {"ses", "s"}, {"xes", "x"}, {"zes", "z"}, {"ches", "ch"}, {"shes", "sh"},
	{"men", "man"},
	{"ies", "y"}, {"s", ""}, {"ies", "y"}, {"es", "e"}, {"es", ""}, {"ed", "e"}, {"ed", ""}, {"ing", "e"}, {"ing", ""},
	{"er", ""}, {"est", ""}, {"er", "e"}, {"est", "e"}}

// base returns the base form of a regular word as WordNet finds it, or "".
func (m *METEOR) base(word string) string {
	if strings.HasSuffix(word, "ss") || len(utf16Of(word)) <= 2 {
		return word
	}
	for _, c := range wordNetEndings {
		if before, ok := strings.CutSuffix(word, c.suffix); ok {
			if _, known := m.synsets[before+c.by]; known {
				return before + c.by
			}
		}
	}
	return ""
}

func utf16Of(s string) []uint16 { return ptb.AppendUTF16(nil, s) }

// paraphrases are pairs of a phrase and another way to say it.
type paraphrases struct {
	words *wordTable
	// Phrases are nodes of a tree of words. Those that a phrase can be said as are the numbers
	// others[from[node]:from[node+1]], in the order of the file; number i has the words text[start[i]:start[i+1]].
	tree   *ngramTable
	from   []int32
	others []int32
	text   []int32
	start  []uint32
}

// readParaphrases reads triples of lines: a probability, which METEOR does not use, a phrase, and another way to say
// it. size is how long the file is; a wrong one costs time alone.
func readParaphrases(r io.Reader, size int64) (*paraphrases, error) {
	z, err := gzip.NewReader(bufio.NewReaderSize(r, 1<<20))
	if err != nil {
		return nil, err
	}
	// METEOR's own table has a pair in 11.7 bytes and a word of the second phrases in 5; making room for them once costs
	// nothing where it is not used, and copying what has grown took a third of the time.
	size = min(size, 1<<28)
	pairs := int(size / 11)
	p := &paraphrases{words: newWordTable(), tree: newNgramTable(), start: make([]uint32, 1, pairs+1),
		text: make([]int32, 0, size/4)}
	nodes := make([]int32, 0, pairs) // the node of each pair
	var phrase []int32
	var last []byte
	node := int32(-1)
	line, empty := 0, 0
	err = eachLine(z, func(s []byte) {
		switch line++; line % 3 {
		case 2: // the file groups its pairs by this phrase
			if !bytes.Equal(s, last) {
				last, node = append(last[:0], s...), -1
				phrase = p.number(phrase[:0], s)
				for _, w := range phrase {
					node = p.tree.number(node, w, 0)
				}
			}
			nodes = append(nodes, node)
		case 0:
			n := len(p.text)
			p.text = p.number(p.text, s)
			p.start = append(p.start, uint32(len(p.text)))
			if node < 0 || len(p.text) == n {
				empty++
			}
		}
	})
	switch {
	case err != nil:
		return nil, err
	case line%3 != 0:
		return nil, fmt.Errorf("%s, want a multiple of 3", plural.Count(line, "line"))
	case empty > 0:
		return nil, fmt.Errorf("%s with an empty phrase", plural.Count(empty, "pair"))
	}
	p.from = make([]int32, len(p.tree.order)+1)
	for _, n := range nodes {
		p.from[n+1]++
	}
	for i := 1; i < len(p.from); i++ {
		p.from[i] += p.from[i-1]
	}
	p.others = make([]int32, len(nodes))
	at := slices.Clone(p.from)
	for i, n := range nodes {
		p.others[at[n]] = int32(i)
		at[n]++
	}
	return p, nil
}

// number appends the numbers of the words of a line.
func (p *paraphrases) number(dst []int32, s []byte) []int32 {
	for len(s) > 0 {
		n := 0
		for n < len(s) && (s[n] > ' ' || !javaBlank(rune(s[n]))) {
			n++
		}
		w := s[:n]
		s = s[min(n+1, len(s)):]
		if n == 0 {
			continue
		}
		dst = append(dst, p.words.number(w))
	}
	return dst
}

// eachLine unpacks on one goroutine and calls do for each line on another.
func eachLine(r io.Reader, do func([]byte)) error {
	const size, buffers = 1 << 20, 4
	type block struct {
		b   []byte
		err error
	}
	full, free := make(chan block, buffers), make(chan []byte, buffers)
	for range buffers {
		free <- make([]byte, size)
	}
	go func() {
		for b := range free {
			n := 0
			var err error
			for n < size && err == nil {
				var k int
				k, err = r.Read(b[n:size])
				n += k
			}
			full <- block{b[:n], err}
			if err != nil {
				return
			}
		}
	}()
	defer close(free)
	var rest []byte
	for {
		k := <-full
		s := k.b
		for {
			i := bytes.IndexByte(s, '\n')
			if i < 0 {
				break
			}
			if len(rest) > 0 {
				rest = append(rest, s[:i]...)
				do(rest)
				rest = rest[:0]
			} else {
				do(s[:i])
			}
			s = s[i+1:]
		}
		rest = append(rest, s...)
		if len(rest) > size {
			return fmt.Errorf("a line of more than %d bytes", size)
		}
		switch {
		case k.err == io.EOF:
			if len(rest) > 0 {
				do(rest)
			}
			return nil
		case k.err != nil:
			return k.err
		}
		free <- k.b[:size]
	}
}
