package pickle

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"captioner/weights"
)

var update = flag.Bool("update", false, "write testdata/written.pt, for scripts/fixtures/pickle.py check to judge")

func floats(t *testing.T, d weights.DType, shape []int64, v ...float32) weights.NamedTensor {
	t.Helper()
	x, err := weights.FromFloat32s("", d, shape, v)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// checkpoint is the object that scripts/fixtures/pickle.py expects in written.pt.
func checkpoint(t *testing.T) any {
	w := floats(t, weights.F32, []int64{2, 3}, 0, 1, 2, 3, 4, 5)
	sd := &Dict{Ordered: true}
	sd.Set("w", w)
	sd.Set("tied", w)
	sd.Set("half", floats(t, weights.F16, []int64{2}, 1, -2))
	sd.Set("brain", floats(t, weights.BF16, []int64{1}, 0.5))
	sd.Set("ids", weights.NamedTensor{DType: weights.I64, Shape: []int64{2}, Data: []byte{
		255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 1, 0, 0}})
	sd.Set("mask", weights.NamedTensor{DType: weights.Bool, Shape: []int64{2}, Data: []byte{1, 0}})
	sd.Set("none", weights.NamedTensor{DType: weights.F32, Shape: []int64{0, 4}})
	state := &Dict{}
	state.Set(int64(0), map[string]any{"step": floats(t, weights.F32, nil, 4)})
	state.Set(int64(1), map[string]any{})
	return map[string]any{
		"epoch": 3, "global_step": int64(1) << 40, "lr": 0.001, "name": "tür", "none": nil, "done": true,
		"big":              new(big.Int).Neg(new(big.Int).Lsh(big.NewInt(1), 70)),
		"hyper_parameters": map[string]any{"names": []any{"a", "b"}, "pair": Tuple{1, 2.5}, "empty": map[string]any{}},
		"optimizer": map[string]any{"state": state,
			"param_groups": &List{Items: []any{map[string]any{"params": []any{0, 1}}}}},
		"state_dict": sd,
	}
}

// TestWrittenIsWhatTorchAccepted writes the file again that torch.load(weights_only=True) was seen to accept.
func TestWrittenIsWhatTorchAccepted(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, checkpoint(t)); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("testdata/written.pt", b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile("testdata/written.json")
	if err != nil {
		t.Fatal(err)
	}
	var accepted struct {
		SHA256 string `json:"sha256"`
	}
	if err := json.Unmarshal(raw, &accepted); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b.Bytes())
	if got := hex.EncodeToString(sum[:]); got != accepted.SHA256 {
		t.Errorf(
			"sha256: got %s, want %s, which PyTorch accepted; after a change run -update and scripts/fixtures/pickle.py check",
			got,
			accepted.SHA256,
		)
	}
}

func TestWriteRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.ckpt")
	if err := WriteFile(path, checkpoint(t)); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := f.Metadata()["epoch"]; got != "3" {
		t.Errorf("epoch: got %q, want 3", got)
	}
	if ties := f.Ties(); len(ties) != 1 || strings.Join(ties[0], " ") != "state_dict.w state_dict.tied" {
		t.Errorf("ties: got %q, want w and tied", ties)
	}
	var again, third bytes.Buffer
	if err := Write(&again, f.Root); err != nil { // values as they are read can be written
		t.Fatal(err)
	}
	g, err := Parse(again.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(&third, g.Root); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Bytes(), third.Bytes()) {
		t.Error("a file that is read and written again changes")
	}
	first, _ := f.Root.(*Dict).Get("big")
	second, _ := g.Root.(*Dict).Get("big")
	if first.(*big.Int).Cmp(second.(*big.Int)) != 0 || first.(*big.Int).String() != "-1180591620717411303424" {
		t.Errorf("big: got %v and %v, want -2^70", first, second)
	}
}

// TestWriteKeepsSharing writes a graph that contains itself, and one that would have 2^40 nodes if sharing were lost.
func TestWriteKeepsSharing(t *testing.T) {
	list := &List{}
	list.Items = []any{list, "x"}
	for range 40 {
		list = &List{Items: []any{list, list}}
	}
	var b bytes.Buffer
	if err := Write(&b, list); err != nil {
		t.Fatal(err)
	}
	if b.Len() > 4096 {
		t.Errorf("got %d bytes, want each list once", b.Len())
	}
	a, err := openArchive(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	root, _, err := loadArchive(a) // Parse refuses to list the tensors of such a graph
	if err != nil {
		t.Fatal(err)
	}
	for range 40 {
		l := root.(*List)
		if l.Items[0] != l.Items[1] {
			t.Fatal("a shared list was read as two")
		}
		root = l.Items[0]
	}
	if l := root.(*List); l.Items[0] != root || l.Items[1] != "x" {
		t.Errorf("got %v, want a list that contains itself", l.Items)
	}
}

func TestWriteAligns(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, checkpoint(t)); err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.File {
		offset, err := f.DataOffset()
		if err != nil || offset%alignment != 0 || f.Method != zip.Store {
			t.Errorf("%s: data at %d, method %d, %v, want stored at a multiple of %d", f.Name, offset, f.Method, err, alignment)
		}
		if _, err := f.Open(); err != nil { // checks the sizes
			t.Error(err)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	badKey := &Dict{}
	badKey.Set(&List{}, 1)
	var deep any
	for range maxDepth + 2 {
		deep = []any{deep}
	}
	tests := map[string]struct {
		root any
		want string
	}{
		"record": {map[string]any{"a": []any{&Record{Module: "argparse", Name: "Namespace"}}},
			`["a"]: [0]: an object of "argparse.Namespace"`},
		"Go type": {map[string]any{"a": float32(1)}, "Go type float32"},
		"key":     {badKey, "a list as a key"},
		"short tensor": {weights.NamedTensor{DType: weights.F32, Shape: []int64{2}, Data: make([]byte, 4)},
			"4 bytes of data, want 8"},
		"not UTF-8":   {"\xff", "not valid UTF-8"},
		"deep":        {deep, "nested more than"},
		"unsupported": {&Tensor{unsupported: "a tensor sparse"}, "not supported"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := Write(&bytes.Buffer{}, tt.root); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
