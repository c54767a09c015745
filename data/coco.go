package data

import (
	"encoding/json"
	"errors"
	"fmt"

	"captioner/data/record"
)

// COCO reads a captions file of COCO, of 2014 or 2017 or in their form: an object with "images" (id, file_name) and
// "annotations" (image_id, caption). The examples come in the order of "images", the captions of each in the order of
// "annotations". Images are looked for in the folder images, or if that is "" beside the file.
func COCO(annotations, images string) (Source, error) { return openCOCO(annotations, images, nil) }

func openCOCO(annotations, images string, notes *Notes) (Source, error) {
	list, err := readCOCO(annotations, notes)
	if err != nil {
		return nil, err
	}
	Locate(list, annotations, images)
	return FromList(list), nil
}

type cocoImage struct {
	ID       record.ID `json:"id"`
	FileName string    `json:"file_name"`
}

type cocoCaption struct {
	ImageID record.ID       `json:"image_id"`
	Caption json.RawMessage `json:"caption"`
}

// text is the caption; that of null is empty.
func (c cocoCaption) text() (s string, err error) {
	if json.Unmarshal(c.Caption, &s) != nil {
		return "", fmt.Errorf("the caption is %.40s, want a string", c.Caption)
	}
	return record.Trim(s), nil
}

func readCOCO(path string, notes *Notes) ([]Example, error) {
	f, err := record.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := cocoReader{captions: map[record.ID][]string{}, first: map[record.ID]int{}}
	found := map[string]bool{}
	each := func(name, what string, read func(d *json.Decoder, n int) error) func(*json.Decoder) error {
		return func(d *json.Decoder) error {
			found[name] = true
			return record.EachElement(d, path, what, func(n int) error { return read(d, n) })
		}
	}
	err = record.EachMember(f, path, map[string]func(*json.Decoder) error{
		"images":      each("images", "image", r.image),
		"annotations": each("annotations", "annotation", r.annotation),
	})
	if err != nil {
		return nil, err
	}
	f.NoteEncoding(notes)
	for _, name := range []string{"images", "annotations"} {
		if !found[name] {
			return nil, &RecordError{File: path, Err: fmt.Errorf("no %q, want the captions format of COCO", name)}
		}
	}
	for i, e := range r.list {
		r.list[i].Captions = r.captions[record.ID(e.ID)]
		delete(r.first, record.ID(e.ID))
	}
	return r.list, orphans(path, r.first)
}

// cocoReader gathers what a file has, whichever of its two arrays comes first.
type cocoReader struct {
	list     []Example
	captions map[record.ID][]string
	first    map[record.ID]int // the annotation that first named the id
}

// image reads an element of "images".
func (r *cocoReader) image(d *json.Decoder, _ int) error {
	var image cocoImage
	switch err := d.Decode(&image); {
	case err != nil:
		return err
	case image.ID == "":
		return errors.New("no id")
	case image.FileName == "":
		return errors.New("no file_name")
	}
	r.list = append(r.list, Example{ID: string(image.ID), Path: image.FileName})
	return nil
}

// annotation reads element n of "annotations".
func (r *cocoReader) annotation(d *json.Decoder, n int) error {
	var c cocoCaption
	switch err := d.Decode(&c); {
	case err != nil:
		return err
	case c.ImageID == "":
		return errors.New("no image_id")
	case c.Caption == nil:
		return errors.New("no caption: other annotations of COCO, such as instances, are of no use here")
	}
	caption, err := c.text()
	if err != nil {
		return err
	}
	r.captions[c.ImageID] = append(r.captions[c.ImageID], caption)
	if _, seen := r.first[c.ImageID]; !seen {
		r.first[c.ImageID] = n
	}
	return nil
}

// orphans makes an error of the annotations whose image is not in the file.
func orphans(path string, first map[record.ID]int) error {
	lowest, name := 0, record.ID("")
	for image, n := range first {
		if lowest == 0 || n < lowest {
			lowest, name = n, image
		}
	}
	if lowest == 0 {
		return nil
	}
	return record.At(path, "annotation", lowest, "image_id %s is not among the images, and %d more are not", name,
		len(first)-1)
}
