package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"captioner/weights"
)

// TargetError says that a path is not one that a file can be written to as a whole.
type TargetError struct {
	Path  string
	Found string // "a folder", "a named pipe", "a socket", "a device", …
}

func (e *TargetError) Error() string {
	return fmt.Sprintf("write %q: it is %s, want a file", e.Path, e.Found)
}

// About returns the path, and what is wrong with it.
func (e *TargetError) About() (file string, why error) {
	return e.Path, fmt.Errorf("it is %s, want a file", e.Found)
}

// Hint says what to give in its place.
func (e *TargetError) Hint() string {
	return "give the name of a new or an existing file; to feed another program, let the results go to standard output"
}

// Target returns the path of the file that would be written for path: path itself, or the end of its chain of links. It
// fails where Create would refuse the target, and changes nothing. The file need not exist; its folder is not tried.
func Target(path string) (string, error) {
	target, _, err := resolve(path)
	if err != nil {
		return "", fail(path, err)
	}
	return target, nil
}

// resolve follows links to the target and refuses what is no file. old is nil where there is none yet.
func resolve(path string) (target string, old fs.FileInfo, err error) {
	if path == "" {
		return "", nil, fs.ErrNotExist
	}
	if os.IsPathSeparator(path[len(path)-1]) {
		return "", nil, &TargetError{Path: path, Found: "the name of a folder"}
	}
	old, err = os.Stat(path) // the system's own view: it alone can follow /dev/stdout to a pipe
	if errors.Is(err, fs.ErrNotExist) {
		target, err = endOfLinks(path)
		return target, nil, err
	}
	if err != nil {
		return "", nil, err
	}
	if !old.Mode().IsRegular() {
		return "", nil, &TargetError{Path: path, Found: foundAt(old)}
	}
	target, err = filepath.EvalSymlinks(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", nil, err
	}
	// A link in /proc can lead to an open file whose name is gone, or is another file's by now.
	if named, err := os.Lstat(target); err != nil || !os.SameFile(old, named) {
		return "", nil, &TargetError{Path: path, Found: "an open file that has no name"}
	}
	if standardStream(path) {
		return "", nil, &TargetError{Path: path, Found: "a standard stream"}
	}
	return target, old, writable(target)
}

// standardStream says whether a path leads through the table of open files. A rename would take the file away from who
// holds it open, such as the shell that ran the program with "> file".
func standardStream(path string) bool {
	for range maxLinks {
		folder, _ := filepath.EvalSymlinks(filepath.Dir(path))
		if folder == "/dev/fd" || filepath.Base(folder) == "fd" && within(folder, "/proc") {
			return true
		}
		to, err := os.Readlink(path)
		if err != nil {
			return false
		}
		path = joinLink(path, to)
	}
	return false
}

func within(path, root string) bool {
	rel, err := filepath.Rel(root, path)
	return err == nil && filepath.IsLocal(rel)
}

// maxLinks is how many links of a chain are followed, as many as Linux follows.
const maxLinks = 40

// endOfLinks follows a chain of links that ends at a missing file, and returns the name of that file.
func endOfLinks(path string) (string, error) {
	for range maxLinks {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
		if err != nil {
			return "", err
		}
		if info.Mode().Type() != fs.ModeSymlink {
			return path, nil // it came into being between two looks; Commit looks again
		}
		to, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		path = joinLink(path, to)
	}
	return "", syscall.ELOOP
}

// joinLink is the path that the link at path leads to. It does not clean the result: "a/../b" is not "b" where a is a
// link itself.
func joinLink(path, to string) string {
	if filepath.IsAbs(to) {
		return to
	}
	folder, _ := filepath.Split(path)
	return folder + to
}

// writable fails where the process may not write to an existing file.
func writable(target string) error {
	f, err := os.OpenFile(target, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

func foundAt(info fs.FileInfo) string {
	if info.Mode().Type() == fs.ModeSymlink {
		return "a link by now"
	}
	return "a " + weights.FileKind(info.Mode())
}
