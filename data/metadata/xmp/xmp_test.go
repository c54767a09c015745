package xmp_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"captioner/data/metadata/xmp"
)

const (
	rdfDecl = `xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"`
	dcDecl  = `xmlns:dc="http://purl.org/dc/elements/1.1/"`
)

// lightroom writes one line an element, has padding, other languages and namespaces that nobody knows.
const lightroom = `<?xpacket begin="` + "\ufeff" + `" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0">
 <rdf:RDF ` + rdfDecl + `>
  <!-- a comment -->
  <rdf:Description rdf:about=""
    ` + dcDecl + `
    xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:zz="urn:zz"
   xmp:Rating="3" zz:own='a "quoted" > value'
   xmp:CreatorTool="Adobe Photoshop Lightroom">
   <zz:tree rdf:parseType="Resource"><zz:leaf/></zz:tree>
   <dc:description>
    <rdf:Alt>
     <rdf:li xml:lang="x-default">old &amp; gray</rdf:li>
     <rdf:li xml:lang="de">alt &amp; grau</rdf:li>
    </rdf:Alt>
   </dc:description>
   <dc:subject>
    <rdf:Bag>
     <rdf:li>Beach</rdf:li>
    </rdf:Bag>
   </dc:subject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
` + "                                        \n                                  \n" + `<?xpacket end="w"?>`

// darktable writes attributes and an XML declaration, and no description.
const darktable = `<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF ` + rdfDecl + `>
  <rdf:Description rdf:about=""
    xmlns:exif="http://ns.adobe.com/exif/1.0/"
    xmlns:darktable="http://darktable.sf.net/"
   exif:DateTimeOriginal="2021:06:05 10:11:12.000"
   darktable:xmp_version="5"
   darktable:history_end="1">
   <darktable:history>
    <rdf:Seq>
     <rdf:li darktable:num="0" darktable:operation="flip" darktable:params="ffffffff"/>
    </rdf:Seq>
   </darktable:history>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
`

// wrap puts content into a packet of one line.
func wrap(attributes, content string) string {
	return `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF ` + rdfDecl + `><rdf:Description rdf:about="" ` + dcDecl +
		attributes + `>` + content + `</rdf:Description></rdf:RDF></x:xmpmeta>`
}

// leaves lists everything that a document says, in order: names, attributes, texts, comments, instructions.
func leaves(t *testing.T, s string) (all []string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(s))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	for {
		token, err := d.Token()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("not well-formed: %v in\n%s", err, s)
		}
		switch token := token.(type) {
		case xml.StartElement:
			all = append(all, "<"+token.Name.Local)
			for _, a := range token.Attr {
				all = append(all, "@"+a.Name.Local+"="+a.Value)
			}
		case xml.CharData:
			if text := strings.TrimSpace(string(token)); text != "" {
				all = append(all, text)
			}
		case xml.Comment:
			all = append(all, "!"+string(token))
		case xml.ProcInst:
			all = append(all, "?"+string(token.Inst))
		}
	}
}

// lost lists what one document says and another does not.
func lost(before, after []string) (gone []string) {
	after = slices.Clone(after)
	for _, s := range before {
		i := slices.Index(after, s)
		if i < 0 {
			gone = append(gone, s)
			continue
		}
		after = slices.Delete(after, i, i+1)
	}
	return gone
}

func TestMerge(t *testing.T) {
	tests := []struct {
		name     string
		old      string
		existing xmp.Existing
		text     string   // wanted
		keywords []string // wanted
		gone     []string // what may go
	}{
		{
			name: "nothing there", old: "", existing: xmp.Keep,
			text: "a dog & <a cat>", keywords: []string{"dog", "cat"},
		},
		{
			name: "Lightroom kept", old: lightroom, existing: xmp.Keep,
			text: "old & gray", keywords: []string{"Beach", "dog", "cat"},
		},
		{
			name: "Lightroom overwritten", old: lightroom, existing: xmp.Overwrite,
			text: "a dog & <a cat>", keywords: []string{"Beach", "dog", "cat"}, gone: []string{"old & gray"},
		},
		{
			name: "appended", old: lightroom, existing: xmp.Append,
			text: "old & gray\na dog & <a cat>", keywords: []string{"Beach", "dog", "cat"}, gone: []string{"old & gray"},
		},
		{
			name: "prepended", old: lightroom, existing: xmp.Prepend,
			text: "a dog & <a cat>\nold & gray", keywords: []string{"Beach", "dog", "cat"}, gone: []string{"old & gray"},
		},
		{
			name: "darktable", old: darktable, existing: xmp.Overwrite,
			text: "a dog & <a cat>", keywords: []string{"dog", "cat"},
		},
		{
			name: "line ends of Windows", old: strings.ReplaceAll(darktable, "\n", "\r\n"), existing: xmp.Overwrite,
			text: "a dog & <a cat>", keywords: []string{"dog", "cat"},
		},
		{
			name: "as an attribute", old: wrap(` dc:description="old" dc:subject='Dog'`, ""), existing: xmp.Append,
			text: "old\na dog & <a cat>", keywords: []string{"Dog", "cat"},
			gone: []string{"@description=old", "@subject=Dog"},
		},
		{
			name:     "a bare text",
			old:      wrap("", `<dc:description>old<!-- c --></dc:description><dc:subject>Dog</dc:subject>`),
			existing: xmp.Overwrite, text: "a dog & <a cat>", keywords: []string{"Dog", "cat"}, gone: []string{"old"},
		},
		{
			name:     "another language alone",
			old:      wrap("", `<dc:description><rdf:Alt><rdf:li xml:lang="de">ein Hund</rdf:li></rdf:Alt></dc:description>`),
			existing: xmp.Overwrite, text: "a dog & <a cat>", keywords: []string{"dog", "cat"},
		},
		{
			name: "empty entry",
			old: wrap("", `<dc:description><rdf:Alt><rdf:li xml:lang="x-default"/></rdf:Alt></dc:description>`+
				`<dc:subject><rdf:Bag/></dc:subject>`),
			existing: xmp.Keep, text: "a dog & <a cat>", keywords: []string{"dog", "cat"},
		},
		{
			name: "no description element", old: `<rdf:RDF ` + rdfDecl + `/>`, existing: xmp.Keep,
			text: "a dog & <a cat>", keywords: []string{"dog", "cat"},
		},
		{
			name: "other prefixes",
			old: `<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><r:Description r:about="" xmlns:dc="urn:other"` +
				` xmlns:d="http://purl.org/dc/elements/1.1/" dc:description="not ours"/></r:RDF>`,
			existing: xmp.Keep, text: "a dog & <a cat>", keywords: []string{"dog", "cat"},
		},
		{
			name: "two descriptions",
			old: `<rdf:RDF ` + rdfDecl + `><rdf:Description rdf:about="" xmlns:a="urn:a" a:b="c"/>` +
				`<rdf:Description rdf:about="" ` + dcDecl + `><dc:description><rdf:Alt>` +
				`<rdf:li xml:lang="X-DEFAULT">old</rdf:li></rdf:Alt></dc:description></rdf:Description></rdf:RDF>`,
			existing: xmp.Overwrite, text: "a dog & <a cat>", keywords: []string{"dog", "cat"}, gone: []string{"old"},
		},
		{
			name: "marked text",
			old: wrap("", `<dc:description><rdf:Alt><rdf:li xml:lang="x-default"><![CDATA[<b>]]></rdf:li></rdf:Alt>`+
				`</dc:description>`),
			existing: xmp.Append, text: "<b>\na dog & <a cat>", keywords: []string{"dog", "cat"}, gone: []string{"<b>"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			edit := xmp.Edit{Text: "a dog & <a cat>", Keywords: []string{"dog", "cat", "Dog"}, Tool: "captioner",
				Existing: test.existing}
			got, err := xmp.Merge([]byte(test.old), edit)
			if err != nil {
				t.Fatal(err)
			}
			p, err := xmp.Parse(got)
			if err != nil {
				t.Fatal(err)
			}
			if p.Text(xmp.Description) != test.text {
				t.Errorf("description: got %q, want %q", p.Text(xmp.Description), test.text)
			}
			if alt := p.Text(xmp.AltText); alt != "a dog & <a cat>" {
				t.Errorf("alternative text: got %q", alt)
			}
			if !slices.Equal(p.List(xmp.Subject), test.keywords) {
				t.Errorf("keywords: got %q, want %q", p.List(xmp.Subject), test.keywords)
			}
			if tool := p.Text(xmp.CreatorTool); tool == "" {
				t.Error("no tool is named")
			}
			if test.old != "" {
				if gone := lost(leaves(t, test.old), leaves(t, string(got))); !slices.Equal(gone, test.gone) {
					t.Errorf("lost %q, want %q", gone, test.gone)
				}
			}
			again, err := xmp.Merge(got, edit)
			if err != nil || !bytes.Equal(again, got) {
				t.Errorf("the second time: %v, and the packet changes to\n%s", err, again)
			}
			for _, line := range strings.Split(test.old, "\n") {
				known := strings.Contains(line, "old") || strings.Contains(line, "dc:")
				if strings.Contains(test.old, "\n") && !known && !strings.Contains(string(got), line) {
					t.Errorf("the line %q is not there as it was", line)
				}
			}
		})
	}
}

// TestEncodings changes packets in wide characters, which stay so.
func TestEncodings(t *testing.T) {
	for _, mark := range []string{"", "\ufeff"} {
		for _, big := range []bool{false, true} {
			var old []byte
			src := mark + strings.Replace(darktable, "UTF-8", "UTF-16", 1)
			for _, u := range utf16.Encode([]rune(src)) {
				if big {
					old = append(old, byte(u>>8), byte(u))
				} else {
					old = append(old, byte(u), byte(u>>8))
				}
			}
			got, err := xmp.Merge(old, xmp.Edit{Text: "ein Fluß 🐕", Existing: xmp.Keep})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got[:100], old[:100]) {
				t.Errorf("mark %q, big %v: the begin is %q, want %q", mark, big, got[:100], old[:100])
			}
			if p, err := xmp.Parse(got); err != nil || p.Text(xmp.Description) != "ein Fluß 🐕" {
				t.Errorf("mark %q, big %v: got %v", mark, big, err)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	deep := strings.Repeat("<a>", 200) + strings.Repeat("</a>", 200)
	structured := `<dc:description><rdf:Alt><rdf:li xml:lang="x-default"><rdf:Description><rdf:value>old</rdf:value>` +
		`</rdf:Description></rdf:li></rdf:Alt></dc:description>`
	tests := []struct{ name, old, want string }{
		{"text", "a dog", "outside its root"},
		{"a comment", "<!-- a dog -->", "it has no element"},
		{"another document", "<html><body/></html>", "without rdf:RDF"},
		{"cut", lightroom[:600], "parse XMP"},
		{"not closed", "<rdf:RDF " + rdfDecl + "><a></rdf:RDF>", "closes nothing"},
		{"deep", deep, "limit 100"},
		{"entities", `<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`, "invalid character entity"},
		{"unknown prefix", "<a:b/>", "not declared"},
		{"another encoding", `<?xml version="1.0" encoding="Shift_JIS"?>` + wrap("", "<!-- é -->"), "names the encoding"},
		{"bytes", "<a>\xff\xff</a>", "parse XMP"},
		{"half a character of UTF-16", "\xff\xfe<\x00a\x00/\x00>\x00\x00\xd8", "parse XMP"},
		{"structured", wrap("", structured), "more than text"},
		{"a resource", wrap("", `<dc:description rdf:resource="urn:x"/>`), "another form"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := xmp.Merge([]byte(test.old), xmp.Edit{Text: "x", Keywords: []string{"y"}, Existing: xmp.Overwrite})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want it to hold %q", err, test.want)
			}
		})
	}
}

// TestExiftool reads with exiftool what Merge writes.
func TestExiftool(t *testing.T) {
	tool, err := exec.LookPath("exiftool")
	if err != nil {
		t.Skip("exiftool is not installed (libimage-exiftool-perl)")
	}
	for name, old := range map[string]string{"new": "", "lightroom": lightroom, "darktable": darktable,
		"attribute": wrap(` dc:description="old" dc:subject="Dog"`, "")} {
		path := filepath.Join(t.TempDir(), name+".xmp")
		b, err := xmp.Merge([]byte(old), xmp.Edit{Text: "a dög & a <cat>", Keywords: []string{"dog", "cat"},
			Tool: "captioner", Existing: xmp.Overwrite})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(tool, "-j", "-validate", "-warning", "-a", "-XMP:all", path).Output()
		var found []map[string]any
		if err != nil || json.Unmarshal(out, &found) != nil {
			t.Fatalf("%s: exiftool: %v\n%s", name, err, out)
		}
		for _, tag := range []string{"Description", "AltTextAccessibility"} {
			if found[0][tag] != "a dög & a <cat>" {
				t.Errorf("%s: exiftool reads %s as %v", name, tag, found[0][tag])
			}
		}
		if list, _ := found[0]["Subject"].([]any); len(list) < 2 {
			t.Errorf("%s: exiftool reads the keywords as %v", name, found[0]["Subject"])
		}
		if found[0]["Warning"] != nil {
			t.Errorf("%s: exiftool warns: %v", name, found[0]["Warning"])
		}
	}
}

func FuzzMerge(f *testing.F) {
	for _, s := range []string{lightroom, darktable, wrap(` dc:description="a"`, ""), "<rdf:RDF " + rdfDecl + "/>", "<"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := xmp.Merge(b, xmp.Edit{Text: "a dog", Keywords: []string{"dog"}, Existing: xmp.Overwrite})
		if err != nil {
			return
		}
		p, err := xmp.Parse(got)
		if err != nil || p.Text(xmp.Description) != "a dog" {
			t.Errorf("%q became %q: %v", b, got, err)
		}
	})
}
