package formats_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"captioner/weights"
	"captioner/weights/formats"
	"captioner/weights/npy"
	"captioner/weights/pickle"
	"captioner/weights/safetensors"
)

func tensor(name string) weights.NamedTensor {
	return weights.NamedTensor{Name: name, DType: weights.U8, Shape: []int64{2}, Data: []byte{1, 2}}
}

// file returns a file of safetensors with tensors of these names.
func file(t *testing.T, names ...string) []byte {
	t.Helper()
	var tensors []weights.NamedTensor
	for _, name := range names {
		tensors = append(tensors, tensor(name))
	}
	var b bytes.Buffer
	if err := safetensors.Write(&b, tensors, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type files map[string][]byte

// in writes files into a new folder.
func in(t *testing.T, all files) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range all {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOpen(t *testing.T) {
	var array bytes.Buffer
	if err := npy.Write(&array, tensor("x")); err != nil {
		t.Fatal(err)
	}
	one, two, torch := file(t, "a", "b"), file(t, "c"), read(t, "../pickle/testdata/tensor.pt")
	index := []byte(`{"weight_map": {"a": "1.safetensors", "b": "1.safetensors", "c": "2.safetensors"}}`)
	shards := files{"model.safetensors.index.json": index, "1.safetensors": one, "2.safetensors": two}
	tests := []struct {
		name  string
		files files
		open  string // in the folder of the files
		want  []string
	}{
		{"safetensors under another name", files{"x.pt": one}, "x.pt", []string{"a", "b"}},
		{"PyTorch under another name", files{"x.npy": torch}, "x.npy", []string{"tensor"}},
		{"NumPy under another name", files{"x.bin": array.Bytes()}, "x.bin", []string{npy.Name}},
		{"a folder", files{"model.safetensors": one, "pytorch_model.bin": two}, ".", []string{"a", "b"}},
		{"a folder of OpenCLIP", files{"open_clip_model.safetensors": two}, ".", []string{"c"}},
		{"a folder with shards", shards, ".", []string{"a", "b", "c"}},
		{"an index of shards", shards, "model.safetensors.index.json", []string{"a", "b", "c"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			src, err := formats.Open(filepath.Join(in(t, test.files), test.open))
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			if got := src.Names(); !slices.Equal(got, test.want) {
				t.Errorf("tensors: got %q, want %q", got, test.want)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	words, one := []byte("no weights, but words\n"), file(t, "a")
	index := func(of string) files {
		return files{
			"model.safetensors.index.json": []byte(`{"weight_map": ` + of + `}`),
			"1.safetensors":                one,
			"2.safetensors":                one,
		}
	}
	tests := []struct {
		name  string
		files files
		open  string
		want  string
	}{
		{"nothing there", nil, "x", "no such file or directory"},
		{"an empty file", files{"x": nil}, "x", "the file is empty, want weights"},
		{"text", files{"x.pt": words}, "x.pt", "it is neither safetensors nor PyTorch's"},
		{"text by the name of safetensors", files{"x.safetensors": words}, "x.safetensors", "safetensors: "},
		{"a web page", files{"x": []byte("\n<!DOCTYPE html><html>")}, "x", "found a web page"},
		{
			name:  "a pointer of Git LFS",
			files: files{"x": []byte("version https://git-lfs.github.com/spec/v1\noid")},
			open:  "x",
			want:  "git lfs pull",
		},
		{"a cut zip", files{"x": read(t, "../pickle/testdata/tensor.pt")[:200]}, "x", "pickle: "},
		{"code", files{"x": read(t, "../pickle/testdata/evil_eval.pt")}, "x", "want only tensors"},
		{"a folder without weights", files{"x": nil}, ".", "found none of model.safetensors"},
		{
			name:  "an index that leaves its folder",
			files: index(`{"a": "../1.safetensors"}`),
			open:  ".",
			want:  `found the shard "../1.safetensors"`,
		},
		{
			name:  "an index of a missing tensor",
			files: index(`{"z": "1.safetensors"}`),
			open:  ".",
			want:  `tensor "z" is not in "1.safetensors"`,
		},
		{"an index of a missing file", index(`{"a": "3.safetensors"}`), ".", "without 3.safetensors, want all"},
		{
			name:  "shards that share a tensor",
			files: index(`{"a": "1.safetensors", "b": "2.safetensors"}`),
			open:  ".",
			want:  `"a" is in two files`,
		},
		{"an index of numbers", index(`{"a": 1}`), ".", "found a number as weight_map"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := in(t, test.files)
			src, err := formats.Open(filepath.Join(dir, test.open))
			if err == nil {
				src.Close()
			}
			if err == nil || src != nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, %v, want an error with %q", src, err, test.want)
			}
			if n := strings.Count(err.Error(), dir); n != 1 {
				t.Errorf("the path stands %d times, want once: %v", n, err)
			}
		})
	}
}

func TestErrorsByType(t *testing.T) {
	dir := in(t, files{"text": []byte("words\n"), "evil": read(t, "../pickle/testdata/evil_eval.pt")})
	_, err := formats.Open(filepath.Join(dir, "text"))
	var unknown *formats.UnknownError
	if !errors.As(err, &unknown) || unknown.Hint() == "" {
		t.Errorf("text: got %T, want an UnknownError with a hint", err)
	}
	_, err = formats.Open(filepath.Join(dir, "evil"))
	var refused *pickle.RefusedError
	if !errors.As(err, &refused) {
		t.Errorf("evil: got %T, want a RefusedError", err)
	}
}

func TestFolder(t *testing.T) {
	dir := in(t, files{"config.json": nil, "model.safetensors": nil, "other.safetensors": nil})
	bare := in(t, files{"model.safetensors": nil})
	tests := []struct {
		path string
		want bool
	}{
		{dir, true},
		{filepath.Join(dir, "model.safetensors"), true},
		{filepath.Join(dir, "model.safetensors.index.json"), true},
		{filepath.Join(dir, "other.safetensors"), false},
		{filepath.Join(bare, "model.safetensors"), false},
	}
	for _, test := range tests {
		if folder, ok := formats.Folder(test.path); ok != test.want || ok && folder != dir {
			t.Errorf("Folder(%q): got %q, %v, want %q, %v", test.path, folder, ok, dir, test.want)
		}
	}
}
