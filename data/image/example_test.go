package image_test

import (
	"errors"
	"fmt"

	"captioner/data/image"
)

func ExamplePreprocess_Apply() {
	m, err := image.DecodeFile("testdata/orient6.jpg", image.DefaultOptions())
	if err != nil {
		fmt.Println(err)
		return
	}
	p := image.Preprocess{Size: 32, Fit: image.FitCrop}
	square := p.Apply(m)
	fmt.Println(m.W, m.H, square.W, square.H, len(square.Pix))
	// Output: 39 53 32 32 3072
}

func ExampleDecode() {
	_, err := image.Decode([]byte("hello"), image.DefaultOptions())
	fmt.Println(errors.Is(err, image.ErrUnsupported), errors.Is(err, image.ErrCorrupt))
	// Output: true false
}
