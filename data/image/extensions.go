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

// unread are the extensions of images of other formats.
var unread = []string{
	".ai", ".arw", ".avifs", ".cr2", ".cr3", ".crw", ".cur", ".dcm", ".dng", ".emf", ".eps", ".erf", ".exr", ".fits",
	".flif", ".hdr", ".heics", ".icns", ".ico", ".iiq", ".j2c", ".j2k", ".jng", ".jp2", ".jpf", ".jpm", ".jpx", ".jxl",
	".jxr", ".kdc", ".mng", ".mrw", ".nef", ".nrw", ".orf", ".pam", ".pbm", ".pcx", ".pef", ".pfm", ".pgm", ".pic",
	".pict", ".pnm", ".ppm", ".psb", ".psd", ".qoi", ".raf", ".raw", ".rw2", ".rwl", ".sgi", ".sr2", ".srw", ".svg",
	".svgz", ".tga", ".wbmp", ".wdp", ".wmf", ".x3f", ".xbm", ".xcf", ".xpm",
}

// IsUnread says by the extension of its name whether a file is an image of a format that is not read, or one that is
// packed: photo.jxl, photo.jpg.gz.
func IsUnread(name string) bool {
	name = strings.ToLower(name)
	extension := filepath.Ext(name)
	switch extension {
	case ".gz", ".bz2", ".xz", ".zst":
		inner := filepath.Ext(strings.TrimSuffix(name, extension))
		return slices.Contains(extensions, inner) || slices.Contains(unread, inner)
	}
	return slices.Contains(unread, extension)
}
