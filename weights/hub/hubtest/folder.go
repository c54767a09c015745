package hubtest

import (
	"os"
	"path/filepath"
)

// PushFolder makes a commit of the files of a folder on disk.
func (h *Hub) PushFolder(name, folder string) (commit string, err error) {
	all, err := os.ReadDir(folder)
	if err != nil {
		return "", err
	}
	files := make(map[string][]byte)
	for _, d := range all {
		if d.IsDir() {
			continue
		}
		if files[d.Name()], err = os.ReadFile(filepath.Join(folder, d.Name())); err != nil {
			return "", err
		}
	}
	return h.Push(name, files), nil
}

// PushAll makes a repository of each folder ORG/NAME below root.
func (h *Hub) PushAll(root string) (names []string, err error) {
	folders, err := filepath.Glob(filepath.Join(root, "*", "*"))
	if err != nil {
		return nil, err
	}
	for _, folder := range folders {
		if info, err := os.Stat(folder); err != nil || !info.IsDir() {
			continue
		}
		name := filepath.Base(filepath.Dir(folder)) + "/" + filepath.Base(folder)
		if _, err := h.PushFolder(name, folder); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}
