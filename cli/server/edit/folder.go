// Package edit is a folder of images whose captions stand beside them in text files, as people keep the images that a
// model is trained on: it lists them, makes small images of them, and saves captions.
//
// Nothing outside the folder is read or written: names are relative, and no part of one may be a link. A caption is
// saved whole or not at all, in the encoding and with the line ends that its file has, and only where the file is still
// the one that the editor read. Local says which requests may do so.
package edit

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"unicode/utf8"

	"captioner/cli/server/problem"
	"captioner/data/image"
	"captioner/data/sidecar"
	"captioner/data/text"
	"captioner/weights"
)

// The limits of a folder.
const (
	maxImages = 100_000   // that are listed
	maxText   = 64 << 10  // bytes of a caption's file
	maxImage  = 128 << 20 // bytes of an image
)

// Folder is an open folder. It is safe for concurrent use.
type Folder struct {
	path      string // absolute, without links
	extension string // of the files of captions
	root      *os.Root
	saving    sync.Mutex // between looking at a file and replacing it
}

// Open opens a folder whose captions stand in files with an extension such as ".txt".
func Open(folder, extension string) (*Folder, error) {
	if err := CheckExtension(extension); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(folder)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return nil, &weights.FileError{Doing: "edit", File: folder, Err: weights.Reason(err)}
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		if info, serr := os.Stat(path); serr == nil && !info.IsDir() {
			err = errors.New("it is a file, want a folder")
		}
		return nil, &weights.FileError{Doing: "edit", File: folder, Err: weights.Reason(err)}
	}
	return &Folder{path: path, extension: extension, root: root}, nil
}

// CheckExtension wants a plain extension that is no image's: images are never written.
func CheckExtension(extension string) error {
	if len(extension) < 2 || extension[0] != '.' || strings.ContainsAny(extension[1:], "./\\") {
		return fmt.Errorf("extension %q: want one such as .txt", extension)
	}
	if image.HasExtension("x"+extension) || image.IsUnread("x"+extension) || strings.EqualFold(extension, ".xmp") {
		return fmt.Errorf("extension %q: want one of text files, such as .txt or .caption", extension)
	}
	return nil
}

// Close closes the folder.
func (f *Folder) Close() error { return f.root.Close() }

// check refuses the name of what is no image of the folder. Names have slashes, and begin below the folder.
func (f *Folder) check(name string) (fs.FileInfo, error) {
	if !utf8.ValidString(name) || !filepath.IsLocal(filepath.FromSlash(name)) || path.Clean(name) != name ||
		strings.ContainsAny(name, "\\\x00") || hidden(name) || !image.HasExtension(name) {
		return nil, fmt.Errorf("%.200q is not an image of the folder", name)
	}
	return f.plain(name)
}

// plain wants a file, through folders that are no links.
func (f *Folder) plain(name string) (info fs.FileInfo, err error) {
	for i := range len(name) + 1 {
		if i < len(name) && name[i] != '/' {
			continue
		}
		info, err = f.root.Lstat(filepath.FromSlash(name[:i]))
		switch {
		case err != nil:
			return nil, fmt.Errorf("%.200q: %s", name, weights.Reason(err))
		case info.Mode()&fs.ModeSymlink != 0:
			return nil, fmt.Errorf("%.200q is a link: links are not followed", name[:i])
		}
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%.200q is a %s, want a file", name, weights.FileKind(info.Mode()))
	}
	return info, nil
}

// hidden says whether a part of a name is one that programs keep for themselves.
func hidden(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") || part == "__MACOSX" {
			return true
		}
	}
	return false
}

// read reads a file of at most limit bytes.
func (f *Folder) read(name string, limit int64) ([]byte, error) {
	file, err := f.root.OpenFile(filepath.FromSlash(name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, weights.Reason(err)
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.New("it is no file any more")
	}
	b, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	return b, weights.Reason(err)
}

// Image reads the bytes of an image.
func (f *Folder) Image(name string) ([]byte, error) {
	if _, err := f.check(name); err != nil {
		return nil, problem.New("not-found", "%s", err)
	}
	b, err := f.read(name, maxImage)
	if err != nil {
		return nil, problem.New("bad-request", "read %.200q: %s", name, err)
	}
	return b, nil
}

// caption is the file of an image's caption, and what it holds.
type caption struct {
	file     string // its name in the folder; the one that it will have, where there is none
	version  string // of its bytes; "" where there is no file
	document *text.Document
}

// text is the caption as an editor shows it.
func (c caption) text() string {
	return strings.TrimRight(strings.ReplaceAll(c.document.Text, "\r\n", "\n"), "\n")
}

// caption reads the caption of an image. The error says why it cannot be edited.
func (f *Folder) caption(finder *sidecar.Finder, name string) (c caption, err error) {
	full := filepath.Join(f.path, filepath.FromSlash(name))
	beside, found := finder.Find(full, f.extension)
	if !found {
		beside = sidecar.Path(full, f.extension)
	}
	rel, err := filepath.Rel(f.path, beside)
	if err != nil {
		return c, err
	}
	c.file, c.document = filepath.ToSlash(rel), new(text.Document)
	info, err := f.root.Lstat(rel)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c, nil
	case err != nil:
		return c, weights.Reason(err)
	case info.Mode()&fs.ModeSymlink != 0:
		return c, fmt.Errorf("%q is a link: links are not followed", c.file)
	case !info.Mode().IsRegular():
		return c, fmt.Errorf("%q is a %s, want a file", c.file, weights.FileKind(info.Mode()))
	}
	b, err := f.read(c.file, maxText)
	if err != nil {
		return c, &weights.FileError{Doing: "read", File: c.file, Err: err}
	}
	c.version = versionOf(b)
	if c.document, err = text.Parse(b); err != nil {
		return c, &weights.FileError{Doing: "read", File: c.file, Err: err}
	}
	return c, nil
}

// versionOf tells the contents of a file from others.
func versionOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:12])
}
