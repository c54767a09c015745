package xmp

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// SetText gives a property that has a text by language the text of the default language. Other languages stay.
func (p *Packet) SetText(n Name, value string) error {
	value = legal(value)
	done := func() bool { return p.Text(n) == strings.TrimSpace(value) }
	if done() {
		return nil
	}
	alt := list("Alt", entry{DefaultLanguage, value})
	e, _, a, ok := p.property(n)
	switch {
	case !ok:
		return p.insert(n, alt, done)
	case e == nil:
		if err := p.take(withoutAttribute(p.src, a), n); err != nil {
			return err
		}
		return p.insert(n, alt, done)
	case len(items(e)) > 0:
		src, err := p.setItem(defaultItem(e), value)
		if err != nil {
			return refusal(n, err.Error())
		}
		return p.change(n, src, done)
	case !replaceable(e):
		return refusal(n, "it has another form than a text by language")
	}
	rdf, _ := e.prefix(rdfSpace, "rdf")
	return p.change(n, p.replaceInner(e, strings.Join(alt(rdf), "")), done)
}

// setItem is the text with another value in an entry, or where that is of one language, with a new one before it.
func (p *Packet) setItem(li *element, value string) (string, error) {
	if len(li.children) > 0 {
		return "", errors.New("its entry holds more than text")
	}
	if lang, tagged := li.attr(xmlLang); tagged && !strings.EqualFold(lang.value, DefaultLanguage) {
		return p.before(li, itemText(li, DefaultLanguage, value)), nil
	}
	return p.replaceInner(li, escape(value)), nil
}

// replaceable says whether an element holds a text alone, an empty list or nothing: its content can give way.
func replaceable(e *element) bool {
	qualified := slices.ContainsFunc(e.attrs, func(a attribute) bool { return a.name.Space != "" })
	return !qualified && (len(e.children) == 0 || emptyList(e))
}

// emptyList says whether all that an element holds is a list without entries.
func emptyList(e *element) bool {
	return len(e.children) == 1 && e.children[0].name.Space == rdfSpace && len(e.children[0].children) == 0 &&
		slices.Contains([]string{"Alt", "Bag", "Seq"}, e.children[0].name.Local)
}

// Add adds values to a property that is a list without an order. Those that are there already, in whatever case, are
// left out.
func (p *Packet) Add(n Name, values ...string) error {
	there := p.List(n)
	var fresh []string
	for _, v := range values {
		v = strings.TrimSpace(legal(v))
		known := func(s string) bool { return strings.EqualFold(s, v) }
		if v != "" && !slices.ContainsFunc(there, known) && !slices.ContainsFunc(fresh, known) {
			fresh = append(fresh, v)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	want := len(there) + len(fresh)
	all := func() bool { return len(p.List(n)) == want }
	e, _, a, ok := p.property(n)
	switch {
	case !ok:
		return p.insert(n, list("Bag", bare(fresh)...), all)
	case e == nil:
		if err := p.take(withoutAttribute(p.src, a), n); err != nil {
			return err
		}
		return p.insert(n, list("Bag", bare(append(there, fresh...))...), all)
	case len(items(e)) > 0:
		last := items(e)[len(items(e))-1]
		var src strings.Builder
		src.WriteString(p.src[:last.end])
		for _, v := range fresh {
			src.WriteString(gap(p.src, last) + itemText(last, "", v))
		}
		src.WriteString(p.src[last.end:])
		return p.change(n, src.String(), all)
	case !replaceable(e):
		return refusal(n, "it has another form than a list")
	}
	rdf, _ := e.prefix(rdfSpace, "rdf")
	bag := list("Bag", bare(append(there, fresh...))...)
	return p.change(n, p.replaceInner(e, strings.Join(bag(rdf), "")), all)
}

// SetMissing gives a property a value where it has none.
func (p *Packet) SetMissing(n Name, value string) error {
	if _, _, _, ok := p.property(n); ok || value == "" {
		return nil
	}
	value = legal(value)
	return p.insert(n, func(string) []string { return []string{escape(value)} }, func() bool { return p.Text(n) == value })
}

// refusal says that a property cannot be changed without a loss.
func refusal(n Name, why string) error {
	return fmt.Errorf("change %s:%s: %s", prefixes[n.Space], n.Local, why)
}

// change takes a text that was changed, if it reads back as it shall.
func (p *Packet) change(n Name, src string, done func() bool) error {
	if err := p.take(src, n); err != nil {
		return err
	}
	if !done() {
		return refusal(n, "what was written does not read back")
	}
	return nil
}

// take takes a text that was changed, if it still reads.
func (p *Packet) take(src string, n Name) error {
	if err := p.read(src); err != nil {
		return refusal(n, "the changed packet does not read: "+err.Error())
	}
	return nil
}

// content are the lines of a property's content, given the prefix of rdf.
type content func(rdf string) []string

// entry is one entry of a list.
type entry struct{ lang, value string }

func bare(values []string) (all []entry) {
	for _, v := range values {
		all = append(all, entry{"", v})
	}
	return all
}

// list is a list of a kind: Alt, Bag, Seq.
func list(kind string, entries ...entry) content {
	return func(rdf string) []string {
		lines := []string{" <" + rdf + ":" + kind + ">"}
		for _, e := range entries {
			lines = append(lines, "  "+itemOf(rdf, e))
		}
		return append(lines, " </"+rdf+":"+kind+">")
	}
}

func itemOf(rdf string, e entry) string {
	lang := ""
	if e.lang != "" {
		lang = ` xml:lang="` + e.lang + `"`
	}
	return "<" + rdf + ":li" + lang + ">" + escape(e.value) + "</" + rdf + ":li>"
}

// itemText is an entry beside another one.
func itemText(beside *element, lang, value string) string {
	rdf, _ := beside.prefix(rdfSpace, "rdf")
	return itemOf(rdf, entry{lang, value})
}

// insert puts a new property into the first description, in the way in which that is laid out.
func (p *Packet) insert(n Name, c content, done func() bool) error {
	if len(p.nodes) == 0 {
		if err := p.addNode(); err != nil {
			return err
		}
	}
	node := p.nodes[0]
	prefix, declared := node.prefix(n.Space, prefixes[n.Space])
	rdf, rdfDeclared := node.prefix(rdfSpace, "rdf")
	name := prefix + ":" + n.Local
	lines := c(rdf)
	head, tail := "<"+name+declared+rdfDeclared+">", "</"+name+">"
	if len(lines) == 1 {
		lines = []string{head + lines[0] + tail}
	} else {
		lines = append(append([]string{head}, lines...), tail)
	}
	return p.change(n, p.within(node, lines), done)
}

// addNode makes a description in a packet that has none.
func (p *Packet) addNode() error {
	rdf, _ := p.rdf.prefix(rdfSpace, "rdf")
	line := "<" + rdf + ":Description " + rdf + `:about=""></` + rdf + ":Description>"
	return p.take(p.within(p.rdf, []string{line}), rdfDescription)
}

// within is the text with lines as the last child of an element. Where each element has a line of its own, so has what
// is new.
func (p *Packet) within(e *element, lines []string) string {
	gap, inner := layout(p.src, e)
	text := lines[0]
	for _, l := range lines[1:] {
		if gap == "" {
			text += strings.TrimLeft(l, " ")
			continue
		}
		text += inner + l
	}
	if e.closed {
		tag := strings.TrimRight(strings.TrimSuffix(p.src[e.start:e.end], "/>"), " \t\r\n")
		return p.src[:e.start] + tag + ">" + inner + text + gap + "</" + e.raw + ">" + p.src[e.end:]
	}
	if n := len(e.children); n > 0 {
		at := e.children[n-1].end
		return p.src[:at] + inner + text + p.src[at:]
	}
	rest := p.src[e.inner:]
	if strings.TrimSpace(p.src[e.inner:e.innerEnd]) == "" {
		rest = gap + p.src[e.innerEnd:]
	}
	return p.src[:e.inner] + inner + text + rest
}

// layout is what stands before the end tag of an element and before each child: a line end and spaces, or nothing.
func layout(src string, e *element) (before, inner string) {
	if before = gap(src, e); before == "" {
		return "", ""
	}
	if len(e.children) > 0 {
		if inner = gap(src, e.children[0]); inner != "" {
			return before, inner
		}
	}
	return before, before + " "
}

// gap is the line end and the spaces before an element; "" where something else stands before it in its line.
func gap(src string, e *element) string {
	before := src[:e.start]
	at := strings.LastIndexByte(before, '\n')
	if at < 0 || strings.TrimLeft(before[at+1:], " \t") != "" {
		return ""
	}
	if at > 0 && before[at-1] == '\r' {
		at--
	}
	return before[at:]
}

// before is the text with something new before an element.
func (p *Packet) before(e *element, text string) string {
	return p.src[:e.start] + text + gap(p.src, e) + p.src[e.start:]
}

// replaceInner is the text with other content in an element.
func (p *Packet) replaceInner(e *element, inner string) string {
	if e.closed {
		tag := strings.TrimRight(strings.TrimSuffix(p.src[e.start:e.end], "/>"), " \t\r\n")
		return p.src[:e.start] + tag + ">" + inner + "</" + e.raw + ">" + p.src[e.end:]
	}
	notes := strings.Join(asides.FindAllString(p.src[e.inner:e.innerEnd], -1), "")
	return p.src[:e.inner] + inner + notes + p.src[e.innerEnd:]
}

// asides are comments and processing instructions.
var asides = regexp.MustCompile(`(?s)<!--.*?-->|<\?.*?\?>`)

// withoutAttribute is the text without an attribute and the space before it.
func withoutAttribute(src string, a attribute) string {
	return strings.TrimRight(src[:a.start], " \t\r\n") + src[a.end:]
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#xD;")

func escape(s string) string { return escaper.Replace(s) }

// legal leaves out what XML cannot hold.
func legal(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r != 0xfffe && r != 0xffff {
			return r
		}
		return -1
	}, strings.ToValidUTF8(s, "\ufffd"))
}
