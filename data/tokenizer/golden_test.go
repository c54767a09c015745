package tokenizer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// golden is what scripts/fixtures/tokenizer.py wrote with the reference implementations.
type golden struct {
	Captions      int     `json:"captions"`
	SHA256        string  `json:"captions_sha256"`
	LowerSHA256   string  `json:"captions_lower_sha256"`
	TrimmedSHA256 string  `json:"captions_trimmed_sha256"`
	AtLeast100    []int32 `json:"at_least_100"`
	TrimmedOldIDs []int32 `json:"trimmed_old_ids"`
	Trimmed       []struct {
		Text string
		IDs  []int32
	}
	Decode []struct {
		IDs  []int32
		Text string
	}
	Encode []struct {
		Text, Hex           string
		IDs, Special, Lower []int32
	}
}

var captions = Options{Lowercase: true, PrefixSpace: true}

func readGolden(t testing.TB) golden {
	t.Helper()
	b, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestEncodeMatchesReference(t *testing.T) {
	gpt2 := GPT2()
	lower := gpt2.With(captions)
	for _, c := range readGolden(t).Encode {
		text := c.Text
		if c.Hex != "" {
			raw, err := hex.DecodeString(c.Hex)
			if err != nil {
				t.Fatal(err)
			}
			text = string(raw)
		}
		special := c.Special
		if special == nil {
			special = c.IDs
		}
		for _, way := range []struct {
			name      string
			got, want []int32
		}{
			{"Encode", gpt2.Encode(text), c.IDs},
			{"EncodeSpecial", gpt2.EncodeSpecial(text), special},
			{"lowered, with a space before: Encode", lower.Encode(text), c.Lower},
		} {
			if !slices.Equal(way.got, way.want) {
				t.Errorf("%s(%q): got %v, want %v", way.name, text, way.got, way.want)
			}
		}
	}
}

func TestDecodeMatchesReference(t *testing.T) {
	for _, c := range readGolden(t).Decode {
		if got := GPT2().Decode(c.IDs); got != c.Text {
			t.Errorf("Decode(%v): got %q, want %q", c.IDs, got, c.Text)
		}
	}
}

func TestTrimMatchesReference(t *testing.T) {
	g := readGolden(t)
	theirs, err := os.ReadFile("testdata/trimmed.json")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := Parse(theirs)
	if err != nil {
		t.Fatal(err)
	}
	trimmed, old, err := GPT2().With(captions).Trim(g.AtLeast100)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(old, g.TrimmedOldIDs) {
		t.Errorf("Trim: got %d old ids, want %d, and the same", len(old), len(g.TrimmedOldIDs))
	}
	sameTokens := slices.Equal(trimmed.model.tokens, parsed.model.tokens)
	sameMerges := slices.Equal(trimmed.model.merges, parsed.model.merges)
	if !sameTokens || !sameMerges || trimmed.Options() != parsed.Options() {
		t.Error("Trim: got other tokens, merges or options than the reference's file has")
	}
	for _, c := range g.Trimmed {
		for name, way := range map[string]*Tokenizer{"parsed": parsed, "trimmed": trimmed} {
			if got := way.Encode(c.Text); !slices.Equal(got, c.IDs) {
				t.Errorf("%s: Encode(%q): got %v, want %v", name, c.Text, got, c.IDs)
			}
		}
	}
}

// TestCOCOCaptions compares the ids of all captions of COCO val2017 with the reference's.
func TestCOCOCaptions(t *testing.T) {
	g, texts := readGolden(t), cocoCaptions(t)
	if len(texts) != g.Captions {
		t.Fatalf("got %d captions, want %d", len(texts), g.Captions)
	}
	lower := GPT2().With(captions)
	trimmed, _, err := lower.Trim(g.AtLeast100)
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range []struct {
		name string
		t    *Tokenizer
		want string
	}{{"GPT-2", GPT2(), g.SHA256}, {"lowered", lower, g.LowerSHA256}, {"trimmed", trimmed, g.TrimmedSHA256}} {
		sum := sha256.New()
		for _, text := range texts {
			writeIDs(sum, way.t.Encode(text))
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != way.want {
			t.Errorf("%s: ids of all captions: got SHA-256 %s, want %s", way.name, got, way.want)
		}
	}
	if got := AtLeast(lower.Count(slices.Values(texts)), 100); !slices.Equal(got, g.AtLeast100) {
		t.Errorf("AtLeast(Count, 100): got %d ids, want the reference's %d", len(got), len(g.AtLeast100))
	}
}

func writeIDs(sum hash.Hash, ids []int32) {
	for i, id := range ids {
		if i > 0 {
			fmt.Fprint(sum, " ")
		}
		fmt.Fprint(sum, id)
	}
	fmt.Fprintln(sum)
}

// shared returns the path of a file of the shared data, and skips the test where it is absent.
func shared(t testing.TB, name string) string {
	t.Helper()
	root := os.Getenv("CAPTIONER_SHARED")
	if root == "" {
		root = "../../../shared/data"
	}
	path := filepath.Join(root, name)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no %s: set CAPTIONER_SHARED to the folder that has %s", path, name)
	}
	return path
}

func cocoCaptions(t testing.TB) []string {
	t.Helper()
	b, err := os.ReadFile(shared(t, "coco_captions_val2017.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Annotations []struct{ Caption string } }
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	texts := make([]string, len(file.Annotations))
	for i, a := range file.Annotations {
		texts[i] = a.Caption
	}
	return texts
}
