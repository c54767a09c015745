package train

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"captioner/data/image"
	"captioner/models/captioner"
	"captioner/models/checkpoint"
	"captioner/models/encoder"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
	"captioner/weights"
	"captioner/weights/safetensors"
)

// scratch is an encoder that exists in this test alone: one convolution over patches.
type scratch struct {
	Patch    int64 `json:"patch"`
	Channels int64 `json:"channels"`
}

func (s scratch) Key() string     { return "scratch" }
func (s scratch) Side() int64     { return 0 }
func (s scratch) Memory() string  { return encoder.Grid }
func (s scratch) Validate() error { return nil }

func (s scratch) Shape(m encoder.Memory, side int64) (positions, channels int64, err error) {
	if m.Pooled() {
		return 1, s.Channels, nil
	}
	return (side / s.Patch) * (side / s.Patch), s.Channels, nil
}

func (s scratch) net() *scratchNet {
	return &scratchNet{nn.NewConv2d(3, s.Channels, s.Patch, s.Patch, 0, 1, true)}
}

func (s scratch) Load(src weights.Source, o nn.LoadOptions, _ torch.DType) (encoder.Network, error) {
	net := s.net()
	return net, nn.Load(net, src, o)
}

type scratchNet struct {
	Conv nn.Conv2d `key:"scratch"`
}

func (n *scratchNet) Features(x *torch.Tensor, m encoder.Memory) *torch.Tensor {
	return m.FromMap(n.Conv.Forward(x).Flatten(2, 3).Transpose(1, 2).Contiguous()) // [B, C, h, w] -> [B, P, C]
}

func (n *scratchNet) Free() { nn.Free(n) }

func openScratch(src weights.Source) (encoder.Config, weights.Source, error) {
	t, err := src.Tensor("scratch.weight")
	if err != nil {
		return encoder.Config{}, nil, err
	}
	named, err := weights.Rename(src, weights.Prefix("", encoder.Prefix))
	p := image.Preprocess{Size: 32, Fit: image.FitSquash, Std: [3]float64{255, 255, 255}}
	return encoder.Config{
		Architecture: "scratch", Encoder: scratch{Patch: t.Shape[3], Channels: t.Shape[0]}, Preprocess: p,
	}, named, err
}

// scratchRow is all that the program is told of the encoder.
var scratchRow = encoder.Architecture{
	Name: "scratch", Key: "scratch", Parse: encoder.Parse[scratch],
	Recognize: func(src weights.Source) bool { return slices.Contains(src.Names(), "scratch.weight") },
	Open:      openScratch,
}

// TestScratchEncoder adds an encoder by one row of the table, trains a captioner on it, encodes with it, and captions.
func TestScratchEncoder(t *testing.T) {
	dir, ctx := t.TempDir(), context.Background()
	known := checkpoint.Known()
	known.Encoders = append(known.Encoders, scratchRow)
	o := smallRun(t, dir)
	o.Architectures, o.Encoder, o.EncoderName = &known, scratchFile(t, dir), "scratch"
	o.SCSTSteps, o.TextEpochs, o.Text = 0, 0, nil
	train(t, filepath.Join(dir, "run"), o)

	best := filepath.Join(dir, "run", bestFile)
	if _, err := checkpoint.Open(best); err == nil {
		t.Error("the program's own table opens the model: want a row for its encoder")
	}
	c, err := captioner.Open(best, captioner.Options{Device: "cpu", Threads: 1, Architectures: &known})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	img := image.New(40, 30)
	for i := range img.Pix {
		img.Pix[i] = byte(i)
	}
	prepared := []*image.RGB{c.Prepare(img)}
	features, err := c.Features(ctx, prepared)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(features[0]), 4*4*6; got != want {
		t.Errorf("features: got %d numbers, want %d", got, want)
	}
	captions, err := c.Caption(ctx, prepared, c.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	if captions[0].Text == "" {
		t.Error("got an empty caption, want one of the words that were learnt")
	}
	again, err := c.CaptionFeatures(ctx, features, c.Defaults())
	if err != nil || fmt.Sprint(again) != fmt.Sprint(captions) {
		t.Errorf("captions from features: got %v (%v), want %v", again, err, captions)
	}
}

// scratchFile writes weights of the encoder.
func scratchFile(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "scratch.safetensors")
	torchtest.Do(t, func() {
		torch.Seed(2)
		net := scratch{Patch: 8, Channels: 6}.net()
		defer net.Free()
		nn.Normal(net.Conv.Weight, .1)
		nn.Constant(net.Conv.Bias, 0)
		if err := safetensors.WriteFile(path, nn.Save(net, ""), nil); err != nil {
			t.Fatal(err)
		}
	})
	return path
}
