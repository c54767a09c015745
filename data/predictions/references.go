package predictions

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"

	"captioner/data"
	"captioner/data/parquet"
	"captioner/data/record"
	"captioner/weights/plural"
)

// ReadReferences reads what people wrote about images, to score predictions against. One path can be anything that
// [data.Open] knows, and also the forms of [Read] with one or several captions an image: records and tables of
// image ids, an object of captions by image, or text with a caption a line. Several paths are texts whose lines belong
// together: line n of each is a reference of example n. Images is the folder of the images, as for data.Open.
func ReadReferences(images string, paths ...string) (data.Dataset, error) {
	if len(paths) == 0 {
		return data.Dataset{}, errors.New("read references: no files")
	}
	if info, err := os.Stat(paths[0]); len(paths) == 1 && (err != nil || info.IsDir()) {
		return data.Open(paths[0], images)
	}
	var whole []data.Example
	notes := new(record.Notes)
	for i, path := range paths {
		kind, list, err := referencesOf(path, notes)
		if err != nil {
			return data.Dataset{}, fmt.Errorf("read references: %w", err)
		}
		if len(paths) == 1 && list == nil {
			return data.Open(path, images)
		}
		if len(paths) == 1 {
			data.Locate(list, path, images)
			return data.Dataset{Kind: kind, Path: path, Source: data.FromList(list), Notes: notes}, nil
		}
		if kind != KindLines {
			return data.Dataset{}, fmt.Errorf("read references: %q is no text with a caption a line, "+
				"want only such where there are %s", path, plural.Count(len(paths), "file"))
		}
		if i == 0 {
			whole = list
			continue
		}
		if len(list) != len(whole) {
			return data.Dataset{}, fmt.Errorf("read references: %q has %s and %q has %d, want as many", path,
				plural.Count(len(list), "line"),
				paths[0], len(whole))
		}
		for k := range list {
			whole[k].Captions = append(whole[k].Captions, list[k].Captions...)
		}
	}
	return data.Dataset{Kind: KindLines, Path: paths[0], Source: data.FromList(whole), Notes: notes}, nil
}

// referencesOf reads the forms that data.Open does not know; nil for the others.
func referencesOf(path string, notes *record.Notes) (data.Kind, []data.Example, error) {
	if tar, err := data.IsTar(path); err != nil || tar {
		return "", nil, err
	}
	if parquet.Is(path) {
		return "", nil, nil
	}
	b, err := readText(path, notes)
	if err != nil {
		return "", nil, err
	}
	if tokens, _, _ := bytes.Cut(b, []byte("\n")); data.IsTokenLine(string(tokens)) {
		return "", nil, nil
	}
	if text := bytes.TrimSpace(b); len(text) > 0 && text[0] == '{' {
		if k := data.KindOfObject(newReader(b)); k != data.KindRecords { // COCO's and Karpathy's
			return "", nil, nil
		}
	}
	kind, records, err := parseCaptions(path, b)
	if err != nil {
		return "", nil, err
	}
	var g data.Group
	for _, r := range records {
		switch {
		case r.id == "":
			return "", nil, nil // data.Open knows records of paths
		case r.failed != "":
			return "", nil, &record.Error{File: path, Err: fmt.Errorf("the record of %q says %q in the place of references",
				r.id, r.failed)}
		}
		g.Add(r.id, r.path, r.captions...)
	}
	return kind, g.List, nil
}

func newReader(b []byte) *bufio.Reader { return bufio.NewReaderSize(bytes.NewReader(b), 1<<16) }
