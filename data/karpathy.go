package data

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	"captioner/data/record"
)

type karpathyImage struct {
	FilePath  string    `json:"filepath"`
	FileName  string    `json:"filename"`
	ImageID   record.ID `json:"imgid"`
	CocoID    record.ID `json:"cocoid"`
	Split     string    `json:"split"`
	Sentences []struct {
		Raw    *string  `json:"raw"`
		Tokens []string `json:"tokens"`
	} `json:"sentences"`
}

// Karpathy reads a dataset_coco.json, dataset_flickr8k.json or dataset_flickr30k.json of Karpathy's splits. Split is
// "train", "val" or "test"; "restval", the part of COCO's validation images that papers train on, counts as "train".
// With "" the source has all splits. Images are looked for in the folder images, or if that is "" beside the file.
func Karpathy(annotations, images, split string) (Source, error) {
	return openKarpathy(annotations, images, split, nil)
}

func openKarpathy(annotations, images, split string, notes *Notes) (Source, error) {
	list, found, err := readKarpathy(annotations, split, notes)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 && split != "" {
		return nil, &RecordError{File: annotations, Err: fmt.Errorf("no split %q, found %s", split,
			strings.Join(found, ", "))}
	}
	Locate(list, annotations, images)
	return FromList(list), nil
}

// readKarpathy also returns the names of the splits, in the order of the file.
func readKarpathy(file, split string, notes *Notes) (list []Example, splits []string, err error) {
	f, err := record.Open(file)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	seen, found := map[string]bool{}, false
	err = record.EachMember(f, file, map[string]func(*json.Decoder) error{"images": func(d *json.Decoder) error {
		found = true
		return record.EachElement(d, file, "image", func(n int) error {
			var image karpathyImage
			if err := d.Decode(&image); err != nil {
				return err
			}
			if image.Split == "restval" {
				image.Split = "train"
			}
			if !seen[image.Split] {
				seen[image.Split] = true
				splits = append(splits, image.Split)
			}
			e, err := image.example()
			if err == nil && (split == "" || image.Split == split) {
				list = append(list, e)
			}
			return err
		})
	}})
	f.NoteEncoding(notes)
	if err == nil && !found {
		err = &RecordError{File: file, Err: errors.New(`no "images", want the form of Karpathy's splits`)}
	}
	return list, splits, err
}

func (image karpathyImage) example() (Example, error) {
	if image.FileName == "" {
		return Example{}, errors.New("no filename")
	}
	e := Example{ID: string(image.CocoID), Path: path.Join(image.FilePath, image.FileName)}
	if e.ID == "" {
		e.ID = string(image.ImageID)
	}
	if e.ID == "" { // files of other data than COCO may lack both
		e.ID = image.FileName
	}
	for i, s := range image.Sentences {
		switch {
		case s.Raw != nil:
			e.Captions = append(e.Captions, record.Trim(*s.Raw))
		case s.Tokens != nil:
			e.Captions = append(e.Captions, strings.Join(s.Tokens, " "))
		default:
			return Example{}, fmt.Errorf("sentence %d has no raw text and no tokens", i+1)
		}
	}
	return e, nil
}
