package server

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"net/http"
	"time"
)

//go:embed page openapi.json
var files embed.FS

// pageFiles are the files that a browser may ask for: these names and no others.
var pageFiles = []pageFile{
	{"/", "page/index.html", "text/html; charset=utf-8"},
	{"/page.css", "page/page.css", "text/css; charset=utf-8"},
	{"/page.js", "page/page.js", "text/javascript; charset=utf-8"},
	{"/zip.js", "page/zip.js", "text/javascript; charset=utf-8"},
	{"/folder.js", "page/folder.js", "text/javascript; charset=utf-8"},
	{"/keys.js", "page/keys.js", "text/javascript; charset=utf-8"},
	{"/icon.svg", "page/icon.svg", "image/svg+xml"},
}

type pageFile struct{ path, name, kind string }

// serve sends the file, or says that the browser's copy is still right.
func (f pageFile) serve(w http.ResponseWriter, r *http.Request) error {
	b, err := files.ReadFile(f.name)
	if err != nil {
		return fmt.Errorf("read the page: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(b)))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	return nil
}
