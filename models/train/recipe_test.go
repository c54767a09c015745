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
	"captioner/data/tokenizer"
	"captioner/models/clip"
	"captioner/models/crossgpt2"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/models/gpt2"
	"captioner/models/train/features"
	"captioner/models/train/recipe"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/optim"
	"captioner/torch/torchtest"
	"captioner/weights"
	"captioner/weights/safetensors"
)

// The loop under each recipe follows the losses of clip-text-decoder's own Decoder, collate_fn and optimizer over 200
// batches (see scripts/fixtures/recipe.py).
func TestRecipeFollowsTheOriginal(t *testing.T) {
	src := torchtest.Fixture(t, "testdata/recipe.safetensors")
	for _, c := range []struct {
		recipe, losses string
		accumulate     int
	}{
		{recipe.Original12, "losses.1.2", 1},
		{recipe.Original14, "losses.1.4", 1},
		{recipe.Original, "losses.accumulate", 4},
	} {
		t.Run(c.losses, func(t *testing.T) {
			torchtest.Do(t, func() {
				l := originalLearner(t, src, c.recipe, c.accumulate)
				defer l.free()
				defer l.model.Free()
				want := torch.Slice[float32](torchtest.Get(t, src, c.losses))
				worst := 0.0
				for step := range len(want) / c.accumulate {
					got, _, _, err := l.update(context.Background(), l.lr*l.schedule.At(step))
					if err != nil {
						t.Fatal(err)
					}
					l.state.Step++
					mean := 0.0
					for _, w := range want[step*c.accumulate : (step+1)*c.accumulate] {
						mean += float64(w) / float64(c.accumulate)
					}
					worst = max(worst, math.Abs(got-mean)/mean)
				}
				t.Logf("furthest of the losses: %.2g relative", worst)
				if !(worst < 1e-4) {
					t.Errorf("losses: got one %.2g off, want less than 1e-4", worst)
				}
			})
		})
	}
}

// originalLearner is the loop over the fixture's batches: each of their rows is an image with one caption, in their
// order.
func originalLearner(t *testing.T, src weights.Source, recipe string, accumulate int) *learner {
	o, err := RecipeOptions(recipe)
	if err != nil {
		t.Fatal(err)
	}
	o.Precision, o.Accumulate = "fp32", accumulate
	net, err := gpt2.ParseConfig([]byte(src.Metadata()["config"]))
	if err != nil {
		t.Fatal(err)
	}
	images, choices := torchtest.Get(t, src, "images"), torch.Slice[int32](torchtest.Get(t, src, "choices"))
	o.BatchSize = int(images.Dim(1))
	vectors := torchtest.Get(t, src, "features").To(torch.Float16) // [I, F]
	captions := torchtest.Get(t, src, "captions")
	width, longest := int(vectors.Dim(1)), int(captions.Dim(2))
	bytesOf, ids := vectors.Bytes(), torch.Slice[int32](captions)
	keep := make([]int32, net.VocabSize-1)
	for i := range keep {
		keep[i] = int32(i)
	}
	tok, _, err := tokenizer.GPT2().Trim(keep)
	if err != nil {
		t.Fatal(err)
	}
	end := tok.EOS()
	if int64(end) != net.VocabSize-1 {
		t.Fatalf("tokenizer: got the end %d, want %d", end, net.VocabSize-1)
	}
	vision := encoder.Config{
		Architecture: "test",
		Encoder: clip.Config{
			EmbedDim: int64(width),
			Vision:   clip.Vision{ImageSize: 32, PatchSize: 32, Width: 64, Heads: 1, Layers: 1, MLP: 64},
		},
		Preprocess: image.Preprocess{Size: 32, Fit: image.FitCrop, Std: [3]float64{1, 1, 1}},
	}
	memory, err := encoder.NewMemory(vision, o.Memory, 0)
	if err != nil {
		t.Fatal(err)
	}
	tr := newTrainer("", o, func(Event) {})
	tr.tok, tr.device, tr.dtype = tok, torchtest.Best(t), torch.Float32
	tr.config = family.Config{
		Encoder: vision, Memory: memory,
		Decoder: crossgpt2.Decoder{Config: net}, Decoding: tr.decodes(net),
	}
	model, err := crossgpt2.New(tr.config)
	if err != nil {
		t.Fatal(err)
	}
	tr.model = model
	other := func(n string) bool { return !strings.HasPrefix(n, "model.") }
	load := nn.LoadOptions{Prefix: "model.", Own: true, Ignore: other, Device: tr.device}
	if err := model.Decoder.Load(src, load); err != nil {
		t.Fatal(err)
	}
	cached := &fakeRows{positions: 1, channels: int64(width)}
	for i, image := range torch.Slice[int32](images) {
		at := (int(image)*5 + int(choices[i])) * longest
		row := []int32{end}
		for _, id := range ids[at : at+longest] {
			if id >= 0 {
				row = append(row, id)
			}
		}
		tr.train = append(tr.train, example{Example: data.Example{ID: fmt.Sprint(i)}, text: [][]int32{append(row, end)}})
		cached.data = append(cached.data, bytesOf[int(image)*width*2:(int(image)+1)*width*2]...)
	}
	tr.cached = []features.Rows{cached}
	l, err := tr.newLearner(phase{
		name: "captions", steps: len(tr.train), perEpoch: len(tr.train), step: (*learner).captionStep,
		lr: o.LR, schedule: optim.Schedule{Kind: o.Schedule}, beta2: o.Beta2, decay: o.WeightDecay,
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

// gpt2Of is the decoder of a learner over the fixture.
func gpt2Of(l *learner) *gpt2.Model { return l.model.(*crossgpt2.Model).Decoder }

// fakeRows are features in memory.
type fakeRows struct {
	positions, channels int64
	data                []byte // float16
}

func (f *fakeRows) Shape() (positions, channels int64) { return f.positions, f.channels }

func (f *fakeRows) Row(i int) []byte {
	n := int(f.positions*f.channels) * 2
	return f.data[i*n : (i+1)*n]
}

func (f *fakeRows) Close() error { return nil }

// dataOf is what the features of a learner with fakeRows are read from.
func dataOf(l *learner) []byte { return l.cached[0].(*fakeRows).data }

// languageFolder writes a small GPT-2 without cross-attention as Hugging Face saves one.
func languageFolder(t *testing.T, dir string) string {
	t.Helper()
	folder := filepath.Join(dir, "language")
	if err := os.MkdirAll(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	tok, _, err := tokenizer.GPT2().Trim([]int32{262, 257, 3290, 318, 326})
	if err != nil {
		t.Fatal(err)
	}
	words, err := tok.JSON()
	if err != nil {
		t.Fatal(err)
	}
	c := gpt2.GPT2()
	c.VocabSize, c.Positions, c.Width, c.Layers, c.Heads = int64(tok.VocabSize()), 80, 320, 1, 2
	config, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"tokenizer.json": words, "config.json": config} {
		if err := os.WriteFile(filepath.Join(folder, name), b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	torchtest.Do(t, func() {
		torch.Seed(4)
		m, err := gpt2.New(c)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Free()
		m.Init()
		if err := safetensors.WriteFile(filepath.Join(folder, "model.safetensors"), nn.Save(m, ""), nil); err != nil {
			t.Fatal(err)
		}
	})
	return folder
}

// Runs under the original's recipe, from a language model, and in float16 with its loss scale, repeat and resume as
// others do.
func TestRecipeRunsRepeatAndResume(t *testing.T) {
	dir := t.TempDir()
	small := smallRun(t, dir)
	for _, c := range []struct {
		name, recipe, precision string
		scst                    int
	}{{"recipe", recipe.Original, "fp32", 2}, {"float16", "", "fp16", 0}} {
		o := small
		if c.recipe != "" {
			var err error
			if o, err = RecipeOptions(c.recipe); err != nil {
				t.Fatal(err)
			}
			o.Data, o.Val, o.Encoder, o.Cache, o.Threads = small.Data, small.Val, small.Encoder, small.Cache, 1
			o.LanguageModel, o.Epochs, o.BatchSize, o.Accumulate = languageFolder(t, dir), 3, 6, 2
			o.SCSTBatch, o.SCSTSamples, o.SCSTEvery, o.SCSTBLEU, o.SaveEvery = 6, 3, 2, .5, 3
		}
		o.Precision, o.Text, o.SCSTSteps, o.Epochs = c.precision, nil, c.scst, 3
		want := train(t, filepath.Join(dir, c.name), o)
		run := filepath.Join(dir, c.name+" stopped")
		if err := stopped(run, o, false, "captions 4"); !errors.Is(err, context.Canceled) {
			t.Fatalf("%s: stopped run: got %v, want context canceled", c.name, err)
		}
		cache := filepath.Join(dir, c.name+" cache") // another one, which is empty
		if err := ResumeGroup(context.Background(), run, Options{Cache: cache}, func(Event) {}); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if _, err := os.Stat(cache); err != nil {
			t.Errorf("%s: the cache that resuming named: %v", c.name, err)
		}
		if !bytes.Equal(read(t, run), want) {
			t.Errorf("%s: a run with a stop wrote another model", c.name)
		}
		for _, file := range []string{environmentFile, lastFile, samplesFile, eventsFile, "loss.svg", "loss.png"} {
			if info, err := os.Stat(filepath.Join(run, file)); err != nil || info.Size() == 0 {
				t.Errorf("%s: %s: got %v, want a file with something in it", c.name, file, err)
			}
		}
	}
}

// A dry run tells the plan and leaves nothing behind.
func TestDryRun(t *testing.T) {
	dir := t.TempDir()
	o := smallRun(t, dir)
	o.DryRun = true
	var notes []string
	run := filepath.Join(dir, "run")
	if err := Run(context.Background(), run, o, func(e Event) { notes = append(notes, e.Note) }); err != nil {
		t.Fatal(err)
	}
	told := strings.Join(notes, "\n")
	for _, want := range []string{"captions: 24 steps, 4 an epoch", "scst: 4 steps", "million parameters", "optimizer"} {
		if !strings.Contains(told, want) {
			t.Errorf("told: got %s\nwant %q in it", told, want)
		}
	}
	if _, err := os.Stat(run); err == nil {
		t.Error("a dry run made the run folder")
	}
}

// A loss that is no number ends the run before it reaches the weights, and its images are written down.
func TestSpoiltBatch(t *testing.T) {
	dir := t.TempDir()
	torchtest.Do(t, func() {
		src := torchtest.Fixture(t, "testdata/recipe.safetensors")
		l := originalLearner(t, src, recipe.Original, 1)
		defer l.free()
		defer l.model.Free()
		l.dir = dir
		before := gpt2Of(l).Transformer.Positions.Weight.Bytes()
		for i := range dataOf(l) {
			dataOf(l)[i] = 0xff // not a number in float16
		}
		_, _, _, err := l.update(context.Background(), 1e-3)
		if err == nil || !strings.Contains(err.Error(), "want a finite number") ||
			!strings.Contains(err.Error(), spoiltFile) {
			t.Fatalf("got %v, want an error that names %s", err, spoiltFile)
		}
		if !bytes.Equal(gpt2Of(l).Transformer.Positions.Weight.Bytes(), before) {
			t.Error("the step was taken")
		}
		l.adam.ClearGrad()
	})
	b, err := os.ReadFile(filepath.Join(dir, spoiltFile))
	if err != nil || !strings.Contains(string(b), `"id": "7"`) {
		t.Errorf("%s: got %s, %v, want the ids of eight pictures", spoiltFile, b, err)
	}
}

// In float16 a step whose loss is no number is left out, counted, and lowers the scale; after many in a row the run
// ends.
func TestSpoiltBatchInFloat16(t *testing.T) {
	torchtest.Do(t, func() {
		src := torchtest.Fixture(t, "testdata/recipe.safetensors")
		l := originalLearner(t, src, recipe.Original, 1)
		defer l.free()
		defer l.model.Free()
		l.dir, l.dtype, l.scaler = t.TempDir(), torch.Float16, optim.NewGradScaler(l.device)
		good := slices.Clone(dataOf(l))
		for i := range dataOf(l) {
			dataOf(l)[i] = 0xff // not a number in float16
		}
		before := gpt2Of(l).Transformer.Positions.Weight.Bytes()
		if loss, _, _, err := l.update(context.Background(), 1e-3); err != nil || finite(loss) {
			t.Fatalf("got loss %g, %v, want one that is no number, and no error", loss, err)
		}
		if !bytes.Equal(gpt2Of(l).Transformer.Positions.Weight.Bytes(), before) {
			t.Error("the step was taken")
		}
		if v := l.scaler.Value(); v != 32768 || l.state.Skipped != 1 {
			t.Errorf("got scale %g after %d skipped steps, want 32768 after 1", v, l.state.Skipped)
		}
		bad := slices.Clone(dataOf(l))
		copy(dataOf(l), good)
		if loss, _, _, err := l.update(context.Background(), 1e-3); err != nil || !finite(loss) || l.state.InARow != 0 {
			t.Fatalf("got loss %g, %v, %d in a row, want a step that is taken", loss, err, l.state.InARow)
		}
		copy(dataOf(l), bad)
		var err error
		for range mostSkipped {
			if err != nil {
				t.Fatalf("got %v before %d steps in a row were left out", err, mostSkipped)
			}
			_, _, _, err = l.update(context.Background(), 1e-3)
		}
		if !errors.Is(err, ErrNotFinite) {
			t.Errorf("got %v after %d skipped steps in a row, want %v", err, mostSkipped, ErrNotFinite)
		}
		l.adam.ClearGrad()
	})
}
