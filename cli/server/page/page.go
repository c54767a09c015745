// Package page holds what a browser is sent: the page for everybody, the page that edits a folder, and their scripts,
// styles and icon. They load nothing from anywhere else.
package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed *.html *.css *.js *.svg
var files embed.FS

// File is a file that a browser may ask for.
type File struct {
	Path string // of the URL
	Kind string // its content type
	name string
}

// kinds are the content types by extension.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// Files are the files of the page for everybody, or with editor of both pages: these paths and no others.
func Files(editor bool) (all []File) {
	entries, _ := files.ReadDir(".") // an embedded folder is always there
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, "edit") && !editor {
			continue
		}
		f := File{"/" + name, kinds[path.Ext(name)], name}
		switch name {
		case "index.html":
			f.Path = "/"
		case "edit.html":
			f.Path = "/edit"
		}
		all = append(all, f)
	}
	return all
}

// Serve sends the file, or says that the browser's copy is still right.
func (f File) Serve(w http.ResponseWriter, r *http.Request) error {
	b, err := files.ReadFile(f.name)
	if err != nil {
		return fmt.Errorf("read the page: %w", err)
	}
	Send(w, r, b, f.Kind)
	return nil
}

// Send sends the bytes of a file, or says that the browser's copy is still right.
func Send(w http.ResponseWriter, r *http.Request, b []byte, kind string) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(b)))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}
