package tokenizer

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// FuzzRoundTrip checks on any text that it comes back, that a trimmed vocabulary loses nothing, and that it gives the
// same tokens where it has them all.
func FuzzRoundTrip(f *testing.F) {
	g := readGolden(f)
	for _, c := range g.Encode {
		f.Add(c.Text)
	}
	full := GPT2()
	lower := full.With(captions)
	var keep []int32
	for id := int32(0); id < full.EOS(); id += 3 {
		keep = append(keep, id)
	}
	trimmed, old, err := full.Trim(keep)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		valid := validUTF8(s)
		ids := full.Encode(s)
		if got := full.Decode(ids); got != valid {
			t.Errorf("got %q back, want %q", got, valid)
		}
		want := strings.TrimPrefix(lowercase(valid), " ")
		if got := lower.Decode(lower.Encode(s)); got != want {
			t.Errorf("lowered: got %q back, want %q", got, want)
		}
		small := trimmed.Encode(s)
		if got := trimmed.Decode(small); got != valid {
			t.Errorf("trimmed: got %q back, want %q", got, valid)
		}
		for i, id := range small {
			small[i] = old[id]
		}
		all := true
		for _, id := range ids {
			_, kept := slices.BinarySearch(old, id)
			all = all && kept
		}
		if all && !slices.Equal(small, ids) {
			t.Errorf("trimmed: got %v, want %v, of which all are kept", small, ids)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"model":{"vocab":{"a":0},"merges":["a b",["a","b"]]},"pre_tokenizer":{"type":"ByteLevel"}}`))
	small, _, err := GPT2().Trim(nil)
	if err != nil {
		f.Fatal(err)
	}
	b, err := small.JSON()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	words, err := NewWords([]string{"UNK", "BOS", "EOS", "dog"})
	if err != nil {
		f.Fatal(err)
	}
	if b, err = words.JSON(); err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		tk, err := Parse(b)
		if err != nil {
			var format FormatError
			var unsupported UnsupportedError
			if !errors.As(err, &format) && !errors.As(err, &unsupported) {
				t.Errorf("error of type %T", err)
			}
			return
		}
		tk.Decode(tk.EncodeSpecial("A dog <|endoftext|> \xff runs."))
		written, err := tk.JSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(written)
		if err != nil {
			t.Fatalf("what was written does not read: %v", err)
		}
		equal(t, again, tk)
	})
}
