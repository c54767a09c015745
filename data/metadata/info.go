package metadata

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"captioner/data/ifd"
	"captioner/data/metadata/xmp"
	"captioner/data/text"
)

// Info is what an image says of itself; "" is nothing.
type Info struct {
	Description string
	Keywords    []string
	Date        string // when it was taken: 2021-06-05, or less where less is known
	Location    string // a place in the city
	City        string
	State       string
	Country     string
}

// Read reads what an image says of itself. What is damaged or of another format says nothing.
func Read(b []byte) Info {
	c, err := open(b)
	if err != nil {
		return Info{}
	}
	return c.blocks().info()
}

// ReadXMP reads what a file of XMP says.
func ReadXMP(b []byte) Info { return blocks{xmp: b}.info() }

// Or fills in from another source what the first one does not say.
func (i Info) Or(o Info) Info {
	for _, f := range []struct{ to, from *string }{
		{&i.Description, &o.Description}, {&i.Date, &o.Date}, {&i.Location, &o.Location}, {&i.City, &o.City},
		{&i.State, &o.State}, {&i.Country, &o.Country},
	} {
		if *f.to == "" {
			*f.to = *f.from
		}
	}
	if len(i.Keywords) == 0 {
		i.Keywords = o.Keywords
	}
	return i
}

// info puts together what the blocks say: XMP first, then IPTC, then EXIF.
func (b blocks) info() (i Info) {
	for _, packet := range append([][]byte{b.xmp}, b.more...) {
		if p, err := xmp.Parse(packet); packet != nil && err == nil {
			i = i.Or(infoOfXMP(p))
		}
	}
	if b.iptc != nil {
		i = i.Or(infoOfIPTC(b.iptc))
	}
	if b.exif != nil {
		i = i.Or(infoOfEXIF(b.exif))
	}
	if i.Description == "" {
		i.Description = b.comment
	}
	return i
}

func infoOfXMP(p *xmp.Packet) Info {
	i := Info{
		Description: p.Text(xmp.Description),
		Keywords:    p.List(xmp.Subject),
		Location:    p.Text(xmp.Location),
		City:        p.Text(xmp.City),
		State:       p.Text(xmp.State),
		Country:     p.Text(xmp.Country),
	}
	for _, n := range []xmp.Name{xmp.DateTaken, xmp.DateCreated, xmp.CreateDate} {
		if i.Date == "" {
			i.Date = day(p.Text(n))
		}
	}
	return i
}

// infoOfEXIF reads an EXIF block without its start.
func infoOfEXIF(b []byte) (i Info) {
	f, err := ifd.Parse(b)
	if err != nil {
		return i
	}
	first, err := f.Directory(f.First)
	if err != nil {
		return i
	}
	i.Description = realText(f.Text(first, ifd.ImageDescription))
	if at := f.Number(first, ifd.EXIF, 0); at != 0 {
		if d, err := f.Directory(at); err == nil {
			i.Date = day(f.Text(d, ifd.DateTimeOriginal))
		}
	}
	if i.Date == "" {
		i.Date = day(f.Text(first, ifd.DateTime))
	}
	return i
}

// defaults are descriptions that cameras and programs write into every file.
var defaults = regexp.MustCompile(`(?i)^(olympus digital camera|digital camera|sony dsc|dcim.*|dsc_?\d*|` +
	`exif_jpeg_picture|minolta digital camera|kodak .*digital.*camera.*|<kenox .*|samsung|default|untitled|screenshot|` +
	`created with (gimp|inkscape).*)$`)

// notes are what programs of microscopes write into a description for themselves: it is never replaced.
var notes = regexp.MustCompile(`(?i)^(imagej=|<\?xml|<ome |\{.*"shape"|scanimage|si\.)`)

// realText is a description that somebody wrote: "" for what cameras and programs write.
func realText(s string) string {
	s = strings.TrimSpace(s)
	if !utf8.ValidString(s) {
		s = text.Decode(s)
	}
	line, _, _ := strings.Cut(s, "\n")
	if line = strings.TrimSpace(line); defaults.MatchString(line) || notes.MatchString(line) {
		return ""
	}
	return s
}

// days are a day, a month and a year at the beginning of a date of EXIF, XMP or IPTC.
var days = regexp.MustCompile(`^(\d{4})(?:[-:]?(\d\d)(?:[-:]?(\d\d))?)?(?:\D|$)`)

// day is the day of a date; "" for one that no clock gives.
func day(s string) string {
	m := days.FindStringSubmatch(strings.TrimSpace(s))
	if m == nil || m[1] == "0000" {
		return ""
	}
	parts := slices.DeleteFunc(m[1:], func(p string) bool { return p == "" || p == "00" })
	return strings.Join(parts, "-")
}
