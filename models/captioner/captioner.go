// Package captioner is the library's front door: images in, captions out.
//
//	c, err := captioner.Open("", captioner.Options{}) // the embedded model
//	defer c.Close()
//	img, err := image.DecodeFile("photo.jpg", image.DefaultOptions())
//	captions, err := c.Caption(ctx, []*image.RGB{c.Prepare(img)}, c.Defaults())
//	fmt.Println(captions[0].Text)
//
// A [Captioner] is an encoder, a memory, a decoder and a tokenizer, read from one model file. Its methods may be called
// from any goroutine: the work on tensors queues for the one torch thread. A caption does not depend on the images
// that it shares a batch with.
package captioner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"captioner/data/image"
	"captioner/data/tokenizer"
	"captioner/models/captioner/demo"
	"captioner/models/checkpoint"
	"captioner/models/decode"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/models/kvcache"
	"captioner/torch"
	"captioner/torch/nn"
)

// Options say where and how a captioner works. The zero value is the best device that is there, in float32, with
// libtorch's own choice of threads.
type Options struct {
	// Encoder is the file of the encoder's weights, for a model file that leaves them out; "" where it holds them.
	Encoder string
	// NoEncoder opens the model without an encoder: it captions features alone.
	NoEncoder bool

	Device string // "auto" (or ""), "cpu", "cuda", "cuda:N"
	// Precision is "fp32" (or ""), "bf16", "fp16" (on a GPU alone), "int8" (on the CPU alone), "16" (fp16 on a GPU, bf16
	// on the CPU), or what else torch.ParsePrecision knows.
	Precision string
	Threads   int // an op may use; 0 leaves libtorch's choice

	// Notice is told, in a line, what the captioner does otherwise than asked, where a batch does not fit a GPU's memory,
	// for one, and what it assumes of an encoder. It may be nil.
	Notice func(string)

	// Graphs says whether the decoder's steps on a GPU are recorded as CUDA graphs: "auto" (or ""), where that works,
	// "on", or fail, "off". Detail, which may be nil, is told why they are not after all.
	Graphs string
	Detail func(string)

	// Kernels choose what makes the products on a CPU; nil is the default choice.
	Kernels nn.Kernels

	// Architectures are the encoders and captioners that are known; nil is checkpoint.Known.
	Architectures *checkpoint.Architectures
}

// Captioner is a loaded model. Close releases it.
type Captioner struct {
	File *checkpoint.Checkpoint

	device  torch.Device
	encoder *encoder.Runner
	writer  family.Writer
	fits    fitting

	encoding, generating atomic.Int64 // nanoseconds
}

// Times are how long the two halves of Caption have taken so far, of all calls together. On a GPU, work that is only
// queued counts where it is waited for.
type Times struct{ Encode, Generate time.Duration }

// Times may be called at any time, from any goroutine.
func (c *Captioner) Times() Times {
	return Times{time.Duration(c.encoding.Load()), time.Duration(c.generating.Load())}
}

// Caption is what an image was given.
type Caption = decode.Caption

// Open loads the model file at path; "" is the model that is built into the program.
func Open(path string, o Options) (*Captioner, error) {
	number, err := precision(o.Precision)
	if err != nil {
		return nil, err
	}
	f, err := openFile(path, o.Architectures.OrKnown())
	if err != nil {
		return nil, err
	}
	return start(f, o, number)
}

// start loads what an opened file describes. It owns f.
func start(f *checkpoint.Checkpoint, o Options, number torch.Precision) (_ *Captioner, err error) {
	c := &Captioner{File: f, fits: fitting{notice: o.Notice}}
	graphs, err := kvcache.ParseGraphs(o.Graphs)
	if err != nil {
		c.Close()
		return nil, err
	}
	if err := giveEncoder(f, o); err != nil {
		c.Close()
		return nil, err
	}
	if doubt := f.Config.Encoder.Doubt(encoder.EncoderPart); doubt != "" && o.Notice != nil && !o.NoEncoder {
		o.Notice(doubt)
	}
	err = torch.Do(context.Background(), func() error {
		if o.Threads > 0 {
			torch.SetThreads(o.Threads)
		}
		nn.SetKernels(o.Kernels)
		kvcache.SetGraphs(graphs, o.Detail)
		if c.device, err = torch.ParseDevice(o.Device); err != nil {
			return &DeviceError{Err: err}
		}
		dtype := number.On(c.device)
		if err := suits(dtype, c.device); err != nil {
			return err
		}
		c.fits.gpu = c.device.IsCUDA()
		return c.load(dtype, !o.NoEncoder)
	})
	if err != nil {
		c.Close()
		return nil, err
	}
	if o.Notice != nil {
		for _, remark := range f.Remarks() {
			o.Notice(remark)
		}
	}
	return c, nil
}

// suits refuses a number type that a device has no fast products for.
func suits(d torch.DType, dev torch.Device) error {
	var err error
	var remedy string
	switch {
	case d == torch.Int8 && dev.IsCUDA():
		remedy = "--precision fp16 is the quickest on a GPU"
		const found = "precision int8 is for the CPU (its kernels are the processor's), found device %v, " +
			"want fp16, bf16 or fp32"
		err = fmt.Errorf(found, dev)
	case d == torch.Float16 && !dev.IsCUDA():
		remedy = "--precision bf16 is as small on a processor"
		err = errors.New("precision fp16 is for GPUs (a processor has no fast products of it), found device cpu, " +
			"want bf16, int8 or fp32")
	default:
		return nil
	}
	return &DeviceError{err, remedy}
}

// A DeviceError says that a device is not there, or cannot do what is asked of it.
type DeviceError struct {
	Err    error
	Remedy string // what to ask for instead; "": another device
}

func (e *DeviceError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *DeviceError) Unwrap() error { return e.Err }

// Hint says what works.
func (e *DeviceError) Hint() string {
	if e.Remedy != "" {
		return e.Remedy
	}
	var cuda *torch.CUDAError
	if errors.As(e.Err, &cuda) {
		return cuda.Hint() + "; --device cpu works everywhere"
	}
	return "--device cpu works everywhere; \"captioner doctor\" says what is there"
}

func openFile(path string, known checkpoint.Architectures) (*checkpoint.Checkpoint, error) {
	if path == "" {
		return known.Parse(demo.Model)
	}
	return known.Open(path)
}

// OpenFile opens a model without loading it, with the encoder that the options name for a model that leaves its own
// out. The path "" is the model that is built into the program.
func OpenFile(path string, o Options) (*checkpoint.Checkpoint, error) {
	f, err := openFile(path, o.Architectures.OrKnown())
	if err != nil {
		return nil, err
	}
	if err := giveEncoder(f, o); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func precision(s string) (torch.Precision, error) {
	p, ok := torch.ParsePrecision(cmp.Or(s, "fp32"))
	if !ok {
		return p, fmt.Errorf("precision: found %q, want fp32, bf16, fp16, 16 or int8", s)
	}
	return p, nil
}

// giveEncoder opens the encoder that the options name.
func giveEncoder(f *checkpoint.Checkpoint, o Options) error {
	switch {
	case o.NoEncoder:
		return nil
	case o.Encoder == "":
		if !f.HasEncoder() {
			return f.MissingEncoder()
		}
		return nil
	}
	known := o.Architectures.OrKnown()
	known.Heads = known.Heads.Expecting(f.Config.Encoder.Encoder)
	p, err := known.OpenEncoder(o.Encoder)
	if err != nil {
		return err
	}
	if err := f.UseEncoder(p); err != nil {
		p.Close()
		return err
	}
	return nil
}

func (c *Captioner) load(d torch.DType, withEncoder bool) (err error) {
	if withEncoder {
		if c.encoder, err = c.File.LoadEncoder(c.device, d); err != nil {
			return err
		}
	}
	c.writer, err = c.File.LoadWriter(c.device, d)
	return err
}

// Close releases the model. Nothing may be captioned during or after it.
func (c *Captioner) Close() error {
	err := torch.Do(context.Background(), func() error {
		if c.writer != nil {
			c.writer.Free()
		}
		if c.encoder != nil {
			c.encoder.Free()
		}
		return nil
	})
	if cerr := c.File.Close(); err == nil {
		err = cerr
	}
	return err
}

// Device is where the model works.
func (c *Captioner) Device() string { return c.device.String() }

// Tokenizer is the model's.
func (c *Captioner) Tokenizer() tokenizer.Codec { return c.File.Tokenizer }

// Prepare makes of an image what Caption takes: the model's size and crop. It needs no tensors and may run on many
// goroutines.
func (c *Captioner) Prepare(img *image.RGB) *image.RGB {
	return c.File.Config.Encoder.Preprocess.Apply(img)
}

// Defaults are the decoding options that the model file asks for, with its own begin and end tokens.
func (c *Captioner) Defaults() decode.Options { return c.File.Defaults() }

// UncertainBelow is the confidence below which a caption is as likely wrong as right; 0 where the model file does not
// say.
func (c *Captioner) UncertainBelow() float64 { return c.File.Card.UncertainBelow }

// Caption captions prepared images, in their order. The whole batch goes through the model at once: the caller bounds
// its size. Where it does not fit the memory of a GPU, it goes in halves, and so do those after it.
func (c *Captioner) Caption(ctx context.Context, imgs []*image.RGB, o decode.Options) ([]Caption, error) {
	if len(imgs) == 0 {
		return nil, ctx.Err()
	}
	out := make([]Caption, 0, len(imgs))
	err := c.fits.each(len(imgs), func(from, to int) error {
		some, err := c.captionBatch(ctx, imgs[from:to], o.Of(from, to))
		out = append(out, some...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// captionBatch is Caption of a batch that fits.
func (c *Captioner) captionBatch(ctx context.Context, imgs []*image.RGB, o decode.Options) ([]Caption, error) {
	pixels, err := c.pack(imgs)
	if err != nil {
		return nil, err
	}
	var out []Caption
	err = torch.Do(ctx, func() (err error) {
		torch.Inference(func() {
			start := time.Now()
			features := c.encoder.Features(pixels, len(imgs))
			between := time.Now()
			out, err = c.write(features, len(imgs), o)
			c.encoding.Add(int64(between.Sub(start)))
			c.generating.Add(int64(time.Since(between)))
		})
		return err
	})
	return out, err
}

// Positions is the most tokens of a text.
func (c *Captioner) Positions() int {
	_, positions, _ := c.File.Config.Decoder.Sizes()
	return int(positions)
}
