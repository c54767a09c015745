package output

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"captioner/cli/console"
	"captioner/cli/input"
	"captioner/weights"
	"captioner/weights/atomicfile"
	"captioner/weights/plural"
)

// MergeOptions are what the flags of merge say.
type MergeOptions struct {
	Out, Format  string
	Shown        string // what Out is called in messages; "" is its path
	AllowMissing bool
	Overwrite    bool
	Parts        []string
}

// unit is what one image has in a part: its lines, row or object, as they stand there.
type unit struct {
	path string
	text []byte
}

// Merge joins the parts into one file, or on standard output.
func Merge(con *console.Console, o MergeOptions) error {
	if err := o.check(con.Term); err != nil {
		return err
	}
	m := merger{format: o.Format, term: con.Term}
	for _, path := range o.Parts {
		if err := m.survey(path); err != nil {
			return &weights.FileError{Doing: "merge", File: path, Err: err}
		}
	}
	if err := m.write(o.Out, con.Stdout); err != nil {
		return err
	}
	done := fmt.Sprintf("%s of %s", plural.Count(m.pictures, "image"), plural.Count(len(o.Parts), "part"))
	if o.Out != "" && o.Out != "-" {
		done += " → " + console.Visible(cmp.Or(o.Shown, o.Out))
	}
	con.Term.Log.Info(done)
	return nil
}

// numbered finds the number of a part, and of how many, in its name.
var numbered = regexp.MustCompile(`(\d+)-of-(\d+)`)

// check finds parts that are missing, given twice or not finished.
func (o *MergeOptions) check(t *console.Terminal) error {
	var infos []os.FileInfo
	for _, path := range o.Parts {
		info, err := statPart(path)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(infos, func(other os.FileInfo) bool { return os.SameFile(info, other) }); i >= 0 {
			return fmt.Errorf("merge %q: it is the same file as %q", path, o.Parts[i])
		}
		infos = append(infos, info)
		if _, err := os.Stat(path + ".failed"); err == nil {
			t.Log.Warn(fmt.Sprintf("images failed in %q: they are listed in %q", path, path+".failed"))
		}
	}
	n, err := numbersOf(o.Parts)
	if err != nil {
		return err
	}
	if n.of == 0 {
		t.Log.Info("the names do not say how many parts there are: that all are here is not checked")
		return nil
	}
	if n.nameless > 0 {
		return console.Usagef("", "merge: %d of the parts have a number in their names, and %d have none", len(n.given),
			n.nameless)
	}
	missing := n.missing()
	if len(missing) == 0 {
		return nil
	}
	lack := fmt.Sprintf("of %s %s is missing", plural.Count(n.of, "part"), strings.Join(missing, ", "))
	if !o.AllowMissing {
		return console.WithHint(errors.New("merge: "+lack), "--allow-missing joins what there is")
	}
	t.Log.Warn(lack)
	return nil
}

// statPart looks at the file of a part, whose run must have ended.
func statPart(path string) (os.FileInfo, error) {
	info, err := os.Stat(path)
	if _, half := os.Stat(path + ".part"); half == nil {
		return nil, &weights.FileError{Doing: "merge", File: path, Err: console.WithHint(errors.New("its run has not ended"),
			"run it again with --resume, or wait for it")}
	}
	if err != nil {
		return nil, &weights.FileError{Doing: "merge", File: path, Err: weights.Reason(err)}
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("merge %q: it is a %s, want a file", path, weights.FileKind(info.Mode()))
	}
	return info, nil
}

// numbers are what the names of parts say.
type numbers struct {
	of       int            // how many parts there are; 0 where no name says it
	given    map[int]string // the parts by their numbers
	nameless int            // parts whose names say none
}

func numbersOf(parts []string) (numbers, error) {
	n := numbers{given: make(map[int]string)}
	for _, path := range parts {
		word := numbered.FindStringSubmatch(filepath.Base(path))
		if word == nil {
			n.nameless++
			continue
		}
		i, _ := strconv.Atoi(word[1])
		of, _ := strconv.Atoi(word[2])
		if n.of != 0 && of != n.of {
			return n, fmt.Errorf("merge: %q is of %s, and %q of %d", path, plural.Count(of, "part"), parts[0], n.of)
		}
		if other, twice := n.given[i]; twice {
			return n, fmt.Errorf("merge: %q and %q are both part %d", other, path, i)
		}
		n.of, n.given[i] = of, path
	}
	return n, nil
}

// missing are the numbers that no part has. They count from 1, or from 0 where a part is 0.
func (n numbers) missing() (list []string) {
	first := 1
	if _, ok := n.given[0]; ok {
		first = 0
	}
	for i := first; i < first+n.of; i++ {
		if n.given[i] == "" {
			list = append(list, strconv.Itoa(i))
		}
	}
	return list
}

// merger joins parts.
type merger struct {
	format   string
	term     *console.Terminal
	parts    []string
	jumbled  bool // a part is not in the order of its paths
	pictures int
}

// survey reads a part through once: that it is whole, and in order.
func (m *merger) survey(path string) error {
	r, err := openPart(path, m.format)
	if err != nil {
		return err
	}
	defer r.close()
	last := ""
	for n := 0; ; n++ {
		u, err := r.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if n > 0 && input.ComparePaths(last, u.path) > 0 && !m.jumbled {
			m.jumbled = true
			m.term.Log.Info(fmt.Sprintf("%q is not in the order of its paths: each part keeps its own order", path))
		}
		last = u.path
	}
	m.parts = append(m.parts, path)
	return nil
}

// write writes all parts to a file, whole or not at all, or to standard output.
func (m *merger) write(path string, stdout io.Writer) error {
	if path != "" && path != "-" {
		return atomicfile.WriteFile(path, Packed(path, m.join))
	}
	w := bufio.NewWriterSize(stdout, 64<<10)
	if err := m.join(w); err != nil {
		return err
	}
	return w.Flush()
}

// join writes all parts: each time the first of their next images.
func (m *merger) join(w io.Writer) error {
	var open []*partReader
	var heads []unit
	defer func() {
		for _, r := range open {
			r.close()
		}
	}()
	for _, path := range m.parts {
		r, err := openPart(path, m.format)
		if err != nil {
			return &weights.FileError{Doing: "merge", File: path, Err: err}
		}
		u, err := r.next()
		if err == io.EOF {
			r.close()
			continue
		}
		if err != nil {
			r.close()
			return &weights.FileError{Doing: "merge", File: path, Err: err}
		}
		open, heads = append(open, r), append(heads, u)
	}
	form := joined{w: w, format: m.format}
	if err := form.begin(m.parts); err != nil {
		return err
	}
	seen := overlap{last: make(map[uint64]string), all: m.jumbled, names: m.format == "coco"}
	for len(open) > 0 {
		at := 0
		for i := range heads {
			if input.ComparePaths(heads[i].path, heads[at].path) < 0 {
				at = i
			}
		}
		if err := seen.add(heads[at].path, open[at].path); err != nil {
			return err
		}
		if err := form.write(heads[at]); err != nil {
			return err
		}
		m.pictures++
		u, err := open[at].next()
		switch {
		case err == io.EOF:
			open[at].close()
			open, heads = slices.Delete(open, at, at+1), slices.Delete(heads, at, at+1)
		case err != nil:
			return &weights.FileError{Doing: "merge", File: open[at].path, Err: err}
		default:
			heads[at] = u
		}
	}
	return form.end()
}

// overlap finds an image that is there twice: among neighbours, or where the order does not bring them together, among
// all.
type overlap struct {
	last  map[uint64]string // checksum of an image's path to its part
	all   bool
	names bool // the parts know names alone, without folders
}

func (o *overlap) add(picture, part string) error {
	h := fnv.New64a()
	io.WriteString(h, picture)
	key := h.Sum64()
	if other, twice := o.last[key]; twice && other != part {
		hint := "the parts are not of one run: give all of them the same images and the same N of --shard I/N"
		if o.names {
			hint += "; or two folders have an image of that name, which this format cannot tell apart: --format jsonl can"
		}
		return console.WithHint(fmt.Errorf("merge: %q is in %q and in %q", picture, other, part), "%s", hint)
	}
	if !o.all {
		clear(o.last)
	}
	o.last[key] = part
	return nil
}
