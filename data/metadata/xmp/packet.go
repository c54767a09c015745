// Package xmp reads and changes XMP packets (ISO 16684-1), alone in a file or within an image. It changes the text of a
// packet where a property stands and nowhere else: namespaces that it does not know, comments, processing instructions,
// padding and the order of everything stay byte for byte, and so does the encoding (UTF-8, UTF-16, UTF-32). What it
// cannot change without a loss, it refuses.
package xmp

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"captioner/data/text"
)

// Namespaces.
const (
	xmlSpace   = "http://www.w3.org/XML/1998/namespace"
	rdfSpace   = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
	dcSpace    = "http://purl.org/dc/elements/1.1/"
	xmpSpace   = "http://ns.adobe.com/xap/1.0/"
	iptcSpace  = "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/"
	photoSpace = "http://ns.adobe.com/photoshop/1.0/"
	exifSpace  = "http://ns.adobe.com/exif/1.0/"
)

// Properties.
var (
	Description = Name{dcSpace, "description"}            // what the image shows, by language
	AltText     = Name{iptcSpace, "AltTextAccessibility"} // the same for those who do not see it, by language
	Subject     = Name{dcSpace, "subject"}                // keywords, in no order
	CreatorTool = Name{xmpSpace, "CreatorTool"}           // the first program that made the image
	CreateDate  = Name{xmpSpace, "CreateDate"}
	DateCreated = Name{photoSpace, "DateCreated"}
	DateTaken   = Name{exifSpace, "DateTimeOriginal"}
	City        = Name{photoSpace, "City"}
	State       = Name{photoSpace, "State"}
	Country     = Name{photoSpace, "Country"}
	Location    = Name{iptcSpace, "Location"}
)

// prefixes are those that everybody uses.
var prefixes = map[string]string{
	rdfSpace: "rdf", dcSpace: "dc", xmpSpace: "xmp", iptcSpace: "Iptc4xmpCore", photoSpace: "photoshop",
	exifSpace: "exif",
}

var (
	rdfRDF         = Name{rdfSpace, "RDF"}
	rdfDescription = Name{rdfSpace, "Description"}
	rdfAbout       = Name{rdfSpace, "about"}
	rdfLi          = Name{rdfSpace, "li"}
	xmlLang        = Name{xmlSpace, "lang"}
	xmpMeta        = Name{"adobe:ns:meta/", "xmpmeta"}
)

// DefaultLanguage is the language of a text for whoever asks for none.
const DefaultLanguage = "x-default"

// MaxBytes is the longest packet that is read.
const MaxBytes = 64 << 20

// Packet is one packet. Its methods change it in memory.
type Packet struct {
	src      string // as UTF-8, without a byte order mark
	encoding text.Encoding
	rdf      *element
	nodes    []*element // the descriptions of the image
}

// empty is a packet that says nothing yet.
const empty = "<?xpacket begin=\"\ufeff\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n" +
	`<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="` + rdfSpace + `">
  <rdf:Description rdf:about=""
    xmlns:dc="` + dcSpace + `"
    xmlns:xmp="` + xmpSpace + `"
    xmlns:Iptc4xmpCore="` + iptcSpace + `"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
`

// New is a packet that says nothing yet.
func New() *Packet {
	p := &Packet{encoding: text.Encoding{Charset: text.UTF8}}
	if err := p.read(empty); err != nil {
		panic(err) // it is a constant
	}
	return p
}

// Parse reads a packet. Its error says what makes the bytes none.
func Parse(b []byte) (*Packet, error) {
	if len(b) > MaxBytes {
		return nil, fmt.Errorf("parse XMP: %d bytes, limit %d", len(b), MaxBytes)
	}
	if bytes.IndexByte(b[:min(4, len(b))], 0) < 0 { // of one byte a character, and padded
		b = bytes.TrimRight(b, "\x00")
	}
	d, err := text.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("parse XMP: %w", err)
	}
	if d.Encoding.Stray > 0 {
		return nil, fmt.Errorf("parse XMP: it is %v", d.Encoding)
	}
	p := &Packet{encoding: d.Encoding}
	if err := checkDeclared(d); err != nil {
		return nil, fmt.Errorf("parse XMP: %w", err)
	}
	if err := p.read(d.Text); err != nil {
		return nil, fmt.Errorf("parse XMP: %w", err)
	}
	if again, err := p.Bytes(); err != nil || !bytes.Equal(again, b) {
		return nil, fmt.Errorf("parse XMP: its characters are damaged, read as %s", d.Encoding.Charset)
	}
	return p, nil
}

// checkDeclared refuses a text whose first line names another encoding than its bytes have.
func checkDeclared(d *text.Document) error {
	head, _, _ := strings.Cut(d.Text, "?>")
	if !strings.HasPrefix(head, "<?xml ") {
		if d.Encoding.Charset == text.Windows1252 {
			return errors.New("its bytes are not UTF-8, and it names no other encoding")
		}
		return nil
	}
	declared := ""
	if found := namedEncoding.FindStringSubmatch(head); found != nil {
		declared = strings.ToLower(found[1])
	}
	found := strings.ToLower(string(d.Encoding.Charset))
	ascii := strings.IndexFunc(d.Text, func(r rune) bool { return r > 0x7e }) < 0
	switch {
	case declared == "", strings.HasPrefix(found, declared), ascii && found == "utf-8":
		return nil
	case found == "windows-1252" && slices.Contains([]string{"iso-8859-1", "latin1", "windows-1252"}, declared):
		return nil
	}
	return fmt.Errorf("it names the encoding %q, and its bytes are %s", declared, d.Encoding.Charset)
}

var namedEncoding = regexp.MustCompile(`\sencoding\s*=\s*["']([^"']*)["']`)

// read takes src for the text of the packet.
func (p *Packet) read(src string) error {
	root, err := parseTree(src)
	if err != nil {
		return err
	}
	rdf := root
	if rdf.name != rdfRDF {
		rdf = root.child(rdfRDF)
	}
	if rdf == nil {
		return fmt.Errorf("found <%s> without rdf:RDF", root.raw)
	}
	p.src, p.rdf, p.nodes = src, rdf, nil
	for _, c := range rdf.children {
		if c.name == rdfDescription {
			p.nodes = append(p.nodes, c)
		}
	}
	return nil
}

// Bytes is the packet as it is written, in the encoding that it was read in.
func (p *Packet) Bytes() ([]byte, error) {
	b, err := p.encoding.Encode(p.src)
	if err != nil || !p.encoding.Mark {
		return b, err
	}
	mark, err := p.encoding.Encode("\ufeff")
	return append(mark, b...), err
}

// Trimmed is the packet as UTF-8 without its padding, for where room is short.
func (p *Packet) Trimmed() []byte {
	head, tail, ok := strings.Cut(p.src, "<?xpacket end=")
	if !ok {
		return []byte(strings.TrimRight(p.src, " \t\r\n"))
	}
	return []byte(strings.TrimRight(head, " \t\r\n") + "\n<?xpacket end=" + strings.TrimRight(tail, " \t\r\n"))
}

// property finds a property: as an element, or as an attribute of a description.
func (p *Packet) property(n Name) (e *element, node *element, value attribute, ok bool) {
	for _, node := range p.nodes {
		if e := node.child(n); e != nil {
			return e, node, attribute{}, true
		}
		if a, found := node.attr(n); found {
			return nil, node, a, true
		}
	}
	return nil, nil, attribute{}, false
}

// Text is the value of a property, or of one in several languages the default's; "" where there is none.
func (p *Packet) Text(n Name) string {
	e, _, a, ok := p.property(n)
	switch {
	case !ok:
		return ""
	case e == nil:
		return strings.TrimSpace(a.value)
	}
	if li := defaultItem(e); li != nil {
		return strings.TrimSpace(li.text)
	}
	return strings.TrimSpace(e.text)
}

// List are the values of a property that has several.
func (p *Packet) List(n Name) (values []string) {
	e, _, a, ok := p.property(n)
	switch {
	case !ok:
	case e == nil:
		values = []string{a.value}
	case len(e.children) == 0:
		values = []string{e.text}
	default:
		for _, li := range items(e) {
			values = append(values, li.text)
		}
	}
	for i := range values {
		values[i] = strings.TrimSpace(values[i])
	}
	return slices.DeleteFunc(values, func(s string) bool { return s == "" })
}

// items are the entries of the list that a property holds.
func items(e *element) (all []*element) {
	for _, list := range e.children {
		for _, li := range list.children {
			if list.name.Space == rdfSpace && li.name == rdfLi {
				all = append(all, li)
			}
		}
	}
	return all
}

// defaultItem is the entry of the default language, or where there is none, the first one without a language, or the
// first.
func defaultItem(e *element) *element {
	all := items(e)
	for _, li := range all {
		if a, ok := li.attr(xmlLang); ok && strings.EqualFold(a.value, DefaultLanguage) {
			return li
		}
	}
	for _, li := range all {
		if _, ok := li.attr(xmlLang); !ok {
			return li
		}
	}
	if len(all) > 0 {
		return all[0]
	}
	return nil
}
