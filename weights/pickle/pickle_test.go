package pickle

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"captioner/weights"
)

// fixture is an entry of testdata/want.json: what PyTorch says is in a file.
type fixture struct {
	Tensors map[string]tensorJSON `json:"tensors"`
	Ties    [][]string            `json:"ties"`
	Meta    map[string]string     `json:"meta"`
	Graph   any                   `json:"graph"`
}

type tensorJSON struct {
	DType string  `json:"dtype"`
	Shape []int64 `json:"shape"`
	Bytes string  `json:"bytes"`
}

var torchNames = map[weights.DType]string{
	weights.F64: "float64", weights.F32: "float32", weights.F16: "float16", weights.BF16: "bfloat16", weights.I64: "int64",
	weights.I32: "int32", weights.I16: "int16", weights.I8: "int8", weights.U8: "uint8", weights.Bool: "bool",
}

func newTensorJSON(d weights.DType, shape []int64, data []byte) tensorJSON {
	j := tensorJSON{torchNames[d], shape, hex.EncodeToString(data)}
	if len(data) > 64 {
		sum := sha256.Sum256(data)
		j.Bytes = "sha256:" + hex.EncodeToString(sum[:])
	}
	return j
}

func fixtures(t testing.TB) map[string]fixture {
	t.Helper()
	raw, err := os.ReadFile("testdata/want.json")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]fixture
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	return want
}

func open(t testing.TB, name string) *File {
	t.Helper()
	f, err := Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestOpenMatchesTorch(t *testing.T) {
	for name, want := range fixtures(t) {
		t.Run(name, func(t *testing.T) {
			f := open(t, name)
			got := map[string]tensorJSON{}
			for _, n := range f.Names() {
				x, err := f.Tensor(n)
				if err != nil {
					t.Fatal(err)
				}
				if err := x.Validate(); err != nil {
					t.Error(err)
				}
				got[n] = newTensorJSON(x.DType, x.Shape, x.Data)
			}
			for n, x := range got { // cmp tells nil from empty
				if x.Shape == nil {
					x.Shape = []int64{}
					got[n] = x
				}
			}
			if diff := cmp.Diff(want.Tensors, got); diff != "" {
				t.Errorf("tensors differ (-torch +go):\n%s", diff)
			}
			if diff := cmp.Diff(sortTies(want.Ties), sortTies(f.Ties())); diff != "" {
				t.Errorf("ties differ (-torch +go):\n%s", diff)
			}
			for k, v := range want.Meta {
				if got := f.Metadata()[k]; got != v {
					t.Errorf("metadata %q: got %q, want %q", k, got, v)
				}
			}
		})
	}
}

func sortTies(ties [][]string) [][]string {
	out := [][]string{}
	for _, t := range ties {
		t = slices.Clone(t)
		slices.Sort(t)
		out = append(out, t)
	}
	return out
}

// TestGraph compares every value that Python's own pickle can write, in all its protocols.
func TestGraph(t *testing.T) {
	want := fixtures(t)["plain_protocol2.pkl"].Graph
	if want == nil {
		t.Fatal("want.json holds no graph")
	}
	for p := range 6 {
		t.Run(fmt.Sprint("protocol ", p), func(t *testing.T) {
			f := open(t, fmt.Sprintf("plain_protocol%d.pkl", p))
			raw, err := json.Marshal(valueJSON(t, f.Root))
			if err != nil {
				t.Fatal(err)
			}
			var got any
			if err := json.Unmarshal(raw, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("graphs differ (-python +go):\n%s", diff)
			}
		})
	}
}

// valueJSON writes a value as value_json of scripts/fixtures/pickle.py does.
func valueJSON(t *testing.T, v any) any {
	each := func(items []any) []any {
		out := []any{}
		for _, x := range items {
			out = append(out, valueJSON(t, x))
		}
		return out
	}
	pairs := func(d *Dict) []any {
		out := []any{}
		for k, x := range d.All() {
			out = append(out, []any{valueJSON(t, k), valueJSON(t, x)})
		}
		return out
	}
	switch x := v.(type) {
	case nil, bool:
		return x
	case int64, *big.Int:
		return fmt.Sprint("int ", x)
	case float64:
		return fmt.Sprintf("float %016x", math.Float64bits(x))
	case string:
		return "str " + x
	case Bytes:
		return "bytes " + hex.EncodeToString(x)
	case Global:
		return "global " + x.String()
	case *List:
		return each(x.Items)
	case Tuple:
		return map[string]any{"tuple": each(x)}
	case *Set:
		return map[string]any{"set": each(x.Items)}
	case *Dict:
		return map[string]any{"dict": pairs(x)}
	case *Tensor:
		data, _, err := x.data(1 << 20)
		if err != nil {
			t.Error(err)
		}
		return newTensorJSON(x.DType, x.Shape, data)
	case *Record:
		j := map[string]any{"object": x.Module + "." + x.Name}
		switch {
		case x.Entries != nil:
			j["entries"] = pairs(x.Entries)
		case x.Items != nil:
			j["items"] = each(x.Items)
		default:
			j["state"] = valueJSON(t, x.State)
		}
		return j
	}
	t.Errorf("a value of type %T", v)
	return nil
}

func TestOpaqueValues(t *testing.T) {
	for _, p := range []int{0, 2, 4} {
		t.Run(fmt.Sprint("protocol ", p), func(t *testing.T) {
			d := open(t, fmt.Sprintf("opaque_protocol%d.pt", p)).Root.(*Dict)
			for key, want := range map[string]any{"f8": 0.5, "f4": 0.25, "i8": int64(-3), "u1": int64(200), "flag": true,
				"dtype": Global{"torch", "float16"}} {
				if got, _ := d.Get(key); got != want {
					t.Errorf("%s: got %v (%T), want %v", key, got, got, want)
				}
			}
			for key, want := range map[string]string{"path": "PurePosixPath", "money": "Decimal", "device": "device"} {
				v, _ := d.Get(key)
				if r, ok := v.(*Record); !ok || r.Name != want {
					t.Errorf("%s: got %v, want a record of %s", key, v, want)
				}
			}
			switch v, _ := d.Get("mode"); x := v.(type) {
			case *Record: // the class called with the value
				if x.Name != "Mode" || len(x.Args) != 1 || x.Args[0] != "fast" {
					t.Errorf("mode: got %v", x)
				}
			case Global: // an attribute of the class
				if x.Name != "Mode.FAST" {
					t.Errorf("mode: got %v", x)
				}
			default:
				t.Errorf("mode: got %v (%T), want an enum's member", v, v)
			}
			size, _ := d.Get("size")
			if diff := cmp.Diff(Tuple{int64(2), int64(3)}, size); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestLightning looks at what a pickled LightningModule carries beside its tensors.
func TestLightning(t *testing.T) {
	for _, name := range []string{"lightning.pt", "lightning_legacy.pt"} {
		r, ok := open(t, name).Root.(*Record)
		if !ok || r.Name != "Decoder" {
			t.Fatalf("%s: root: got %v, want a record of Decoder", name, r)
		}
		modules, _ := r.Attr("_modules")
		lm, _ := modules.(*Dict).Get("language_model")
		config, _ := lm.(*Record).Attr("config")
		if n, _ := config.(*Record).Attr("n_embd"); n != int64(4) {
			t.Errorf("%s: n_embd: got %v, want 4", name, n)
		}
		tok, _ := r.Attr("tokenizer")
		encoder, _ := tok.(*Record).Attr("encoder")
		if id, _ := encoder.(*Dict).Get("ab"); id != int64(2) {
			t.Errorf("%s: tokenizer's id of ab: got %v, want 2", name, id)
		}
		if tok.(*Record).Name != "GPT2Tokenizer" {
			t.Errorf("%s: tokenizer: got %s", name, tok.(*Record).Name)
		}
	}
}

func TestUnsupportedTensors(t *testing.T) {
	f := open(t, "unsupported.pt")
	if want := []string{"ok", "complex", "sparse", "float8", "uint16", "quantised"}; !slices.Equal(f.Names(), want) {
		t.Errorf("names: got %q, want %q", f.Names(), want)
	}
	for name, want := range map[string]string{"complex": "ComplexFloatStorage", "sparse": "sparse",
		"float8": "float8_e4m3fn",
		"uint16": "uint16", "quantised": "quantised"} {
		if _, err := f.Tensor(name); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(),
			name) {
			t.Errorf("Tensor(%q): got %v, want an error with %q", name, err, want)
		}
	}
	if x, err := f.Tensor("ok"); err != nil || len(x.Data) != 4 {
		t.Errorf("Tensor(ok): got %v, %v", x, err)
	}
	if _, err := f.Tensor("none"); !errors.Is(err, weights.ErrNotFound) {
		t.Errorf("Tensor(none): got %v, want ErrNotFound", err)
	}
}

func TestRefusesCalls(t *testing.T) {
	system := "posix.system" // so Python names os.system, and in protocol 2 subprocess.Popen as commands.Popen
	tests := map[string]string{
		"evil_system_protocol0.pkl": system, "evil_system_protocol2.pkl": system, "evil_system_protocol4.pkl": system,
		"evil_eval.pt": "builtins.eval", "evil_popen_legacy.pt": "commands.Popen", "evil_inst.pkl": "os.system",
		"evil_obj.pkl": "os.system", "evil_getattr.pkl": "os.path.os.system",
	}
	for name, want := range tests {
		path := filepath.Join("testdata", name)
		f, err := Open(path)
		var refused *RefusedError
		if !errors.As(err, &refused) {
			t.Errorf("%s: got %v, %v, want a *RefusedError", name, f, err)
			continue
		}
		if refused.Global != want || refused.Path != path {
			t.Errorf("%s: refused %q of %q, want %q", name, refused.Global, refused.Path, want)
		}
	}
	for _, pickled := range []string{
		"csubprocess\nPopen\n)\x81.", "ccopyreg\n__newobj__\n(csubprocess\nPopen\ntR.",
		"ccopyreg\n_reconstructor\n(csubprocess\nPopen\ncbuiltins\nobject\nNtR.",
	} {
		_, err := Parse([]byte(pickled))
		var refused *RefusedError
		if !errors.As(err, &refused) || refused.Global != "subprocess.Popen" {
			t.Errorf("%q: got %v, want a refusal of subprocess.Popen", pickled, err)
		}
	}
}

func TestDataAliasesTheFile(t *testing.T) {
	raw, err := os.ReadFile("testdata/views.pt")
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"whole": true, "row": true, "tail": true, "transposed": false,
		"block": false} {
		x, err := f.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		before := x.Data[0]
		x.Data[0] ^= 0xff
		y, _ := f.Tensor(name)
		if got := y.Data[0] != before; got != want {
			t.Errorf("%s aliases the file: got %v, want %v", name, got, want)
		}
		if cap(x.Data) != len(x.Data) {
			t.Errorf("%s: capacity %d, want %d: append must not reach the next tensor", name, cap(x.Data), len(x.Data))
		}
		if want {
			x.Data[0] = before
		}
	}
	f.Close()
	if _, err := f.Tensor("whole"); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Tensor after Close: got %v, want os.ErrClosed", err)
	}
}
