package data

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"
)

// probes is how many images are looked for to tell whether a folder is the right one.
const probes = 20

// imageFolder returns the folder that the relative paths of an annotation file start from: given if it is not "", else
// the first folder of those where data sets keep their images that has one of the first few images of the list,
// else the folder of the annotation file.
func imageFolder(annotations, given string, list []Example) string {
	if given != "" {
		return given
	}
	for _, folder := range folders(annotations) {
		for _, e := range list[:min(len(list), probes)] {
			if info, err := os.Stat(filepath.Join(folder, filepath.FromSlash(e.Path))); err == nil && info.Mode().IsRegular() {
				return folder
			}
		}
	}
	return filepath.Dir(annotations)
}

// folders lists where the pictures of an annotation file may be. For annotations/captions_train2017.json these are
// annotations, annotations/train2017, ./train2017, ./images/train2017 and so on.
func folders(annotations string) []string {
	here := filepath.Dir(annotations)
	split := filepath.Base(annotations)
	split, _, _ = strings.Cut(split, ".")
	if _, after, ok := strings.Cut(split, "captions_"); ok {
		split = after
	}
	var all []string
	for _, base := range []string{here, filepath.Join(here, "..")} {
		for _, sub := range []string{"", "images", "Images", "Flicker8k_Dataset", "Flickr8k_Dataset", "flickr30k_images",
			"flickr30k-images"} {
			all = append(all, filepath.Join(base, sub, split), filepath.Join(base, sub))
		}
	}
	return all
}

// naturalCompare orders names as people do: img2 before img10. Names that differ only in zeros before a number, or not
// at all by that, are ordered by their bytes.
func naturalCompare(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		if isDigit(x[0]) && isDigit(y[0]) {
			var n, m string
			n, x = cutNumber(x)
			m, y = cutNumber(y)
			if c := cmp.Or(cmp.Compare(len(n), len(m)), strings.Compare(n, m)); c != 0 {
				return c
			}
			continue
		}
		if x[0] != y[0] {
			return cmp.Compare(x[0], y[0])
		}
		x, y = x[1:], y[1:]
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(a, b))
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// cutNumber returns the digits that s begins with, without zeros before them, and the rest.
func cutNumber(s string) (number, rest string) {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return strings.TrimLeft(s[:n], "0"), s[n:]
}
