package captioning

import (
	"os"
	"path/filepath"
	"strings"

	"captioner/data/metadata"
	"captioner/data/metadata/xmp"
	"captioner/data/sidecar"
)

// known is what is known of an image, by the names of the variables of a prompt: from its path, its file, and the XMP
// beside it.
func known(path string, b []byte) map[string]string {
	info := metadata.Read(b)
	for _, beside := range []string{path + ".xmp", sidecar.Path(path, ".xmp")} {
		if s, err := os.Stat(beside); err != nil || !s.Mode().IsRegular() || s.Size() > xmp.MaxBytes {
			continue
		}
		if packet, err := os.ReadFile(beside); err == nil {
			info = info.Or(metadata.ReadXMP(packet))
		}
	}
	base := filepath.Base(path)
	dir := filepath.Base(filepath.Dir(path))
	if dir == "." || dir == string(filepath.Separator) {
		dir = ""
		if abs, err := filepath.Abs(path); err == nil && path != "-" {
			dir = filepath.Base(filepath.Dir(abs))
		}
	}
	return map[string]string{
		"stem": strings.TrimSuffix(base, filepath.Ext(base)), "dir": dir,
		"keywords": strings.Join(info.Keywords, ", "), "date": info.Date, "location": info.Location,
		"city": info.City, "state": info.State, "country": info.Country,
	}
}
