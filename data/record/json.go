package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// FirstByte looks past white space at what comes first.
func FirstByte(f *File) (byte, error) {
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

// Member returns the first member of an object that has one of the names, or JSON's null.
func Member(r map[string]json.RawMessage, names []string) json.RawMessage {
	for _, name := range names {
		if v, ok := r[name]; ok && !bytes.Equal(v, []byte("null")) {
			return v
		}
	}
	return json.RawMessage(`{}`) // no string and no array
}

// Captions reads a caption, or an array of them, each a string or one of pycocoevalcap's objects. The error says which
// of them is none, and what it is.
func Captions(v json.RawMessage) ([]string, error) {
	var one *string
	if json.Unmarshal(v, &one) == nil && one != nil {
		return []string{*one}, nil
	}
	if v := bytes.TrimSpace(v); len(v) == 0 || v[0] != '[' {
		return nil, notCaption("caption", v)
	}
	var items []json.RawMessage
	if err := json.Unmarshal(v, &items); err != nil {
		return nil, NoEOF(err)
	}
	many := make([]string, 0, len(items))
	for i, item := range items {
		var text *string
		if json.Unmarshal(item, &text) != nil {
			text = nil          // of a number it is an empty string
			var object struct { // pycocoevalcap's
				Caption *string `json:"caption"`
			}
			if json.Unmarshal(item, &object) == nil {
				text = object.Caption
			}
		}
		if text == nil {
			return nil, notCaption(fmt.Sprintf("caption %d", i+1), item)
		}
		many = append(many, *text)
	}
	return many, nil
}

// notCaption says what stands where a caption should be.
func notCaption(what string, v json.RawMessage) error {
	const want = "want a string or an array of strings"
	var found string
	switch v := bytes.TrimSpace(v); {
	case len(v) == 0, bytes.Equal(v, []byte("{}")):
		return errors.New("no caption, " + want + " named one of " + strings.Join(CaptionNames, ", "))
	case v[0] == 'n':
		found = "null"
	case v[0] == '{':
		found = "an object without a caption"
	case v[0] == '[':
		found = "an array"
	case v[0] == 't', v[0] == 'f':
		found = string(v)
	default:
		found = fmt.Sprintf("the number %.40s", v)
	}
	return &NotCaptionError{What: what, Found: found}
}

// A NotCaptionError says that something else stands where a caption should be.
type NotCaptionError struct{ What, Found string }

func (e *NotCaptionError) Error() string {
	return fmt.Sprintf("%s is %s, want a string", e.What, e.Found)
}

// ID is an identifier that data sets write as a number or as a string.
type ID string

// UnmarshalJSON takes either form.
func (i *ID) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return json.Unmarshal(b, (*string)(i))
	}
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil {
		return fmt.Errorf("id %.40s, want a number or a string", b)
	}
	*i = ID(n)
	return nil
}

// EachMember reads one JSON object and hands the decoder, which stands before the value, to the function of the
// member's name. Other members are skipped.
func EachMember(r io.Reader, path string, handle map[string]func(*json.Decoder) error) error {
	d := json.NewDecoder(r)
	broken := func(err error) error {
		return &Error{File: path, Record: fmt.Sprintf("byte %d", d.InputOffset()), Err: NoEOF(err)}
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

// EachElement reads one JSON array, calling read for each element with its number, from 1. What read returns is told
// with the file and the number.
func EachElement(d *json.Decoder, path, what string, read func(number int) error) error {
	t, err := d.Token()
	if err == nil && t != json.Delim('[') {
		err = fmt.Errorf("found %v, want an array of %ss", t, what)
	}
	if err != nil {
		return &Error{File: path, Record: fmt.Sprintf("byte %d", d.InputOffset()), Err: NoEOF(err)}
	}
	number := 0
	for d.More() {
		number++
		if err := read(number); err != nil {
			return At(path, what, number, "%w", NoEOF(err))
		}
	}
	if _, err := d.Token(); err != nil {
		return At(path, what, number, "after it: %w", NoEOF(err))
	}
	return nil
}

// NoEOF says of a file that ends too early what it is.
func NoEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the file ends here, want more JSON")
	}
	return err
}
