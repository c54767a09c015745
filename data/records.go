package data

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"captioner/data/image"
	"captioner/data/record"
)

// Records reads JSON objects that each have the path of an image and a caption, or an array of captions, under one of
// the names that [Table] takes for columns: an object a line (JSON lines), or one array of them. It also reads one
// object whose members are captions by the path of their image. Objects of one image are gathered. With a split
// other than "" only objects whose "split" it is are used. Relative paths start from the folder images, or if that is
// "" from where the images are found beside the file.
func Records(annotations, images, split string) (Source, error) {
	return readRecords(annotations, images, split, nil)
}

func readRecords(annotations, images, split string, notes *Notes) (Source, error) {
	f, err := record.Open(annotations)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	first, err := record.FirstByte(f)
	if err != nil {
		return nil, &RecordError{File: annotations, Err: record.NoEOF(err)}
	}
	read := recordLines
	if first == '[' {
		read = recordArray
	}
	g, err := read(f, annotations, split)
	if err != nil {
		return nil, err
	}
	f.NoteEncoding(notes)
	if split != "" && len(g.List) == 0 {
		return nil, &RecordError{File: annotations, Err: fmt.Errorf("no record of the split %q", split)}
	}
	Locate(g.List, annotations, images)
	return FromList(g.List), nil
}

// recordArray reads one array of objects.
func recordArray(f *record.File, annotations, split string) (g Group, err error) {
	d := json.NewDecoder(f)
	err = record.EachElement(d, annotations, "record", func(int) error {
		var r map[string]json.RawMessage
		if err := d.Decode(&r); err != nil {
			return err
		}
		return addRecord(&g, r, split)
	})
	return g, err
}

// recordLines reads an object a line. Where the first of them is none, the file may be one object of captions by path.
func recordLines(f *record.File, annotations, split string) (g Group, err error) {
	for number, line := range record.Lines(f.Reader) {
		if line.Err == nil && strings.TrimSpace(line.Text) == "" {
			continue
		}
		err := addLine(&g, line, split)
		if err == nil {
			continue
		}
		if len(g.List) == 0 && split == "" {
			if byPath, ok, failed := pathRecords(annotations); ok || failed != nil {
				return byPath, failed
			}
		}
		return g, record.At(annotations, "line", number, "%w", err)
	}
	return g, nil
}

func addLine(g *Group, line record.Line, split string) error {
	if line.Err != nil {
		return line.Err
	}
	var r map[string]json.RawMessage
	if err := json.Unmarshal([]byte(line.Text), &r); err != nil {
		return record.NoEOF(err)
	}
	return addRecord(g, r, split)
}

// pathRecords reads an object whose members are captions by the path of their image; ok is false where the file is
// none. A member that is no caption makes it none, but is an error where its name is that of an image, or a number.
func pathRecords(annotations string) (g Group, ok bool, err error) {
	f, err := record.Open(annotations)
	if err != nil {
		return g, false, err
	}
	defer f.Close()
	d := json.NewDecoder(f)
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return g, false, nil
	}
	for d.More() {
		name, err := d.Token()
		path := fmt.Sprint(name)
		var v json.RawMessage
		if err != nil || d.Decode(&v) != nil || slices.Contains(record.CaptionNames, path) ||
			slices.Contains(record.PathNames, path) || localPath(path) != nil {
			return Group{}, false, nil
		}
		captions, err := record.Captions(v)
		if _, number := strconv.Atoi(path); err != nil && (image.HasExtension(path) || number == nil) {
			return g, false, &RecordError{File: annotations, Record: fmt.Sprintf("image %q", path), Err: err}
		}
		if err != nil {
			return Group{}, false, nil
		}
		g.Add(path, path, captions...)
	}
	_, err = d.Token()
	return g, err == nil && !d.More(), nil
}

func addRecord(g *Group, r map[string]json.RawMessage, split string) error {
	if split != "" {
		var has string
		if err := json.Unmarshal(record.Member(r, record.SplitNames), &has); err != nil {
			return fmt.Errorf("no split, want one to take %q of", split)
		}
		if has != split {
			return nil
		}
	}
	var path string
	if err := json.Unmarshal(record.Member(r, record.PathNames), &path); err != nil {
		return fmt.Errorf("no path of an image, want a string named one of %s", strings.Join(record.PathNames, ", "))
	}
	if err := localPath(path); err != nil {
		return err
	}
	value := record.Member(r, record.CaptionNames)
	given := func(name string) bool { return r[name] != nil }
	if string(value) == "{}" && slices.ContainsFunc(record.CaptionNames, given) {
		value = json.RawMessage("null")
	}
	captions, err := record.Captions(value)
	if err != nil {
		return err
	}
	g.Add(path, path, captions...)
	return nil
}
