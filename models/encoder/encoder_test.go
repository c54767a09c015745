package encoder_test

import (
	"testing"

	"captioner/data/image"
	"captioner/models/encoder"
	"captioner/torch"
	"captioner/torch/torchtest"
)

func TestMain(m *testing.M) { torchtest.OneThread(m) }

func TestPixels(t *testing.T) {
	for _, tt := range []struct {
		name      string
		mean, std [3]float64
		want      []float32 // channel by channel
	}{
		{
			name: "one mean",
			mean: [3]float64{127, 127, 127}, std: [3]float64{128, 128, 128},
			want: []float32{
				-127. / 128, -126. / 128, -121. / 128, -118. / 128,
				0, -125. / 128, -120. / 128, -117. / 128,
				1, -124. / 128, -119. / 128, -116. / 128,
			},
		},
		{
			name: "a mean a channel",
			mean: [3]float64{0, 1, 2}, std: [3]float64{1, 2, 4},
			want: []float32{0, 1, 6, 9, 63, .5, 3, 4.5, 63.25, .25, 1.5, 2.25},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			torchtest.Do(t, func() {
				pixels := []uint8{0, 127, 255, 1, 2, 3, 6, 7, 8, 9, 10, 11} // four of red, green and blue
				got := encoder.Pixels(pixels, 1, image.Preprocess{Size: 2, Mean: tt.mean, Std: tt.std}, torch.CPU)
				want := torch.FromSlice(tt.want, 1, 3, 2, 2)
				torchtest.CloseTo(t, "pixels", got, want, torchtest.Tolerance{Rel: 1e-6})
			})
		})
	}
}
