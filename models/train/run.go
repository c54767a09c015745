package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"captioner/data/tokenizer"
	"captioner/models/crossgpt2"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/torch"
	"captioner/torch/dist"
	"captioner/weights"
	"captioner/weights/atomicfile"
)

// Event is a piece of news from a run.
type Event struct {
	Phase   string             `json:"phase"` // "encode", "text", "captions", "scst", "final", or "" for a note
	Step    int                `json:"step"`
	Steps   int                `json:"steps"`
	Epoch   float64            `json:"epoch,omitempty"`
	Loss    float64            `json:"loss,omitempty"` // of the step, in metrics.jsonl the mean since the last line; the mean reward in "scst"
	LR      float64            `json:"lr,omitempty"`
	Norm    float64            `json:"grad_norm,omitempty"`
	Skipped int                `json:"skipped,omitempty"` // steps left out so far, because float16 overflowed
	Scores  map[string]float64 `json:"scores,omitempty"`  // of a measurement
	Samples []Sample           `json:"samples,omitempty"` // a few captions of a measurement
	Best    bool               `json:"best,omitempty"`    // the measurement is the best so far
	Note    string             `json:"note,omitempty"`
	Rows    int                `json:"-"` // captions since the last event
}

// Sample is a caption that the model gave while it learnt.
type Sample struct {
	Path    string `json:"path"`
	Caption string `json:"caption"`
}

// trainer is a run in progress.
type trainer struct {
	Options
	dir    string
	tell   func(Event)
	cache  string
	bad    []string // lines of badFile
	device torch.Device
	dtype  torch.DType // of autocast; Float32 for none

	tok        *tokenizer.Tokenizer
	config     family.Config
	card       family.Card
	train, val corpus
	text       [][]int32
	encoder    []weights.NamedTensor

	cached      []*Features // of the pictures to learn from, one set a way of showing them
	valFeatures *Features

	model *crossgpt2.Model
	tuner *encoder.Tuner // nil where the encoder is frozen
	state state
}

// Run trains in the folder dir, which must not hold a run yet, and tells what happens through tell, which is called from one goroutine at a
// time and should return soon. When ctx ends, Run saves what Resume needs and returns ctx's error. The result is best.safetensors in dir.
func Run(ctx context.Context, dir string, o Options, tell func(Event)) error {
	if err := o.Validate(); err != nil {
		return err
	}
	t := &trainer{Options: o, dir: dir, tell: tell}
	return t.together(func() error { return t.start(ctx) })
}

// start begins a run in a folder that holds none.
func (t *trainer) start(ctx context.Context) error {
	made := false
	if t.Group.IsLead() && !t.DryRun {
		if _, err := os.Stat(filepath.Join(t.dir, optionsFile)); err == nil {
			return fmt.Errorf("train in %q: found a run there, want a new folder (or resume that run)", t.dir)
		}
		_, err := os.Stat(t.dir)
		made = errors.Is(err, fs.ErrNotExist)
		if err := os.MkdirAll(t.dir, 0o777); err != nil {
			return fmt.Errorf("train: %w", err)
		}
	}
	if err := t.Group.Wait(ctx, "the run folder"); err != nil {
		return err
	}
	err := t.run(ctx, false)
	if err != nil && made {
		os.Remove(t.dir) // where nothing was begun; with something in it, it stays
	}
	return err
}

// together tells the other ranks why this one gives up, if it does. Only the first one tells what happens.
func (t *trainer) together(f func() error) error {
	if !t.Group.IsLead() {
		t.tell = func(Event) {}
	}
	err := f()
	var dead *dist.Error
	if err != nil && !errors.As(err, &dead) && !errors.Is(err, context.Canceled) {
		t.Group.Leave(err)
	}
	return err
}

// Resume goes on with the run in dir from its last checkpoint, to the same result that it would have had.
func Resume(ctx context.Context, dir string, tell func(Event)) error {
	return ResumeGroup(ctx, dir, Options{}, tell)
}

// ResumeGroup is Resume in each of the processes that share the run from now on, as many as before or others. Of now, only Group, Version and,
// where it is given, Cache count: all else is as the run began.
func ResumeGroup(ctx context.Context, dir string, now Options, tell func(Event)) error {
	b, err := os.ReadFile(filepath.Join(dir, optionsFile))
	if err != nil {
		return fmt.Errorf("resume %q: %w", dir, err)
	}
	var o Options
	if err := json.Unmarshal(b, &o); err != nil {
		return fmt.Errorf("resume %q: read %s: %w", dir, optionsFile, err)
	}
	if err := o.Validate(); err != nil {
		return fmt.Errorf("resume %q: %w", dir, err)
	}
	o.Group, o.Version = now.Group, now.Version
	if now.Cache != "" {
		o.Cache = now.Cache
	}
	if o.Group.IsLead() {
		if err := sweep(dir); err != nil {
			return fmt.Errorf("resume %q: %w", dir, err)
		}
	}
	t := &trainer{Options: o, dir: dir, tell: tell}
	return t.together(func() error { return t.run(ctx, true) })
}

// sweep removes what a cut left half written.
func sweep(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, ".*.tmp"))
	for _, file := range left {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}

func (t *trainer) run(ctx context.Context, resume bool) (err error) {
	defer t.close()
	if t.cache, err = CacheDir(t.Cache); err != nil {
		return err
	}
	if err := t.readData(); err != nil {
		return err
	}
	if err := t.describe(); err != nil {
		return err
	}
	if err := t.checkEncoder(); err != nil {
		return err
	}
	if t.DryRun {
		return t.dryRun(ctx)
	}
	options := filepath.Join(t.dir, optionsFile)
	if !resume && t.Group.IsLead() {
		if err := atomicfile.WriteFile(options, writer(t.Options.JSON())); err != nil {
			return err
		}
	}
	if err := t.encodePictures(ctx); err != nil {
		var bad *BadPicturesError
		if !resume && t.Group.IsLead() && errors.As(err, &bad) {
			os.Remove(options) // nothing was begun: the folder may be taken again
		}
		return err
	}
	if err := t.checkRanks(); err != nil {
		return err
	}
	err = torch.Do(ctx, func() error {
		if t.Threads > 0 {
			torch.SetThreads(t.Threads)
		}
		return t.learn(ctx, resume)
	})
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// learn goes through the phases. It runs on the torch thread.
func (t *trainer) learn(ctx context.Context, resume bool) (err error) {
	if t.device, err = t.parseDevice(); err != nil {
		return err
	}
	if t.Group.Size() > 1 && t.device.IsCUDA() {
		if err := t.Group.UseNCCL(int(t.device) - 1); err != nil {
			t.tell(Event{Note: "gradients travel through the host: " + err.Error()})
		}
	}
	if err := t.writeEnvironment(); err != nil {
		return err
	}
	if err := t.begin(); err != nil {
		return err
	}
	if err := t.newTuner(); err != nil {
		return err
	}
	if resume {
		err := t.loadState()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, p := range t.phases()[t.state.Phase:] {
		if err := t.runPhase(ctx, p); err != nil {
			return err
		}
	}
	if t.DryRun {
		return nil
	}
	return t.finish(ctx)
}

// begin makes the model: new weights from the seed, or those of Init.
func (t *trainer) begin() (err error) {
	torch.Seed(t.Seed)
	t.dtype = map[string]torch.DType{"fp32": torch.Float32, "bf16": torch.BFloat16, "fp16": torch.Float16}[t.Precision]
	if t.Init != "" {
		f, err := t.Architectures.OrKnown().Open(t.Init)
		if err != nil {
			return err
		}
		defer f.Close()
		t.model, err = f.LoadModel(t.device, true)
		return err
	}
	if t.model, err = crossgpt2.New(t.config); err != nil {
		return err
	}
	t.model.Init()
	return t.fill()
}

// describe settles the words and the shape of the captioner.
func (t *trainer) describe() error {
	if t.Init != "" {
		return t.describeInit()
	}
	eye, err := t.readEncoder()
	if err != nil {
		return err
	}
	memory, err := encoder.NewMemory(eye, t.Memory, t.InputDropout)
	if err != nil {
		return err
	}
	net, err := t.network()
	if err != nil {
		return err
	}
	if memory.Layers = t.MemoryLayers; memory.Layers > 0 {
		memory.Heads = net.Heads
	}
	t.config = family.Config{Name: t.Name, Encoder: eye, Memory: memory, Decoder: crossgpt2.Decoder{Config: net}, Decoding: t.decodes(net)}
	t.card.Encoder = fmt.Sprintf("%s, SHA-256 %s", eye.Architecture, eye.SHA256)
	return t.prepareText()
}

// readEncoder takes the encoder's weights into memory and describes it.
func (t *trainer) readEncoder() (encoder.Config, error) {
	p, err := t.Architectures.OrKnown().OpenEncoder(t.Encoder)
	if err != nil {
		return encoder.Config{}, err
	}
	defer p.Close()
	if t.EncoderName != "" && t.EncoderName != p.Config.Architecture {
		return p.Config, fmt.Errorf("encoder %q: found %s, want %s", t.Encoder, p.Config.Architecture, t.EncoderName)
	}
	if _, err := p.Checksum(); err != nil {
		return p.Config, err
	}
	t.encoder, err = p.Tensors()
	return p.Config, err
}

// describeInit takes words, shape and encoder from a model file.
func (t *trainer) describeInit() error {
	f, err := t.Architectures.OrKnown().Open(t.Init)
	if err != nil {
		return err
	}
	defer f.Close()
	if t.tok, err = f.BPE(); err != nil {
		return err
	}
	t.config, t.card = f.Config, f.Card
	if t.encoder, err = f.EncoderTensors(); err != nil {
		return err
	}
	t.config.Name = t.Name
	if net, ok := crossgpt2.Sizes(t.config); ok { // other captioners are refused where the model is loaded
		net.ResidualDrop, net.EmbeddingDrop, net.AttentionDrop = t.Dropout, t.InputDropout, t.AttentionDropout
		t.config.Decoder, t.config.Memory.Dropout = crossgpt2.Decoder{Config: net}, t.InputDropout
	}
	return t.prepareText()
}

// prepareText turns captions into tokens and fills in the card.
func (t *trainer) prepareText() error {
	_, longest, _ := t.config.Decoder.Sizes()
	positions := int(longest) - 1
	t.train.encode(t.tok, positions, t.Verbatim)
	t.val.encode(t.tok, positions, t.Verbatim)
	if t.TextEpochs > 0 {
		if err := t.readText(positions); err != nil {
			return err
		}
	}
	t.card.Name, t.card.Licence, t.card.Command, t.card.Seed = t.Name, t.Licence, t.Command, t.Seed
	told := t.Options
	told.Cache = "" // where a machine keeps its cache says nothing about the model
	t.card.Options = told.JSON()
	t.card.Tokeniser = "Stanford PTB as in coco-caption"
	t.card.Versions = map[string]string{"libtorch": torch.Version()}
	t.sizes()
	return nil
}

// sizes writes into the card how much there is to learn from and to measure on.
func (t *trainer) sizes() {
	t.card.Data = fmt.Sprintf("%d pictures with %d captions", len(t.train), t.train.captions())
	t.card.Split = fmt.Sprintf("%d pictures apart from training", len(t.val))
}

func (c corpus) captions() (n int) {
	for _, e := range c {
		n += len(e.Captions)
	}
	return n
}

func (t *trainer) encodePictures(ctx context.Context) error {
	src, err := weights.NewMemory(t.encoder, nil)
	if err != nil {
		return err
	}
	var e *encoder.Runner
	var as family.Config
	err = torch.Do(ctx, func() (err error) {
		if t.device, err = t.parseDevice(); err != nil {
			return err
		}
		if t.Threads > 0 {
			torch.SetThreads(t.Threads)
		}
		if as, err = t.cachedAs(); err != nil {
			return err
		}
		e, err = encoder.NewRunner(t.config.Encoder, t.config.Memory, src, t.device, torch.Float32)
		return err
	})
	if err != nil {
		return err
	}
	defer torch.Do(context.Background(), func() error { e.Free(); return nil })
	if t.decodesAnew() {
		return t.tryPictures(ctx)
	}
	train := t.train
	if !t.learns() { // only what is measured is looked at
		train = nil
	}
	before, all := 0, t.views()*len(train)+len(t.val)
	get := func(pictures []shown) (*Features, []Bad, error) {
		f, bad, err := encodeShown(ctx, e, as, t.stage(), pictures, EncodeOptions{Cache: t.cache, Group: t.Group, Done: func(n int) {
			t.tell(Event{Phase: "encode", Step: before + n, Steps: all})
		}})
		before += len(pictures)
		return f, bad, err
	}
	plain, bad, err := get(t.whole(train))
	if err != nil {
		return err
	}
	t.cached = append(t.cached, plain)
	var badVal []Bad
	if t.valFeatures, badVal, err = get(t.whole(t.val)); err != nil {
		return err
	}
	if err := t.leaveOut(bad, badVal); err != nil {
		return err
	}
	for k := 1; k < t.views() && train != nil; k++ { // of the pictures that the first view has shown to be good
		pictures := make([]shown, len(t.train))
		for i, x := range t.train {
			pictures[i] = t.view(x, k)
		}
		f, bad, err := get(pictures)
		if err != nil {
			return err
		}
		t.cached = append(t.cached, f)
		if len(bad) > 0 {
			return fmt.Errorf("encode pictures: %d cannot be decoded any more, the first: %w", len(bad), bad[0].Err)
		}
	}
	return nil
}

// close releases everything.
func (t *trainer) close() {
	torch.Do(context.Background(), func() error {
		if t.model != nil {
			t.model.Free()
		}
		if t.tuner != nil {
			t.tuner.Free()
		}
		return nil
	})
	for _, f := range append(t.cached, t.valFeatures) {
		if f != nil {
			f.Close()
		}
	}
}
