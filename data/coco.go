package data

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// COCO reads a captions file of COCO, of 2014 or 2017 or in their form: an object with "images" (id, file_name) and
// "annotations" (image_id, caption). The examples come in the order of "images", the captions of each in the order of
// "annotations". Pictures are looked for in the folder images, or if that is "" beside the file.
func COCO(annotations, images string) (Source, error) { return openCOCO(annotations, images, nil) }

func openCOCO(annotations, images string, notes *Notes) (Source, error) {
	list, err := readCOCO(annotations, notes)
	if err != nil {
		return nil, err
	}
	place(list, imageFolder(annotations, images, list))
	return examples(list), nil
}

type cocoImage struct {
	ID       id     `json:"id"`
	FileName string `json:"file_name"`
}

type cocoCaption struct {
	ImageID id      `json:"image_id"`
	Caption *string `json:"caption"`
}

func readCOCO(path string, notes *Notes) ([]Example, error) {
	f, err := openText(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var (
		list     []Example
		captions = map[id][]string{}
		first    = map[id]int{} // the annotation that first named the id
		found    = map[string]bool{}
	)
	err = eachMember(f, path, map[string]func(*json.Decoder) error{
		"images": func(d *json.Decoder) error {
			found["images"] = true
			return eachElement(d, path, "image", func(n int) error {
				var image cocoImage
				switch err := d.Decode(&image); {
				case err != nil:
					return err
				case image.ID == "":
					return errors.New("no id")
				case image.FileName == "":
					return errors.New("no file_name")
				}
				list = append(list, Example{ID: string(image.ID), Path: image.FileName})
				return nil
			})
		},
		"annotations": func(d *json.Decoder) error {
			found["annotations"] = true
			return eachElement(d, path, "annotation", func(n int) error {
				var c cocoCaption
				switch err := d.Decode(&c); {
				case err != nil:
					return err
				case c.ImageID == "":
					return errors.New("no image_id")
				case c.Caption == nil:
					return errors.New("no caption: other annotations of COCO, such as instances, are of no use here")
				}
				captions[c.ImageID] = append(captions[c.ImageID], trim(*c.Caption))
				if _, seen := first[c.ImageID]; !seen {
					first[c.ImageID] = n
				}
				return nil
			})
		},
	})
	if err != nil {
		return nil, err
	}
	f.noteEncoding(notes)
	for _, name := range []string{"images", "annotations"} {
		if !found[name] {
			return nil, &RecordError{File: path, Err: fmt.Errorf("no %q, want the captions format of COCO", name)}
		}
	}
	for i, e := range list {
		list[i].Captions = captions[id(e.ID)]
		delete(first, id(e.ID))
	}
	return list, orphans(path, first)
}

// orphans makes an error of the annotations whose image is not in the file.
func orphans(path string, first map[id]int) error {
	lowest, name := 0, id("")
	for image, n := range first {
		if lowest == 0 || n < lowest {
			lowest, name = n, image
		}
	}
	if lowest == 0 {
		return nil
	}
	return at(path, "annotation", lowest, "image_id %s is not among the images, and %d more are not", name, len(first)-1)
}

// id is an identifier that data sets write as a number or as a string.
type id string

func (i *id) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return json.Unmarshal(b, (*string)(i))
	}
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil {
		return fmt.Errorf("id %.40s, want a number or a string", b)
	}
	*i = id(n)
	return nil
}

// eachMember reads one JSON object and hands the decoder, which stands before the value, to the function of the
// member's name. Other members are skipped.
func eachMember(r io.Reader, path string, handle map[string]func(*json.Decoder) error) error {
	d := json.NewDecoder(r)
	broken := func(err error) error {
		return &RecordError{path, fmt.Sprintf("byte %d", d.InputOffset()), noEOF(err)}
	}
	if t, err := d.Token(); err != nil {
		return broken(err)
	} else if t != json.Delim('{') {
		return broken(fmt.Errorf("found %v, want an object", t))
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return broken(err)
		}
		if f := handle[fmt.Sprint(name)]; f != nil {
			if err := f(d); err != nil {
				return err
			}
			continue
		}
		var skipped json.RawMessage
		if err := d.Decode(&skipped); err != nil {
			return broken(err)
		}
	}
	if _, err := d.Token(); err != nil {
		return broken(err)
	}
	return nil
}

// eachElement reads one JSON array, calling read for each element with its number, from 1. What read returns is told
// with the file and the number.
func eachElement(d *json.Decoder, path, what string, read func(number int) error) error {
	t, err := d.Token()
	if err == nil && t != json.Delim('[') {
		err = fmt.Errorf("found %v, want an array of %ss", t, what)
	}
	if err != nil {
		return &RecordError{path, fmt.Sprintf("byte %d", d.InputOffset()), noEOF(err)}
	}
	number := 0
	for d.More() {
		number++
		if err := read(number); err != nil {
			return at(path, what, number, "%w", noEOF(err))
		}
	}
	if _, err := d.Token(); err != nil {
		return at(path, what, number, "after it: %w", noEOF(err))
	}
	return nil
}

// noEOF says of a file that ends too early what it is.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the file ends here, want more JSON")
	}
	return err
}
