package data

import (
	"fmt"
	"strings"

	"captioner/data/record"
	"captioner/weights/plural"
)

// TokenFile reads the captions of Flickr8k and Flickr30k as published: "name.jpg#0<TAB>caption" a line, any number of
// lines for one image. List names a file with the names of the images to use, one a line, such as
// Flickr_8k.trainImages.txt; with "" all are used. Images are looked for in the folder images, or if that is ""
// beside the file.
func TokenFile(annotations, images, list string) (Source, error) {
	return readTokenFile(annotations, images, list, nil)
}

func readTokenFile(annotations, images, list string, notes *Notes) (Source, error) {
	var wanted map[string]bool
	if list != "" {
		wanted = map[string]bool{}
		for name, err := range Lines(list) {
			if err != nil {
				return nil, err
			}
			wanted[name] = true
		}
	}
	f, err := record.Open(annotations)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var g Group
	for number, line := range record.Lines(f.Reader) {
		if line.Err != nil {
			return nil, record.At(annotations, "line", number, "%w", line.Err)
		}
		if strings.TrimSpace(line.Text) == "" {
			continue
		}
		name, caption, ok := cutToken(line.Text)
		if !ok {
			return nil, record.At(annotations, "line", number, "found %.60q, want name#number, a tab and a caption", line.Text)
		}
		if wanted == nil || wanted[name] {
			g.Add(name, name, caption)
		}
	}
	f.NoteEncoding(notes)
	if len(wanted) > 0 && len(g.List) == 0 {
		return nil, &RecordError{File: annotations, Err: fmt.Errorf("none of the %s of %q", plural.Count(len(wanted),
			"image"), list)}
	}
	Locate(g.List, annotations, images)
	return FromList(g.List), nil
}

// cutToken takes a line apart.
func cutToken(line string) (name, caption string, ok bool) {
	name, caption, ok = strings.Cut(line, "\t")
	if !ok {
		return "", "", false
	}
	i := strings.LastIndexByte(name, '#')
	if i <= 0 || i == len(name)-1 || strings.Trim(name[i+1:], "0123456789") != "" {
		return "", "", false
	}
	return name[:i], caption, true
}

// IsTokenLine says whether a line is one of a token file.
func IsTokenLine(line string) bool {
	_, _, ok := cutToken(strings.TrimRight(line, "\r"))
	return ok
}
