package weights

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestShapes(t *testing.T) {
	u8 := func(name string, shape ...int64) NamedTensor {
		n, _ := Elements(shape)
		return NamedTensor{Name: name, DType: U8, Shape: shape, Data: make([]byte, n)}
	}
	src, err := NewMemory([]NamedTensor{u8("blocks.0.w", 2, 3), u8("blocks.1.w", 2, 3), u8("blocks.99.w", 1),
		u8("blocks.x.w", 1), u8("pos", 5, 3)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := ShapesOf(src)
	if !s.Has("pos") || s.Has("po") {
		t.Error("Has: want the whole name")
	}
	if n := s.Blocks("blocks."); n != 2 {
		t.Errorf("Blocks: got %d, want 2: 99 is more than there are tensors", n)
	}
	if got := s.Of("blocks.0.w", 2); !slices.Equal(got, []int64{2, 3}) {
		t.Errorf("Of: got %v, want [2 3]", got)
	}
	if got := s.GridSide("pos", s.Of("pos", 2)[0], 1); got != 2 || s.Err() != nil {
		t.Errorf("GridSide: got %d, %v, want 2", got, s.Err())
	}
	if got := s.Of("none", 3); !slices.Equal(got, []int64{0, 0, 0}) {
		t.Errorf("Of a missing tensor: got %v, want zeros", got)
	}
	s.GridSide("pos", 6, 1)
	if s.Err() == nil || !strings.Contains(s.Err().Error(), `"none"`) {
		t.Errorf("Err: got %v, want the first one", s.Err())
	}
	for _, wrong := range []func(*Shapes){
		func(s *Shapes) { s.Of("pos", 3) },
		func(s *Shapes) { s.GridSide("pos", 6, 1) },
	} {
		s := ShapesOf(src)
		if wrong(s); s.Err() == nil || !strings.Contains(s.Err().Error(), `"pos"`) {
			t.Errorf("got %v, want an error that names the tensor", s.Err())
		}
	}
}

func TestSHA256(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for path, content := range map[string]string{a: "ab", b: "c"} {
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // of "abc", FIPS 180-2
	if got, err := SHA256(a, b); got != abc || err != nil {
		t.Errorf("got %s, %v, want %s", got, err, abc)
	}
	missing := filepath.Join(dir, "none")
	if _, err := SHA256(missing); err == nil || strings.Count(err.Error(), missing) != 1 {
		t.Errorf("a missing file: got %v, want an error that names it once", err)
	}
}
