package metrics

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestStem(t *testing.T) {
	// From the Snowball stemmer in meteor-1.5.jar.
	for word, want := range map[string]string{
		"riding": "ride", "bicycles": "bicycl", "skies": "sky", "dying": "die", "generously": "generous",
		"communal": "communal",
		"happily":  "happili", "hopping": "hop", "hoping": "hope", "falling": "fall", "agreed": "agre", "ties": "tie",
		"cries": "cri",
		"gas":   "gas", "this": "this", "kiwis": "kiwi", "relational": "relat", "hesitancy": "hesit", "'tis": "tis",
		"men's":   "men",
		"yelling": "yell", "say": "say", "by": "by", "exceeding": "exceed", "rational": "ration", "a": "a", "": "",
	} {
		if got := stem(word); got != want {
			t.Errorf("stem(%q): got %q, want %q", word, got, want)
		}
	}
}

// Captions of few words, where many alignments are equally good but for the order in which METEOR searches.
func TestMeteorSearch(t *testing.T) {
	var f struct {
		Hyps  []string
		Refs  [][]string
		Total float64
		Each  []float64
	}
	fixture(t, "meteor.json", &f)
	m, err := OpenMETEOR(filepath.Join("testdata", "meteor"))
	if err != nil {
		t.Fatal(err)
	}
	var all MeteorStats
	s := m.scorer()
	for i, h := range f.Hyps {
		st := s.stats(h, f.Refs[i])
		all.Add(st)
		near(t, h, st.Score(), f.Each[i], 1e-9)
	}
	near(t, "all", all.Score(), f.Total, 1e-9)
}

func TestMeteorNormalize(t *testing.T) {
	m, err := OpenMETEOR(filepath.Join("testdata", "meteor"))
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"a dog 's bowl":           "a dog ' s bowl", // as METEOR has it
		"x-ray of 2\u00a03/4 st.": "x ray of 2 3 / 4 st .",
		"the u.s. team":           "the us team",
		"It's St. John, 1,000!":   "it 's st. john , 1,000 !",
		"wait... what":            "wait ... what",
	} {
		if got := strings.Join(m.normalize(line), " "); got != want {
			t.Errorf("normalize(%q): got %q, want %q", line, got, want)
		}
	}
}

func TestOpenMETEORRefuses(t *testing.T) {
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	if _, err := w.Write([]byte("0.5\na b\nc\n0.5\nd\n")); err != nil {
		t.Fatal(err)
	}
	w.Close()
	var empty bytes.Buffer
	if err := zip.NewWriter(&empty).Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(filepath.Join("testdata", "meteor", meteorJar))
	if err != nil {
		t.Fatal(err)
	}
	pairs, err := os.ReadFile(filepath.Join("testdata", "meteor", "data", "paraphrase-en.gz"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, want string
		jar, para  []byte
	}{
		{"no pairs", "paraphrase", good, nil},
		{"no jar", "jar", nil, pairs},
		{"cut pair", "multiple of 3", good, gz.Bytes()},
		{"cut file", "unexpected EOF", good, pairs[:len(pairs)-9]},
		{"jar without data", "function/english.words", empty.Bytes(), pairs},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "data"), 0o777); err != nil {
				t.Fatal(err)
			}
			for name, b := range map[string][]byte{meteorJar: tt.jar, meteorParaphrases: tt.para} {
				if b == nil {
					continue
				}
				if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), b, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := OpenMETEOR(dir); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func FuzzParaphrases(f *testing.F) {
	f.Add([]byte("0.5\na b\nc\n"))
	f.Add([]byte("0.5\na b\n\n"))
	f.Add([]byte("\r\n \n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var gz bytes.Buffer
		w := gzip.NewWriter(&gz)
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
		w.Close()
		p, err := readParaphrases(&gz, int64(gz.Len()))
		if err != nil {
			return
		}
		if n := bytes.Count(text, []byte("\n")) / 3; len(p.others) > n+1 || !slices.IsSorted(p.from) {
			t.Errorf("read %q: %d pairs, offsets %v", text, len(p.others), p.from)
		}
	})
}

func TestWordTable(t *testing.T) {
	table := newWordTable()
	word := func(i int) string { return strings.Repeat(string(rune('a'+i%26)), i%7) + strconv.Itoa(i) }
	for range 2 { // the second time they are known
		for i := range 5000 {
			if got := table.number([]byte(word(i))); got != int32(i) {
				t.Fatalf("number of %q: got %d, want %d", word(i), got, i)
			}
		}
	}
	if got := table.find("unheard of"); got != -1 {
		t.Errorf("unknown word: got %d, want -1", got)
	}
	if got := table.find(word(4321)); got != 4321 || table.len() != 5000 {
		t.Errorf("known word: got %d of %d, want 4321 of 5000", got, table.len())
	}
}
