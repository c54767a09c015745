package output

import (
	_ "embed"
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"strings"
	"time"

	"captioner/cli/console"
	"captioner/cli/enlarge"
	"captioner/cli/input"
	"captioner/weights"
	"captioner/weights/atomicfile"
)

// galleryMost is how many images a contact sheet shows: a browser gets slow with more.
const galleryMost = 5000

//go:embed gallery.html
var galleryPage string

// Gallery is the page of --html: thumbnails with their captions, in one file that needs nothing else. It is written as
// the run goes, and put in its place at the end.
type Gallery struct {
	file  *atomicfile.File
	path  string // of the page
	shown int
	left  int // images beyond galleryMost
	tail  string
}

// NewGallery begins a page at path, which names the model.
func NewGallery(path, model string) (*Gallery, error) {
	f, err := atomicfile.Create(path)
	if err != nil {
		return nil, err
	}
	g := &Gallery{file: f, path: path}
	head, tail, _ := strings.Cut(enlarge.In(galleryPage), "{{figures}}")
	g.tail = tail
	if _, err := io.WriteString(f, strings.ReplaceAll(head, "{{model}}", pageText(model))); err != nil {
		f.Abort()
		return nil, &weights.FileError{Doing: "write", File: path, Err: err}
	}
	return g, nil
}

// pageText makes a text safe to stand in the page.
func pageText(s string) string {
	return html.EscapeString(strings.ToValidUTF8(console.Visible(s), "\uFFFD"))
}

// Add shows one image.
func (g *Gallery) Add(r *Result) error {
	if g.shown == galleryMost {
		g.left++
		return nil
	}
	g.shown++
	mark := ""
	if r.Uncertain(r.Caption) {
		mark = ` class="uncertain"`
	}
	open, end := `<button type="button" class="enlarge" aria-label="enlarge">`, `</button>`
	if r.Open == nil || input.IsURL(r.Path) { // not from an archive
		open = fmt.Sprintf(`<a class="enlarge" href="%s">`, pageText(PageLink(g.path, r.Path)))
		end = `</a>`
	}
	const figure = `<figure%s data-c="%.4f">%s<img loading="lazy" decoding="async" alt="%s" ` +
		`src="data:image/jpeg;base64,`
	fmt.Fprintf(g.file, figure, mark, r.Caption.Confidence, open, pageText(r.Caption.Text))
	e := base64.NewEncoder(base64.StdEncoding, g.file)
	e.Write(r.Thumbnail)
	e.Close()
	io.WriteString(g.file, `">`+end+`<figcaption>`)
	for i, c := range r.captions() {
		class := ""
		if i > 0 {
			class = ` class="more"`
		}
		fmt.Fprintf(g.file, `<p%s>%s</p>`, class, pageText(c.Text))
	}
	if list := r.subjects(); len(list) > 0 {
		fmt.Fprintf(g.file, `<p class="keywords">%s</p>`, pageText(strings.Join(list, ", ")))
	}
	_, err := fmt.Fprintf(g.file, "<small><span>%s</span><b>confidence %.0f %%</b></small></figcaption></figure>\n",
		pageText(r.Path), 100*r.Caption.Confidence)
	return err
}

// Fail names an image that could not be read.
func (g *Gallery) Fail(in input.Input) error {
	if g.shown == galleryMost {
		g.left++
		return nil
	}
	g.shown++
	_, err := fmt.Fprintf(g.file,
		`<figure class="failed" data-c="-1"><figcaption><p>%s</p><small><span>%s</span></small></figcaption></figure>`+"\n",
		pageText(strings.TrimPrefix(console.Message(in.Err), in.Path+": ")), pageText(in.Path))
	return err
}

// Finish writes the rest and puts the page in its place.
func (g *Gallery) Finish(about string) error {
	if g.left > 0 {
		about += fmt.Sprintf("; %d more images are not shown", g.left)
	}
	io.WriteString(g.file, strings.NewReplacer("{{about}}", pageText(about), "{{date}}",
		time.Now().Format("2 January 2006, 15:04")).Replace(g.tail))
	return g.file.Commit()
}

// Abandon takes away a page that was not finished.
func (g *Gallery) Abandon() { g.file.Abort() }
