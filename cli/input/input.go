// Package input finds what is captioned: files, folders, patterns, archives, addresses, objects in a cloud, lists on
// standard input, folders that are watched, and rows of embeddings. It lists images in natural order (objects in the
// order of their service), in bounded memory, and reads none before it is asked.
package input

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"captioner/cli/cloud"
	"captioner/cli/console"
	"captioner/data/image"
	"captioner/data/record"
	"captioner/data/text"
	"captioner/weights"
	"captioner/weights/plural"
)

// Input is one image to caption, or the reason why there is none.
type Input struct {
	Path string // as shown: the argument, and what was found below it
	// the path below its argument: what a shard is chosen by, wherever the folder is mounted
	Key   string
	Open  func(context.Context) ([]byte, error) // reads an image that is not a file of its own; nil for a file at path
	Stamp Stamp                                 // of an image with open
	Err   error
	// argument says that this is about a whole argument, and not about one image of many.
	Argument bool
	Skip     bool // it needs no caption; it travels along so that progress counts it
}

func failed(path string, err error) Input {
	return Input{Path: path, Err: &Failure{"input", path, err}}
}

// Failure says why there is no image.
type Failure struct {
	Doing, Path string // "read image", of what is shown as the path
	Err         error
}

func (e *Failure) Error() string { return fmt.Sprintf("%s %q: %v", e.Doing, e.Path, e.Err) }

// Unwrap returns the reason.
func (e *Failure) Unwrap() error { return e.Err }

// About returns what it is about, and the reason.
func (e *Failure) About() (string, error) { return e.Path, e.Err }

// Inputs lists images: files, folders, globs, archives, URLs, objects in a cloud, "-" for a list on standard input.
type Inputs struct {
	Args      []string
	Recursive bool
	Stdin     io.Reader
	Image     bool     // standard input is one image, and the only input
	Web       *Fetcher // gets what URLs name
	Cloud     *cloud.Store
	Context   context.Context // ends what is asked of the cloud; nil: nothing does
	Counting  bool            // nobody will open what is listed
	closed    bool            // archives are listed and not opened
	Passed    *Passed         // counts what is passed over; nil for nobody

	// Note is told by which rule the list on standard input was read, where it is not UTF-8; nil for nobody.
	Note func(string)

	enter func(folder string) // is told each folder that is looked into, before; nil for nobody
}

// Check looks at every argument before any work begins, and returns what is wrong with each; it reads no more of a
// folder than it must.
func (in Inputs) Check() []Input {
	var bad []Input
	for _, arg := range in.Args {
		if arg == "-" || IsURL(arg) {
			continue
		}
		if err := in.checkArgument(arg); err != nil {
			in := failed(arg, err)
			in.Argument = true
			bad = append(bad, in)
		}
	}
	return bad
}

func (in Inputs) checkArgument(arg string) error {
	if cloud.Is(arg) {
		return objects{in}.check(arg)
	}
	arg, err := cloud.Local(arg)
	if err != nil {
		return err
	}
	places, err := expand(arg)
	if err != nil {
		return err
	}
	var seen census
	for _, p := range places {
		info, err := os.Stat(p.path)
		if err != nil {
			return console.WithHint(weights.Reason(err), "check the spelling; a relative path starts at the current folder")
		}
		if archiveKind(p.path) != "" && !info.IsDir() {
			in.Counting, seen.archive = true, true
			if in.archive(p.path, &seen, func(i Input) bool { err = i.Err; return seen.images == 0 }); seen.images > 0 {
				return nil // if it can be read will be seen
			}
			if err != nil {
				return errors.Unwrap(err)
			}
			continue
		}
		if !info.IsDir() {
			return nil
		}
		for i := range in.walk(p, &seen) {
			if i.Err == nil {
				return nil
			}
			if err = errors.Unwrap(i.Err); i.Path != arg {
				err = fmt.Errorf("%q: %w", i.Path, err)
			}
		}
		if err != nil && seen.files == 0 {
			return err
		}
		if p.pattern != "" {
			return errNoMatch
		}
	}
	return seen.nothing(in.Recursive)
}

// census counts what a walk saw.
type census struct {
	files, folders, images int
	archives               int  // files of a folder that are archives
	archive                bool // the walk was through an archive
}

// nothing is the error of a folder or an archive in which no image was found.
func (c census) nothing(recursive bool) error {
	switch {
	case c.archive:
		return console.WithHint(fmt.Errorf("the archive has no images among its %s", plural.Count(c.files, "file")),
			"images are %s",
			strings.Join(image.Extensions(), " "))
	case c.archives > 0 && c.images == 0:
		return console.WithHint(fmt.Errorf("the folder has no images, but %s", plural.Count(c.archives, "archive")),
			"archives are opened when they are named, as in 'folder/*.tar'")
	case c.files == 0 && c.folders == 0:
		return console.WithHint(errors.New("the folder is empty"), "give a folder with images, or the images themselves")
	case c.files == 0 && !recursive:
		return console.WithHint(fmt.Errorf("the folder has no files, only %s", plural.Count(c.folders, "folder")),
			"leave out --no-recursive to look into them")
	case c.files == 0:
		return console.WithHint(errors.New("the folder is empty, and so are those in it"),
			"give a folder with images, or the images themselves")
	default:
		return console.WithHint(fmt.Errorf("the folder has no images among its %s", plural.Count(c.files, "file")),
			"images are %s; a file of another name can be given by itself", strings.Join(image.Extensions(), " "))
	}
}

// All lists the images in order. It reads folders and standard input as it goes, so its memory is that of one
// folder's names.
func (in Inputs) All() iter.Seq[Input] {
	return func(yield func(Input) bool) {
		if in.Image {
			yield(Input{Path: "-", Key: "-", Open: in.readImage})
			return
		}
		for _, arg := range in.Args {
			if arg == "-" {
				if !in.list(yield) {
					return
				}
				continue
			}
			if !in.argument(arg, yield) {
				return
			}
		}
	}
}

// Files lists the files that would be read, archives as they are: what a command must not write to. Arguments that lead
// nowhere are left out.
func (in Inputs) Files() iter.Seq[string] {
	return func(yield func(string) bool) {
		in.Counting, in.closed = true, true
		for i := range in.All() {
			if i.Err == nil && i.Open == nil && !yield(i.Path) {
				return
			}
		}
	}
}

// Images lists the files that are images, without those in archives.
func (in Inputs) Images() iter.Seq[string] {
	return func(yield func(string) bool) {
		for path := range in.Files() {
			if archiveKind(path) == "" && !yield(path) {
				return
			}
		}
	}
}

// readImage reads the one image on standard input.
func (in Inputs) readImage(context.Context) ([]byte, error) {
	head := make([]byte, 512)
	n, err := io.ReadFull(in.Stdin, head)
	head = head[:n]
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return head, nil // what is wrong with so short an image, decoding it says
	case err != nil:
		return nil, err
	case image.Format(head) == "":
		return head, nil // no image: what follows may have no end
	}
	b, err := io.ReadAll(io.LimitReader(io.MultiReader(bytes.NewReader(head), in.Stdin), maxMember+1))
	if err == nil && len(b) > maxMember {
		err = console.WithHint(fmt.Errorf("more than %d bytes", maxMember), "give so large an image as a file")
	}
	return b, err
}

func (in Inputs) argument(arg string, yield func(Input) bool) bool {
	if IsURL(arg) {
		return yield(Input{Path: arg, Key: arg, Open: in.Web.body(arg)})
	}
	if cloud.Is(arg) {
		return objects{in}.list(arg, yield)
	}
	path, err := cloud.Local(arg)
	if err != nil {
		return yield(failed(arg, err))
	}
	arg = path
	places, err := expand(arg)
	if err != nil {
		return yield(failed(arg, err))
	}
	for _, p := range places {
		info, err := os.Stat(p.path)
		if err == nil && !info.IsDir() && archiveKind(p.path) != "" {
			if !in.archive(p.path, new(census), yield) {
				return false
			}
			continue
		}
		if err != nil || !info.IsDir() {
			if !yield(Input{Path: p.path, Key: filepath.ToSlash(p.path)}) { // if it is missing, reading it will say so
				return false
			}
			continue
		}
		var seen census
		failing := false
		for i := range in.walk(p, &seen) {
			failing = failing || i.Err != nil
			if !yield(i) {
				return false
			}
		}
		none := failed(p.path, seen.nothing(in.Recursive))
		if p.pattern != "" {
			none = failed(arg, errNoMatch)
		}
		if seen.images == 0 && !failing && in.enter == nil && !yield(none) {
			return false
		}
	}
	return true
}

// The bounds of a list of paths: of one path in bytes (an address may be long), and of empty ones in a row. Beyond them
// it is no list, and may have no end.
const (
	maxPath  = 1 << 20
	maxEmpty = 1 << 20
)

// readPath reads to the end of one path.
func readPath(r *bufio.Reader, end byte) ([]byte, error) {
	var word []byte
	for {
		part, err := r.ReadSlice(end)
		word = append(word, part...)
		if len(word) > maxPath {
			return nil, fmt.Errorf("found more than %d bytes without an end of line, want a list of paths", maxPath)
		}
		if err != bufio.ErrBufferFull {
			return word, err
		}
	}
}

// list reads paths from standard input, one a line or, if a NUL comes before the first line's end, separated by NUL.
// Lists in UTF-16 are decoded; other names are bytes, as the file system has them.
func (in Inputs) list(yield func(Input) bool) bool {
	source := text.NewListReader(in.Stdin)
	r := bufio.NewReaderSize(source, 64<<10)
	defer func() { in.note(record.Taken(source.Encoding())) }()
	end := byte('\n')
	windows := false // a name was found as Windows-1252
	empty, found := 0, false
	for first := true; ; first = false {
		var word []byte
		var err error
		if first {
			word, end, err = firstPath(r)
		} else {
			word, err = readPath(r, end)
		}
		path := string(bytes.TrimSuffix(word, []byte{end}))
		if end == '\n' {
			path = strings.TrimSuffix(path, "\r")
		}
		path = strings.TrimPrefix(path, "\ufeff")
		if decoded := named(path); decoded != path {
			if !windows {
				in.note("names read as " + string(text.Windows1252))
			}
			path, windows = decoded, true
		}
		switch empty++; {
		case path != "":
			if empty, found = 0, true; !in.argument(path, yield) {
				return false
			}
		case empty > maxEmpty && err == nil:
			err = fmt.Errorf("found %d empty names in a row, want a list of paths", empty)
		}
		if err == io.EOF {
			if !found {
				in.note("an empty list")
			}
			return true
		}
		if err != nil {
			return yield(failed("-", weights.Reason(err)))
		}
	}
}

// note tells Note how the list on standard input was read; "" says that there is nothing to tell.
func (in Inputs) note(how string) {
	if in.Note != nil && how != "" {
		in.Note(how)
	}
}

// named is a path of a list as the file system has it: the list may be of a system whose names are Windows-1252.
func named(path string) string {
	if utf8.ValidString(path) {
		return path
	}
	if exists(path) {
		return path
	}
	if decoded := text.Decode(path); exists(decoded) {
		return decoded
	}
	return path
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// firstPath reads to the first NUL or line feed, whichever comes first: it separates the list.
func firstPath(r *bufio.Reader) ([]byte, byte, error) {
	var word []byte
	for {
		c, err := r.ReadByte()
		if err != nil {
			return word, '\n', err
		}
		if word = append(word, c); len(word) > maxPath {
			return nil, '\n', fmt.Errorf("found more than %d bytes without an end of line, want a list of paths", maxPath)
		}
		if c == 0 || c == '\n' {
			return word, c, nil
		}
	}
}

// walk lists the images in a folder in natural order: p2 before p10. Names that begin with a dot are left out. A
// folder that was walked already is not walked again, so links that lead in circles end.
func (in Inputs) walk(root place, seen *census) iter.Seq[Input] {
	return func(yield func(Input) bool) {
		w := walker{in: in, place: root, recursive: in.Recursive || root.pattern != "", enter: in.enter, seen: seen,
			walked: make(map[folderID]bool), yield: yield}
		w.folder(root.path, "")
	}
}

type walker struct {
	in        Inputs
	place     place
	recursive bool
	enter     func(string)
	seen      *census
	walked    map[folderID]bool
	yield     func(Input) bool
}

// folderID tells a folder from all others, whatever links lead to it.
type folderID struct{ device, inode uint64 }

func (w *walker) folder(path, key string) bool {
	info, err := os.Stat(path)
	if err == nil {
		if s, ok := info.Sys().(*syscall.Stat_t); ok {
			id := folderID{uint64(s.Dev), s.Ino}
			if w.walked[id] {
				return true
			}
			w.walked[id] = true
		}
	}
	if w.enter != nil {
		w.enter(path)
	}
	entries, readErr := os.ReadDir(path)
	if err = errors.Join(err, readErr); err != nil {
		return w.yield(failed(path, fmt.Errorf("read the folder: %w", weights.Reason(err))))
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return Natural(a.Name(), b.Name()) })
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if image.HasRawExtension(e.Name()) && developed(entries, e.Name()) {
			continue
		}
		if !w.entry(e, filepath.Join(path, e.Name()), strings.TrimPrefix(key+"/"+e.Name(), "/")) {
			return false
		}
	}
	return true
}

// developed says whether an image of another format has the name of a raw file: a camera wrote both of one photograph.
func developed(entries []fs.DirEntry, name string) bool {
	stem := strings.TrimSuffix(name, filepath.Ext(name))
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		other := e.Name()
		return image.HasExtension(other) && strings.EqualFold(strings.TrimSuffix(other, filepath.Ext(other)), stem)
	})
}

func (w *walker) entry(e fs.DirEntry, path, key string) bool {
	folder := e.IsDir()
	if e.Type()&fs.ModeSymlink != 0 {
		info, err := os.Stat(path)
		folder = err == nil && info.IsDir() // a dead link to an image is tried, and reported as missing
	}
	if folder {
		w.seen.folders++
		if w.place.pattern != "" && w.place.matches(key) { // as when a folder is named: all that is in it
			defer func(p place) { w.place = p }(w.place)
			w.place = place{path: path}
		}
		return !w.recursive || w.folder(path, key)
	}
	if !w.place.matches(key) {
		return true
	}
	w.seen.files++
	if archiveKind(path) != "" {
		w.seen.archives++
		if w.place.names() {
			return w.in.archive(path, w.seen, w.yield)
		}
	}
	if !w.place.names() && !image.HasExtension(path) && !image.HasRawExtension(path) {
		if !w.in.Counting {
			w.in.Passed.file(path)
		}
		return true
	}
	w.seen.images++
	return w.yield(Input{Path: path, Key: key})
}
