//go:build browser

package server

import (
	"bytes"
	"encoding/base64"
	"fmt"
	stdimage "image"
	"image/color"
	"image/jpeg"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"captioner/data/parquet"
)

// dropMany lets n copies of a photograph fall on the page.
func (b tab) dropMany(n int) {
	b.t.Helper()
	m := stdimage.NewRGBA(stdimage.Rect(0, 0, 800, 600))
	for i := range 800 * 600 {
		m.SetRGBA(i%800, i/800, color.RGBA{uint8(i), uint8(i / 3), uint8(i / 800), 255})
	}
	var photo bytes.Buffer
	if err := jpeg.Encode(&photo, m, nil); err != nil {
		b.t.Fatal(err)
	}
	b.eval(fmt.Sprintf(`{ const bytes = Uint8Array.from(atob(%q), c => c.charCodeAt(0)), d = new DataTransfer();
		for (let i = 0; i < %d; i++) d.items.add(new File([bytes], i + '.jpg', {type: 'image/jpeg', lastModified: 1}));
		window.many = d }`,
		base64.StdEncoding.EncodeToString(photo.Bytes()), n), nil)
	b.eval(`{ const d = many; window.tasks = [0];
		dispatchEvent(new DragEvent('drop', {dataTransfer: d, cancelable: true, bubbles: true})) }`, nil)
}

// A thousand photographs are captioned while the page goes on answering; captioning is paused, gone on with, cancelled
// and undone.
func TestBrowserThousand(t *testing.T) {
	b := openTab(t, browserService(t)+"/", 1280, 900, false)
	b.eval(longTasks, nil)
	b.dropMany(1000)
	b.until(`document.querySelectorAll('.card').length === 1000`)
	report := func(when string) {
		var ms float64
		b.eval(worst, &ms)
		t.Logf("%s: the longest task took %.0f ms", when, ms)
	}
	report("added")
	done := `Number(document.getElementById('progress').textContent.split(' ')[0].replace(',', ''))`
	b.until(done + ` >= 40`)
	b.run(chromedp.Click(`#pause`, chromedp.ByQuery))
	b.until(`document.getElementById('progress').textContent.includes('paused') &&
		document.querySelectorAll('.card.working').length === 0`)
	var before, after float64
	b.eval(done, &before)
	b.eval(`new Promise(done => setTimeout(done, 500))`, nil)
	if b.eval(done, &after); after != before {
		t.Errorf("paused at %g, and %g half a second later", before, after)
	}
	b.view("thousand-paused")
	b.run(chromedp.Click(`#pause`, chromedp.ByQuery))
	b.until(done + ` > ` + fmt.Sprint(before))
	b.run(chromedp.Click(`#cancel`, chromedp.ByQuery))
	b.until(`document.querySelectorAll('.card.waiting, .card.working').length === 0`)
	if got := b.text(noted); !strings.HasSuffix(got, " images cancelled") {
		t.Errorf("cancelled: the page says %q", got)
	}
	report("cancelled")
	b.run(chromedp.Click(`#undo`, chromedp.ByQuery))
	b.until(doneCount + ` === 1000`)
	report("done")
	b.view("thousand")
}

// A reload keeps captions and what was edited, without the images; an image that is added again meets its caption.
func TestBrowserReload(t *testing.T) {
	url := browserService(t) + "/"
	b := openTab(t, url, 1280, 900, false)
	b.dropMany(3)
	b.until(doneCount + ` === 3`)
	b.run(chromedp.Evaluate(`document.querySelector('.card.done textarea').select()`, nil),
		chromedp.SendKeys(`.card.done textarea`, `mine`, chromedp.ByQuery))
	b.save("csv")
	b.saved("captions.csv")
	b.until(`sessionStorage.getItem('image 3')`)
	b.run(chromedp.Reload())
	b.until(doneCount + ` === 3`)
	captions := `[...document.querySelectorAll('.card.done textarea')].map(e => e.value).join('|')`
	if got := b.text(captions); !strings.HasPrefix(got, "mine|fake sees") {
		t.Errorf("after the reload: got %q", got)
	}
	b.until(`[...document.querySelectorAll('.card img')].every(i => i.naturalWidth > 0)`)
	b.shot("reloaded")
	b.dropMany(4)
	b.until(doneCount + ` === 4`)
	if got := b.text(noted); got != "3 images had a caption here already" {
		t.Errorf("added again: the page says %q", got)
	}
	if got := b.text(captions); !strings.HasPrefix(got, "mine|fake sees") || strings.Count(got, "|") != 3 {
		t.Errorf("added again: got %q", got)
	}
	b.run(chromedp.Click(`#clear`, chromedp.ByQuery), chromedp.Reload())
	b.until(`document.getElementById('model').textContent`)
	if got := b.text(`String(document.querySelectorAll('.card').length)`); got != "0" {
		t.Errorf("removed, and loaded again: %s cards, want none", got)
	}
}

// Cards are filtered by confidence and words, and captions saved in the formats that the service makes.
func TestBrowserFilterAndExport(t *testing.T) {
	b := openTab(t, browserService(t)+"/", 1280, 900, false)
	b.drop(imageFiles(t))
	b.until(doneCount + ` === 2 && ` + failedCount + ` === 1`)
	set := func(id, value string) {
		b.eval(fmt.Sprintf(`{ const e = document.getElementById(%q); e.value = %q; e.dispatchEvent(new Event('input')) }`,
			id, value), nil)
	}
	shown := func(want string) {
		t.Helper()
		b.until(`document.getElementById('shown').textContent === '` + want + `'`)
	}
	set("most", "40")
	shown("0 of 3 shown")
	set("most", "60")
	shown("2 of 3 shown")
	set("has", "meadow")
	shown("1 of 3 shown")
	set("most", "100")
	set("has", "")
	set("show", "failed")
	shown("1 of 3 shown")
	set("show", "all")
	shown("")

	b.save("parquet")
	if got := b.saved("captions.parquet"); !parquet.Begins(bytes.NewReader(got)) {
		t.Errorf("Parquet: got %.20q", got)
	}
	b.save("xmp")
	b.until(noted + `.includes('xmp') || ` + noted + `.includes('Not saved')`)
	if got := b.text(noted); got != "2 captions saved as captions-xmp.zip" {
		t.Errorf("XMP: the page says %q", got)
	}
	if got := b.saved("captions-xmp.zip"); !bytes.Contains(got, []byte("meadow.xmp")) ||
		!bytes.Contains(got, []byte("fake sees 0 1")) {
		t.Errorf("XMP: got %.200q", got)
	}
	b.save("html")
	if got := string(b.saved("captions.html")); !strings.Contains(got, `<img src="meadow.jpg" alt="fake sees 0 1">`) {
		t.Errorf("alt text: got %s", got)
	}
}
