package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	stdimage "image"
	"image/color"
	"image/png"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"captioner/data/image"
	"captioner/models/decode"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a model that names the red and green of an image's first pixel.
type fake struct {
	name string
	hold chan struct{}                                // where not nil, each batch takes a token from it
	fail func(images []*image.RGB) error              // of a batch
	told func(images []*image.RGB, o *decode.Options) // of each batch, before it

	mu      sync.Mutex
	batches [][]string // the images of each batch
	options []decode.Options
	cut     int // batches whose context ended
	closed  int
}

func (f *fake) Info() Info {
	o := decode.DefaultOptions()
	return Info{
		Name:      f.name,
		SHA256:    "00ff",
		Device:    "cpu",
		Licence:   "none",
		Defaults:  o,
		Positions: 40,
		Vectors:   4,
		Width:     3,
	}
}

func (f *fake) Encode(text string) []int32 {
	var out []int32
	for range strings.Fields(text) {
		out = append(out, 7)
	}
	return out
}

func (f *fake) Prepare(m *image.RGB) *image.RGB {
	if m.Pix[0] == badRed {
		panic("an image that nobody thought of")
	}
	return image.Crop(m, 0, 0, 1, 1)
}

// badRed is the red of images that make the fake panic before they are in a batch.
const badRed = 251

func (f *fake) words(m *image.RGB) string {
	return fmt.Sprintf("%s sees %d %d", f.name, m.Pix[0], m.Pix[1])
}

func (f *fake) enter(ctx context.Context, images []*image.RGB, o *decode.Options) error {
	f.mu.Lock()
	var names []string
	for _, m := range images {
		names = append(names, fmt.Sprint(m.Pix[0]))
	}
	f.batches, f.options = append(f.batches, names), append(f.options, *o)
	f.mu.Unlock()
	if f.told != nil {
		f.told(images, o)
	}
	if f.hold != nil {
		select {
		case <-f.hold:
		case <-ctx.Done():
			f.mu.Lock()
			f.cut++
			f.mu.Unlock()
			return ctx.Err()
		}
	}
	if f.fail != nil {
		return f.fail(images)
	}
	return nil
}

func (f *fake) Caption(ctx context.Context, images []*image.RGB, o decode.Options) ([]decode.Caption, error) {
	if err := f.enter(ctx, images, &o); err != nil {
		return nil, err
	}
	var out []decode.Caption
	for i, m := range images {
		c := decode.Caption{Text: f.words(m), LogProb: -2.5, Confidence: .5}
		if o.Sample {
			c.Text += fmt.Sprintf(" drawn %d", (o.IDs[i]+o.Seed)%1000)
		}
		for n := 1; n < o.Captions; n++ {
			c.Alternatives = append(
				c.Alternatives,
				decode.Caption{Text: fmt.Sprintf("%s, take %d", c.Text, n+1), LogProb: -3, Confidence: .25},
			)
		}
		out = append(out, c)
	}
	return out, nil
}

func (f *fake) Features(ctx context.Context, images []*image.RGB) ([][]float32, error) {
	if err := f.enter(ctx, images, new(decode.Options)); err != nil {
		return nil, err
	}
	var out [][]float32
	for _, m := range images {
		r, g := float32(m.Pix[0]), float32(m.Pix[1])
		out = append(out, []float32{r, g, 0, r, g, 1, r, g, 2, r, g, 3})
	}
	return out, nil
}

func (f *fake) CaptionFeatures(ctx context.Context, features [][]float32, o decode.Options) ([]decode.Caption, error) {
	var images []*image.RGB
	for _, v := range features {
		if len(v) != 12 {
			return nil, errors.New("not spread")
		}
		images = append(images, &image.RGB{Pix: []byte{byte(v[0]), byte(v[1]), 0}, W: 1, H: 1})
	}
	return f.Caption(ctx, images, o)
}

func (f *fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed++
	return nil
}

func (f *fake) sizes() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []int
	for _, b := range f.batches {
		out = append(out, len(b))
	}
	return out
}

// quietLog takes what the service says.
func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

// start makes a service over a fake that is closed at the test's end.
func start(t testing.TB, f *fake, change func(*Options)) *Server {
	t.Helper()
	if f.name == "" {
		f.name = "fake"
	}
	o := DefaultOptions()
	o.Workers = 2
	if change != nil {
		change(&o)
	}
	s, err := New(f, o, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// imagePNG is a small image of one color.
func imagePNG(red, green byte) []byte {
	m := stdimage.NewRGBA(stdimage.Rect(0, 0, 3, 2))
	for i := range 6 {
		m.SetRGBA(i%3, i/3, color.RGBA{red, green, 9, 255})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// encoded is base64.
func encoded(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// ask sends one request to the service, without a network. headers are "Name: value".
func ask(s *Server, method, path string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, body)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if value == "" {
			r.Header.Del(name)
		}
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

func askPNG(s *Server, query string, red byte) *httptest.ResponseRecorder {
	return ask(s, http.MethodPost, "/v1/captions"+query, bytes.NewReader(imagePNG(red, 0)), "Content-Type: image/png")
}
