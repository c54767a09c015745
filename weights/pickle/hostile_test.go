package pickle

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// archiveOf makes a zip file of stored entries, name and content in turn.
func archiveOf(t testing.TB, entries ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(entries); i += 2 {
		data := []byte(entries[i+1])
		w, err := z.CreateRaw(&zip.FileHeader{Name: entries[i], CRC32: crc32.ChecksumIEEE(data),
			CompressedSize64: uint64(len(data)), UncompressedSize64: uint64(len(data))})
		if err != nil {
			t.Fatal(err)
		}
		w.Write(data)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// text is a pickled string.
func text(s string) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

// number is a pickled integer.
func number(n int64) string {
	return "\x8a\x08" + string(binary.LittleEndian.AppendUint64(nil, uint64(n)))
}

func numbers(n []int64) string {
	s := "("
	for _, v := range n {
		s += number(v)
	}
	return s + "t"
}

// tensor is a pickled tensor over storage 0, which is said to have n elements.
func tensor(class string, n, offset int64, shape, stride []int64) string {
	return "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\n" + class + "\n" + text("0") +
		text("cpu") +
		number(n) + "tQ" + number(offset) + numbers(shape) + numbers(stride) + "\x89}tR"
}

// archiveWith is a zip file with one tensor and 16 bytes of data.
func archiveWith(t testing.TB, tensor string) []byte {
	return archiveOf(t, "a/data.pkl", "\x80\x02"+tensor+".", "a/data/0", strings.Repeat("\x01", 16), "a/version", "3\n")
}

type dims = []int64

func compressed(t testing.TB) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("a/data.pkl")
	if err != nil {
		t.Fatal(err)
	}
	w.Write(make([]byte, 1<<24))
	z.Close()
	return b.Bytes()
}

func TestParseRefuses(t *testing.T) {
	legacy, err := os.ReadFile("testdata/dict_legacy.pt")
	if err != nil {
		t.Fatal(err)
	}
	good := archiveWith(t, tensor("FloatStorage", 4, 0, dims{4}, dims{1}))
	tar := make([]byte, 512)
	copy(tar[257:], "ustar")
	bigSize := bytes.Clone(good) // the directory's size of data/0: beyond the end of the file
	at := bytes.LastIndex(bigSize, []byte("a/data/0")) - 46
	binary.LittleEndian.PutUint32(bigSize[at+20:], 1<<30)
	binary.LittleEndian.PutUint32(bigSize[at+24:], 1<<30)
	bomb := "}q\x00" // each dict holds the one before twice: 2^40 names
	for i := range 40 {
		bomb += fmt.Sprintf("0}q%c(", i+1) + text("a") + fmt.Sprintf("h%c", i) + text("b") + fmt.Sprintf("h%cu", i)
	}
	copies := "](" + strings.Repeat("K\x00", 20000) + "eq\x00" + strings.Repeat("cbuiltins\nlist\nh\x00\x85R", 2000)
	deep := strings.Repeat("](", 100000) + strings.Repeat("e", 100000)
	tests := []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "the file is empty"},
		{"no pickle", []byte("hello"), "opcode"},
		{"never stops", []byte("N"), "cut off"},
		{"stack underflow", []byte("0."), "the stack is empty"},
		{"no mark", []byte("t."), "no mark"},
		{"pop below a mark", []byte("N(R."), "the stack is empty"},
		{"values left", []byte("NN."), "left on the stack"},
		{"protocol 6", []byte("\x80\x06N."), "protocol 6"},
		{"opcode 255", []byte("\xff."), "no such opcode"},
		{"extension", []byte("\x82\x01."), "extension codes"},
		{"buffers", []byte("\x97."), "buffers outside"},
		{"long string", []byte("X\xff\xff\xff\xff."), "cut off"},
		{"longer string", []byte("\x8d\xff\xff\xff\xff\xff\xff\xff\xff."), "cut off"},
		{"huge integer", []byte("\x8b\xff\xff\x00\x00" + strings.Repeat("\x01", 1<<16) + "."), "integer of 65535 bytes"},
		{"huge decimal", []byte("L" + strings.Repeat("9", 1<<20) + "L\n."), "digits"},
		{"no memo", []byte("j\xff\xff\xff\x7f."), "never stored"},
		{"memo at 2^32", []byte("Nr\xff\xff\xff\xff0h\x00."), "memo 0 was never stored"},
		{"append to None", []byte("NNa."), "items appended to None"},
		{"key without a value", []byte("}(Nu."), "a key without a value"},
		{"state of None", []byte("NNb."), "state for None"},
		{"call of a string", []byte(text("x") + ")R."), "a call of a string"},
		{"call of a record", []byte("cm\nC\n)\x81)R."), "a call of an object of \"m.C\""},
		{"arguments in a list", []byte("cm\nC\n]R."), "arguments in a list"},
		{"persistent id", []byte("NQ."), "a reference to data outside"},
		{"textual persistent id", []byte("Px\n."), "textual references"},
		{"very deep", []byte(deep + "."), "nested more than"},
		{"shared a million times", []byte("\x80\x02" + bomb + "."), "too often"},
		{"copied a million times", []byte(copies + "."), "copied too often"},
		{"tar", tar, "tar format"},

		{"zip cut off", good[:len(good)-30], "broken or cut off"},
		{"zip only a magic", []byte("PK\x03\x04"), "broken or cut off"},
		{
			"a pair without a model",
			archiveOf(t, "model.pt", "y", "tokenizer.pkl", "N."),
			"model.pt: zip archive is broken or cut off",
		},
		{
			"a pair in a pair",
			archiveOf(t, "model.pt", string(archiveOf(t, "model.pt", "y", "tokenizer.pkl", "N.")), "tokenizer.pkl", "N."),
			"inside another",
		},
		{
			"a pair without words",
			archiveOf(t, "model.pt", string(archiveOf(t, "a/data.pkl", "N.")), "tokenizer.pkl", "z"),
			"tokenizer.pkl: ",
		},
		{"zip without data.pkl", archiveOf(t, "a/x", "y"), "without data.pkl"},
		{"zip with two roots", archiveOf(t, "a/data.pkl", "N.", "b/data.pkl", "N."), "two data.pkl"},
		{"zip with a name twice", archiveOf(t, "a/data.pkl", "N.", "a/data/0", "x", "a/data/0", "y"), "two entries"},
		{"zip compressed", compressed(t), "compressed"},
		{"zip sizes beyond the file", bigSize, "beyond the file"},
		{"big-endian", archiveOf(t, "a/data.pkl", "N.", "a/byteorder", "big"), "byte order"},
		{"no storage", archiveOf(t, "a/data.pkl", tensor("FloatStorage", 4, 0, dims{4}, dims{1})+"."), "without \"data/0\""},

		{"storage too short", archiveWith(t, tensor("FloatStorage", 5, 0, dims{4}, dims{1})), "too few for 5 elements"},
		{"storage of 2^61 elements", archiveWith(t, tensor("DoubleStorage", 1<<61, 0, dims{4}, dims{1})), "too few for"},
		{"storage of -1 elements", archiveWith(t, tensor("FloatStorage", -1, 0, dims{4}, dims{1})), "-1 elements"},
		{"tensor too long", archiveWith(t, tensor("FloatStorage", 4, 0, dims{5}, dims{1})), "needs 5 elements"},
		{"offset too far", archiveWith(t, tensor("FloatStorage", 4, 1, dims{4}, dims{1})), "needs 5 elements"},
		{"offset 2^62", archiveWith(t, tensor("FloatStorage", 4, 1<<62, dims{1}, dims{1})), "beyond any storage"},
		{"negative offset", archiveWith(t, tensor("FloatStorage", 4, -1, dims{1}, dims{1})), "offset -1"},
		{"negative size", archiveWith(t, tensor("FloatStorage", 4, 0, dims{-1}, dims{1})), "negative size"},
		{"negative stride", archiveWith(t, tensor("FloatStorage", 4, 3, dims{4}, dims{-1})), "negative stride"},
		{"stride overflows", archiveWith(t, tensor("FloatStorage", 4, 0, dims{3}, dims{1 << 62})), "beyond any storage"},
		{
			"strides overflow",
			archiveWith(t, tensor("FloatStorage", 4, 0, dims{2, 2, 2}, dims{1 << 61, 1 << 61, 1 << 61})),
			"beyond any storage",
		},
		{"2^60 elements", archiveWith(t, tensor("FloatStorage", 4, 0, dims{1 << 60}, dims{1})), "needs 1152921504606846976"},
		{"2^63 elements of stride 0", archiveWith(t, tensor("FloatStorage", 4, 0, dims{1 << 60, 8}, dims{0, 0})), "int64"},
		{"sizes without strides", archiveWith(t, tensor("FloatStorage", 4, 0, dims{4}, nil)), "1 sizes and 0 strides"},

		{"legacy cut off", legacy[:len(legacy)-1], "cut off"},
		{"legacy without data", legacy[:len(legacy)-500], ""},
		{"legacy preamble only", legacy[:20], "cut off"},
		{"stream in a stream", inner(string(inner(string(legacy)))), "stream inside a stream"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			f, err := Parse(tt.file)
			runtime.ReadMemStats(&after)
			var fe *FormatError
			if !errors.As(err, &fe) {
				t.Fatalf("got %v, %v (%T), want a *FormatError", f, err, err)
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 500 {
				t.Errorf("got %q, want one line with %q", err, tt.want)
			}
			if took, most := after.TotalAlloc-before.TotalAlloc, uint64(8<<20+400*len(tt.file)); took > most {
				t.Errorf("allocated %d bytes for a file of %d, want at most %d", took, len(tt.file), most)
			}
		})
	}
}

// inner wraps a stream as torch.storage._load_from_bytes finds it.
func inner(stream string) []byte {
	return []byte("ctorch.storage\n_load_from_bytes\nB" + string(binary.LittleEndian.AppendUint32(nil,
		uint32(len(stream)))) + stream + "\x85R.")
}

// TestRepeatedElements reads tensors of stride 0: small ones are copied, ones that would outgrow the file are not.
func TestRepeatedElements(t *testing.T) {
	f, err := Parse(archiveWith(t, tensor("FloatStorage", 4, 0, dims{1000, 4}, dims{0, 1})))
	if err != nil {
		t.Fatal(err)
	}
	if x, err := f.Tensor("tensor"); err != nil || len(x.Data) != 16000 {
		t.Errorf("1000 x 4: got %d bytes, %v, want 16000", len(x.Data), err)
	}
	f, err = Parse(archiveWith(t, tensor("FloatStorage", 4, 0, dims{1 << 50}, dims{0})))
	if err != nil {
		t.Fatal(err)
	}
	if x, err := f.Tensor("tensor"); err == nil || !strings.Contains(err.Error(), "repeats") {
		t.Errorf("2^50: got %d bytes, %v, want an error", len(x.Data), err)
	}
}

// TestLegacyView reads a storage that is a view of another, as PyTorch wrote them before 0.4.
func TestLegacyView(t *testing.T) {
	stream := func(offset, n int64) []byte {
		view := "(" + text("v") + number(offset) + number(n) + "t"
		pickled := "\x80\x02ctorch._utils\n_rebuild_tensor\n((" + text("storage") + "ctorch\nFloatStorage\n" + text("0") +
			text("cpu") +
			number(4) + view + "tQ" + number(1) + numbers(dims{2}) + numbers(dims{1}) + "tR."
		data := "\x04\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00\x01\x01\x01\x01\x02\x02\x02\x02\x03\x03\x03\x03"
		return []byte("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}." + pickled +
			"](" + text("0") + "e." + data)
	}
	f, err := Parse(stream(1, 3))
	if err != nil {
		t.Fatal(err)
	}
	x, err := f.Tensor("tensor")
	if err != nil || !bytes.Equal(x.Data, []byte{2, 2, 2, 2, 3, 3, 3, 3}) {
		t.Errorf("got %v, %v, want elements 2 and 3 of the root", x.Data, err)
	}
	for _, bad := range [][2]int64{{1, 4}, {-1, 2}, {5, 0}, {0, -1}, {1 << 62, 1 << 62}, {1, 2}} {
		if f, err := Parse(stream(bad[0], bad[1])); err == nil {
			t.Errorf("a view of %d from %d: got %v, want an error", bad[1], bad[0], f.Names())
		}
	}
}

func TestOpenNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bad.pt")
	if err := os.WriteFile(path, []byte("bad"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(path)
	if want := fmt.Sprintf("open %q: pickle: ", path); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s…", err, want)
	}
}

// FuzzParse looks for panics, untyped errors, memory beyond the file's size, and tensors whose data is not what they
// say.
func FuzzParse(f *testing.F) {
	seeds, err := filepath.Glob("testdata/*.p*")
	if err != nil || len(seeds) == 0 {
		f.Fatal("no seeds in testdata")
	}
	for _, name := range seeds {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if len(b) < 12000 { // small seeds mutate better
			f.Add(b)
		}
	}
	f.Add(archiveWith(f, tensor("FloatStorage", 4, 0, dims{2, 2}, dims{1, 2})))
	f.Fuzz(func(t *testing.T, b []byte) {
		parsed(t, b)
	})
}

// FuzzData fuzzes the pickle inside a sound archive, which random bytes hardly ever are.
func FuzzData(f *testing.F) {
	f.Add([]byte("\x80\x02" + tensor("FloatStorage", 4, 0, dims{2, 2}, dims{1, 2}) + "."))
	seeds := []string{"module.pt", "views.pt", "optimizer.pt", "scripted.pt", "dict_protocol4.pt", "unsupported.pt"}
	// as the Python original writes them
	for _, name := range []string{"model_1.4.pt", "model_1.2.zip", "decoder.ckpt", "state_dict.pt", "clip.pt"} {
		seeds = append(seeds, filepath.Join("../../../models/captioner/testdata/original", name))
	}
	for _, name := range seeds {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		a, err := openArchive(b)
		if err != nil {
			f.Fatal(err)
		}
		data, err := a.entry("data.pkl")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, pickled []byte) {
		entries := []string{"a/data.pkl", string(pickled)}
		for i := range 10 {
			entries = append(entries, fmt.Sprint("a/data/", i), strings.Repeat("\x01", 128))
		}
		parsed(t, archiveOf(t, entries...))
	})
}

func parsed(t *testing.T, b []byte) {
	f, err := Parse(b)
	if err != nil {
		var format *FormatError
		var refused *RefusedError
		if !errors.As(err, &format) && !errors.As(err, &refused) {
			t.Fatalf("got %T, want one of this package's errors", err)
		}
		return
	}
	for _, name := range f.Names() {
		x, err := f.Tensor(name)
		if err != nil {
			continue
		}
		if err := x.Validate(); err != nil {
			t.Fatal(err)
		}
	}
	f.Ties()
	var out bytes.Buffer
	if Write(&out, f.Root) != nil { // records and the like
		return
	}
	g, err := Parse(out.Bytes())
	if err != nil {
		t.Fatalf("our own file: %v", err)
	}
	for _, name := range f.Names() {
		x, err := f.Tensor(name)
		if err != nil {
			continue
		}
		y, err := g.Tensor(name)
		if err != nil || y.DType != x.DType || !bytes.Equal(x.Data, y.Data) {
			t.Fatalf("tensor %q changed: %v", name, err)
		}
	}
}
