package hub

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"captioner/weights/atomicfile"
	"captioner/weights/transfer"
)

// Layout finds and makes the paths of the hub's cache, as huggingface_hub documents it:
//
//	models--ORG--NAME/blobs/TAG                the content, under its SHA-256 or git's name for it
//	models--ORG--NAME/blobs/TAG.incomplete     what has come of it
//	models--ORG--NAME/snapshots/COMMIT/FILE    a link to the blob
//	models--ORG--NAME/refs/REVISION            COMMIT
//	models--ORG--NAME/.no_exist/COMMIT/FILE    empty: the commit has no such file
//	.locks/models--ORG--NAME/TAG.lock          who fetches the blob holds it
//
// Nothing in it is ever deleted.
type Layout struct{ Root string }

// FolderName is the name of a repository's folder.
func FolderName(repo string) string { return "models--" + strings.ReplaceAll(repo, "/", "--") }

// Folder is the folder of a repository.
func (l Layout) Folder(repo string) string { return filepath.Join(l.Root, FolderName(repo)) }

// Lock is the lock file of what has that name: the tag of a blob.
func (l Layout) Lock(repo, name string) string {
	return filepath.Join(l.Root, ".locks", FolderName(repo), name+".lock")
}

// Blob is the path of a blob by its tag.
func (l Layout) Blob(repo, tag string) string { return filepath.Join(l.Folder(repo), "blobs", tag) }

// Snapshot is the folder of a commit.
func (l Layout) Snapshot(repo, commit string) string {
	return filepath.Join(l.Folder(repo), "snapshots", commit)
}

// Snapshots are the names of the commits of which files are here.
func (l Layout) Snapshots(repo string) []string {
	all, _ := os.ReadDir(filepath.Join(l.Folder(repo), "snapshots")) // a folder that is not there has no snapshots
	var names []string
	for _, d := range all {
		names = append(names, d.Name())
	}
	return names
}

// Commit is the commit that a revision stands for, as far as is known here; "" where it is not.
func (l Layout) Commit(repo, revision string) string {
	if transfer.IsCommit(revision) {
		return revision
	}
	b, err := os.ReadFile(filepath.Join(l.Folder(repo), "refs", filepath.FromSlash(revision)))
	commit := strings.TrimSpace(string(b))
	if err != nil || !transfer.IsCommit(commit) {
		return ""
	}
	return commit
}

// SetCommit writes down which commit a revision stands for, if that is news.
func (l Layout) SetCommit(repo, revision, commit string) error {
	if l.Commit(repo, revision) == commit {
		return nil
	}
	path := filepath.Join(l.Folder(repo), "refs", filepath.FromSlash(revision))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	return atomicfile.WriteFile(path, func(w io.Writer) error {
		_, err := io.WriteString(w, commit)
		return err
	})
}

// Link gives a blob the name of a file of a commit. A name that is taken stays as it is.
func (l Layout) Link(repo, commit, file, tag string) error {
	to := filepath.Join(l.Snapshot(repo, commit), file)
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return err
	}
	err := os.Symlink(filepath.Join("..", "..", "blobs", tag), to)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return nil
	}
	// Without the right to make links, huggingface_hub moves the file too.
	return os.Rename(l.Blob(repo, tag), to)
}

// absent is the path that says that a commit has no such file.
func (l Layout) absent(repo, commit, file string) string {
	return filepath.Join(l.Folder(repo), ".no_exist", commit, file)
}

// SetAbsent writes down that a commit has no such file.
func (l Layout) SetAbsent(repo, commit, file string) error {
	path := l.absent(repo, commit, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	return f.Close()
}

// BlobDigest is the checksum that a file of a snapshot has by the name of its blob; none where it is no link to one.
func BlobDigest(file string) transfer.Digest {
	to, err := filepath.EvalSymlinks(file)
	if err != nil {
		return transfer.Digest{}
	}
	return transfer.HubDigest(filepath.Base(to))
}

// Regular says whether a path leads to a file.
func Regular(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
