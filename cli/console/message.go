package console

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
)

// about is an error that is about one file.
type about interface {
	error
	About() (file string, why error)
}

// plain is an error that has words for people who do not know how the program works.
type plain interface{ Plain() string }

// Message is what an error says to people, on one line: the file first, then what is wrong with it. What the program
// was doing when it found out is left away where a file explains itself.
func Message(err error) string {
	for e := err; e != nil; e = errors.Unwrap(e) {
		switch e := e.(type) {
		case about:
			if file, why := e.About(); file != "" {
				return Visible(file) + ": " + reason(file, why)
			}
		case *fs.PathError:
			if unreachable(e) {
				return Visible(e.Path) + ": " + e.Err.Error()
			}
		case interface{ Unwrap() []error }:
			if list := e.Unwrap(); errors.Join(list...).Error() == err.Error() { // nothing but a list
				return messages(list)
			}
		}
	}
	return OneLine(err)
}

func messages(list []error) string {
	var all []string
	for _, err := range list {
		all = append(all, Message(err))
	}
	return strings.Join(all, "; ")
}

// reason is what is wrong with a file, without its name.
func reason(file string, why error) string {
	var words plain
	if errors.As(why, &words) {
		return Visible(words.Plain())
	}
	var path *fs.PathError
	if errors.As(why, &path) && path.Path == file {
		return path.Err.Error()
	}
	text := OneLine(why)
	for _, doing := range []string{"open ", "read "} { // said by the readers of files, which name theirs
		text = strings.TrimPrefix(text, doing+`"`+file+`": `)
	}
	return text
}

// unreachable says whether a file could not be come by at all.
func unreachable(e *fs.PathError) bool {
	if e.Op != "open" && e.Op != "stat" && e.Op != "lstat" && e.Op != "read" {
		return false
	}
	for _, why := range []error{fs.ErrNotExist, fs.ErrPermission, syscall.EISDIR, syscall.ENOTDIR, syscall.ELOOP,
		syscall.ENAMETOOLONG} {
		if errors.Is(e.Err, why) {
			return true
		}
	}
	return false
}
