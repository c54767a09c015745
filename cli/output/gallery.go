package output

import (
	"bufio"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
	"time"

	"captioner/cli/console"
	"captioner/cli/input"
)

// sheetMost is how many pictures a contact sheet shows: a browser gets slow with more.
const sheetMost = 5000

//go:embed gallery.html
var sheetPage string

// Gallery is the page of --html: thumbnails with their captions, in one file that needs nothing else. It is written as the run goes, and put in
// its place at the end.
type Gallery struct {
	path  string
	file  *os.File
	w     *bufio.Writer
	shown int
	left  int // pictures beyond sheetMost
	tail  string
}

func NewGallery(path, model string) (*Gallery, error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".captioner-*")
	if err != nil {
		return nil, fmt.Errorf("write %q: %w", path, console.Reason(err))
	}
	s := &Gallery{path: path, file: f, w: bufio.NewWriterSize(f, 64<<10)}
	head, tail, _ := strings.Cut(sheetPage, "{{figures}}")
	s.tail = tail
	_, err = s.w.WriteString(strings.ReplaceAll(head, "{{model}}", sheetText(model)))
	return s, err
}

// sheetText makes a text safe to stand in the page.
func sheetText(s string) string {
	return html.EscapeString(strings.ToValidUTF8(console.Visible(s), "\uFFFD"))
}

// Add shows one picture.
func (s *Gallery) Add(r *Result) error {
	if s.shown == sheetMost {
		s.left++
		return nil
	}
	s.shown++
	mark := ""
	if r.Uncertain(r.Caption) {
		mark = ` class="uncertain"`
	}
	fmt.Fprintf(s.w, `<figure%s data-c="%.4f"><img loading="lazy" decoding="async" alt="%s" src="data:image/jpeg;base64,`, mark, r.Caption.Confidence, sheetText(r.Caption.Text))
	e := base64.NewEncoder(base64.StdEncoding, s.w)
	e.Write(r.Thumbnail)
	e.Close()
	s.w.WriteString(`"><figcaption>`)
	for i, c := range r.captions() {
		class := ""
		if i > 0 {
			class = ` class="more"`
		}
		fmt.Fprintf(s.w, `<p%s>%s</p>`, class, sheetText(c.Text))
	}
	_, err := fmt.Fprintf(s.w, "<small><span>%s</span><b>%.0f %%</b></small></figcaption></figure>\n", sheetText(r.Path), 100*r.Caption.Confidence)
	return err
}

// Fail names a picture that could not be read.
func (s *Gallery) Fail(in input.Input) error {
	if s.shown == sheetMost {
		s.left++
		return nil
	}
	s.shown++
	_, err := fmt.Fprintf(s.w, `<figure class="failed" data-c="-1"><figcaption><p>%s</p><small><span>%s</span></small></figcaption></figure>`+"\n", sheetText(console.OneLine(in.Err)), sheetText(in.Path))
	return err
}

// Finish writes the rest and puts the page in its place.
func (s *Gallery) Finish(about string) error {
	if s.left > 0 {
		about += fmt.Sprintf("; %d more pictures are not shown", s.left)
	}
	s.w.WriteString(strings.NewReplacer("{{about}}", sheetText(about), "{{date}}", time.Now().Format("2 January 2006, 15:04")).Replace(s.tail))
	err := errors.Join(s.w.Flush(), s.file.Chmod(0o644), s.file.Close())
	if err == nil {
		err = os.Rename(s.file.Name(), s.path)
	}
	if err != nil {
		os.Remove(s.file.Name())
		return fmt.Errorf("write %q: %w", s.path, console.Reason(err))
	}
	return nil
}

// Abandon takes away a page that was not finished.
func (s *Gallery) Abandon() {
	s.file.Close()
	os.Remove(s.file.Name())
}
