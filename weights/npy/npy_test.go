package npy

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"captioner/weights"
)

func TestRoundTrip(t *testing.T) {
	for _, c := range []weights.NamedTensor{
		{Name: Name, DType: weights.F32, Shape: []int64{2, 3}, Data: make([]byte, 24)},
		{Name: Name, DType: weights.F16, Shape: []int64{5}, Data: []byte("0123456789")},
		{Name: Name, DType: weights.U8, Shape: []int64{1, 2, 3}, Data: []byte("abcdef")},
		{Name: Name, DType: weights.F64, Shape: []int64{}, Data: []byte("12345678")},
		{Name: Name, DType: weights.I64, Shape: []int64{0, 7}, Data: []byte{}},
	} {
		var b bytes.Buffer
		if err := Write(&b, c); err != nil {
			t.Fatal(err)
		}
		if at := b.Len() - len(c.Data); at%64 != 0 {
			t.Errorf("%v: data begin at %d, want a multiple of 64", c.Shape, at)
		}
		path := filepath.Join(t.TempDir(), "a.npy")
		if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Tensor(Name)
		if err != nil || got.DType != c.DType || !slices.Equal(got.Shape, c.Shape) || !bytes.Equal(got.Data, c.Data) {
			t.Errorf("got %v %v %q (%v), want %v %v %q", got.DType, got.Shape, got.Data, err, c.DType, c.Shape, c.Data)
		}
		f.Close()
		if _, err := f.Tensor(Name); err == nil {
			t.Error("tensor of a closed file: no error")
		}
	}
}

// numpyFile is what numpy 2.4.6 saves of numpy.array([[1, 2, 3], [4, 5, 6]], numpy.float16).
var numpyFile = "\x93NUMPY\x01\x00v\x00{'descr': '<f2', 'fortran_order': False, 'shape': (2, 3), }" +
	strings.Repeat(" ", 58) + "\n" +
	"\x00<\x00@\x00B\x00D\x00E\x00F"

func TestReadsNumPys(t *testing.T) {
	f, err := Parse([]byte(numpyFile))
	if err != nil {
		t.Fatal(err)
	}
	array, err := f.Tensor(Name)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := array.Float32s(); err != nil || !slices.Equal(v, []float32{1, 2, 3, 4, 5, 6}) {
		t.Errorf("got %v, %v", v, err)
	}
	var b bytes.Buffer
	if err := Write(&b, array); err != nil || b.String() != numpyFile {
		t.Errorf("written: got %q, %v, want %q", b.String(), err, numpyFile)
	}
}

func TestRefuses(t *testing.T) {
	change := func(old, new string) []byte { return []byte(strings.Replace(numpyFile, old, new, 1)) }
	for want, b := range map[string][]byte{
		"does not begin":  []byte("hello"),
		"bytes of data":   []byte(numpyFile[:len(numpyFile)-1]),
		"version 1":       []byte(numpyFile[:40]),
		"version 9":       change("\x01\x00v", "\x09\x00v"),
		"Fortran":         change("False", "True "),
		"type \"|O\"":     change("<f2", "|O"),
		"type \">f2\"":    change("<f2", ">f2"),
		"without descr":   change("'shape'", "'shap'"),
		"2^63":            change("(2, 3)", "(99999999999999999999, 3)"),
		"int64 can count": change("(2, 3)", "(4611686018427387904, 4611686018427387904)"),
	} {
		if _, err := Parse(b); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want one line with %q", err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(numpyFile))
	f.Add([]byte("\x93NUMPY\x02\x00\x04\x00\x00\x00{}  "))
	f.Add([]byte("\x93NUMPY\x01\x00\xff\xff{'descr': '<f4', 'fortran_order': False, 'shape': (,), }"))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := Parse(b)
		if err != nil {
			return
		}
		array, err := file.Tensor(Name)
		if err != nil {
			t.Fatal(err)
		}
		if err := array.Validate(); err != nil {
			t.Errorf("parsed without an error, but: %v", err)
		}
	})
}
