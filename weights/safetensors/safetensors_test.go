package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"captioner/weights"
)

const golden = "testdata/golden.safetensors"

// names of the types as scripts/fixtures/safetensors.py writes them
var torchNames = map[weights.DType]string{
	weights.F64: "float64", weights.F32: "float32", weights.F16: "float16", weights.BF16: "bfloat16", weights.I64: "int64",
	weights.I32: "int32", weights.I16: "int16", weights.I8: "int8", weights.U8: "uint8", weights.Bool: "bool",
}

func TestOpenMatchesPython(t *testing.T) {
	raw, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	type tensor struct {
		DType string  `json:"dtype"`
		Shape []int64 `json:"shape"`
		Bytes string  `json:"bytes"`
	}
	var want map[string]tensor
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	f, err := Open(golden)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := map[string]tensor{}
	for _, name := range f.Names() {
		x, err := f.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		got[name] = tensor{torchNames[x.DType], x.Shape, hex.EncodeToString(x.Data)}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tensors differ (-python +go):\n%s", diff)
	}
	if v := f.Metadata()["versions"]; !strings.HasPrefix(v, "safetensors ") {
		t.Errorf("metadata versions: got %q", v)
	}
}

// TestWriteMatchesPython holds the writer to the bytes of the reference writer, in whatever order the tensors come.
func TestWriteMatchesPython(t *testing.T) {
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse(want)
	if err != nil {
		t.Fatal(err)
	}
	tensors, err := weights.All(f)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		slices.Reverse(tensors)
		var got bytes.Buffer
		if err := Write(&got, tensors, f.Metadata()); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("bytes differ from Python's:\ngot  %q\nwant %q", got.Bytes(), want)
		}
	}
}

func TestTensorAliasesTheFile(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, []weights.NamedTensor{{Name: "a", DType: weights.U8, Shape: []int64{2}, Data: []byte{1, 2}}},
		nil); err != nil {
		t.Fatal(err)
	}
	f, err := Parse(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	x, err := f.Tensor("a")
	if err != nil {
		t.Fatal(err)
	}
	if &x.Data[0] != &b.Bytes()[b.Len()-2] {
		t.Error("Data is a copy, want a slice of the file")
	}
	if cap(x.Data) != 2 {
		t.Errorf("capacity of Data: got %d, want 2: append must not reach the next tensor", cap(x.Data))
	}
	if _, err := f.Tensor("b"); !errors.Is(err, weights.ErrNotFound) {
		t.Errorf("Tensor of an unknown name: got %v, want ErrNotFound", err)
	}
	f.Close()
	if _, err := f.Tensor("a"); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Tensor after Close: got %v, want os.ErrClosed", err)
	}
}

// TestMapIsPrivate writes through a tensor of an open file, which must reach neither the file nor a fault.
func TestMapIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.safetensors")
	if err := WriteFile(path, []weights.NamedTensor{{Name: "a", DType: weights.U8, Shape: []int64{2},
		Data: []byte{1, 2}}}, nil); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path)
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	x, err := f.Tensor("a")
	if err != nil {
		t.Fatal(err)
	}
	x.Data[0] = 9
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("second Close: got %v, want nil", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the file changed")
	}
}

func file(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

func TestParseRefuses(t *testing.T) {
	entry := func(dtype, shape, offsets string) string {
		return fmt.Sprintf(`{"a":{"dtype":%q,"shape":%s,"data_offsets":%s}}`, dtype, shape, offsets)
	}
	huge := binary.LittleEndian.AppendUint64(nil, 1<<63)
	tests := []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "0 bytes, want at least 8"},
		{"short prefix", make([]byte, 7), "7 bytes"},
		{"huge header", huge, "want at most 100000000"},
		{"header beyond the file", append(file("{}", 0), 0)[:9], "but the file has only 1"},
		{"no object", file("[]", 0), "does not begin with {"},
		{"empty header", file("", 0), "does not begin with {"},
		{"cut JSON", file(`{"a":`, 0), "not JSON"},
		{"text after", file(`{}{}`, 0), "after its closing }"},
		{"not UTF-8", file("{\"\xff\":0}", 0), "not valid UTF-8"},
		{
			"duplicate tensor",
			file(`{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`, 0),
			`"a" occurs twice`,
		},
		{
			"duplicate by escape",
			file(
				`{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\u0061":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`,
				0,
			),
			`"a" occurs twice`,
		},
		{"duplicate metadata", file(`{"__metadata__":{},"__metadata__":{}}`, 0), "occurs twice"},
		{"duplicate metadata key", file(`{"__metadata__":{"k":"a","k":"b"}}`, 0), `"k" occurs twice`},
		{"metadata not a string", file(`{"__metadata__":{"k":1}}`, 0), `"k" is not a string`},
		{"metadata not an object", file(`{"__metadata__":"k"}`, 0), "not a JSON object"},
		{"entry not an object", file(`{"a":1}`, 0), "not a JSON object"},
		{"unknown field", file(`{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":1}}`, 0), `unknown field "x"`},
		{"field twice", file(`{"a":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}}`, 0), "dtype occurs twice"},
		{"no shape", file(`{"a":{"dtype":"U8","data_offsets":[0,0]}}`, 0), "no shape"},
		{"unknown dtype", file(entry("F8_E4M3", "[1]", "[0,1]"), 1), `dtype "F8_E4M3"`},
		{"negative size", file(entry("U8", "[-1]", "[0,0]"), 0), "holds -1"},
		{"fraction", file(entry("U8", "[1.0]", "[0,1]"), 1), "holds 1.0"},
		{"exponent", file(entry("U8", "[1e0]", "[0,1]"), 1), "holds 1e0"},
		{"size beyond int64", file(entry("U8", "[9223372036854775808]", "[0,1]"), 1), "want an integer"},
		{"2^60 elements", file(entry("F32", "[1152921504606846976]", "[0,4]"), 4), "data_offsets [0 4]"},
		{"product overflows", file(entry("F32", "[4294967296,4294967296]", "[0,0]"), 0), "int64"},
		{"bytes overflow", file(entry("F64", "[1152921504606846976]", "[0,0]"), 0), "int64"},
		{"65 dimensions", file(entry("U8", "["+strings.Repeat("1,", 64)+"1]", "[0,1]"), 1), "more than 64"},
		{"size and shape differ", file(entry("F32", "[2]", "[0,4]"), 4), "want 8 bytes"},
		{"offsets reversed", file(entry("U8", "[1]", "[1,0]"), 1), "data_offsets [1 0]"},
		{"one offset", file(entry("U8", "[1]", "[0]"), 1), "want two numbers"},
		{"data cut off", file(entry("U8", "[4]", "[0,4]"), 3), "cut off"},
		{"data left over", file(entry("U8", "[4]", "[0,4]"), 5), "but the tensors take 4"},
		{
			"hole",
			file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}`, 3),
			"belong to no tensor",
		},
		{
			"overlap",
			file(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, 3),
			`inside "a"`,
		},
		{"deep nesting", file(`{"a":`+strings.Repeat("[", 1<<20), 0), "not a JSON object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(tt.file)
			var fe *FormatError
			if !errors.As(err, &fe) {
				t.Fatalf("got %v (%T), want a *FormatError", err, err)
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q, want one line with %q", err, tt.want)
			}
		})
	}
}

func TestOpenNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bad.safetensors")
	if err := os.WriteFile(path, []byte("bad"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(path)
	if want := fmt.Sprintf("open %q: safetensors: 3 bytes, want at least 8 for the length of the header",
		path); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestWriteRefuses(t *testing.T) {
	ok := weights.NamedTensor{Name: "a", DType: weights.U8, Shape: []int64{1}, Data: []byte{1}}
	with := func(change func(*weights.NamedTensor)) weights.NamedTensor { x := ok; change(&x); return x }
	tests := []struct {
		name    string
		tensors []weights.NamedTensor
		meta    map[string]string
		want    string
	}{
		{"name twice", []weights.NamedTensor{ok, ok}, nil, "taken"},
		{
			"reserved name",
			[]weights.NamedTensor{with(func(x *weights.NamedTensor) { x.Name = "__metadata__" })},
			nil,
			"taken",
		},
		{
			"name not UTF-8",
			[]weights.NamedTensor{with(func(x *weights.NamedTensor) { x.Name = "\xff" })},
			nil,
			"not valid UTF-8",
		},
		{
			"data too short",
			[]weights.NamedTensor{with(func(x *weights.NamedTensor) { x.Data = nil })},
			nil,
			"0 bytes of data, want 1",
		},
		{"no dtype", []weights.NamedTensor{with(func(x *weights.NamedTensor) { x.DType = 0 })}, nil, "unknown"},
		{"metadata not UTF-8", nil, map[string]string{"k": "\xff"}, "not valid UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.safetensors")
			err := WriteFile(path, tt.tensors, tt.meta)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if left, _ := os.ReadDir(filepath.Dir(path)); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// FuzzParse looks for panics and untyped errors, and for files that do not survive being written again.
func FuzzParse(f *testing.F) {
	seed, err := os.ReadFile(golden)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add(file(`{}`, 0))
	f.Add(file(`{"__metadata__":{"k":"v"},"a":{"dtype":"BOOL","shape":[],"data_offsets":[0,1]}}   `, 1))
	f.Add(file(`{"a":{"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,4]}}`, 4))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := Parse(b)
		if err != nil {
			var fe *FormatError
			if !errors.As(err, &fe) {
				t.Fatalf("got %T, want *FormatError", err)
			}
			return
		}
		tensors, err := weights.All(x)
		if err != nil {
			t.Fatal(err)
		}
		var again bytes.Buffer
		if err := Write(&again, tensors, x.Metadata()); err != nil {
			t.Fatal(err)
		}
		y, err := Parse(again.Bytes())
		if err != nil {
			t.Fatalf("our own file: %v", err)
		}
		if diff := cmp.Diff(x.Metadata(), y.Metadata()); diff != "" {
			t.Fatal(diff)
		}
		for _, want := range tensors {
			got, err := y.Tensor(want.Name)
			if err != nil {
				t.Fatal(err)
			}
			if got.DType != want.DType || !slices.Equal(got.Shape, want.Shape) || !bytes.Equal(got.Data, want.Data) {
				t.Fatalf("tensor %q changed", want.Name)
			}
		}
	})
}
