package checkpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"captioner/data/tokenizer"
	"captioner/models/captioner/demo"
	"captioner/models/clip"
	"captioner/models/crossgpt2"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/models/gpt2"
	"captioner/weights"
	"captioner/weights/pickle"
	"captioner/weights/safetensors"
)

func demoFile(t *testing.T) *Checkpoint {
	t.Helper()
	f, err := Parse(demo.Model)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// distil is a captioner of clip-text-decoder's kind with few of its tensors: writing does not count them.
func distil(t *testing.T) *Checkpoint {
	t.Helper()
	d := gpt2.DistilGPT2()
	d.CrossAttention = true
	f := &Checkpoint{
		Path:      "distil",
		Tokenizer: tokenizer.GPT2(),
		Config: family.Config{Encoder: clip.Describe(clip.ViTB32()), Decoder: crossgpt2.Decoder{Config: d},
			Memory: encoder.Memory{
				Kind: encoder.PooledPadded,
				In:   512,
			}, Decoding: family.Decoding{Beam: 1, MaxLen: 64}},
	}
	var tensors []weights.NamedTensor
	for i, name := range []string{
		"transformer.wte.weight",
		"transformer.h.0.attn.c_attn.weight",
		"transformer.h.0.crossattention.c_attn.weight",
		"transformer.ln_f.bias",
	} {
		x, err := weights.FromFloat32s("decoder."+name, weights.F16, []int64{2, 2}, []float32{float32(i), -1, 0.5, 3})
		if err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, x)
	}
	src, err := weights.NewMemory(tensors, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.src = src
	return f
}

func TestFormOf(t *testing.T) {
	for path, want := range map[string]Form{
		"a.safetensors": FormCaptioner,
		"a.CKPT":        FormLightning,
		"a.pt":          FormStateDict,
		"a.pth":         FormStateDict,
		"dir":           FormHuggingFace,
		"dir/":          FormHuggingFace,
		"a.zip":         "",
	} {
		if got, err := FormOf(path); got != want || (err == nil) != (want != "") {
			t.Errorf("FormOf(%q): got %q, %v, want %q", path, got, err, want)
		}
	}
}

// TestExportOwnForm writes the built-in model: the same bytes, unless the card says where it comes from.
func TestExportOwnForm(t *testing.T) {
	f, path := demoFile(t), filepath.Join(t.TempDir(), "a.safetensors")
	if err := f.Export(t.Context(), path, FormCaptioner, ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, demo.Model) {
		t.Errorf("got %d bytes (%v), want the %d of the model", len(b), err, len(demo.Model))
	}
	wide := weights.F32
	if err := f.Export(t.Context(), path, FormCaptioner, ExportOptions{DType: &wide, Origin: "a test"}); err != nil {
		t.Fatal(err)
	}
	g, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if g.Card.Origin != "a test" || g.Card.Name != f.Card.Name {
		t.Errorf("got the card %+v", g.Card)
	}
	sameTensors(t, f.src, g.src, func(n string) string { return n })
}

// sameTensors checks that got has all tensors of want with the same values, under the names that rename gives.
func sameTensors(t *testing.T, want, got weights.Source, rename func(string) string) {
	t.Helper()
	for _, name := range want.Names() {
		as := rename(name)
		if as == "" {
			continue
		}
		w, err1 := want.Tensor(name)
		g, err2 := got.Tensor(as)
		if err := errors.Join(err1, err2); err != nil {
			t.Error(err)
			continue
		}
		a, err1 := w.Float32s()
		b, err2 := g.Float32s()
		if err := errors.Join(err1, err2); err != nil || !slices.Equal(a, b) || !slices.Equal(w.Shape, g.Shape) {
			t.Errorf(
				"%s: %d values of shape %v, want %d of shape %v, the same (%v)",
				as,
				len(b),
				g.Shape,
				len(a),
				w.Shape,
				err,
			)
		}
	}
}

func TestExportLightning(t *testing.T) {
	f, path := distil(t), filepath.Join(t.TempDir(), "a.ckpt")
	if err := f.Export(t.Context(), path, FormLightning, ExportOptions{Masks: true}); err != nil {
		t.Fatal(err)
	}
	p, err := pickle.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	root := p.Root.(*pickle.Dict)
	var keys []any
	for k := range root.All() {
		keys = append(keys, k)
	}
	want := []any{
		"epoch",
		"global_step",
		"pytorch-lightning_version",
		"state_dict",
		"loops",
		"callbacks",
		"optimizer_states",
		"lr_schedulers",
		"hparams_name",
		"hyper_parameters",
	}
	if !slices.Equal(keys, want) {
		t.Errorf("got the keys %q, want %q", keys, want)
	}
	params, _ := root.Get("hyper_parameters")
	vision, _ := params.(*pickle.Dict).Get("vision_backbone")
	lm, _ := params.(*pickle.Dict).Get("language_model")
	if vision != "clip:ViT-B/32" || lm != "distilgpt2" {
		t.Errorf("got vision_backbone %v and language_model %v", vision, lm)
	}
	sameTensors(t, f.src, p, func(n string) string {
		return "state_dict.language_model." + strings.TrimPrefix(n, "decoder.")
	})
	tied := []string{"state_dict.language_model.transformer.wte.weight", "state_dict.language_model.lm_head.weight"}
	if !slices.ContainsFunc(p.Ties(), func(g []string) bool { return slices.Equal(g, tied) }) {
		t.Errorf("got the ties %q, want %q among them", p.Ties(), tied)
	}
}

func TestExportStateDict(t *testing.T) {
	f := distil(t)
	for _, masks := range []bool{true, false} {
		path := filepath.Join(t.TempDir(), "a.pt")
		if err := f.Export(t.Context(), path, FormStateDict, ExportOptions{Masks: masks}); err != nil {
			t.Fatal(err)
		}
		p, err := pickle.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		want := "lm_head.weight, transformer.h.0.attn.c_attn.weight, " +
			"transformer.h.0.crossattention.c_attn.weight, transformer.ln_f.bias, transformer.wte.weight"
		if masks {
			want = "lm_head.weight, transformer.h.0.attn.bias, transformer.h.0.attn.c_attn.weight, " +
				"transformer.h.0.attn.masked_bias, transformer.h.0.crossattention.bias, " +
				"transformer.h.0.crossattention.c_attn.weight, transformer.h.0.crossattention.masked_bias, " +
				"transformer.ln_f.bias, transformer.wte.weight"
			mask, err := p.Tensor("language_model.transformer.h.0.attn.bias")
			if err != nil || !slices.Equal(mask.Shape, []int64{1, 1, 1024, 1024}) || mask.Data[1024] != 1 ||
				mask.Data[1025] != 1 ||
				mask.Data[1026] != 0 ||
				mask.Data[1] != 0 {
				t.Errorf("mask: got %v of shape %v, %v, want a lower triangle", mask.DType, mask.Shape, err)
			}
		}
		names := p.Names()
		slices.Sort(names)
		if got := strings.ReplaceAll(strings.Join(names, ", "), "language_model.", ""); got != want {
			t.Errorf("masks %v: got %s, want %s", masks, got, want)
		}
	}
}

func TestExportHuggingFace(t *testing.T) {
	f, dir := demoFile(t), filepath.Join(t.TempDir(), "hf")
	if err := os.Mkdir(dir, 0o777); err != nil { // an empty folder is as good as none
		t.Fatal(err)
	}
	if err := f.Export(t.Context(), dir+"/", FormHuggingFace, ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		}
		return b
	}
	if c, err := gpt2.ParseConfig(read("config.json")); err != nil ||
		f.Config.Decoder != (crossgpt2.Decoder{Config: c}) {
		t.Errorf("config.json: got %+v, %v, want %+v", c, err, f.Config.Decoder)
	}
	text := "two dogs running on a beach"
	fast, err1 := tokenizer.Parse(read("tokenizer.json"))
	slow, err2 := tokenizer.New(read("vocab.json"), read("merges.txt"))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	want := f.Tokenizer.Encode(text)
	if got := fast.Encode(text); !slices.Equal(got, want) {
		t.Errorf("tokenizer.json: got %v, want %v", got, want)
	}
	if got := slow.With(f.Tokenizer.(*tokenizer.Tokenizer).Options()).Encode(text); !slices.Equal(got, want) {
		t.Errorf("vocab.json and merges.txt: got %v, want %v", got, want)
	}
	for name, prefix := range map[string]string{"model": "decoder.", "memory": "memory.", "encoder": "encoder."} {
		src, err := safetensors.Open(filepath.Join(dir, name+".safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		if src.Metadata()["format"] != "pt" {
			t.Errorf("%s.safetensors: metadata %v, want the format pt", name, src.Metadata())
		}
		sameTensors(t, f.src, src, func(n string) string {
			rest, ok := strings.CutPrefix(n, prefix)
			if !ok {
				return ""
			}
			return rest
		})
	}
	for _, name := range []string{
		"generation_config.json",
		"tokenizer_config.json",
		"special_tokens_map.json",
		"captioner.json",
	} {
		var v map[string]any
		if err := json.Unmarshal(read(name), &v); err != nil || len(v) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := f.Export(t.Context(), dir, FormHuggingFace, ExportOptions{}); err == nil ||
		!strings.Contains(err.Error(), "found a folder with") {
		t.Errorf("onto a folder that is not empty: got %v", err)
	}
}

// TestExportEncoderDecoder opens a VisionEncoderDecoderModel that Python wrote, and writes it again: the same names,
// the same bits.
func TestExportEncoderDecoder(t *testing.T) {
	const python = pythonDir + "/encoder-decoder"
	f, err := Open(python)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dir := filepath.Join(t.TempDir(), "hf")
	if err := f.Export(t.Context(), dir, FormHuggingFace, ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	want, err1 := safetensors.Open(filepath.Join(python, "model.safetensors"))
	got, err2 := safetensors.Open(filepath.Join(dir, "model.safetensors"))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	defer got.Close()
	if a, b := want.Names(), got.Names(); len(a) != len(b) {
		t.Errorf("got %d tensors, want %d", len(b), len(a))
	}
	sameTensors(t, want, got, func(n string) string { return n })
	again, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	a, err1 := json.Marshal(f.Config)
	b, err2 := json.Marshal(again.Config)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if again.Config.Name = f.Config.Name; strings.Replace(
		string(b),
		`"name":"hf"`,
		`"name":"encoder-decoder"`,
		1,
	) != string(
		a,
	) {
		t.Errorf("got the config %s, want %s", b, a)
	}
}

// TestExportRefuses names what each form cannot hold, and what can.
func TestExportRefuses(t *testing.T) {
	odd := distil(t)
	net, _ := crossgpt2.Sizes(odd.Config)
	net.Layers = 2
	odd.Config.Decoder = crossgpt2.Decoder{Config: net}
	blind := distil(t)
	blind.Config.Encoder = encoder.Config{}
	many := distil(t)
	many.Config.Encoder = clip.Describe(clip.RN50x64())
	for _, c := range []struct {
		name       string
		f          *Checkpoint
		form       Form
		text, hint string
	}{
		{"a grid", demoFile(t), FormLightning, `found a memory of the kind "grid", want "pooled-padded"`, "--to huggingface"},
		{"a grid", demoFile(t), FormStateDict, `found a memory of the kind "grid"`, "--to huggingface"},
		{
			"two layers",
			odd,
			FormLightning,
			"found a decoder of 2 layers, width 768 and 50257 tokens, want that of distilgpt2",
			"--to huggingface",
		},
		{
			"no encoder",
			blind,
			FormLightning,
			"found no name of the encoder in the checkpoint, want one: Lightning",
			"--encoder FILE",
		},
		{
			"another CLIP",
			many,
			FormLightning,
			"found the encoder RN50x64, want one that clip-text-decoder knows: clip:RN50,",
			"--to state-dict",
		},
		{"no such form", odd, "onnx", `found form "onnx", want one of`, ""},
	} {
		path := filepath.Join(t.TempDir(), "out")
		err := c.f.Export(t.Context(), path, c.form, ExportOptions{})
		var h interface{ Hint() string }
		if err == nil || !strings.Contains(err.Error(), c.text) ||
			c.hint != "" && (!errors.As(err, &h) || !strings.Contains(h.Hint(), c.hint)) {
			t.Errorf("%s as %s: got %v, want %q and a hint of %q", c.name, c.form, err, c.text, c.hint)
		}
	}
}

// TestExportLeavesNothing breaks off in several ways.
func TestExportLeavesNothing(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, form := range []Form{FormCaptioner, FormHuggingFace, FormStateDict, FormLightning} {
		f := demoFile(t)
		if form == FormStateDict || form == FormLightning {
			f = distil(t)
		}
		dir := t.TempDir()
		if err := f.Export(ended, filepath.Join(dir, "out"), form, ExportOptions{}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, interrupted: got %v, want context.Canceled", form, err)
		}
		if got, _ := os.ReadDir(dir); len(got) != 0 {
			t.Errorf("%s, interrupted: left %v", form, got)
		}
		err := f.Export(t.Context(), filepath.Join(dir, "none", "out"), form, ExportOptions{})
		if err == nil || !strings.HasSuffix(err.Error(), ": no such file or directory") {
			t.Errorf("%s, into a folder that is not there: got %v", form, err)
		}
		small := t.TempDir()
		if err := mountSmall(small); err != nil {
			t.Logf("a full disk is left out: mount a small one: %v", err)
			continue
		}
		t.Cleanup(func() { unmount(small) })
		err = f.Export(t.Context(), filepath.Join(small, "out"), form, ExportOptions{Masks: true})
		if err == nil || !strings.HasPrefix(err.Error(), `write "`+filepath.Join(small, "out")+`": `) ||
			!strings.HasSuffix(err.Error(), ": no space left on device") ||
			strings.Contains(err.Error(), ".tmp") {
			t.Errorf("%s, onto a full disk: got %v", form, err)
		}
		if got, _ := os.ReadDir(small); len(got) != 0 {
			t.Errorf("%s, onto a full disk: left %v", form, got)
		}
	}
}

// TestWrittenAsPythonReadIt writes the files again that scripts/fixtures/written.py had Python read, and compares their
// bytes. The report of the conversions of a whole decoder, which is not here, must be complete.
func TestWrittenAsPythonReadIt(t *testing.T) {
	b, err := os.ReadFile("../captioner/testdata/written.json")
	if err != nil {
		t.Fatal(err)
	}
	var g struct {
		Read []struct {
			By, From, To, Reader string
			Tensors, Different   int
		}
		BuiltIn map[string]string `json:"built_in"`
	}
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range g.Read {
		if r.Tensors < 80 || r.Different != 0 {
			t.Errorf(
				"%s to %s: %s read %d tensors, %d of them different",
				r.From,
				r.To,
				r.Reader,
				r.Tensors,
				r.Different,
			)
		}
		seen[r.Reader] = true
	}
	for _, reader := range []string{
		"Decoder.load_from_checkpoint",
		"Decoder.load_state_dict",
		"GPT2LMHeadModel.from_pretrained",
		"VisionEncoderDecoderModel.from_pretrained",
		"safetensors.load_file",
		"torch.load(weights_only=True)",
	} {
		if !seen[reader] {
			t.Errorf("no file was read by %s", reader)
		}
	}
	f, dir := demoFile(t), t.TempDir()
	if sum, err := f.Checksum(); err != nil || sum != g.BuiltIn["model.safetensors"] {
		t.Skip("the built-in model has changed since: run scripts/fixtures/written.py")
	}
	for path, form := range map[string]Form{"model.safetensors": FormCaptioner, "folder": FormHuggingFace} {
		if err := f.Export(t.Context(), filepath.Join(dir, path), form, ExportOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range g.BuiltIn {
		if got, err := weights.SHA256(filepath.Join(dir, name)); err != nil || got != want {
			t.Errorf("%s: got SHA-256 %s (%v), want the %s that Python read", name, got, err, want)
		}
	}
}
