package train

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"captioner/data"
	"captioner/data/image"
	"captioner/models/captioner"
	"captioner/models/checkpoint"
	"captioner/models/train/features"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/optim"
	"captioner/torch/torchtest"
	"captioner/weights"
)

// blipFolder is a tiny BlipForConditionalGeneration as transformers saves one (see scripts/fixtures/tuning.py).
const blipFolder = "testdata/blip"

// The loop from a BLIP follows the losses of transformers' class in PyTorch's loop, with the encoder as it is and with
// its upper blocks learning too.
func TestTuningFollowsTransformers(t *testing.T) {
	src := torchtest.Fixture(t, "testdata/tuning.safetensors")
	for _, tt := range []struct {
		name, entering string
		tuned          bool
		prompt         string
		watched        map[string]string // weights by their names there and here
	}{
		{"frozen", "features", false, "", map[string]string{
			"text_decoder.bert.embeddings.word_embeddings.weight": "decoder.bert.embeddings.word_embeddings.weight",
			"text_decoder.bert.encoder.layer.1.crossattention.self.key.weight": "decoder.bert.encoder.layer.1." +
				"crossattention.self.key.weight",
			"text_decoder.cls.predictions.bias": "decoder.cls.predictions.bias",
		}},
		{"tuned", "stage", true, "", map[string]string{
			"text_decoder.cls.predictions.bias":            "decoder.cls.predictions.bias",
			"vision_model.encoder.layers.2.mlp.fc1.weight": "encoder.blocks.2.mlp.fc1.weight",
		}},
		{"prompt", "features", false, src.Metadata()["prompt"], nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			torchtest.Do(t, func() {
				l := tuningLearner(t, src, tt.entering, tt.prompt, tt.tuned)
				defer l.close()
				defer l.free()
				want := torch.Slice[float32](torchtest.Get(t, src, "losses."+tt.name))
				worst := 0.0
				for step, w := range want {
					got, _, _, err := l.update(context.Background(), l.lr)
					if err != nil {
						t.Fatal(err)
					}
					l.state.Step++
					off := math.Abs(got-float64(w)) / float64(w)
					if worst = max(worst, off); off > 1e-4 {
						t.Errorf("step %d: got the loss %g, want %g", step, got, w)
					}
				}
				t.Logf("furthest of the losses: %.2g relative", worst)
				params := map[string]*torch.Tensor{}
				for _, p := range slices.Concat(nn.State(l.model.Module()), l.encoderParams()) {
					params[p.Name] = p.Tensor
				}
				for theirs, ours := range tt.watched {
					after := torchtest.Get(t, src, "after."+tt.name+"."+theirs)
					torchtest.CloseTo(t, ours, params[ours].Detach(), after, torchtest.Tolerance{Rel: 2e-3, Abs: 2e-3})
				}
			})
		})
	}
}

// tuningLearner is the loop over the fixture's batches: each image of each batch is an image of its own, in order.
func tuningLearner(t *testing.T, src weights.Source, entering, prompt string, tuned bool) *learner {
	t.Helper()
	o := DefaultOptions()
	o.Init, o.Precision, o.Captions, o.BatchSize, o.Flip, o.Prompt = blipFolder, "fp32", 2, 6, false, prompt
	o.TrainEncoder, o.EncoderFrom, o.LR, o.EncoderLR, o.Beta1, o.WeightDecay = tuned, 1, 3e-4, 4.5e-4, .9, .05
	o.Fit.Own = slices.DeleteFunc(o.Fit.Own, func(n string) bool { return n == "lr" || n == "encoder-lr" })
	tr := newTrainer("", o, func(Event) {})
	tr.device = torchtest.Best(t)
	if err := tr.describeInit(); err != nil {
		t.Fatal(err)
	}
	if tr.LabelSmoothing != .1 || tr.Dropout != 0 {
		t.Errorf("got label smoothing %g and dropout %g, want the config's", tr.LabelSmoothing, tr.Dropout)
	}
	if err := tr.begin(); err != nil {
		t.Fatal(err)
	}
	if err := tr.newTuner(); err != nil {
		t.Fatal(err)
	}
	var texts [][]string
	if err := json.Unmarshal([]byte(src.Metadata()["texts"]), &texts); err != nil {
		t.Fatal(err)
	}
	captions, rows := torchtest.Get(t, src, "captions"), tr.rows()
	if prompt != "" {
		captions = torchtest.Get(t, src, "prompt.captions")
	}
	x := torchtest.Get(t, src, entering) // [I, P, C]
	all, each := x.Bytes(), int(x.Dim(1)*x.Dim(2))*2
	cached := &fakeRows{positions: x.Dim(1), channels: x.Dim(2)}
	for k, i := range torch.Slice[int32](torchtest.Get(t, src, "images")) {
		e := example{Example: data.Example{ID: fmt.Sprint(k), Captions: texts[i]}}
		for c, text := range texts[i] {
			row, _ := rows.Row(text)
			e.text = append(e.text, row)
			want := torch.Slice[int32](captions.Select(0, int64(i)).Select(0, int64(c)).Contiguous())
			if n := slices.Index(append(want, -1), -1); !slices.Equal(row[1:], want[1:n]) || row[0] == want[0] {
				t.Errorf("%q: got the tokens %v, want [DEC] and %v", text, row, want[1:n])
			}
		}
		tr.train = append(tr.train, e)
		cached.data = append(cached.data, all[int(i)*each:int(i+1)*each]...)
	}
	tr.cached = []features.Rows{cached}
	l, err := tr.newLearner(phase{
		name: "captions", steps: len(tr.train), perEpoch: len(tr.train), step: (*learner).captionStep,
		lr: tr.LR, schedule: optim.Schedule{Kind: "constant"}, beta2: .999, decay: tr.WeightDecay,
	})
	if err != nil {
		t.Fatal(err)
	}
	l.epoch = 0
	for i := range tr.train {
		l.order = append(l.order, i)
	}
	return l
}

// A run from a BLIP, its encoder and self-critical training among it, ends with the same file after stops. Any command
// takes it, and transformers' folder of it captions as it does.
func TestTuningRunsRepeatAndResume(t *testing.T) {
	dir := t.TempDir()
	base := smallRun(t, dir)
	base.Init, base.Encoder, base.EncoderName, base.Epochs, base.Accumulate = blipFolder, "", "", 3, 2
	base.Text, base.SCSTSteps, base.LR, base.BatchSize = nil, 2, 1e-3, 4
	for _, tt := range []struct {
		name   string
		change func(*Options)
	}{
		{"frozen", func(o *Options) { o.Dropout, o.AttentionDropout = .1, .1 }},
		{"float16", func(o *Options) { o.Precision, o.SCSTSteps = "fp16", 0 }},
		{"bfloat16 with the encoder", func(o *Options) { o.Precision, o.TrainEncoder, o.EncoderFrom = "bf16", true, 1 }},
		{"a prompt", func(o *Options) { o.Prompt = "a red" }},
		{"the whole encoder", func(o *Options) { o.TrainEncoder, o.EncoderFrom = true, 0 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := base
			tt.change(&o)
			want := train(t, filepath.Join(dir, tt.name), o)
			run := filepath.Join(dir, tt.name+" stopped")
			if err := stopped(run, o, false, "captions 4"); !errors.Is(err, context.Canceled) {
				t.Fatalf("stopped run: got %v, want context canceled", err)
			}
			if err := Resume(context.Background(), run, func(Event) {}); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(read(t, run), want) {
				t.Error("a run with a stop wrote another model")
			}
			sameCaptions(t, filepath.Join(run, bestFile))
		})
	}
}

// sameCaptions writes a model file as a folder of Hugging Face and expects the captions of the file from that.
func sameCaptions(t *testing.T, path string) {
	t.Helper()
	f, err := checkpoint.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	folder := filepath.Join(t.TempDir(), "folder")
	if err := f.Export(context.Background(), folder, checkpoint.FormHuggingFace, checkpoint.ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	picture, err := image.DecodeFile("../../examples/dog.jpg", image.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, p := range []string{path, folder} {
		c, err := captioner.Open(p, captioner.Options{Device: "cpu", Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Caption(context.Background(), []*image.RGB{c.Prepare(picture)}, c.Defaults())
		c.Close()
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, fmt.Sprint(got[0].Text, got[0].Tokens, got[0].LogProb))
	}
	if texts[0] != texts[1] {
		t.Errorf("got %q from the folder, want %q", texts[1], texts[0])
	}
}

// What training does not go on from is refused before an image is looked at, and so is what a BLIP has not.
func TestTuningRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name, init string
		extend     bool
		want       string
	}{
		{"another family", "../captioner/testdata/families/git", false, "found a captioner of GIT, and training on from " +
			"that family is not supported, want one of BLIP or GPT-2 with cross-attention"},
		{"more tokens", blipFolder, true, "found a tokenizer of another kind, want byte-level BPE"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := smallRun(t, t.TempDir())
			o.Init, o.Encoder, o.EncoderName, o.ExtendVocab = tt.init, "", "", tt.extend
			run := filepath.Join(dir, tt.name)
			err := Run(context.Background(), run, o, func(Event) {})
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %q on one line", err, tt.want)
			}
			if _, err := os.Stat(run); err == nil {
				t.Error("the run folder was made")
			}
		})
	}
}
