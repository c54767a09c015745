package board

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image/png"
	"slices"
	"testing"

	"captioner/data/image"
)

// records takes a file apart, as TensorBoard does, and checks its sums.
func records(t *testing.T, file []byte) (messages [][]byte) {
	t.Helper()
	sum := func(b []byte) uint32 {
		c := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
		return (c>>15 | c<<17) + 0xa282ead8
	}
	for len(file) > 0 {
		n := int(binary.LittleEndian.Uint64(file))
		if got, want := binary.LittleEndian.Uint32(file[8:]), sum(file[:8]); got != want {
			t.Fatalf("sum of a length: got %x, want %x", got, want)
		}
		message := file[12 : 12+n]
		if got, want := binary.LittleEndian.Uint32(file[12+n:]), sum(message); got != want {
			t.Fatalf("sum of a message: got %x, want %x", got, want)
		}
		messages, file = append(messages, message), file[16+n:]
	}
	return messages
}

// What the real package reads of these, scripts/check_tensorboard.py says.
func TestRecords(t *testing.T) {
	file := slices.Concat(Header(), Layout("run", []Chart{{"loss", []string{"train/loss", "val/loss"}}}),
		Begin("run", []byte(`{"lr": 0.001, "flip": true, "name": "x", "list": []}`), []string{"val/cider"}),
		Scalars(7, map[string]float64{"train/loss": 2, "train/lr": 1e-3}), Text(7, "val/captions", "a dog"), End())
	messages := records(t, file)
	if len(messages) != 7 {
		t.Fatalf("got %d records, want 7", len(messages))
	}
	for i, want := range []string{"brain.Event:2", "^train/loss$", "_hparams_/experiment", "flip", "train/lr", "a dog",
		"session_end_info"} {
		if !bytes.Contains(messages[i], []byte(want)) {
			t.Errorf("record %d has no %q: %q", i, want, messages[i])
		}
	}
	if bytes.Contains(file, []byte("list")) {
		t.Error("an option that is no text, number or boolean is shown")
	}
}

func TestCaptioned(t *testing.T) {
	img := image.New(640, 480)
	for i := range img.Pix {
		img.Pix[i] = 200
	}
	width, height, file, err := Captioned(img, "a caption that is so long that it needs a second line below the image")
	if err != nil {
		t.Fatal(err)
	}
	got, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if b := got.Bounds(); b.Dx() != width || b.Dy() != height || width != 320 || height != 240+2*lineHeight+2*margin {
		t.Errorf("got %v for %d x %d, want 320 x %d", b, width, height, 240+2*lineHeight+2*margin)
	}
	if r, _, _, _ := got.At(10, 10).RGBA(); r>>8 != 200 {
		t.Errorf("a pixel of the image: got %d, want 200", r>>8)
	}
	dark := 0
	for x := range width {
		for y := 240; y < height; y++ {
			if r, _, _, _ := got.At(x, y).RGBA(); r == 0 {
				dark++
			}
		}
	}
	if dark < 200 {
		t.Errorf("got %d dark pixels below the image, want a caption", dark)
	}
}
