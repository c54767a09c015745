package unpack_test

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"captioner/data/unpack"
)

func gzipped(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, s)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zstandard(t testing.TB, s string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(w.EncodeAll([]byte(s), nil))
}

func unhex(t testing.TB, s string) string {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What bzip2 1.0.8 and xz 5.4 make of "a dog\n".
const (
	dogBzip2 = "425a68393141592653591d502fdb0000015100001040002480a00021800c02c736e2ee48a70a1203aa05fb60"
	dogXZ    = "fd377a585a000004e6d6b4460200210116000000742fe5a30100056120646f670a000000d7801523fb3c9faf00011e06" +
		"c12fa41d1fb6f37d010000000004595a"
)

func TestRead(t *testing.T) {
	tests := []struct{ name, packed, want, format string }{
		{"nothing", "", "", ""},
		{"text", "a dog\n", "a dog\n", ""},
		{"a word that begins as bzip2 does", "BZhang is a name\n", "BZhang is a name\n", ""},
		{"a word like it, and no more", "BZh", "BZh", ""},
		{"gzip", gzipped(t, "a dog\n"), "a dog\n", "gzip"},
		{"two of gzip", gzipped(t, "a ") + gzipped(t, "dog\n"), "a dog\n", "gzip"},
		{"bzip2", unhex(t, dogBzip2), "a dog\n", "bzip2"},
		{"xz", unhex(t, dogXZ), "a dog\n", "xz"},
		{"Zstandard", zstandard(t, "a dog\n"), "a dog\n", "Zstandard"},
		{"two of Zstandard", zstandard(t, "a ") + zstandard(t, "dog\n"), "a dog\n", "Zstandard"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := unpack.NewReader(strings.NewReader(test.packed))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			got, err := io.ReadAll(r)
			if err != nil || string(got) != test.want || r.Format != test.format {
				t.Errorf("got %q, %v, %q, want %q, %q", got, err, r.Format, test.want, test.format)
			}
			if test.format == "" {
				return
			}
			for n := 7; n < len(test.packed)-1; n++ {
				if r, err = unpack.NewReader(strings.NewReader(test.packed[:n])); err == nil {
					got, err = io.ReadAll(r)
					r.Close()
				}
				var broken *unpack.Error
				if err != nil && !errors.As(err, &broken) {
					t.Errorf("cut at %d: got %T: %v, want an Error", n, err, err)
				}
				if err == nil && r.Format != "" && !strings.HasPrefix(test.name, "two") {
					t.Errorf("cut at %d: got %q, want an error", n, got)
				}
			}
		})
	}
}

// TestTextIsNotWaitedFor reads a short line while its writer still works.
func TestTextIsNotWaitedFor(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	got := make(chan string, 1)
	go func() {
		b := make([]byte, 100)
		n := 0
		if u, err := unpack.NewReader(r); err == nil {
			n, _ = u.Read(b)
		}
		got <- string(b[:n])
	}()
	io.WriteString(w, "Ba\n")
	select {
	case s := <-got:
		if s != "Ba\n" {
			t.Errorf("got %q, want the line", s)
		}
	case <-time.After(10 * time.Second):
		t.Error("the line did not come before the next was written")
	}
}

func TestIsTar(t *testing.T) {
	tests := map[string][2]bool{
		"a.tar":      {true, false},
		"A.TAR.GZ":   {true, true},
		"a.tar.zst":  {true, true},
		"a.tar.xz":   {true, true},
		"a.tar.bz2":  {true, true},
		"a.tgz":      {true, true},
		"a.b.tzst":   {true, true},
		"a.jsonl.gz": {false, false},
		"a.gz":       {false, false},
		"tar":        {false, false},
	}
	for name, want := range tests {
		if tar, packed := unpack.IsTar(name); tar != want[0] || packed != want[1] {
			t.Errorf("IsTar(%q): got %v, %v, want %v", name, tar, packed, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	seeds := []string{"", "text", gzipped(f, "a dog"), zstandard(f, "a dog"), unhex(f, dogBzip2), unhex(f, dogXZ)}
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := unpack.NewReader(bytes.NewReader(b))
		if err == nil {
			defer r.Close()
			_, err = io.Copy(io.Discard, io.LimitReader(r, 1<<20))
		}
		var broken *unpack.Error
		if err != nil && !errors.As(err, &broken) {
			t.Errorf("error of type %T: %v", err, err)
		}
	})
}
