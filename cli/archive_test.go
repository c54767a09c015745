package cli

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"captioner/cli/console"
)

// run runs captioner with the fake model in this process.
func run(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, msg bytes.Buffer
	p := newProgram(strings.NewReader(stdin), &out, &msg)
	p.load = openFake
	code = p.run(t.Context(), append([]string{"captioner"}, args...))
	return code, out.String(), msg.String()
}

func pictureBytes(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.png")
	if err := writePicture(path, colors[name]); err != nil {
		t.Fatal(err)
	}
	return read(t, path)
}

// writeTar makes a .tar of alternating names and contents.
func writeTar(t *testing.T, w io.Writer, files ...string) {
	t.Helper()
	a := tar.NewWriter(w)
	for i := 0; i < len(files); i += 2 {
		if err := a.WriteHeader(&tar.Header{Name: files[i], Size: int64(len(files[i+1])), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(a, files[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

// archives makes one of each kind with the same files, and returns the folder.
func archives(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	var plain, packed, zipped bytes.Buffer
	zstandard, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	writeTar(t, &plain, files...)
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(plain.Bytes()); err != nil {
		t.Fatal(err)
	}
	a := zip.NewWriter(&zipped)
	for i := 0; i < len(files); i += 2 {
		method := zip.Deflate
		if i%4 == 0 {
			method = zip.Store
		}
		w, err := a.CreateHeader(&zip.FileHeader{Name: files[i], Method: method})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(z.Close(), a.Close()); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"a.tar":     plain.Bytes(),
		"a.tar.gz":  packed.Bytes(),
		"a.tar.zst": zstandard.EncodeAll(plain.Bytes(), nil),
		"a.zip":     zipped.Bytes(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestArchives(t *testing.T) {
	red, blue := pictureBytes(t, "red"), pictureBytes(t, "blue")
	dir := archives(t, "./b/1.png", red, "b/1.txt", "text", "a.png", blue, `w\2.PNG`, red, ".hidden.png", blue,
		"__MACOSX/a.png", blue, "../out.png", red, "junk.jpg", "junk")
	for _, name := range []string{"a.tar", "a.tar.gz", "a.tar.zst", "a.zip"} {
		file := filepath.Join(dir, name)
		code, got, stderr := run(t, "", "predict", file)
		want := file + "/b/1.png\ta red picture\n" + file + "/a.png\ta blue picture\n" + file + "/w/2.PNG\ta red picture\n"
		if code != console.ExitSome || got != want {
			t.Errorf("%s: exit code %d, got %s, want %s", name, code, got, want)
		}
		if !strings.Contains(stderr, name+`/../out.png: its name leads out of the archive`) ||
			!strings.Contains(stderr, name+`/junk.jpg: unknown format that starts with`) {
			t.Errorf("%s: standard error %s", name, stderr)
		}
		if _, got, _ := run(t, file, "predict", "-q", "--no-recursive", "-"); got != file+"/a.png\ta blue picture\n" {
			t.Errorf("%s without folders, by a list: got %s", name, got)
		}
		if _, err := os.Stat(filepath.Join(dir, "../out.png")); err == nil {
			t.Error("something was written")
		}
		if code, _, msg := run(t, "", "predict", "-q", "--sidecar", ".txt", file); code != console.ExitSome ||
			!strings.Contains(msg, "a sidecar needs an image that is a file") {
			t.Errorf("%s with sidecars: exit code %d, %s", name, code, msg)
		}
		out := filepath.Join(t.TempDir(), "out.txt")
		run(t, "", "predict", "-q", "--out", out, "--resume", file)
		if _, _, msg := run(t, "", "predict", "--out", out, "--resume", file); !strings.Contains(msg,
			", 3 done before") || read(t, out) != want {
			t.Errorf("%s resumed: %s", name, msg)
		}
	}
	if code, _, msg := run(t, "", "predict", dir); code != console.ExitFailed ||
		!strings.Contains(msg, "the folder has no images, but 4 archives") {
		t.Errorf("the folder: exit code %d, %s", code, msg)
	}
}

// What an archive holds besides is counted, whatever its kind, and named with -v.
func TestWhatArchivesHoldBesides(t *testing.T) {
	dir := archives(t, "a.png", pictureBytes(t, "red"), "b.JXL", "x", "c.png.gz", "x", "inner.zip", "x",
		"in/d.tar.xz", "x", "a.txt", "x", "in/b.txt", "x", "readme", "x", ".hidden.txt", "x")
	for _, name := range []string{"a.tar", "a.tar.gz", "a.tar.zst", "a.zip"} {
		code, out, stderr := run(t, "", "predict", "-v", filepath.Join(dir, name))
		if code != 0 || strings.Count(out, "\n") != 1 {
			t.Errorf("%s: got exit code %d and %q", name, code, out)
		}
		for _, want := range []string{
			"warning: images of kinds that are not read were passed over: 1 .gz, 1 .jxl\n",
			"warning: archives in archives were passed over: 1 .xz, 1 .zip\n",
			"the archives hold besides: 2 .txt, 1 without an extension\n",
			name + `/a.txt"`,
		} {
			if !strings.Contains(stderr, want) {
				t.Errorf("%s: got %q, want it to have %q", name, stderr, want)
			}
		}
	}
	if _, _, stderr := run(t, "", "predict", filepath.Join(dir, "a.tar")); strings.Contains(stderr, "a.txt") ||
		!strings.Contains(stderr, "hold besides: 2 .txt") {
		t.Errorf("without -v: got %q, want a count and no names", stderr)
	}
	write(t, filepath.Join(dir, "z.png"), pictureBytes(t, "red"))
	if _, _, stderr := run(t, "", "predict", dir); !strings.Contains(stderr, "archives in folders were passed over: ") {
		t.Errorf("a folder: got %q, want its archives counted", stderr)
	}
}

// TestLinksInTarFiles looks that links are followed where the archive can be read again, and named where it cannot.
func TestLinksInTarFiles(t *testing.T) {
	red := pictureBytes(t, "red")
	var b bytes.Buffer
	a := tar.NewWriter(&b)
	for _, h := range []tar.Header{
		{Name: "d/a.png", Size: int64(len(red)), Typeflag: tar.TypeReg},
		{Name: "d/hard.png", Linkname: "d/a.png", Typeflag: tar.TypeLink},
		{Name: "d/soft.png", Linkname: "a.png", Typeflag: tar.TypeSymlink},
		{Name: "d/out.png", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink},
		{Name: "d/a.png", Size: int64(len(red)), Typeflag: tar.TypeReg},
	} {
		h.Mode = 0o644
		if err := a.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(a, red[:h.Size]); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "a.tar")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	code, got, stderr := run(t, "", "predict", file)
	want := file + "/d/a.png\ta red picture\n" + file + "/d/hard.png\ta red picture\n" + file +
		"/d/soft.png\ta red picture\n"
	if code != console.ExitSome || got != want {
		t.Errorf("exit code %d, got %s, want %s", code, got, want)
	}
	for _, want := range []string{
		`d/out.png: it is a link to "/etc/passwd", which does not stand before it in the archive`,
		`d/a.png: the archive has another file of that name before it`,
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("standard error %s, want %s", stderr, want)
		}
	}
	zstandard, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file+".zst", zstandard.EncodeAll(b.Bytes(), nil), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, stderr = run(t, "", "predict", file+".zst")
	const hint = `d/hard.png: it is a link to "d/a.png" in a packed archive (unpack the archive to a .tar first)`
	if !strings.Contains(stderr, hint) {
		t.Errorf("packed: standard error %s, hint %s", stderr, hint)
	}
}

func TestDamagedArchives(t *testing.T) {
	red := pictureBytes(t, "red")
	dir := archives(t, "1.png", red, "2.png", red)
	edit := func(name string, f func([]byte) []byte) string {
		file := filepath.Join(dir, "bad"+filepath.Ext(name))
		if err := os.WriteFile(file, f([]byte(read(t, filepath.Join(dir, name)))), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	flip := func(at, mask int) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= byte(mask); return b }
	}
	directory := func(b []byte) int { return bytes.Index(b, []byte("PK\x01\x02")) }
	for _, tc := range []struct {
		what, name string
		edit       func([]byte) []byte
		code       int
		want       string
	}{
		{"cut in the middle of an image", "a.tar", func(b []byte) []byte { return b[:540] }, console.ExitSome,
			"the archive ends before the image does"},
		{"cut in a header", "a.tar", func(b []byte) []byte { return b[:1100] }, console.ExitSome,
			"it ends in the middle of a file"},
		{"no archive", "a.tar", func([]byte) []byte { return []byte("junk that is longer than nothing") },
			console.ExitFailed, "read the archive"},
		{"empty", "a.tar", func([]byte) []byte { return nil }, console.ExitFailed, "no images among its 0 files"},
		{"no archive", "a.zip", func([]byte) []byte { return []byte("junk") }, console.ExitFailed,
			"read the archive: zip: not a valid zip file"},
		{"a changed byte", "a.zip", flip(60, 1), console.ExitSome, "the checksum does not match"},
		{"an encrypted image", "a.zip", func(b []byte) []byte { return flip(directory(b)+8, 1)(b) }, console.ExitSome,
			`1.png: it is encrypted (unpack the archive`},
		{"an unknown method", "a.zip", func(b []byte) []byte { return flip(directory(b)+10, 14)(b) }, console.ExitSome,
			"it is packed by method 14"},
		{"a size that is too large", "a.zip", func(b []byte) []byte { return flip(directory(b)+27, 0x7f)(b) },
			console.ExitSome, "cannot be the"},
		{"files over each other", "a.zip", func(b []byte) []byte { return flip(directory(b)+22, 0x7f)(b) },
			console.ExitFailed, "lie over each other"},
	} {
		code, _, msg := run(t, "", "predict", "-q", edit(tc.name, tc.edit))
		if code != tc.code || !strings.Contains(msg, tc.want) {
			t.Errorf("%s, %s: exit code %d, want %d; got %s, want %s", tc.name, tc.what, code, tc.code, msg, tc.want)
		}
	}
}

// A bomb of zeros is seen to be no image before it is unpacked; one that unpacks to more than it says is stopped
// there.
func TestZipBombs(t *testing.T) {
	dir := archives(t, "x", "", "1.png", strings.Repeat("\x00", 4<<20))
	if _, _, msg := run(t, "", "predict", "-q", filepath.Join(dir, "a.zip")); !strings.Contains(msg,
		"4194304 bytes that start with") {
		t.Errorf("zeros: %s", msg)
	}
	b := []byte(read(t, filepath.Join(archives(t, "x", "", "1.png", pictureBytes(t, "red")+strings.Repeat("\x00", 1<<20)),
		"a.zip")))
	at := bytes.LastIndex(b, []byte("PK\x01\x02")) + 24
	copy(b[at:], []byte{100, 0, 0, 0})
	file := filepath.Join(dir, "b.zip")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, msg := run(t, "", "predict", "-q", file); !strings.Contains(msg,
		"more than the 100 bytes that the archive says") {
		t.Errorf("a size that is too small: %s", msg)
	}
}
