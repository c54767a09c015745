package record

import (
	"regexp"
	"slices"
	"strings"
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

// numbered finds the number at the end of a name: caption2 is a caption.
var numbered = regexp.MustCompile(`_?[0-9]+$`)

// inner finds what separates the words of a name.
var inner = regexp.MustCompile(`[\s-]+`)

// Columns spells the first row of a table as the lists above do: "File Name" and "file-name" are file_name. The bare
// names lack a number at their end as well.
func Columns(row []string) (names, bare []string) {
	names, bare = make([]string, len(row)), make([]string, len(row))
	for i, name := range row {
		names[i] = inner.ReplaceAllString(strings.ToLower(Trim(name)), "_")
		bare[i] = numbered.ReplaceAllString(names[i], "")
	}
	return names, bare
}

// First returns the index of the first wanted name that there is, or -1.
func First(names, wanted []string) int {
	for _, name := range wanted {
		if i := slices.Index(names, name); i >= 0 {
			return i
		}
	}
	return -1
}
