package data

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"captioner/data/parquet"
	"captioner/data/record"
)

// Kind names a format of data sets.
type Kind string

// The formats that Open knows.
const (
	KindCOCO       Kind = "COCO captions"
	KindKarpathy   Kind = "Karpathy split"
	KindTokenFile  Kind = "Flickr token file"
	KindTable      Kind = "table of paths and captions"
	KindRecords    Kind = "JSON records of paths and captions"
	KindFolder     Kind = "a folder of images with captions beside them"
	KindWebDataset Kind = "WebDataset shards"
	KindParquet    Kind = "Parquet table"
)

// A Dataset is what Open found at a path.
type Dataset struct {
	Kind   Kind
	Path   string // the annotation file, folder or pattern that is read
	Split  string // the part of it that is used, "" for all
	Source Source
	Notes  *Notes // what was left out or taken by a rule, once Source was ranged over
}

// Open finds out by its content what a data set is, and opens it:
//
//   - a JSON object with "images": the captions of COCO, or Karpathy's splits;
//   - JSON lines, or an array, of records with a path and captions (see [Records]);
//   - lines of name#number, a tab and a caption: the token files of Flickr8k and Flickr30k;
//   - CSV and the like with a path and captions (see [Table]);
//   - a tar file, or a pattern of several: [WebDataset];
//   - a Parquet table, a pattern of several, or a folder of them, with images or their paths, and captions;
//   - a folder: the tar files in it, or its metadata.jsonl or metadata.csv, or its images with captions beside them.
//
// Text files may be compressed. After the path may stand "#" and the name of a split, for Karpathy's files (where
// "train" is taken without it), tables and records, or of a list of images beside a token file
// ("Flickr8k.token.txt#Flickr_8k.devImages.txt"). Images is the folder that relative paths start from; if it is "" the
// folder is looked for beside the file.
func Open(path, images string) (Dataset, error) {
	name, split := path, ""
	info, err := os.Stat(path)
	if err != nil {
		if before, after, ok := cutLast(path, "#"); ok {
			name, split = before, after
			info, err = os.Stat(name)
		}
	}
	switch {
	case err != nil && (strings.ContainsAny(name, "*?[") || numberRange.MatchString(name)):
		notes := new(Notes)
		if strings.HasSuffix(strings.ToLower(name), ".parquet") {
			parts, err := expand(name)
			if err != nil {
				return Dataset{}, fmt.Errorf("open data set: %w", err)
			}
			s, err := readParquet(parts, images, split)
			return opened(KindParquet, name, split, s, notes, err)
		}
		s, err := readWebDataset(name, notes)
		return opened(KindWebDataset, name, "", s, notes, err)
	case err != nil:
		return Dataset{}, fmt.Errorf("open data set %q: %w", path, err)
	case info.IsDir():
		return openFolder(name, images, split)
	}
	return openFile(name, images, split)
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func opened(kind Kind, path, split string, s Source, notes *Notes, err error) (Dataset, error) {
	if err != nil {
		return Dataset{}, fmt.Errorf("open data set: %w", err)
	}
	return Dataset{Kind: kind, Path: path, Split: split, Source: s, Notes: notes}, nil
}

func openFolder(folder, images, split string) (Dataset, error) {
	if images != "" {
		return Dataset{}, fmt.Errorf("open data set %q: found a folder and %q for its images, want a file of captions "+
			"with it", folder, images)
	}
	for _, name := range []string{"metadata.jsonl", "metadata.csv"} {
		path := filepath.Join(folder, name)
		if _, err := os.Stat(path); err == nil {
			return openFile(path, folder, split)
		}
	}
	if parts := partsOf(folder); len(parts) > 0 {
		s, err := readParquet(parts, "", split)
		return opened(KindParquet, folder, split, s, new(Notes), err)
	}
	if split != "" {
		return Dataset{}, fmt.Errorf("open data set %q: found a folder, want a file to take the split %q of", folder, split)
	}
	notes := new(Notes)
	shards, err := shardsOf(folder)
	if err != nil {
		return Dataset{}, fmt.Errorf("open data set %q: %w", folder, err)
	}
	if len(shards) > 0 {
		return opened(KindWebDataset, folder, "", shardSource(shards, notes), notes, nil)
	}
	s, err := readFolder(folder, notes)
	return opened(KindFolder, folder, "", s, notes, err)
}

func openFile(path, images, split string) (Dataset, error) {
	kind, err := kindOf(path)
	if err != nil {
		return Dataset{}, fmt.Errorf("open data set: %w", err)
	}
	var s Source
	notes := new(Notes)
	switch kind {
	case KindKarpathy:
		if split == "" {
			split = "train"
		}
		s, err = openKarpathy(path, images, split, notes)
	case KindTokenFile:
		list := ""
		if split != "" {
			list = filepath.Join(filepath.Dir(path), split)
		}
		s, err = readTokenFile(path, images, list, notes)
	case KindParquet:
		s, err = readParquet([]string{path}, images, split)
	case KindTable:
		s, err = readTable(path, images, split, notes)
	case KindRecords:
		s, err = readRecords(path, images, split, notes)
	default:
		if split != "" {
			return Dataset{}, fmt.Errorf("open data set %q: found %s, which has no splits, want no %q", path, kind, "#"+split)
		}
		if kind == KindCOCO {
			s, err = openCOCO(path, images, notes)
		} else {
			s, err = readWebDataset(path, notes)
		}
	}
	return opened(kind, path, split, s, notes, err)
}

func kindOf(path string) (Kind, error) {
	if tar, err := IsTar(path); err != nil || tar {
		return KindWebDataset, err
	}
	if parquet.Is(path) {
		return KindParquet, nil
	}
	f, err := record.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	head, err := f.Peek(4096)
	if err != nil && err != io.EOF {
		return "", &RecordError{File: path, Err: err}
	}
	text := strings.TrimSpace(string(head))
	switch {
	case text == "":
		return "", &RecordError{File: path, Err: errors.New("the file is empty, want captions")}
	case text[0] == '[':
		return KindRecords, nil
	case text[0] == '{':
		return KindOfObject(f), nil
	}
	line, _, _ := strings.Cut(text, "\n")
	if _, _, ok := cutToken(strings.TrimRight(line, "\r")); ok {
		return KindTokenFile, nil
	}
	for _, row := range record.Rows(f.Reader, path) {
		if row.Err == nil {
			_, _, row.Err = columnsOf(row.Fields)
		}
		if row.Err != nil {
			return "", &RecordError{File: path, Err: fmt.Errorf("the format is not known: as a table: %w", row.Err)}
		}
		break
	}
	return KindTable, nil
}

// KindOfObject reads an object as far as the first of its images. What is broken is for the reader of the kind to say.
func KindOfObject(r io.Reader) Kind {
	d := json.NewDecoder(r)
	if _, err := d.Token(); err != nil {
		return KindRecords
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return KindRecords
		}
		if name != "images" && name != "annotations" {
			var skipped json.RawMessage
			if err := d.Decode(&skipped); err != nil {
				return KindRecords
			}
			continue
		}
		if t, err := d.Token(); err != nil || t != json.Delim('[') || name == "annotations" || !d.More() {
			return KindCOCO
		}
		var first struct {
			Sentences json.RawMessage `json:"sentences"`
		}
		if err := d.Decode(&first); err == nil && first.Sentences != nil {
			return KindKarpathy
		}
		return KindCOCO
	}
	return KindRecords
}
