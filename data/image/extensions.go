package image

import (
	"path/filepath"
	"slices"
	"strings"
)

// extensions are those of the formats that Decode reads, under the names that cameras, phones and web sites give them.
var extensions = []string{
	".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", // JPEG
	".mpo",          // JPEG with more images behind the first, which is read
	".png", ".apng", // PNG; of an animation, the first frame
	".gif", // the first frame
	".bmp", ".dib",
	".webp",
	".tif", ".tiff",
	".heic", ".heif", ".hif",
	".avif",
}

// Extensions returns the extensions of image files that are read, with their dot, in lower case.
func Extensions() []string { return slices.Clone(extensions) }

// HasExtension says by the extension of its name, in any case, whether a file is an image that can be read. Folders and
// archives are searched for such names; a file that is named itself is tried whatever it is called.
func HasExtension(name string) bool {
	return slices.Contains(extensions, strings.ToLower(filepath.Ext(name)))
}
