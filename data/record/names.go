package record

import (
	"regexp"
	"slices"
)

// The names under which tables and JSON records have the image, the captions and the split; the first that is there
// counts.
var (
	PathNames = []string{"path", "image", "image_path", "img_path", "file_name", "filename", "filepath", "file",
		"img", "image_name", "image_file"}
	CaptionNames = []string{"caption", "captions", "text", "texts", "sentence", "sentences", "comment", "description",
		"title", "raw"}
	SplitNames = []string{"split"}
)

// Numbered finds the number at the end of a name: caption2 is a caption.
var Numbered = regexp.MustCompile(`[ _-]?[0-9]+$`)

// First returns the index of the first wanted name that there is, or -1.
func First(names, wanted []string) int {
	for _, name := range wanted {
		if i := slices.Index(names, name); i >= 0 {
			return i
		}
	}
	return -1
}
