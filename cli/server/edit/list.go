package edit

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"captioner/data/image"
	"captioner/data/sidecar"
)

// Listing is what a folder holds.
type Listing struct {
	Folder    string  `json:"folder"` // its name
	Extension string  `json:"extension"`
	Images    []Entry `json:"images"`   // folder by folder, without an order that people would want
	LeftOut   LeftOut `json:"left_out"` // what is not among the images
}

// LeftOut counts what is not listed, by the reason.
type LeftOut struct {
	Links      int `json:"links"`      // they may lead out of the folder
	Names      int `json:"names"`      // images whose names are not UTF-8
	Unread     int `json:"unread"`     // images of kinds that are not read
	Beyond     int `json:"beyond"`     // images beyond the limit of a list
	Unreadable int `json:"unreadable"` // folders
}

// Entry is an image with its caption.
type Entry struct {
	Name    string `json:"name"`              // below the folder, with slashes
	Stamp   string `json:"stamp"`             // another one where the image has changed
	Caption string `json:"caption"`           // without the end of its last line; "" where there is no file
	File    string `json:"file"`              // that holds the caption, or will
	Version string `json:"version"`           // of that file, for Save; "" where there is none
	Problem string `json:"problem,omitempty"` // why the caption cannot be edited
}

// List lists the images of the folder and of all folders in it, with their captions.
func (f *Folder) List(ctx context.Context) (*Listing, error) {
	l := &Listing{Folder: filepath.Base(f.path), Extension: f.extension, Images: []Entry{}}
	var finder sidecar.Finder
	err := fs.WalkDir(f.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
		case err != nil && name == ".":
			return err
		case err != nil:
			l.LeftOut.Unreadable++
			return fs.SkipDir
		case name != "." && hidden(d.Name()):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.Type()&fs.ModeSymlink != 0:
			if !strings.EqualFold(path.Ext(name), f.extension) { // an image's entry says so of its caption
				l.LeftOut.Links++
			}
			return nil
		case !d.Type().IsRegular():
			return nil
		case image.IsUnread(name):
			l.LeftOut.Unread++
			return nil
		case !image.HasExtension(name):
			return nil
		case !utf8.ValidString(name):
			l.LeftOut.Names++
			return nil
		case len(l.Images) == maxImages:
			l.LeftOut.Beyond++
			return nil
		}
		l.Images = append(l.Images, f.entry(&finder, name, d))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %q: %w", f.path, err)
	}
	return l, nil
}

func (f *Folder) entry(finder *sidecar.Finder, name string, d fs.DirEntry) Entry {
	e := Entry{Name: name}
	if info, err := d.Info(); err == nil {
		e.Stamp = fmt.Sprintf("%x-%x", info.ModTime().UnixNano(), info.Size())
	}
	c, err := f.caption(finder, name)
	e.File, e.Version = c.file, c.version
	if err != nil {
		e.Problem = err.Error()
		return e
	}
	e.Caption = c.text()
	return e
}
