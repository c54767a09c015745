package text_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"captioner/data/text"
)

// wide writes ASCII as UTF-16: before and after are what stands around each byte.
func wide(s, before, after string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteString(before + s[i:i+1] + after)
	}
	return b.String()
}

func TestRead(t *testing.T) {
	tests := []struct {
		name, bytes string
		want        string
		encoding    string
		expected    bool
	}{
		{"nothing", "", "", "UTF-8", true},
		{"ASCII", "a dog\n", "a dog\n", "UTF-8", true},
		{"UTF-8", "un café noir", "un café noir", "UTF-8", true},
		{"a mark of UTF-8", "\xef\xbb\xbfcafé", "café", "UTF-8 with a byte order mark", true},
		{"a mark alone", "\xef\xbb\xbf", "", "UTF-8 with a byte order mark", true},
		{"Latin-1", "un caf\xe9 noir\n", "un café noir\n", "Windows-1252", false},
		{"quotes and dashes of Windows", "\x93a dog\x94 \x96 \x80", "“a dog” – €", "Windows-1252", false},
		{"Latin-1 that looks like UTF-8 later", "\xe9 \xc3\xa9", "é Ã©", "Windows-1252", false},
		{"UTF-8 with a line of Latin-1", "é\n\xe9\n", "é\né\n", "UTF-8, 1 byte of it read as Windows-1252", false},
		{
			name:     "a mark, then Latin-1",
			bytes:    "\xef\xbb\xbfcaf\xe9\xe9",
			want:     "caféé",
			encoding: "UTF-8 with a byte order mark, 2 bytes of it read as Windows-1252",
		},
		{"UTF-8 that is cut off", "café \xe2\x82", "café â‚", "UTF-8, 2 bytes of it read as Windows-1252", false},
		{"UTF-16LE", "\xff\xfep\x00.\x00\xe9\x00", "p.é", "UTF-16LE with a byte order mark", false},
		{"UTF-16BE", "\xfe\xff\x00p\x00.\x00\xe9", "p.é", "UTF-16BE with a byte order mark", false},
		{"UTF-16LE without a mark", wide("pic.jpg\r\n", "", "\x00"), "pic.jpg\r\n", "UTF-16LE", false},
		{"UTF-16BE without a mark", wide("pic.jpg\r\n", "\x00", ""), "pic.jpg\r\n", "UTF-16BE", false},
		{"UTF-16 beyond the first plane", "\xff\xfe\x3d\xd8\x36\xdc", "🐶", "UTF-16LE with a byte order mark", false},
		{"UTF-32LE", "\xff\xfe\x00\x00a\x00\x00\x00", "a", "UTF-32LE with a byte order mark", false},
		{"UTF-32BE", "\x00\x00\xfe\xff\x00\x00\x00a", "a", "UTF-32BE with a byte order mark", false},
		{"UTF-32LE without a mark", wide("a.jpg\n", "", "\x00\x00\x00"), "a.jpg\n", "UTF-32LE", false},
		{"UTF-32BE without a mark", wide("a.jpg\n", "\x00\x00\x00", ""), "a.jpg\n", "UTF-32BE", false},
		{"the name of a car", "BMW.jpg\n", "BMW.jpg\n", "UTF-8", true},
		{"a colored terminal", "\x1b[1ma\x1b[0m", "\x1b[1ma\x1b[0m", "UTF-8", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for name, source := range map[string]io.Reader{
				"at once":     strings.NewReader(test.bytes),
				"by the byte": iotest.OneByteReader(strings.NewReader(test.bytes)),
			} {
				if name == "by the byte" && strings.HasSuffix(test.name, "without a mark") {
					continue // the first bytes that come decide
				}
				r := text.NewReader(source)
				got, err := io.ReadAll(r)
				if err != nil || string(got) != test.want {
					t.Errorf("%s: got %q, %v, want %q", name, got, err, test.want)
				}
				if e := r.Encoding(); e.String() != test.encoding || e.Expected() != test.expected {
					t.Errorf("%s: encoding: got %q (%v), want %q (%v)",
						name, e, e.Expected(), test.encoding, test.expected)
				}
			}
		})
	}
}

func TestBinaryIsRefused(t *testing.T) {
	photo, err := os.ReadFile("../../examples/" + firstExample(t))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, bytes, want string
	}{
		{"a photograph", string(photo), "found an image (JPEG), want text"},
		{"a PNG", "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "found an image (PNG), want text"},
		{"a GIF", "GIF89a\x10\x00\x10\x00", "found an image (GIF), want text"},
		{"a TIFF", "II*\x00\x08\x00\x00\x00\x01\x00\x00\x01", "found an image (TIFF), want text"},
		{"a BMP", "BM\x36\x10\x00\x00\x00\x00\x00\x00\x36\x00", "found an image (BMP), want text"},
		{"a NUL", "a\x00b", "found a NUL byte, want text"},
		{"a late NUL", strings.Repeat("a", 70_000) + "\x00", "found a NUL byte, want text"},
		{"a NUL in UTF-16", "\xff\xfea\x00\x00\x00", "found a NUL byte, want text"},
		{"a control character", "a\x02b", "found the byte 0x02, want text"},
		{"gzip", "\x1f\x8b\x08\x00", "found the byte 0x1f, want text"},
	}
	for _, test := range tests {
		_, err := io.ReadAll(text.NewReader(strings.NewReader(test.bytes)))
		var binary *text.BinaryError
		if !errors.As(err, &binary) || err.Error() != test.want || binary.Hint() == "" {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
	_, err = io.ReadAll(text.NewListReader(bytes.NewReader(photo)))
	var binary *text.BinaryError
	if !errors.As(err, &binary) || !strings.Contains(binary.Hint(), "--stdin-image") {
		t.Errorf("a photograph as a list: got %v, want a hint of --stdin-image", err)
	}
}

func firstExample(t *testing.T) string {
	t.Helper()
	found, _ := filepath.Glob("../../examples/*.jpg")
	if len(found) == 0 {
		t.Skip("no photographs in examples/")
	}
	return filepath.Base(found[0])
}

func TestListsHaveNULs(t *testing.T) {
	const list = "a b.jpg\x00c\nd.jpg\x00caf\xe9.jpg\x00"
	r := text.NewListReader(strings.NewReader(list))
	if got, err := io.ReadAll(r); err != nil || string(got) != list || !r.Encoding().Expected() {
		t.Errorf("got %q, %v, %v, want the list as it is", got, err, r.Encoding())
	}
	if got := text.Decode("caf\xe9.jpg"); got != "café.jpg" {
		t.Errorf("Decode: got %q, want café.jpg", got)
	}
	wideList := "\xff\xfe" + wide("pic.jpg\r\n", "", "\x00")
	if got, err := io.ReadAll(text.NewListReader(strings.NewReader(wideList))); string(got) != "pic.jpg\r\n" {
		t.Errorf("UTF-16: got %q, %v, want the name", got, err)
	}
}

// TestListsAreNotWaitedFor reads the first entry of a list while its writer still works.
func TestListsAreNotWaitedFor(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	got := make(chan string, 1)
	go func() {
		b := make([]byte, 100)
		n, _ := text.NewListReader(r).Read(b)
		got <- string(b[:n])
	}()
	io.WriteString(w, "a.jpg\n")
	select {
	case s := <-got:
		if s != "a.jpg\n" {
			t.Errorf("got %q, want the first line", s)
		}
	case <-time.After(10 * time.Second):
		t.Error("the first line did not come before the second was written")
	}
}

func TestAdd(t *testing.T) {
	const utf16 = "\xff\xfea\x00\r\x00\n\x00"
	tests := []struct {
		name, bytes       string
		appended, prepend string
	}{
		{"empty", "", "né\n", "né\n"},
		{"UTF-8", "a\n", "a\nné\n", "né\na\n"},
		{"without an end", "a", "a\nné\n", "né\na"},
		{"empty lines at the end", "a\r\n\r\n", "a\r\nné\r\n", "né\r\na\r\n\r\n"},
		{"a mark", "\xef\xbb\xbfa\n", "\xef\xbb\xbfa\nné\n", "\xef\xbb\xbfné\na\n"},
		{"a mark alone", "\xef\xbb\xbf", "\xef\xbb\xbfné\n", "\xef\xbb\xbfné\n"},
		{"Windows-1252", "\x93a\x94\n", "\x93a\x94\nn\xe9\n", "n\xe9\n\x93a\x94\n"},
		{"UTF-16LE", utf16, utf16 + "n\x00\xe9\x00\r\x00\n\x00", "\xff\xfen\x00\xe9\x00\r\x00\n\x00" + utf16[2:]},
		{"stray bytes stay", "é\xe9\n", "é\xe9\nné\n", "né\né\xe9\n"},
	}
	for _, test := range tests {
		d, err := text.Parse([]byte(test.bytes))
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if got, err := d.Append("né"); err != nil || string(got) != test.appended {
			t.Errorf("%s: Append: got %q, %v, want %q", test.name, got, err, test.appended)
		}
		if got, err := d.Prepend("né"); err != nil || string(got) != test.prepend {
			t.Errorf("%s: Prepend: got %q, %v, want %q", test.name, got, err, test.prepend)
		}
	}
}

func TestAddWhatTheCharsetLacks(t *testing.T) {
	d, err := text.Parse([]byte("caf\xe9\n"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Append("狗")
	var missing *text.CharacterError
	if !errors.As(err, &missing) || missing.Character != '狗' || missing.Hint() == "" {
		t.Errorf("got %v, want a CharacterError", err)
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{
		"", "a\n", "caf\xe9", "caf\xc3\xa9 \xe9", "\xef\xbb\xbfa", "\xff\xfea\x00", "\xfe\xff\x00a", "a\x00b\x00",
		"\xff\xfe\x00\x00a\x00\x00\x00", "\xff\xfe\x00\xd8", "\xe2\x82", "\x00\x00\xfe\xff", wide("a b c d", "", "\x00"),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := text.Parse(b)
		if err != nil {
			var binary *text.BinaryError
			if !errors.As(err, &binary) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		if !utf8.ValidString(d.Text) || len(d.Text) > 3*len(b) {
			t.Fatalf("%d bytes became %d, valid %v", len(b), len(d.Text), utf8.ValidString(d.Text))
		}
		const line = "a dog"
		for name, add := range map[string]func(...string) ([]byte, error){"Append": d.Append, "Prepend": d.Prepend} {
			added, err := add(line)
			if err != nil {
				continue // a cut character of UTF-16
			}
			again, err := text.Parse(added)
			if err != nil || len(b) > 4000 || !d.Encoding.Mark && d.Encoding.Charset != text.UTF8 {
				continue // what is guessed from the beginning can be guessed otherwise when that is longer
			}
			if !strings.Contains(again.Text, line) || name == "Prepend" && !strings.HasSuffix(again.Text, d.Text) {
				t.Fatalf("%s: %q with a line is %q", name, d.Text, again.Text)
			}
		}
	})
}
