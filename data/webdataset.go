package data

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"captioner/data/image"
	"captioner/data/record"
	"captioner/data/unpack"
	"captioner/weights/plural"
)

// WebDataset reads tar files in which the members of one example stand together under one name: 000001.jpg and
// 000001.txt or 000001.caption (a caption a line) or 000001.json (with "caption" or "captions"). Shards is a path, a
// pattern such as train-*.tar, or has a range as in train-{000..127}.tar. The ids are the names without what follows
// the first dot, as in WebDataset itself. Where an image and its captions agree in a longer name (a.v1.jpg and
// a.v1.txt), that is the id.
//
// The images stay in the archives; [Example.Bytes] reads them from there. An archive that is compressed with gzip,
// bzip2, xz or Zstandard is unpacked into a file in the folder for temporary files, which goes when the program ends.
func WebDataset(shards string) (Source, error) { return readWebDataset(shards, nil) }

func readWebDataset(pattern string, notes *Notes) (Source, error) {
	files, err := expand(pattern)
	if err != nil {
		return nil, err
	}
	return shardSource(files, notes), nil
}

func shardSource(files []string, notes *Notes) Source {
	shards := make([]*tarFile, len(files))
	for i, file := range files {
		shards[i] = &tarFile{path: file}
	}
	return func(yield func(Example, error) bool) {
		var found record.Tally
		defer func() { notes.Replace(found) }()
		for _, s := range shards {
			r := tarReader{archive: s, found: &found, yield: yield}
			if !r.read() {
				return
			}
		}
	}
}

// shardsOf lists the tar files in a folder, in natural order. Compressed ones alone make no data set of a folder that
// has images, or folders for them.
func shardsOf(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var shards []string
	plain, others := false, false
	for _, e := range entries {
		tar, packed := unpack.IsTar(e.Name())
		switch {
		case strings.HasPrefix(e.Name(), "."):
		case tar && !e.IsDir():
			shards = append(shards, filepath.Join(folder, e.Name()))
			plain = plain || !packed
		case e.IsDir() || image.HasExtension(e.Name()):
			others = true
		}
	}
	if !plain && others {
		return nil, nil
	}
	slices.SortFunc(shards, naturalCompare)
	return shards, nil
}

var numberRange = regexp.MustCompile(`\{([0-9]{1,9})\.\.([0-9]{1,9})\}`)

// maxShards bounds a range, so that a slip of the hand does not make a list of a thousand million names.
const maxShards = 1_000_000

// Ranges writes out the ranges of a pattern: a-{08..10}.tar is a-08.tar, a-09.tar, a-10.tar, as in a shell. A pattern
// without one is itself.
func Ranges(pattern string) ([]string, error) {
	m := numberRange.FindStringSubmatchIndex(pattern)
	if m == nil {
		return []string{pattern}, nil
	}
	from, to := pattern[m[2]:m[3]], pattern[m[4]:m[5]]
	first, _ := strconv.Atoi(from) // at most nine digits
	last, _ := strconv.Atoi(to)
	if last < first || last-first >= maxShards {
		return nil, fmt.Errorf("found the range %s to %s, want it ascending and below %d", from, to, maxShards)
	}
	rest, err := Ranges(pattern[m[1]:])
	if err != nil {
		return nil, err
	}
	if (last-first+1)*len(rest) > maxShards {
		return nil, fmt.Errorf("found more than %s, want fewer", plural.Count(maxShards, "file"))
	}
	var names []string
	for n := first; n <= last; n++ {
		for _, r := range rest {
			names = append(names, fmt.Sprintf("%s%0*d%s", pattern[:m[0]], len(from), n, r))
		}
	}
	return names, nil
}

// expand lists the files that a pattern means, in natural order.
func expand(pattern string) ([]string, error) {
	names, err := Ranges(pattern)
	if err != nil {
		return nil, fmt.Errorf("shards %q: %w", pattern, err)
	}
	var all []string
	for _, name := range names {
		if _, err := os.Stat(name); err == nil {
			all = append(all, name)
			continue
		}
		files, err := filepath.Glob(name)
		if err != nil {
			return nil, fmt.Errorf("shards %q: %w", name, err)
		}
		if len(files) == 0 {
			return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
		}
		slices.SortFunc(files, naturalCompare)
		all = append(all, files...)
	}
	return all, nil
}
