//go:build browser

package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"captioner/cli/server/edit"
)

// editService serves the page that edits a folder of n images, of which every second has a caption.
func editService(t *testing.T, n int) (url, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "set")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		path := filepath.Join(dir, fmt.Sprintf("%d.png", i))
		if err := os.WriteFile(path, imagePNG(byte(i%200), 7), 0o666); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			text := fmt.Sprintf("a red dog, number %d\n", i)
			if err := os.WriteFile(strings.TrimSuffix(path, ".png")+".txt", []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	f, err := edit.Open(dir, ".txt")
	if err != nil {
		t.Fatal(err)
	}
	r := serving(t, &fake{}, func(o *Options) { o.Edit = f })
	t.Cleanup(func() {
		if err := r.end(); err != nil {
			t.Error(err)
		}
		f.Close()
	})
	return r.url, dir
}

// holds checks the caption of an image of the folder.
func holds(t *testing.T, dir, name, want string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil && want != "" || string(b) != want {
		t.Errorf("%s holds %q, %v, want %q", name, b, err, want)
	}
}

const noted = `document.querySelector('#note p').textContent`

// Captions come from the files, are edited one by one and all at once, and are saved beside the images.
func TestBrowserEdit(t *testing.T) {
	url, dir := editService(t, 6)
	b := openTab(t, url+"/edit", 1280, 900, false)
	b.until(`document.querySelectorAll('.row').length === 6`)
	b.until(`document.getElementById('image').naturalWidth > 0`)
	b.shot("edit-wide")
	if got := b.text(`document.getElementById('text').value`); got != "a red dog, number 0" {
		t.Errorf("the caption of the first image is %q", got)
	}

	// By the keyboard alone: to the caption, write, on to the next one, write, save.
	b.run(chromedp.Focus(`#list`, chromedp.ByQuery), chromedp.KeyEvent(kb.Enter),
		chromedp.Evaluate(`document.getElementById('text').select()`, nil),
		chromedp.SendKeys(`#text`, `mine`, chromedp.ByQuery),
		chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(2)))
	b.until(`document.getElementById('name').textContent === '1.png'`)
	b.run(chromedp.SendKeys(`#text`, `new`, chromedp.ByQuery))
	b.until(`document.getElementById('save').textContent === 'Save 2'`)
	holds(t, dir, "0.txt", "a red dog, number 0\n")
	b.run(chromedp.KeyEvent("s", chromedp.KeyModifiers(2)))
	b.until(noted + ` === '2 captions saved'`)
	holds(t, dir, "0.txt", "mine\n")
	holds(t, dir, "1.txt", "new\n")

	// All at once, undone, and again.
	b.eval(`document.getElementById('bulk').open = true`, nil)
	b.run(chromedp.SendKeys(`#find`, `DOG`, chromedp.ByQuery), chromedp.SendKeys(`#with`, `$& cat`, chromedp.ByQuery))
	b.until(`document.getElementById('found').textContent === 'in 2 captions'`)
	b.run(chromedp.Click(`#replace-all`, chromedp.ByQuery))
	b.until(noted + ` === '2 captions changed: “DOG” replaced'`)
	b.shot("edit-bulk")
	b.run(chromedp.Click(`#undo`, chromedp.ByQuery))
	b.until(`document.getElementById('save').disabled`)
	b.run(chromedp.SendKeys(`#before`, `ohwx`, chromedp.ByQuery),
		chromedp.Click(`#trigger [type=submit]`, chromedp.ByQuery))
	b.until(`document.getElementById('save').textContent === 'Save 6'`)
	b.run(chromedp.Click(`#save`, chromedp.ByQuery))
	b.until(noted + ` === '6 captions saved'`)
	holds(t, dir, "2.txt", "ohwx, a red dog, number 2\n")
	holds(t, dir, "3.txt", "ohwx\n")

	// New captions where there is none: they get the trigger word.
	if err := os.Remove(filepath.Join(dir, "5.txt")); err != nil {
		t.Fatal(err)
	}
	b.run(chromedp.Navigate(url+"/edit"), chromedp.WaitVisible(`.row`, chromedp.ByQuery),
		chromedp.SetValue(`#show`, `empty`, chromedp.ByQuery),
		chromedp.Evaluate(`document.getElementById('show').dispatchEvent(new Event('input'))`, nil))
	b.until(`document.getElementById('shown').textContent === '1 of 6 shown'`)
	b.run(chromedp.Click(`#again`, chromedp.ByQuery))
	b.until(`document.getElementById('new').textContent.includes('fake sees 5')`)
	b.shot("edit-new")
	b.eval(`document.getElementById('bulk').open = true`, nil)
	b.run(chromedp.SendKeys(`#before`, `ohwx`, chromedp.ByQuery), chromedp.Click(`#use-empty`, chromedp.ByQuery))
	b.until(`document.getElementById('text').value === 'ohwx, fake sees 5 7'`)

	// Somebody else has written the file meanwhile.
	if err := os.WriteFile(filepath.Join(dir, "5.txt"), []byte("theirs\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	b.run(chromedp.Click(`#save`, chromedp.ByQuery))
	b.until(`!document.getElementById('conflict').hidden`)
	b.shot("edit-conflict")
	holds(t, dir, "5.txt", "theirs\n")
	b.run(chromedp.Click(`#mine`, chromedp.ByQuery), chromedp.Click(`#save`, chromedp.ByQuery))
	b.until(noted + ` === '1 caption saved'`)
	holds(t, dir, "5.txt", "ohwx, fake sees 5 7\n")
	if len(*b.hosts) > 0 || len(*b.problems) > 0 {
		t.Errorf("requests to other hosts %q, errors %q; want none", *b.hosts, *b.problems)
	}
}

// longTasks notes how long the page does not answer; worst gives the longest time in milliseconds.
const (
	longTasks = `{ window.tasks = [0];
		new PerformanceObserver(l => l.getEntries().forEach(e => tasks.push(Math.round(e.duration))))
		.observe({entryTypes: ['longtask']}) }`
	worst = `Math.max(...tasks)`
)

// A folder of 5,000 images is listed, scrolled, filtered and changed without a freeze, and few of its rows exist.
func TestBrowserEditThousands(t *testing.T) {
	url, dir := editService(t, 5000)
	b := openTab(t, url+"/edit", 1280, 900, true)
	b.eval(longTasks, nil)
	b.until(`document.getElementById('progress').textContent === '5,000 images'`)
	b.run(chromedp.Focus(`#list`, chromedp.ByQuery), chromedp.KeyEvent(kb.End))
	b.until(`document.getElementById('name').textContent === '4999.png'`)
	var rows int
	if b.eval(`document.querySelectorAll('.row').length`, &rows); rows > 60 {
		t.Errorf("%d rows exist, want those in sight", rows)
	}
	b.eval(`document.getElementById('bulk').open = true`, nil)
	b.run(chromedp.SendKeys(`#find`, `red`, chromedp.ByQuery), chromedp.SendKeys(`#with`, `blue`, chromedp.ByQuery),
		chromedp.Click(`#replace-all`, chromedp.ByQuery))
	b.until(`document.getElementById('save').textContent === 'Save 2,500'`)
	b.run(chromedp.Click(`#save`, chromedp.ByQuery))
	b.until(noted + ` === '2,500 captions saved'`)
	holds(t, dir, "4998.txt", "a blue dog, number 4998\n")
	var longest float64
	b.eval(worst, &longest)
	t.Logf("the longest task took %.0f ms", longest)
	b.view("edit-thousands")
}

// Nothing is cut off, light or dark, on a phone, a tablet and a desk.
func TestBrowserEditSizes(t *testing.T) {
	url, _ := editService(t, 40)
	for _, width := range []int64{360, 768, 1280} {
		for _, dark := range []bool{false, true} {
			b := openTab(t, url+"/edit", width, 800, dark)
			b.until(`document.querySelectorAll('.row').length > 4`)
			b.run(chromedp.Click(`#caption`, chromedp.ByQuery))
			b.until(`document.getElementById('new').textContent.includes('fake sees')`)
			b.eval(`document.querySelectorAll('details').forEach(d => { d.open = true })`, nil)
			var wide float64
			if b.eval(`document.documentElement.scrollWidth - innerWidth`, &wide); wide > 0 {
				t.Errorf("%d wide: the page is %g pixels too wide", width, wide)
			}
			b.shot(fmt.Sprintf("edit-%d-%s", width, map[bool]string{false: "light", true: "dark"}[dark]))
		}
	}
}

// Trigger words and replacements, as the page computes them.
func TestBrowserEditWords(t *testing.T) {
	url, _ := editService(t, 2)
	b := openTab(t, url+"/edit", 800, 600, false)
	for _, test := range []struct{ js, want string }{
		{`triggered('a dog', 'ohwx', '')`, "ohwx, a dog"},
		{`triggered('a dog', 'ohwx, ', 'film')`, "ohwx, a dog, film"},
		{`triggered('ohwx, a dog', 'ohwx', '')`, "ohwx, a dog"},
		{`triggered('ohwx runs', 'ohwx', '')`, "ohwx runs"},
		{`triggered('ohwxy runs', 'ohwx', '')`, "ohwx, ohwxy runs"},
		{`triggered('a dog, film', '', 'film')`, "a dog, film"},
		{`triggered('', 'ohwx', '')`, "ohwx"},
		{`triggered('a dog', '', '')`, "a dog"},
		{`untriggered('ohwx, a dog, film', 'ohwx', 'film')`, "a dog"},
		{`untriggered('ohwx runs', 'ohwx', '')`, "ohwx runs"},
		{`untriggered('ohwx', 'ohwx', 'ohwx')`, ""},
		{`replaced('Dog, dog', 'cat', {find: 'dog'})`, "cat, cat"},
		{`replaced('Dog, dog', 'cat', {find: 'dog', matchCase: true})`, "Dog, cat"},
		{`replaced('dogs, dog', 'cat', {find: 'dog', whole: true})`, "dogs, cat"},
		{`replaced('été, thé', 'x', {find: 'té', whole: true})`, "été, thé"},
		{`replaced('a.b', '$&', {find: '.'})`, "a$&b"},
		{`replaced('a dog', '$1 big $2', {find: '(a) (dog)', regular: true})`, "a big dog"},
		{`replaced('a', 'b', {find: ''})`, "a"},
	} {
		if got := b.text(`import('/editbulk.js').then(m => m.` + test.js + `)`); got != test.want {
			t.Errorf("%s: got %q, want %q", test.js, got, test.want)
		}
	}
}

// A service with tokens shows the folder after one was entered.
func TestBrowserEditToken(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.png"), imagePNG(1, 2), 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := edit.Open(dir, ".txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := serving(t, &fake{}, func(o *Options) { o.Edit = f })
	defer r.end()
	r.SetTokens([]string{"0123456789abcdef"})
	b := openTab(t, r.url+"/edit", 800, 800, false)
	b.until(`document.getElementById('progress').textContent.includes('token')`)
	b.run(chromedp.SendKeys("#token", "0123456789abcdef"+kb.Enter, chromedp.ByQuery))
	b.until(`document.querySelectorAll('.row').length === 1`)
	b.until(`document.getElementById('image').naturalWidth > 0`)
}
