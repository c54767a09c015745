package captioner_test

import (
	"context"
	"fmt"

	"captioner/data/image"
	"captioner/models/captioner"
)

// What ImageCaptionInferenceModel.load(path)(image) is in Python. The path may name a captioner's model file,
// model.zip of clip-text-decoder (with Options.Encoder for the CLIP that it leaves out), a checkpoint of Lightning, or
// a folder of Hugging Face as here.
func ExampleOpen() {
	c, err := captioner.Open("testdata/python/encoder-decoder", captioner.Options{Device: "cpu"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	captions, err := c.Caption(context.Background(), []*image.RGB{c.Prepare(image.New(64, 48))}, c.Defaults())
	fmt.Println(len(captions), err)
	// Output: 1 <nil>
}

// What DecoderInferenceModel.load(path)(embedding, beam_size=3) is in Python: captions of what an encoder gave
// elsewhere.
func ExampleCaptioner_CaptionFeatures() {
	c, err := captioner.Open("testdata/python/gpt2", captioner.Options{Device: "cpu", NoEncoder: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	o := c.Defaults() // by the rules of the Python package
	o.Beam = 3
	_, width := c.FeatureShape()
	captions, err := c.CaptionFeatures(context.Background(), [][]float32{make([]float32, width)}, o)
	fmt.Println(o.Rule, len(captions), err)
	// Output: python 1 <nil>
}
