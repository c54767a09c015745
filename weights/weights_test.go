package weights

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestHalvesMatchTorch compares with scripts/fixtures/safetensors.py: float32 bits, half bits, bfloat16 bits.
func TestHalvesMatchTorch(t *testing.T) {
	f, err := os.Open("testdata/halves.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows := 0
	for s := bufio.NewScanner(f); s.Scan(); rows++ {
		var b uint32
		var half, brain uint16
		if _, err := fmt.Sscanf(s.Text(), "%x %x %x", &b, &half, &brain); err != nil {
			t.Fatal(err)
		}
		if got := ToFloat16(math.Float32frombits(b)); got != half {
			t.Errorf("ToFloat16(%08x): got %04x, want %04x", b, got, half)
		}
		if got := ToBFloat16(math.Float32frombits(b)); got != brain {
			t.Errorf("ToBFloat16(%08x): got %04x, want %04x", b, got, brain)
		}
	}
	if rows < 600 {
		t.Errorf("got %d rows, want at least 600", rows)
	}
}

// TestEveryHalf checks each half that is a number: widened as PyTorch does it, and back to the same bits.
func TestEveryHalf(t *testing.T) {
	want, err := os.ReadFile("testdata/float16.sha256")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	for h := range 1 << 16 {
		f := FromFloat16(uint16(h))
		if h&0x7fff > 0x7c00 {
			if !math.IsNaN(float64(f)) || ToFloat16(f)&0x7fff <= 0x7c00 {
				t.Errorf("%04x: NaN is lost", h)
			}
			continue
		}
		if got := ToFloat16(f); got != uint16(h) {
			t.Errorf("%04x: back as %04x", h, got)
		}
		b := math.Float32bits(f)
		sum.Write([]byte{byte(b), byte(b >> 8), byte(b >> 16), byte(b >> 24)})
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != strings.TrimSpace(string(want)) {
		t.Errorf("sha256 of all halves as float32: got %s, want %s", got, want)
	}
	for h := range 1 << 16 {
		f := FromBFloat16(uint16(h))
		if got := ToBFloat16(f); got != uint16(h) && !math.IsNaN(float64(f)) {
			t.Errorf("bfloat16 %04x: back as %04x", h, got)
		}
	}
	for _, b := range []uint32{0x7f800001, 0x7fffffff, 0xffffffff} {
		if got := ToBFloat16(math.Float32frombits(b)); got != 0x7fc0 {
			t.Errorf("ToBFloat16(NaN %08x): got %04x, want 7fc0", b, got)
		}
	}
}

func TestFloat32s(t *testing.T) {
	values := []float32{0, 1, -2.5, 1024}
	for _, d := range []DType{F64, F32, F16, BF16} {
		x, err := FromFloat32s("x", d, []int64{2, 2}, values)
		if err != nil {
			t.Fatal(err)
		}
		got, err := x.Float32s()
		if err != nil || !slices.Equal(got, values) {
			t.Errorf("%v: got %v, %v, want %v", d, got, err, values)
		}
		y, err := x.Convert(F16)
		if err != nil || y.DType != F16 || len(y.Data) != 8 {
			t.Errorf("%v to F16: got %v, %v", d, y, err)
		}
	}
	for _, bad := range []NamedTensor{
		{Name: "x", DType: I64, Data: make([]byte, 8)},
		{Name: "x", DType: F32, Shape: []int64{2}, Data: make([]byte, 4)},
		{Name: "x", DType: F32, Shape: []int64{-1}},
		{Name: "x"},
	} {
		if got, err := bad.Float32s(); err == nil {
			t.Errorf("%v: got %v, want an error", bad, got)
		}
	}
}

func TestDType(t *testing.T) {
	for d := F64; d <= Bool; d++ {
		if got, err := ParseDType(d.String()); err != nil || got != d {
			t.Errorf("ParseDType(%q): got %v, %v", d, got, err)
		}
		if d.Size() == 0 {
			t.Errorf("%v: no size", d)
		}
	}
	for _, d := range []DType{0, Bool + 1, 255} {
		if d.Size() != 0 || d.Float() {
			t.Errorf("%v: got a size or a float, want neither", d)
		}
	}
	if _, err := ParseDType("C64"); err == nil {
		t.Error("ParseDType(C64): got nil, want an error")
	}
}

func TestByteSize(t *testing.T) {
	tests := []struct {
		shape []int64
		want  int64 // -1 for an error
	}{
		{nil, 4}, {[]int64{2, 3}, 24}, {[]int64{0, 1 << 62, 1 << 62}, 0}, {[]int64{1 << 60}, 1 << 62},
		{
			[]int64{1 << 61},
			-1,
		}, {[]int64{1 << 32, 1 << 32}, -1}, {[]int64{1 << 62, 2}, -1}, {[]int64{-1}, -1}, {[]int64{0, -1}, -1},
	}
	for _, tt := range tests {
		got, err := ByteSize(F32, tt.shape)
		if err != nil {
			got = -1
		}
		if got != tt.want {
			t.Errorf("ByteSize(F32, %v): got %d (%v), want %d", tt.shape, got, err, tt.want)
		}
	}
}

func TestKeyError(t *testing.T) {
	var none *KeyError
	if none.Err() != nil || (&KeyError{Path: "x"}).Err() != nil {
		t.Error("an empty KeyError is an error")
	}
	err := (&KeyError{
		Path: "gpt2.safetensors", Missing: []string{"wte.weight", "wpe.weight"}, Unexpected: []string{"odd"},
		Misshaped: []ShapeMismatch{{"h.0.ln_1.weight", []int64{512}, []int64{768}}},
	}).Err()
	want := `load "gpt2.safetensors": 2 missing: "wte.weight", "wpe.weight"; 1 unexpected: "odd"; 1 misshaped: ` +
		`"h.0.ln_1.weight": shape [512], want [768]`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	many := &KeyError{Missing: strings.Split("a b c d e f g h", " ")}
	if got, want := many.Error(), `load weights: 8 missing: "a", "b", "c", "d", "e", "f" and 2 more`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRename(t *testing.T) {
	src, err := NewMemory([]NamedTensor{
		{Name: "model.h.0.ln_1.weight", DType: U8, Data: []byte{1}},
		{Name: "model.h.1.ln_1.weight", DType: U8, Data: []byte{2}},
		{Name: "model.h.0.attn.bias", DType: U8, Data: []byte{3}},
		{Name: "other", DType: U8, Data: []byte{4}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	bare, err := Rename(src, Prefix("model.", ""))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"h.0.ln_1.weight", "h.1.ln_1.weight", "h.0.attn.bias"}; !slices.Equal(bare.Names(), want) {
		t.Errorf("prefix: got %q, want %q", bare.Names(), want)
	}
	blocks, err := Rename(bare, Patterns("h.*.attn.bias", "", "h.*.ln_1.*", "blocks.*.norm1.*"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"blocks.0.norm1.weight", "blocks.1.norm1.weight"}; !slices.Equal(blocks.Names(), want) {
		t.Errorf("patterns: got %q, want %q", blocks.Names(), want)
	}
	x, err := blocks.Tensor("blocks.1.norm1.weight")
	if err != nil || x.Name != "blocks.1.norm1.weight" || x.Data[0] != 2 {
		t.Errorf("tensor: got %v, %v", x, err)
	}
	if _, err := blocks.Tensor("h.1.ln_1.weight"); !errors.Is(err, ErrNotFound) {
		t.Errorf("old name: got %v, want ErrNotFound", err)
	}
	if _, err := Rename(src, Patterns("model.h.*.ln_1.weight", "one")); err == nil {
		t.Error("two tensors of one name: got nil, want an error")
	}
	if _, err := NewMemory([]NamedTensor{{Name: "a", DType: U8, Data: []byte{1}}, {Name: "a", DType: U8,
		Data: []byte{1}}}, nil); err == nil {
		t.Error("NewMemory with a name twice: got nil, want an error")
	}
}

func TestMap(t *testing.T) {
	dir := t.TempDir()
	for _, content := range [][]byte{nil, []byte("abc"), bytes.Repeat([]byte("x"), 10000)} {
		path := filepath.Join(dir, "f")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := Map(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(content), string(m.Bytes())); diff != "" {
			t.Error(diff)
		}
		if err := errors.Join(m.Close(), m.Close()); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{dir, filepath.Join(dir, "none")} {
		if m, err := Map(bad); err == nil {
			t.Errorf("Map(%q): got %v, want an error", bad, m)
		}
	}
}
