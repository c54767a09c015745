package pickle

import (
	"archive/zip"
	"errors"
	"io"
	"strings"
)

// script knows which attributes of a TorchScript class are parameters and buffers. The archive says so only in the
// class's source text, of which nothing but these two lists is read:
//
//	class Linear(Module):
//	  __parameters__ = ["weight", "bias", ]
//	  __buffers__ = []
type script struct {
	archive *archive
	modules map[string]map[string][]string // module, class, names
	left    int                            // bytes of source text that may still be unpacked
}

const scriptRoot = "__torch__"

func newScript(a *archive) *script {
	return &script{archive: a, modules: map[string]map[string][]string{}, left: 1<<20 + 8*len(a.in)}
}

func isScript(r *Record) bool {
	return r.Module == scriptRoot || strings.HasPrefix(r.Module, scriptRoot+".")
}

// tensors returns the names of a class's parameters and buffers; false if the archive does not tell.
func (s *script) tensors(class Global) ([]string, bool) {
	if s == nil {
		return nil, false
	}
	classes, seen := s.modules[class.Module]
	if !seen {
		text, err := s.archive.text("code/"+strings.ReplaceAll(class.Module, ".", "/")+".py", s.left)
		if err == nil {
			s.left -= len(text)
			classes = scriptClasses(text)
		}
		s.modules[class.Module] = classes
	}
	names, ok := classes[class.Name]
	return names, ok
}

// scriptClasses returns the names of the parameters and buffers of all classes of a source text that lists them.
func scriptClasses(text string) map[string][]string {
	classes := map[string][]string{}
	class := ""
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, " ") {
			class, _, _ = strings.Cut(strings.TrimPrefix(line, "class "), "(")
			continue
		}
		key, value, _ := strings.Cut(strings.TrimSpace(line), " = ")
		if key != "__parameters__" && key != "__buffers__" {
			continue
		}
		if classes[class] == nil {
			classes[class] = []string{}
		}
		for _, quoted := range strings.Split(strings.Trim(value, "[] "), ",") {
			if name := strings.Trim(quoted, ` "'`); name != "" {
				classes[class] = append(classes[class], name)
			}
		}
	}
	return classes
}

// text returns an entry of source text, which TorchScript compresses. Text that unpacks to far more than source text
// does, or to more than limit bytes, is refused.
func (a *archive) text(name string, limit int) (string, error) {
	f, ok := a.files[name]
	if !ok || f.CompressedSize64 > uint64(len(a.in)) {
		return "", errors.New("no such entry")
	}
	if f.Method != zip.Deflate {
		b, err := a.entry(name)
		return string(b), err
	}
	r, err := f.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	limit = min(limit, 1<<12+64*int(f.CompressedSize64))
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if len(b) > limit {
		return "", errors.New("too large")
	}
	return string(b), err
}
