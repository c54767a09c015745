package formats

import (
	"path/filepath"

	"captioner/weights"
)

// SHA256 is the SHA-256 of a file, or of the weights of a folder (see Folder) one after the other, in hexadecimal.
func SHA256(path string) (string, error) {
	files := []string{path}
	if dir, ok := Folder(path); ok {
		files = nil
		for _, pattern := range []string{"*.safetensors", "*.bin"} {
			found, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				return "", err
			}
			files = append(files, found...)
		}
	}
	return weights.SHA256(files...)
}
