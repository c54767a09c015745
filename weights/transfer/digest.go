package transfer

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"strings"
)

// Digest is a checksum by its kind: "sha256", "git" (the name that git gives a file, which the hub uses for small
// ones), "md5" or "crc32c". The last two only tell damage, not malice.
type Digest struct{ Kind, Hex string }

// None says that there is no checksum.
func (d Digest) None() bool { return d.Hex == "" }

// hasher returns what computes digests of this kind over a file of this size.
func (d Digest) hasher(size int64) hash.Hash {
	switch d.Kind {
	case "git":
		h := sha1.New()
		fmt.Fprintf(h, "blob %d\x00", size)
		return h
	case "md5":
		return md5.New()
	case "crc32c":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	}
	return sha256.New()
}

// Digests computes the SHA-256 of a file, and the digest of the kind of want, in one pass.
func Digests(path string, want Digest) (sum string, got Digest, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", got, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", got, err
	}
	s := sha256.New()
	w := io.Writer(s)
	other := want.hasher(info.Size())
	if want.Kind != "sha256" && want.Kind != "" {
		w = io.MultiWriter(s, other)
	}
	if _, err := io.CopyBuffer(w, struct{ io.Reader }{f}, make([]byte, 1<<20)); err != nil {
		return "", got, err
	}
	sum = hex.EncodeToString(s.Sum(nil))
	if w == io.Writer(s) {
		return sum, Digest{"sha256", sum}, nil
	}
	return sum, Digest{want.Kind, hex.EncodeToString(other.Sum(nil))}, nil
}

// HubDigest reads an entity tag of the hub: a SHA-256 for large files, git's name for small ones.
func HubDigest(tag string) Digest {
	tag = strings.Trim(strings.TrimPrefix(tag, "W/"), `"`)
	if _, err := hex.DecodeString(tag); err != nil {
		return Digest{}
	}
	switch len(tag) {
	case 64:
		return Digest{"sha256", strings.ToLower(tag)}
	case 40:
		return Digest{"git", strings.ToLower(tag)}
	}
	return Digest{}
}

// serverDigest is what a storage server says of the whole file, if anything: the better of Google's x-goog-hash, or
// Content-MD5 where the answer is the whole file.
func serverDigest(r *http.Response) Digest {
	found := make(map[string]string)
	for _, v := range r.Header.Values("X-Goog-Hash") {
		for part := range strings.SplitSeq(v, ",") {
			kind, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			found[kind] = value
		}
	}
	if r.StatusCode == http.StatusOK && found["md5"] == "" {
		found["md5"] = r.Header.Get("Content-MD5")
	}
	for _, d := range []struct {
		kind string
		size int
	}{{"md5", md5.Size}, {"crc32c", crc32.Size}} {
		if b, err := base64.StdEncoding.DecodeString(found[d.kind]); err == nil && len(b) == d.size {
			return Digest{d.kind, hex.EncodeToString(b)}
		}
	}
	return Digest{}
}

// Check reads a file that is here and compares it with a digest; none says nothing against any file. A file that is not
// what it should be is a *DamagedError.
func Check(path string, want Digest) (sum string, size int64, err error) {
	sum, got, err := Digests(path, want)
	if err != nil {
		return "", 0, fmt.Errorf("read %q: %w", path, Reason(err))
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", 0, fmt.Errorf("read %q: %w", path, Reason(err))
	}
	if !want.None() && got != want {
		return "", 0, &DamagedError{Path: path, Got: got, Want: want, Size: info.Size()}
	}
	return sum, info.Size(), nil
}
