package transfer

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

func TestDigests(t *testing.T) {
	b := bytes.Repeat([]byte("abc"), 1000)
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	io.Copy(h, bytes.NewReader(b))
	sum := hex.EncodeToString(h.Sum(nil))
	g := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(b)), b...))
	gitName := hex.EncodeToString(g[:])
	for kind, want := range map[string]string{"sha256": sum, "git": gitName, "md5": "",
		"crc32c": ""} {
		s, got, err := Digests(path, Digest{Kind: kind})
		if err != nil || s != sum || got.Kind != kind || want != "" && got.Hex != want {
			t.Errorf("%s: got %q %v, %v, want %q", kind, s, got, err, want)
		}
	}
	for tag, want := range map[string]Digest{`"` + sum + `"`: {"sha256", sum}, `W/"` + gitName +
		`"`: {"git", gitName}, `"abc"`: {}, "zz": {}, "": {}} {
		if got := HubDigest(tag); got != want {
			t.Errorf("HubDigest(%s): got %v, want %v", tag, got, want)
		}
	}
	r := &http.Response{StatusCode: 200, Header: http.Header{"X-Goog-Hash": {"crc32c=AAAAAA==",
		"md5=1B2M2Y8AsgTpgAmY7PhCfg=="}}}
	if got := serverDigest(r); got != (Digest{"md5", "d41d8cd98f00b204e9800998ecf8427e"}) {
		t.Errorf("serverDigest: got %v", got)
	}
}
