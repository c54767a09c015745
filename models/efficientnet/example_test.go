package efficientnet_test

import (
	"fmt"

	"captioner/models/efficientnet"
)

// What a decoder gets to look at for one photograph, at the size that the net was trained on and at a larger one.
func ExampleConfig_GridSide() {
	c := efficientnet.Lite2()
	for _, side := range []int64{c.Resolution, 384} {
		n := c.GridSide(side)
		fmt.Printf("%dx%d pixels: %d positions of %d channels\n", side, side, n*n, c.GridChannels())
	}
	// Output:
	// 260x260 pixels: 81 positions of 352 channels
	// 384x384 pixels: 144 positions of 352 channels
}
