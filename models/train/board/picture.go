package board

import (
	"bytes"
	stdimage "image"
	"image/color"
	"image/draw"
	"image/png"
	"strings"

	ximage "golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"captioner/data/image"
)

// The sizes of a captioned image, in pixels.
const (
	pictureWidth = 320
	lineHeight   = 16
	margin       = 6
)

// Captioned is an image with its caption below it, as a PNG file.
func Captioned(img *image.RGB, caption string) (width, height int, file []byte, err error) {
	lines := fold(caption, (pictureWidth-2*margin)/basicfont.Face7x13.Advance)
	shown := max(1, img.H*pictureWidth/max(1, img.W))
	shown = min(shown, 2*pictureWidth)
	out := stdimage.NewRGBA(stdimage.Rect(0, 0, pictureWidth, shown+len(lines)*lineHeight+2*margin))
	draw.Draw(out, out.Bounds(), stdimage.White, stdimage.Point{}, draw.Src)
	ximage.ApproxBiLinear.Scale(out, stdimage.Rect(0, 0, pictureWidth, shown), rgb{img},
		stdimage.Rect(0, 0, img.W, img.H), draw.Src, nil)
	for i, line := range lines {
		d := font.Drawer{Dst: out, Src: stdimage.Black, Face: basicfont.Face7x13,
			Dot: fixed.P(margin, shown+margin+(i+1)*lineHeight-4)}
		d.DrawString(line)
	}
	var b bytes.Buffer
	err = png.Encode(&b, out)
	return pictureWidth, out.Bounds().Dy(), b.Bytes(), err
}

// fold breaks a text into lines of so many letters.
func fold(text string, letters int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) > letters {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}

// rgb shows an image of ours to the standard library.
type rgb struct{ *image.RGB }

func (rgb) ColorModel() color.Model { return color.RGBAModel }

func (m rgb) Bounds() stdimage.Rectangle { return stdimage.Rect(0, 0, m.W, m.H) }

func (m rgb) At(x, y int) color.Color {
	p := m.Pix[3*(y*m.W+x):]
	return color.RGBA{p[0], p[1], p[2], 255}
}
