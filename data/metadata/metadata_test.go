package metadata_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"captioner/data/image"
	"captioner/data/metadata"
	"captioner/data/metadata/xmp"
)

// files are images of every structure that is written into.
var files = []string{
	"411.jpg", "cmyk.jpg", "progressive.jpg", "trailing.jpg", "orient6.jpg", "meta/exif-and-xmp.jpg",
	"rgb.png", "interlaced.png", "palette-transparent.png", "meta/xmp-compressed.png", "meta/xmp-element.png",
	"lossy.webp", "lossy-odd.webp", "lossless.webp", "lossy-alpha.webp", "animated.webp", "meta/exif-and-xmp.webp",
	"plain.tif", "lzw.tif", "orient8.tif",
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../image/testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func pixels(t *testing.T, b []byte) []byte {
	t.Helper()
	m, err := image.Decode(b, image.Options{Orient: true})
	if err != nil {
		t.Fatal(err)
	}
	return m.Pix
}

func edit(existing xmp.Existing) xmp.Edit {
	return xmp.Edit{Text: "a dög & a <cat>", Keywords: []string{"dog", "cat"}, Tool: "captioner", Existing: existing}
}

func TestEdit(t *testing.T) {
	for _, name := range files {
		t.Run(name, func(t *testing.T) {
			before := read(t, name)
			kept := slices.Clone(before)
			change, err := metadata.Edit(before, edit(xmp.Keep))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(before, kept) {
				t.Error("the bytes that were given changed")
			}
			info := metadata.Read(change.Bytes)
			if info.Description != "a dög & a <cat>" || !slices.Equal(info.Keywords, []string{"dog", "cat"}) {
				t.Errorf("read back: %+v", info)
			}
			if !bytes.Equal(pixels(t, before), pixels(t, change.Bytes)) {
				t.Error("the image changed")
			}
			if _, err := metadata.Edit(change.Bytes, edit(xmp.Keep)); !errors.Is(err, metadata.ErrDescribed) {
				t.Errorf("the second time: %v, want %v", err, metadata.ErrDescribed)
			}
			if again, err := metadata.Edit(change.Bytes, edit(xmp.Overwrite)); err != nil || again.Bytes != nil {
				t.Errorf("the same once more: %v, %v", again.Written, err)
			}
			other := xmp.Edit{Text: "a cat", Existing: xmp.Append}
			if again, err := metadata.Edit(change.Bytes, other); err != nil ||
				metadata.Read(again.Bytes).Description != "a dög & a <cat>\na cat" {
				t.Errorf("appended: %v", err)
			}
		})
	}
}

// TestCut cuts files anywhere: none of them is written into.
func TestCut(t *testing.T) {
	for _, name := range []string{"411.jpg", "rgb.png", "lossy.webp", "animated.webp"} {
		b := read(t, name)
		if i := bytes.LastIndex(b, []byte("\xff\xd9")); strings.HasSuffix(name, "jpg") {
			b = b[:i+2]
		}
		step := max(1, len(b)/500)
		for n := 0; n < len(b)-1; n += step {
			if _, err := metadata.Edit(b[:n], edit(xmp.Overwrite)); err == nil {
				t.Errorf("%s cut to %d of %d bytes is written into", name, n, len(b))
			}
		}
	}
}

// tiffOf makes a TIFF structure with text tags, and an image of four bytes.
func tiffOf(order binary.AppendByteOrder, big bool, texts map[uint16]string) []byte {
	magic, word, head := uint16(42), 4, 8
	if big {
		magic, word, head = 43, 8, 16
	}
	put := func(b []byte, v uint64) []byte {
		if big {
			return order.AppendUint64(b, v)
		}
		return order.AppendUint32(b, uint32(v))
	}
	b := []byte("II")
	if order == binary.AppendByteOrder(binary.BigEndian) {
		b = []byte("MM")
	}
	b = order.AppendUint16(b, magic)
	if big {
		b = order.AppendUint16(order.AppendUint16(b, 8), 0)
	}
	b = put(b, uint64(head)+4)
	at := uint64(len(b))
	b = append(b, 1, 2, 3, 4) // the image
	type entry struct {
		tag, kind uint16
		n, v      uint64
	}
	entries := []entry{{0x100, 3, 1, 2}, {0x101, 3, 1, 2}, {0x102, 3, 1, 8}, {0x103, 3, 1, 1}, {0x106, 3, 1, 1},
		{0x111, 4, 1, at}, {0x116, 3, 1, 2}, {0x117, 4, 1, 4}}
	end := len(b) + word/2 + (len(entries)+len(texts))*(4+2*word) + word
	if big {
		end += 4
	}
	var tail []byte
	for _, tag := range slices.Sorted(maps.Keys(texts)) {
		s := texts[tag]
		entries = append(entries, entry{tag, 2, uint64(len(s) + 1), uint64(end + len(tail))})
		tail = append(append(tail, s...), 0)
	}
	slices.SortFunc(entries, func(a, b entry) int { return int(a.tag) - int(b.tag) })
	if big {
		b = order.AppendUint64(b, uint64(len(entries)))
	} else {
		b = order.AppendUint16(b, uint16(len(entries)))
	}
	for _, e := range entries {
		b = put(order.AppendUint16(order.AppendUint16(b, e.tag), e.kind), e.n)
		if e.kind == 3 {
			b = append(order.AppendUint16(b, uint16(e.v)), make([]byte, word-2)...)
		} else if e.kind == 4 && big {
			b = append(order.AppendUint32(b, uint32(e.v)), make([]byte, 4)...)
		} else {
			b = put(b, e.v)
		}
	}
	return append(put(b, 0), tail...)
}

func TestTIFF(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, big := range []bool{false, true} {
			b := tiffOf(order, big, map[uint16]string{0x10e: "an old text", 0x131: "maker"})
			if got := metadata.Read(b).Description; got != "an old text" {
				t.Fatalf("%v, big %v: read %q", order, big, got)
			}
			if _, err := metadata.Edit(b, edit(xmp.Keep)); !errors.Is(err, metadata.ErrDescribed) {
				t.Errorf("kept: %v", err)
			}
			change, err := metadata.Edit(b, edit(xmp.Overwrite))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(change.Written, []string{"XMP", "EXIF"}) {
				t.Errorf("written: %q", change.Written)
			}
			if metadata.Read(change.Bytes).Description != "a dög & a <cat>" {
				t.Errorf("read back: %+v", metadata.Read(change.Bytes))
			}
			for i := 16; i < 24; i++ { // the image, and some of the old directory
				if change.Bytes[i] != b[i] {
					t.Errorf("byte %d changed", i)
				}
			}
			note := tiffOf(order, big, map[uint16]string{0x10e: "ImageJ=1.53\nimages=1"})
			if change, err = metadata.Edit(note, edit(xmp.Overwrite)); err != nil || len(change.Written) != 1 {
				t.Errorf("a program's note: %q, %v", change.Written, err)
			}
			if _, err := metadata.Edit(b[:len(b)-30], edit(xmp.Overwrite)); err == nil {
				t.Error("a file without its directory is written into")
			}
		}
	}
}

// exifBlock is an EXIF block with a description, a maker note whose offset counts from its begin, and a date.
func exifBlock(description string) []byte {
	b := tiffOf(binary.BigEndian, false, map[uint16]string{0x10e: description, 0x132: "2021:06:05 10:11:12",
		0x927c: "maker's note, with offsets"})
	return b
}

// withSegments puts segments behind the begin of a JPEG file.
func withSegments(b []byte, segments ...string) []byte {
	out := []byte("\xff\xd8")
	for _, s := range segments {
		n := len(s) - 1 + 2
		out = append(append(out, 0xff, s[0], byte(n>>8), byte(n)), s[1:]...)
	}
	return append(out, b[2:]...)
}

func TestJPEGBlocks(t *testing.T) {
	plain := read(t, "411.jpg")
	exif := "\xe1Exif\x00\x00" + string(exifBlock("an old text"))
	iptc := "\x1c\x02\x05\x00\x05title\x1c\x02\x19\x00\x03Cat\x1c\x02\x5a\x00\x04Rome"
	resources := "\xedPhotoshop 3.0\x008BIM\x03\xed\x00\x00\x00\x00\x00\x02ab8BIM\x04\x04\x00\x00" +
		string(binary.BigEndian.AppendUint32(nil, uint32(len(iptc)))) + iptc + "\x00"[:len(iptc)%2] +
		"8BIM\x04\x25\x00\x00\x00\x00\x00\x100123456789abcdef8BIM\x04\x0a\x00\x00\x00\x00\x00\x01z\x00"
	b := withSegments(plain, exif, resources)
	info := metadata.Read(b)
	if info.Description != "an old text" || info.City != "Rome" || info.Date != "2021-06-05" ||
		!slices.Equal(info.Keywords, []string{"Cat"}) {
		t.Fatalf("read %+v", info)
	}
	change, err := metadata.Edit(b, xmp.Edit{Text: "a dog", Keywords: []string{"dog", "cat"}, Existing: xmp.Overwrite})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(change.Written, []string{"XMP", "IPTC", "EXIF"}) {
		t.Errorf("written: %q", change.Written)
	}
	if info := metadata.Read(change.Bytes); !slices.Equal(info.Keywords, []string{"Cat", "dog"}) {
		t.Errorf("keywords: %q", info.Keywords)
	}
	for _, want := range []string{
		"\x1c\x02\x78\x00\x05a dog", "\x1c\x02\x19\x00\x03Cat\x1c\x02\x19\x00\x03dog", "8BIM\x04\x0a",
	} {
		if !bytes.Contains(change.Bytes, []byte(want)) {
			t.Errorf("%q is not there", want)
		}
	}
	if bytes.Contains(change.Bytes, []byte("0123456789abcdef")) {
		t.Error("the digest is the old one")
	}
	old := exifBlock("an old text")
	at := bytes.Index(change.Bytes, []byte("Exif\x00\x00")) + 6
	from, to := bytes.Index(old, []byte("an old")), len(old)
	if !bytes.Equal(change.Bytes[at+from:at+to], old[from:]) { // values, maker notes among them
		t.Error("what offsets of EXIF lead to moved")
	}
	twice := withSegments(plain, "\xe1http://ns.adobe.com/xap/1.0/\x00"+string(packet(t, "")),
		"\xe1http://ns.adobe.com/xap/1.0/\x00"+string(packet(t, "in the second")))
	if _, err := metadata.Edit(twice, edit(xmp.Keep)); !errors.Is(err, metadata.ErrDescribed) {
		t.Errorf("two packets, kept: %v", err)
	}
	if _, err := metadata.Edit(twice, edit(xmp.Overwrite)); err == nil || !strings.Contains(err.Error(), "a second") {
		t.Errorf("two packets, overwritten: %v", err)
	}
	broken := withSegments(plain, "\xe1http://ns.adobe.com/xap/1.0/\x00<x:xmpmeta")
	if _, err := metadata.Edit(broken, edit(xmp.Overwrite)); err == nil {
		t.Error("a broken packet is written over")
	}
}

func packet(t *testing.T, text string) []byte {
	b, err := xmp.Merge(nil, xmp.Edit{Text: text, Existing: xmp.Overwrite})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestFull fills a segment with padding, which gives way, and with text, which does not.
func TestFull(t *testing.T) {
	plain := read(t, "411.jpg")
	full := func(fill bool) []byte {
		p := strings.Replace(string(packet(t, "x")), "<?xpacket end", strings.Repeat(" ", 100)+"<?xpacket end", 1)
		if fill {
			p = strings.Replace(p, "</rdf:Description>", "<!--"+strings.Repeat("x", 65400-len(p))+"--></rdf:Description>", 1)
		}
		return withSegments(plain, "\xe1http://ns.adobe.com/xap/1.0/\x00"+p+strings.Repeat(" ", 65500-len(p)))
	}
	long := xmp.Edit{Text: strings.Repeat("a dog ", 20), Existing: xmp.Overwrite}
	if _, err := metadata.Edit(full(false), long); err != nil {
		t.Errorf("with padding: %v", err)
	}
	if _, err := metadata.Edit(full(true), long); err == nil ||
		!strings.Contains(err.Error(), "JPEG takes") {
		t.Errorf("with text: %v", err)
	}
}

func TestUnsupported(t *testing.T) {
	for _, b := range [][]byte{nil, []byte("GIF89a"), read(t, "animated.gif"), []byte("text")} {
		var unsupported *metadata.UnsupportedError
		if _, err := metadata.Edit(b, edit(xmp.Keep)); !errors.As(err, &unsupported) {
			t.Errorf("%.10q: %v", b, err)
		}
	}
}

// TestExiftool reads with exiftool what Edit writes.
func TestExiftool(t *testing.T) {
	tool, err := exec.LookPath("exiftool")
	if err != nil {
		t.Skip("exiftool is not installed (libimage-exiftool-perl)")
	}
	dir := t.TempDir()
	for i, name := range files {
		change, err := metadata.Edit(read(t, name), edit(xmp.Keep))
		if err != nil {
			t.Fatal(name, err)
		}
		path := filepath.Join(dir, string(rune('a'+i))+filepath.Ext(name))
		if err := os.WriteFile(path, change.Bytes, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(tool, "-j", "-warning", "-error", "-XMP:all", dir).Output()
	var found []map[string]any
	if err != nil || json.Unmarshal(out, &found) != nil || len(found) != len(files) {
		t.Fatalf("exiftool: %v\n%s", err, out)
	}
	for _, f := range found {
		if f["Description"] != "a dög & a <cat>" || f["AltTextAccessibility"] != "a dög & a <cat>" ||
			f["Error"] != nil || f["Warning"] != nil {
			t.Errorf("exiftool reads %v", f)
		}
	}
}

func FuzzEdit(f *testing.F) {
	for _, name := range []string{"one.jpg", "meta/exif-and-xmp.jpg", "meta/xmp-compressed.png", "one.webp",
		"meta/exif-and-xmp.webp", "orient8.tif"} {
		f.Add(read(f, name))
	}
	f.Add(tiffOf(binary.BigEndian, true, map[uint16]string{0x10e: "a"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		metadata.Read(b)
		change, err := metadata.Edit(b, edit(xmp.Overwrite))
		if err == nil && change.Bytes != nil && metadata.Read(change.Bytes).Description != "a dög & a <cat>" {
			t.Errorf("%q does not read back", b)
		}
	})
}
