// Command democlasses says what classes of ImageNet an EfficientNet-Lite2 sees in photographs, for
// scripts/demo-pairs.py. It prints a line of JSON for each, {"path": …, "classes": [[id, probability], …]}, the eight
// likeliest classes first.
//
//	democlasses -weights efficientnet-lite2.pth FOLDER
//
// Folders below FOLDER are not looked into.
package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"captioner/data/image"
	"captioner/models/efficientnet"
	"captioner/models/encoder"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights/formats"
)

// batch is how many photographs are computed at once; shown is how many classes of each are printed.
const batch, shown = 32, 8

func main() {
	weights := flag.String("weights", "", "`FILE` of the published weights, with their classifier")
	flag.Parse()
	if err := run(*weights, flag.Arg(0), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "democlasses:", err)
		os.Exit(1)
	}
}

func run(weights, folder string, w io.Writer) error {
	paths, err := filepath.Glob(filepath.Join(folder, "*.jpg"))
	if err != nil {
		return err
	}
	src, err := formats.Open(weights)
	if err != nil {
		return err
	}
	defer src.Close()
	out := bufio.NewWriter(w)
	err = torch.Do(context.Background(), func() error {
		net, err := efficientnet.New(efficientnet.Lite2())
		if err != nil {
			return err
		}
		defer net.Free()
		if err := net.Load(src, nn.LoadOptions{}); err != nil {
			return err
		}
		for part := range slices.Chunk(paths, batch) {
			if err := classify(net, part, out); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return out.Flush()
}

// classify writes the lines of the photographs at paths. It must run inside torch.Do.
func classify(net *efficientnet.Model, paths []string, w io.Writer) error {
	p := efficientnet.Describe("efficientnet-lite2", net.Config).Preprocess
	var pixels []byte
	for _, path := range paths {
		img, err := image.DecodeFile(path, image.Options{})
		if err != nil {
			return err
		}
		pixels = append(pixels, p.Apply(img).Pix...)
	}
	var probabilities []float32 // [B, 1000]
	torch.NoGrad(func() {
		torch.Scoped(func() {
			x := encoder.Pixels(pixels, len(paths), p, torch.CPU) // [B, 3, H, W]
			probabilities = torch.Slice[float32](net.Classify(x).Softmax(-1))
		})
	})
	lines := json.NewEncoder(w)
	n := len(probabilities) / len(paths)
	for i, path := range paths {
		if err := lines.Encode(map[string]any{"path": path, "classes": likeliest(probabilities[i*n : (i+1)*n])}); err != nil {
			return err
		}
	}
	return nil
}

// likeliest gives the classes with the highest probabilities, each with its own.
func likeliest(probabilities []float32) [][2]float32 {
	all := make([][2]float32, len(probabilities))
	for id, p := range probabilities {
		all[id] = [2]float32{float32(id), p}
	}
	slices.SortStableFunc(all, func(a, b [2]float32) int { return cmp.Compare(b[1], a[1]) })
	return all[:shown]
}
