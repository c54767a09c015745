package data

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Records reads JSON objects that each have the path of a picture and a caption, or an array of captions, under one of
// the names that [Table] takes for columns: an object a line (JSON lines), or one array of them. Objects of one picture
// are gathered. With a split other than "" only objects whose "split" it is are used. Relative paths start from the
// folder images, or if that is "" from where the pictures are found beside the file.
func Records(annotations, images, split string) (Source, error) {
	return readRecords(annotations, images, split, nil)
}

func readRecords(annotations, images, split string, notes *Notes) (Source, error) {
	f, err := openText(annotations)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var g group
	if first, err := firstByte(f); err != nil {
		return nil, &RecordError{File: annotations, Err: noEOF(err)}
	} else if first == '[' {
		d := json.NewDecoder(f)
		err = eachElement(d, annotations, "record", func(int) error {
			var r map[string]json.RawMessage
			if err := d.Decode(&r); err != nil {
				return err
			}
			return addRecord(&g, r, split)
		})
		if err != nil {
			return nil, err
		}
	} else {
		for number, line := range lines(f.Reader) {
			if line.err == nil && strings.TrimSpace(line.text) == "" {
				continue
			}
			var r map[string]json.RawMessage
			err := line.err
			if err == nil {
				err = noEOF(json.Unmarshal([]byte(line.text), &r))
			}
			if err == nil {
				err = addRecord(&g, r, split)
			}
			if err != nil {
				return nil, at(annotations, "line", number, "%w", err)
			}
		}
	}
	f.noteEncoding(notes)
	if split != "" && len(g.list) == 0 {
		return nil, &RecordError{File: annotations, Err: fmt.Errorf("no record of the split %q", split)}
	}
	place(g.list, imageFolder(annotations, images, g.list))
	return examples(g.list), nil
}

// firstByte looks past white space at what comes first.
func firstByte(f *textFile) (byte, error) {
	for {
		b, err := f.ReadByte()
		if err != nil {
			return 0, err
		}
		if !strings.ContainsRune(" \t\r\n", rune(b)) {
			return b, f.UnreadByte()
		}
	}
}

func addRecord(g *group, r map[string]json.RawMessage, split string) error {
	if split != "" {
		var has string
		if err := json.Unmarshal(member(r, splitNames), &has); err != nil {
			return fmt.Errorf("no split, want one to take %q of", split)
		}
		if has != split {
			return nil
		}
	}
	var path string
	if err := json.Unmarshal(member(r, pathNames), &path); err != nil {
		return fmt.Errorf("no path of a picture, want a string named one of %s", strings.Join(pathNames, ", "))
	}
	if err := localPath(path); err != nil {
		return err
	}
	captions, err := recordCaptions(member(r, captionNames))
	if err != nil {
		return err
	}
	g.add(path, path, captions...)
	return nil
}

// member returns the first member of an object that has one of the names, or JSON's null.
func member(r map[string]json.RawMessage, names []string) json.RawMessage {
	for _, name := range names {
		if v, ok := r[name]; ok && !bytes.Equal(v, []byte("null")) {
			return v
		}
	}
	return json.RawMessage(`{}`) // no string and no array
}

func recordCaptions(v json.RawMessage) ([]string, error) {
	var one string
	if json.Unmarshal(v, &one) == nil {
		return []string{one}, nil
	}
	var many []string
	if json.Unmarshal(v, &many) == nil {
		return many, nil
	}
	return nil, errors.New("no caption, want a string or an array of strings named one of " + strings.Join(captionNames,
		", "))
}
