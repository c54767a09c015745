package train

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"captioner/models/checkpoint"
	"captioner/models/clip"
	"captioner/models/efficientnet"
	"captioner/models/encoder"
	"captioner/models/train/recipe"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
	"captioner/weights/safetensors"
)

var colours = []struct {
	name string
	c    color.RGBA
}{
	{"red", color.RGBA{220, 30, 30, 255}},
	{"green", color.RGBA{30, 200, 40, 255}},
	{"blue", color.RGBA{40, 60, 230, 255}},
	{"grey", color.RGBA{120, 120, 120, 255}},
}

// writeImages writes n images of one color each, with two captions that name it, in the COCO form, and returns the
// annotation file.
func writeImages(t *testing.T, dir, name string, n int) string {
	t.Helper()
	type object = map[string]any
	var images, notes []object
	folder := filepath.Join(dir, name)
	if err := os.MkdirAll(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		c := colours[i%len(colours)]
		img := image.NewRGBA(image.Rect(0, 0, 40, 30))
		for y := range 30 {
			for x := range 40 {
				shade := c.c
				shade.R += uint8((x*i + y) % 20)
				img.SetRGBA(x, y, shade)
			}
		}
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		file := fmt.Sprintf("%s-%03d.png", name, i)
		if err := os.WriteFile(filepath.Join(folder, file), b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		images = append(images, object{"id": i, "file_name": file})
		for k, s := range []string{"A wall that is %s .", "There is a %s wall ."} {
			notes = append(notes, object{"id": 2*i + k, "image_id": i, "caption": fmt.Sprintf(s, c.name)})
		}
	}
	b, err := json.Marshal(object{"images": images, "annotations": notes})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "captions_"+name+".json")
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// encoderFile writes an EfficientNet-Lite0 of random weights.
func encoderFile(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "encoder.safetensors")
	torchtest.Do(t, func() {
		torch.Seed(1)
		net, err := efficientnet.New(efficientnet.Lite0().WithoutHead())
		if err != nil {
			t.Fatal(err)
		}
		defer net.Free()
		for _, p := range nn.State(net) {
			switch {
			case p.Tensor.Rank() > 1:
				nn.Normal(p.Tensor, math.Sqrt(2/float64(p.Tensor.Numel()/p.Tensor.Dim(0))))
			case strings.HasSuffix(p.Name, "bias"), strings.HasSuffix(p.Name, "running_mean"):
				nn.Constant(p.Tensor, 0)
			default:
				nn.Constant(p.Tensor, 1)
			}
			if strings.HasSuffix(p.Name, "running_var") {
				nn.Constant(p.Tensor, 1)
			}
		}
		if err := safetensors.WriteFile(path, nn.Save(net, ""), nil); err != nil {
			t.Fatal(err)
		}
	})
	return path
}

// smallRun are options of a run of seconds.
func smallRun(t *testing.T, dir string) Options {
	o := DefaultOptions()
	o.Fit = recipe.Fit{} // what the tests say holds
	o.Data, o.Val = writeImages(t, dir, "train", 24), writeImages(t, dir, "val", 8)
	o.Encoder, o.EncoderName, o.Cache = encoderFile(t, dir), "efficientnet-lite0", filepath.Join(dir, "cache")
	o.Width, o.Layers, o.Heads, o.Positions, o.VocabMinCount = 16, 1, 2, 12, 1
	o.Epochs, o.BatchSize, o.Captions, o.LR, o.Warmup, o.Precision, o.Threads = 6, 6, 2, 1e-2, 2, "fp32", 1
	o.SCSTSteps, o.SCSTBatch, o.SCSTSamples, o.SCSTEvery, o.SaveEvery = 4, 6, 3, 2, 3
	lines := filepath.Join(dir, "lines.txt")
	if err := os.WriteFile(lines, []byte(strings.Repeat("there is a wall that is not there\n", 40)), 0o666); err != nil {
		t.Fatal(err)
	}
	o.Text, o.TextEpochs = []string{lines}, 1
	return o
}

func train(t *testing.T, dir string, o Options) []byte {
	t.Helper()
	before := torch.Live()
	if err := Run(context.Background(), dir, o, func(Event) {}); err != nil {
		t.Fatal(err)
	}
	if after := torch.Live(); after != before {
		t.Errorf("live tensors: got %d after the run, %d before", after, before)
	}
	return read(t, dir)
}

func read(t *testing.T, dir string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, bestFile))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The seed decides everything, and a run that is stopped again and again ends with the same file.
func TestRunsRepeatAndResume(t *testing.T) {
	dir := t.TempDir()
	o := smallRun(t, dir)
	want := train(t, filepath.Join(dir, "a"), o)
	if got := train(t, filepath.Join(dir, "b"), o); !bytes.Equal(got, want) {
		t.Error("a second run wrote another model")
	}

	run := filepath.Join(dir, "c")
	stopAt := []string{"text 1", "captions 5", "captions 12", "scst 2", "scst 4"}
	err := stopped(run, o, false, stopAt[0])
	for _, at := range stopAt[1:] {
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped run: got %v, want context canceled", err)
		}
		err = stopped(run, o, true, at)
	}
	if errors.Is(err, context.Canceled) {
		err = Resume(context.Background(), run, func(Event) {})
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, run); !bytes.Equal(got, want) {
		t.Error("a run with five stops wrote another model")
	}
	a, _ := os.ReadFile(filepath.Join(dir, "a", metricsFile))
	if c, _ := os.ReadFile(filepath.Join(run, metricsFile)); !bytes.Equal(a, c) {
		t.Errorf("metrics differ after stops:\n%s\nwant\n%s", c, a)
	}

	o.Seed++
	if got := train(t, filepath.Join(dir, "d"), o); bytes.Equal(got, want) {
		t.Error("another seed wrote the same model")
	}
}

// So it is where the encoder learns as well, from cached maps or from images decoded anew, and where images are
// shown in parts.
func TestEncoderRunsRepeatAndResume(t *testing.T) {
	dir := t.TempDir()
	base := smallRun(t, dir)
	base.Text, base.Epochs, base.SCSTSteps, base.EncoderLR = nil, 3, 2, 1e-3
	best := map[string][]byte{}
	const vit = "../clip/testdata/vit.safetensors"
	for _, c := range []struct {
		name   string
		change func(*Options)
	}{
		{"views", func(o *Options) { o.Views, o.MemoryLayers = 4, 1 }},
		{"last stages", func(o *Options) { o.TrainEncoder, o.EncoderAfter = true, .5 }},
		{"recompute", func(o *Options) { o.TrainEncoder, o.EncoderAfter, o.Recompute = true, .5, true }},
		{"whole", func(o *Options) { o.TrainEncoder, o.EncoderFrom, o.Recompute, o.SCSTSteps = true, 0, true, 0 }},
		{"pooled", func(o *Options) { o.TrainEncoder, o.Memory = true, encoder.PooledProjected }},
		{"vit", func(o *Options) {
			o.TrainEncoder, o.EncoderFrom = true, 1
			o.Encoder, o.EncoderName, o.EncoderHeads = vit, "", 1
		}},
		{"whole vit", func(o *Options) {
			o.TrainEncoder, o.EncoderFrom, o.Recompute = true, 0, true
			o.Memory, o.Encoder, o.EncoderName, o.EncoderHeads = encoder.PooledProjected, vit, "", 1
		}},
	} {
		o := base
		c.change(&o)
		want := train(t, filepath.Join(dir, c.name), o)
		run := filepath.Join(dir, c.name+" stopped")
		if err := stopped(run, o, false, "captions 3"); !errors.Is(err, context.Canceled) {
			t.Fatalf("%s: stopped run: got %v, want context canceled", c.name, err)
		}
		if err := Resume(context.Background(), run, func(Event) {}); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		best[c.name] = read(t, run)
		if !bytes.Equal(best[c.name], want) {
			t.Errorf("%s: a run with a stop wrote another model", c.name)
		}
	}
	encoderOf := func(name string) (below, above []byte) { // a ViT's first block, and all else
		f, err := checkpoint.Open(filepath.Join(dir, name, bestFile))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		tensors, err := f.EncoderTensors()
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range tensors {
			if strings.Contains(n.Name, "resblocks.0.") {
				below = append(below, n.Data...)
			} else {
				above = append(above, n.Data...)
			}
		}
		return below, above
	}
	_, views := encoderOf("views")
	if _, b := encoderOf("last stages"); bytes.Equal(views, b) {
		t.Error("the encoder learnt nothing")
	}
	folders := func() int {
		entries, err := os.ReadDir(filepath.Join(base.Cache, "features"))
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	on := base
	on.TrainEncoder, on.Encoder, on.EncoderName, on.Epochs, on.SCSTSteps = true, "", "", 1, 0
	on.Init = filepath.Join(dir, "last stages", bestFile) // half of the precision of the encoder's file
	train(t, filepath.Join(dir, "on"), on)
	n := folders()
	on.Init = filepath.Join(dir, "on", bestFile)
	train(t, filepath.Join(dir, "further on"), on)
	if got := folders(); got != n {
		t.Errorf("a run that goes on from a tuned encoder: found %d folders of features, want the %d from before: "+
			"what does not learn is the same", got, n)
	}
	base.TrainEncoder, base.EncoderFrom, base.EncoderAfter = true, 1, 9
	base.Encoder, base.EncoderName, base.EncoderHeads, base.Epochs, base.SCSTSteps = vit, "", 1, 1, 0
	train(t, filepath.Join(dir, "vit before"), base)
	below, above := encoderOf("vit before")
	b, a := encoderOf("vit")
	if !bytes.Equal(b, below) || len(b) == 0 {
		t.Error("vit: the block that was to stay has changed")
	}
	if bytes.Equal(a, above) {
		t.Error("vit: the blocks that were to learn have not changed")
	}
	if b, _ := encoderOf("whole vit"); bytes.Equal(b, below) {
		t.Error("whole vit: the first block has not changed")
	}
	base.EncoderFrom = 7
	err := Run(context.Background(), filepath.Join(dir, "no stage"), base, func(Event) {})
	if err == nil || !strings.Contains(err.Error(), "encoder-from") {
		t.Errorf("from a block that is not there: got %v, want an error about encoder-from", err)
	}
	base.EncoderFrom, base.Encoder = -1, "../clip/testdata/resnet.safetensors"
	err = Run(context.Background(), filepath.Join(dir, "resnet"), base, func(Event) {})
	if err == nil || !strings.Contains(err.Error(), "want an EfficientNet or a ViT") {
		t.Errorf("with a ResNet: got %v, want an error that says what can learn", err)
	}
}

// stopped runs until the event "phase step" and then cancels.
func stopped(dir string, o Options, resume bool, at string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	tell := func(e Event) {
		if e.Scores != nil {
			return
		}
		var phase string
		var step int
		fmt.Sscan(at, &phase, &step)
		if e.Phase == phase && e.Step >= step {
			cancel()
		}
	}
	if resume {
		return Resume(ctx, dir, tell)
	}
	return Run(ctx, dir, o, tell)
}

// Even on a random encoder, captions of one color each are learnt.
func TestLearns(t *testing.T) {
	dir := t.TempDir()
	o := smallRun(t, dir)
	o.Epochs, o.SCSTSteps, o.Text, o.Flip, o.Width, o.Dropout, o.InputDropout, o.EMA = 60, 0, nil, false, 64, 0, 0, .9
	train(t, filepath.Join(dir, "run"), o)
	f, err := checkpoint.Open(filepath.Join(dir, "run", bestFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := f.Card.Metrics["cider"]; got < 4 {
		t.Errorf("CIDEr on four colours: got %.2f, want 4 or more", got)
	}
}

func TestRunRefuses(t *testing.T) {
	dir := t.TempDir()
	good := smallRun(t, dir)
	for _, c := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"missing data", func(o *Options) { o.Data = filepath.Join(dir, "nothing.json") }, "no such file"},
		{"missing encoder", func(o *Options) { o.Encoder = filepath.Join(dir, "nothing.pth") }, "no such file"},
		{"wrong encoder", func(o *Options) { o.EncoderName = "efficientnet-lite2" }, "want"},
		{"val is train", func(o *Options) { o.Val = o.Data }, "images both in train and val"},
		{"bad rate", func(o *Options) { o.LR = -1 }, "lr: found -1"},
		{"missing image", func(o *Options) { os.Remove(filepath.Join(dir, "train", "train-003.png")) }, "1 missing image"},
	} {
		o := good
		c.change(&o)
		err := Run(context.Background(), filepath.Join(dir, "run "+c.name), o, func(Event) {})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.want)
		}
	}
	o := good
	o.SkipBad, o.Epochs, o.SCSTSteps, o.Text = true, 1, 0, nil
	if err := Run(context.Background(), filepath.Join(dir, "skip"), o, func(Event) {}); err != nil {
		t.Errorf("skip-bad: %v", err)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "skip", badFile)); !strings.Contains(string(b), "train-003.png") {
		t.Errorf("%s: got %q, want train-003.png in it", badFile, b)
	}
	err := Run(context.Background(), filepath.Join(dir, "skip"), o, func(Event) {})
	if err == nil || !strings.Contains(err.Error(), "found a run there") {
		t.Errorf("same folder again: got %v", err)
	}
}

// Any encoder and any memory can be trained on.
func TestTrainsOnCLIP(t *testing.T) {
	dir := t.TempDir()
	o := smallRun(t, dir)
	o.EncoderName, o.Encoder = "", filepath.Join(dir, "clip.safetensors")
	torchtest.Do(t, func() {
		torch.Seed(1)
		net, err := clip.New(clip.Config{EmbedDim: 12, QuickGELU: true,
			Vision: clip.Vision{ImageSize: 32, Width: 64, Heads: 1, Layers: 1, PatchSize: 8, MLP: 128}})
		if err != nil {
			t.Fatal(err)
		}
		defer net.Free()
		for _, p := range nn.State(net) {
			nn.Normal(p.Tensor, .1)
		}
		if err := safetensors.WriteFile(o.Encoder, nn.Save(net, ""), nil); err != nil {
			t.Fatal(err)
		}
	})
	o.Text, o.SCSTSteps, o.Epochs = nil, 0, 2
	for _, kind := range encoder.MemoryKinds {
		o.Memory = kind
		run := filepath.Join(dir, kind)
		train(t, run, o)
		f, err := checkpoint.Open(filepath.Join(run, bestFile))
		if err != nil {
			t.Fatal(err)
		}
		if f.Config.Memory.Kind != kind || f.Config.Encoder.Encoder == nil || !f.HasEncoder() {
			t.Errorf("%s: got memory %+v on %s", kind, f.Config.Memory, f.Config.Encoder.Architecture)
		}
		f.Close()
	}
}
