package output

import (
	"bytes"
	"io"
	"net/url"
	"os"
	"path/filepath"

	"captioner/cli/console"
	"captioner/cli/input"
)

// PageLink is the address of an image for the page at a path: relative to the page, so that both may be moved together.
// It is "" where there is none.
func PageLink(page, image string) string {
	if input.IsURL(image) {
		return image
	}
	folder, err := filepath.Abs(filepath.Dir(page))
	if err != nil {
		return ""
	}
	full, err := filepath.Abs(image)
	if err != nil {
		return ""
	}
	rel, err := filepath.Rel(folder, full)
	if err != nil { // another drive
		return ""
	}
	return (&url.URL{Path: filepath.ToSlash(rel)}).String()
}

// generator is what the pages that captioner writes say of themselves.
const generator = `<meta name="generator" content="captioner">`

// CheckPage refuses to write a page, for a flag, over a file that is no page of captioner: somebody else's file is not
// taken away.
func CheckPage(flag, path string) error {
	f, err := os.Open(path)
	if err != nil || path == "" {
		return nil // what is wrong with it, writing says
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return nil
	}
	head, _ := io.ReadAll(io.LimitReader(f, 1024))
	if bytes.Contains(head, []byte(generator)) {
		return nil
	}
	return console.Usagef("give another name", "%s %q is there already, and is no page of captioner", flag, path)
}
