package checkpoint

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"captioner/models/crossgpt2"
	"captioner/models/encoder"
	"captioner/models/gpt2"
	"captioner/torch"
	"captioner/weights"
	"captioner/weights/pickle"
	"captioner/weights/safetensors"
)

// oneLineWith holds an error to one line that says what is wrong.
func oneLineWith(t *testing.T, name string, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: got %v, want one line with %q", name, err, want)
	}
}

// rezip writes the entries of a zip archive anew, changed.
func rezip(t testing.TB, in []byte, method uint16, change func(name string, b []byte) []byte) []byte {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(in), int64(len(in)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range r.File {
		e, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(e)
		if err != nil {
			t.Fatal(err)
		}
		if b = change(f.Name, b); b == nil {
			continue
		}
		to, err := w.CreateHeader(&zip.FileHeader{Name: f.Name, Method: method})
		if err != nil {
			t.Fatal(err)
		}
		to.Write(b)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Damaged and hostile checkpoints, as --model and as --encoder: one clear line each, nothing run, no panic.
func TestHostileCheckpoints(t *testing.T) {
	good, err := os.ReadFile(filepath.Join(pythonDir, "model-1.4.4.pt"))
	if err != nil {
		t.Fatal(err)
	}
	legacy, err := os.ReadFile(filepath.Join(pythonDir, "lightning-1.ckpt"))
	if err != nil {
		t.Fatal(err)
	}
	same := func(_ string, b []byte) []byte { return b }
	replace := func(old, new string) []byte {
		return rezip(t, good, zip.Store, func(name string, b []byte) []byte {
			if strings.HasSuffix(name, "data.pkl") {
				if !bytes.Contains(b, []byte(old)) {
					t.Fatalf("the pickle has no %q", old)
				}
				return bytes.Replace(b, []byte(old), []byte(new), 1)
			}
			return b
		})
	}
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"empty":               {nil, "empty"},
		"truncated zip":       {good[:len(good)/2], "cut off"},
		"zip without its end": {good[:len(good)-10], "cut off"},
		"truncated legacy":    {legacy[:len(legacy)*2/3], "neither"},
		"wrong magic":         {append([]byte("PK\x07\x08"), good[4:]...), "neither"},
		"a text":              {[]byte("no weights, but words\n"), "neither"},
		"a web page": {
			[]byte("\n<!DOCTYPE html><html><body>not found</body></html>\n"),
			"a web page, as a refused download leaves one",
		},
		"a pointer": {
			[]byte("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"),
			"pointer of Git LFS",
		},
		"os.system": {
			replace("cclip_text_decoder.model\nImageCaptionInferenceModel\n", "cos\nsystem\n"),
			`"os.system"`,
		},
		"builtins.eval": {
			replace("cclip_text_decoder.model\nImageCaptionInferenceModel\n", "cbuiltins\neval\n"),
			`"builtins.eval"`,
		},
		"a short storage": {
			rezip(t, good, zip.Store, func(n string, b []byte) []byte { return cutData(n, b) }),
			"too few for",
		},
		"a missing storage": {
			rezip(t, good, zip.Store, func(n string, b []byte) []byte { return dropData(n, b) }),
			"zip archive without",
		},
		"a zip bomb": {rezip(t, good, zip.Deflate, same), "compressed"},
		"recursion":  {[]byte("\x80\x02" + strings.Repeat("(", 1<<16) + "."), "neither"},
		"deep lists": {
			[]byte("\x80\x02" + strings.Repeat("]", 1<<16) + strings.Repeat("a", 1<<16-1) + "."),
			"nested",
		},
		"no tensors":             {[]byte("\x80\x02}."), "0 tensors"},
		"a number and no object": {[]byte("\x80\x02K\x01."), "0 tensors"},
	} {
		path := filepath.Join(t.TempDir(), "model.zip")
		if err := os.WriteFile(path, c.file, 0o666); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path)
		oneLineWith(t, name, err, c.want)
		if _, err := OpenEncoder(path); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s as an encoder: got %v, want one line", name, err)
		}
	}
}

func cutData(name string, b []byte) []byte {
	if strings.HasSuffix(name, "/data/2") {
		return b[:len(b)/2]
	}
	return b
}

func dropData(name string, b []byte) []byte {
	if strings.HasSuffix(name, "/data/2") {
		return nil
	}
	return b
}

// State dicts whose tensors do not belong together.
func TestMisfittingStateDicts(t *testing.T) {
	src, err := pickle.Open(filepath.Join(pythonDir, "state-dict.pt"))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	all, err := weights.All(src)
	if err != nil {
		t.Fatal(err)
	}
	const block = "language_model.transformer.h.0."
	for name, c := range map[string]struct {
		change func(map[string]weights.NamedTensor)
		want   string
	}{
		"no cross-attention": {func(m map[string]weights.NamedTensor) {
			maps.DeleteFunc(m, func(n string, _ weights.NamedTensor) bool { return strings.Contains(n, "cross") })
		}, "without cross-attention"},
		"another head": {func(m map[string]weights.NamedTensor) {
			head := m["language_model.lm_head.weight"]
			head.Data = bytes.Clone(head.Data)
			head.Data[0] ^= 1
			m[head.Name] = head
		}, "(tied)"},
		"no table": {func(m map[string]weights.NamedTensor) {
			delete(m, "language_model.transformer.wte.weight")
		}, "no captioner.config"},
		"a vector for a table": {func(m map[string]weights.NamedTensor) {
			v := m["language_model.transformer.wpe.weight"]
			v.Shape = []int64{v.Shape[0] * v.Shape[1]}
			m[v.Name] = v
		}, "want 2 dimensions"},
		"no block": {func(m map[string]weights.NamedTensor) {
			maps.DeleteFunc(m, func(n string, _ weights.NamedTensor) bool { return strings.HasPrefix(n, block) })
		}, "h.0."},
	} {
		m := map[string]weights.NamedTensor{}
		for _, n := range all {
			m[n.Name] = n
		}
		c.change(m)
		path := filepath.Join(t.TempDir(), "model.safetensors")
		var list []weights.NamedTensor
		for _, n := range all {
			if x, ok := m[n.Name]; ok {
				list = append(list, x)
			}
		}
		if err := safetensors.WriteFile(path, list, nil); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path)
		oneLineWith(t, name, err, c.want)
	}
}

// Folders that lie.
func TestHostileFolders(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string)
		want   string
	}{
		"no weights": {func(t *testing.T, dir string) { remove(t, dir, "pytorch_model.bin") }, "found none of"},
		"no config": {
			func(t *testing.T, dir string) { remove(t, dir, "config.json") },
			"found a folder without config.json",
		},
		"config cut": {func(t *testing.T, dir string) { write(t, dir, "config.json", `{"model_type":`) }, "config.json"},
		"another network": {
			func(t *testing.T, dir string) { write(t, dir, "config.json", `{"model_type":"llama"}`) },
			`"llama"`,
		},
		"a giant vocabulary": {func(t *testing.T, dir string) {
			set(t, dir, "config.json", "vocab_size", int64(1)<<60)
		}, "tokens"},
		"no cross-attention": {
			func(t *testing.T, dir string) { set(t, dir, "config.json", "add_cross_attention", false) },
			"without cross-attention",
		},
		"a shard elsewhere": {func(t *testing.T, dir string) {
			remove(t, dir, "pytorch_model.bin")
			write(t, dir, "model.safetensors.index.json", `{"weight_map":{"a":"../../../etc/passwd"}}`)
		}, "want the name of a file beside it"},
		"a shard that is not there": {func(t *testing.T, dir string) {
			remove(t, dir, "pytorch_model.bin")
			write(t, dir, "model.safetensors.index.json", `{"weight_map":{"a":"model-00001-of-00002.safetensors"}}`)
		}, "without model-00001-of-00002.safetensors, want all of them"},
		"a tensor that no shard has": {func(t *testing.T, dir string) {
			if err := os.Rename(filepath.Join(dir, "pytorch_model.bin"), filepath.Join(dir, "part.bin")); err != nil {
				t.Fatal(err)
			}
			write(t, dir, "pytorch_model.bin.index.json", `{"weight_map":{"x":"part.bin"}}`)
		}, `"x"`},
		"words of another model": {func(t *testing.T, dir string) { remove(t, dir, "merges.txt") }, "merges.txt"},
	} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(pythonDir, "gpt2"))); err != nil {
			t.Fatal(err)
		}
		c.change(t, dir)
		_, err := Open(dir)
		oneLineWith(t, name, err, c.want)
	}
}

// Sizes of an encoder that its config.json and its weights tell differently, whose folder transformers would not read
// either.
func TestFoldersThatDisagree(t *testing.T) {
	for folder, cases := range map[string]map[string]any{
		"vit-gpt2": {
			"hidden_size": 99, "num_hidden_layers": 5, "intermediate_size": 81, "image_size": 64, "patch_size": 8,
			"model_type": "swin", "hidden_act": "relu",
			"num_attention_heads": 5},
		"swin-gpt2": {"embed_dim": 99, "depths": []int{2, 3}, "use_absolute_embeddings": true, "window_size": 7},
		"beit-gpt2": {
			"hidden_size": 99, "num_hidden_layers": 5, "intermediate_size": 81, "image_size": 64, "patch_size": 16,
			"model_type": "vit", "hidden_act": "mish", "use_relative_position_bias": false, "use_mean_pooling": false,
			"layer_scale_init_value": 0, "num_channels": 1,
		},
		"encoder-decoder": {
			"hidden_size":       99,
			"num_hidden_layers": 1,
			"intermediate_size": 81,
			"image_size":        64,
			"patch_size":        4,
		},
	} {
		for key, value := range cases {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(filepath.Join(pythonDir, folder))); err != nil {
				t.Fatal(err)
			}
			var config struct {
				Encoder map[string]any `json:"encoder"`
			}
			if err := encoder.ReadJSON(encoder.Dir(dir), "config.json", &config); err != nil {
				t.Fatal(err)
			}
			config.Encoder[key] = value
			set(t, dir, "config.json", "encoder", config.Encoder)
			_, err := Open(dir)
			oneLineWith(t, folder+", "+key, err, "encoder: read config.json: ")
		}
	}
}

// A description of other sizes than the weights' is refused before memory is taken for it.
func TestDescriptionsThatDisagree(t *testing.T) {
	for want, change := range map[string]func(*gpt2.Config){
		"positions":      func(c *gpt2.Config) { c.Positions = 1 << 24 },
		"inside a block": func(c *gpt2.Config) { c.Inner = 1 << 24 },
		"layers":         func(c *gpt2.Config) { c.Layers = 1000 },
	} {
		f := demoFile(t)
		net, _ := crossgpt2.Sizes(f.Config)
		change(&net)
		f.Config.Decoder = crossgpt2.Decoder{Config: net}
		_, err := f.LoadLearner(torch.CPU, false)
		oneLineWith(t, want, err, want)
		_, err = f.LoadWriter(torch.CPU, torch.Float32)
		oneLineWith(t, want, err, "of the weights")
	}
}

// What is no file of weights at all is said once.
func TestNoFile(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	if err := errors.Join(os.Symlink(a, b), os.Symlink(b, a), os.Mkdir(filepath.Join(dir, "c"), 0o777)); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "d", "")
	for name, want := range map[string]string{
		"a": "too many levels of symbolic links",
		"c": "found none of model.safetensors",
		"d": "the file is empty",
		"e": "no such file",
	} {
		for what, open := range map[string]func(string) error{
			"model":   func(p string) error { _, err := Open(p); return err },
			"encoder": func(p string) error { _, err := OpenEncoder(p); return err },
		} {
			err := open(filepath.Join(dir, name))
			if oneLineWith(t, name, err, want); err != nil && strings.Count(err.Error(), want) > 1 {
				t.Errorf("%s as %s: said twice: %v", name, what, err)
			}
		}
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// set changes one setting of a JSON file.
func set(t *testing.T, dir, name, key string, value any) {
	t.Helper()
	path := filepath.Join(dir, name)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	m[key] = value
	if b, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	write(t, dir, name, string(b))
}

// FuzzOpenFile opens whatever bytes there are as a model and as an encoder: errors are of one line, and nothing panics.
func FuzzOpenFile(f *testing.F) {
	for _, name := range []string{
		"model-1.4.4.pt", "lightning-1.ckpt", "nested-bf16-legacy.pt", "gpt2/pytorch_model.bin",
		"clip/model-00005-of-00005.safetensors",
		"../first/decoder.ckpt"} {
		b, err := os.ReadFile(filepath.Join(pythonDir, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	first, err := os.ReadFile(filepath.Join(firstDir, "model_1.0.zip"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(rezip(f, first, zip.Store, func(name string, b []byte) []byte { // without spaCy's rules, which nobody reads
		if name == "tokenizer.pkl" {
			return pickledWords82()
		}
		return b
	}))
	f.Add([]byte("\x80\x02}X\x17\x00\x00\x00transformer.wte.weightxK\x01s."))
	path := filepath.Join(f.TempDir(), "file")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
		m, err := Open(path)
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("an error of several lines: %q", err)
		}
		if err == nil {
			m.Close()
		}
		p, err := OpenEncoder(path)
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("an error of several lines: %q", err)
		}
		if err == nil {
			p.Close()
		}
	})
}

// A tokenizer that wants something run is refused with its name.
func TestVersion10RefusesCalls(t *testing.T) {
	good, err := os.ReadFile(filepath.Join(firstDir, "model_1.0.zip"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, "model.zip", string(rezip(t, good, zip.Store, func(name string, b []byte) []byte {
		if name == "tokenizer.pkl" {
			return []byte("cos\nsystem\n(S'true'\ntR.")
		}
		return b
	})))
	_, err = Open(filepath.Join(dir, "model.zip"))
	oneLineWith(t, "os.system", err, `"os.system"`)
}

// pickledWords82 is a Tokenizer of 1.0.0 of as many words as the fixture's, and nothing else.
func pickledWords82() []byte {
	b := []byte("\x80\x02cclip_text_decoder.tokenizer\nTokenizer\n)\x81}X\x05\x00\x00\x00_stoi}(")
	for id := range 82 {
		word := "w" + strconv.Itoa(id)
		if id < 4 {
			word = []string{"UNK", "PAD", "BOS", "EOS"}[id]
		}
		b = append(b, 'X', byte(len(word)), 0, 0, 0)
		b = append(append(b, word...), 'K', byte(id))
	}
	return append(b, "usb."...)
}

// FuzzVersion10Words opens a checkpoint of 1.0.0 beside whatever tokenizer.pkl there is: one line or a captioner, and
// nothing panics.
func FuzzVersion10Words(f *testing.F) {
	b, err := os.ReadFile(filepath.Join(firstDir, "decoder.ckpt"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pickledWords82())
	f.Add([]byte("cos\nsystem\n(S'true'\ntR."))
	dir := f.TempDir()
	path := filepath.Join(dir, "decoder.ckpt")
	if err := os.WriteFile(path, b, 0o666); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, words []byte) {
		write(t, dir, "tokenizer.pkl", string(words))
		m, err := Open(path)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("an error of several lines: %q", err)
			}
			return
		}
		defer m.Close()
		if m.Family != "clip-text-decoder 1.0.0" || m.Tokenizer.VocabSize() != 82 {
			t.Errorf("got %d words, want the decoder's 82", m.Tokenizer.VocabSize())
		}
		m.Tokenizer.Decode([]int32{0, 81, 82, -1})
	})
}
