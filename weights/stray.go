package weights

import "strings"

// Stray names what downloads leave in the place of a file, by how it begins: a pointer of Git LFS, a web page, an error
// in XML; "" is anything else.
func Stray(begin []byte) string {
	text := strings.ToLower(strings.TrimSpace(string(begin[:min(len(begin), 512)])))
	switch {
	case strings.HasPrefix(text, "version https://git-lfs.github.com/spec/"):
		return "a pointer of Git LFS, which stands for a file that was not downloaded (git lfs pull does it)"
	case strings.HasPrefix(text, "<!doctype html"), strings.HasPrefix(text, "<html"):
		return "a web page, as a refused download leaves one"
	case strings.HasPrefix(text, "<?xml"):
		return "an XML document, as a refused download leaves one"
	}
	return ""
}
