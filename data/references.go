package data

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
)

// ReadReferences reads what people wrote about pictures, to score predictions against. One path can be anything that
// [Open] knows, and also the forms of [ReadPredictions] with one or several captions an image: records and tables of
// image ids, an object of captions by image, or text with a caption a line. Several paths are texts whose lines belong
// together: line n of each is a reference of example n. Images is the folder of the pictures, as for Open.
func ReadReferences(images string, paths ...string) (Dataset, error) {
	if len(paths) == 0 {
		return Dataset{}, errors.New("read references: no files")
	}
	if info, err := os.Stat(paths[0]); len(paths) == 1 && (err != nil || info.IsDir()) {
		return Open(paths[0], images)
	}
	var whole []Example
	notes := new(Notes)
	for i, path := range paths {
		kind, list, err := referencesOf(path, notes)
		if err != nil {
			return Dataset{}, fmt.Errorf("read references: %w", err)
		}
		if len(paths) == 1 && list == nil {
			return Open(path, images)
		}
		if len(paths) == 1 {
			place(list, imageFolder(path, images, list))
			return Dataset{Kind: kind, Path: path, Source: examples(list), Notes: notes}, nil
		}
		if kind != KindLines {
			return Dataset{}, fmt.Errorf("read references: %q is no text with a caption a line, want only such where there "+
				"are %d files", path, len(paths))
		}
		if i == 0 {
			whole = list
			continue
		}
		if len(list) != len(whole) {
			return Dataset{}, fmt.Errorf("read references: %q has %d lines and %q has %d, want as many", path, len(list),
				paths[0], len(whole))
		}
		for k := range list {
			whole[k].Captions = append(whole[k].Captions, list[k].Captions...)
		}
	}
	return Dataset{Kind: KindLines, Path: paths[0], Source: examples(whole), Notes: notes}, nil
}

// referencesOf reads the forms that Open does not know; nil for the others.
func referencesOf(path string, notes *Notes) (Kind, []Example, error) {
	if tar, err := isTar(path); err != nil || tar {
		return "", nil, err
	}
	b, err := readText(path, notes)
	if err != nil {
		return "", nil, err
	}
	if tokens, _, _ := bytes.Cut(b, []byte("\n")); isToken(tokens) {
		return "", nil, nil
	}
	if text := bytes.TrimSpace(b); len(text) > 0 && text[0] == '{' {
		if k := kindOfObject(&textFile{Reader: newReader(b)}); k != KindRecords { // COCO's and Karpathy's
			return "", nil, nil
		}
	}
	kind, records, err := parseCaptions(path, b)
	if err != nil {
		return "", nil, err
	}
	var g group
	for _, r := range records {
		switch {
		case r.id == "":
			return "", nil, nil // Open knows records of paths
		case r.failed != "":
			return "", nil, &RecordError{File: path, Err: fmt.Errorf("the record of %q says %q in the place of references",
				r.id, r.failed)}
		}
		g.add(r.id, r.path, r.captions...)
	}
	return kind, g.list, nil
}

func isToken(line []byte) bool {
	_, _, ok := cutToken(string(bytes.TrimRight(line, "\r")))
	return ok
}

func newReader(b []byte) *bufio.Reader { return bufio.NewReaderSize(bytes.NewReader(b), 1<<16) }
