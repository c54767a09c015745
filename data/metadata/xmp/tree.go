package xmp

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
)

// The limits of a packet. Real ones have a depth of about ten and a few thousand elements.
const (
	maxDepth    = 100
	maxElements = 1_000_000
)

// Name is the name of an element or an attribute: its namespace and what it is called there.
type Name struct{ Space, Local string }

// element is one element of the text. The offsets are into the text: "<" of the start tag, the byte behind its ">",
// "<" of the end tag, and the byte behind that. An element that closes itself has all its content at inner.
type element struct {
	name     Name
	raw      string // the name as it is written
	attrs    []attribute
	scope    map[string]string // prefix to namespace, in the element
	parent   *element
	children []*element
	text     string // all character data directly in it

	start, inner, innerEnd, end int
	closed                      bool // <a/>
}

// attribute is one attribute; start and end enclose name="value" in the text.
type attribute struct {
	name       Name
	value      string
	start, end int
}

// parseTree reads the whole text.
func parseTree(src string) (root *element, err error) {
	d := xml.NewDecoder(strings.NewReader(src))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // it is UTF-8 by now
	var at *element
	depth, elements := 0, 0
	for {
		start := int(d.InputOffset())
		token, err := d.RawToken()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, syntax(err)
		}
		end := int(d.InputOffset())
		switch token := token.(type) {
		case xml.StartElement:
			if depth++; depth > maxDepth {
				return nil, fmt.Errorf("its elements stand %d deep in each other, limit %d", depth, maxDepth)
			}
			if elements++; elements > maxElements {
				return nil, fmt.Errorf("more than %d elements", maxElements)
			}
			if at == nil && root != nil {
				return nil, errors.New("a second element stands behind its root")
			}
			if at, err = open(at, token, src, start, end); err != nil {
				return nil, err
			}
			if root == nil {
				root = at
			}
		case xml.EndElement:
			if at == nil || at.raw != rawName(token.Name) {
				return nil, fmt.Errorf("</%s> closes nothing that is open", rawName(token.Name))
			}
			at.innerEnd, at.end = start, end
			depth--
			at = at.parent
		case xml.CharData:
			if at != nil {
				at.text += string(token)
			} else if strings.Trim(string(token), " \t\r\n\ufeff\x00") != "" {
				return nil, errors.New("text stands outside its root")
			}
		}
	}
	switch {
	case at != nil:
		return nil, fmt.Errorf("it ends within <%s>", at.raw)
	case root == nil:
		return nil, errors.New("it has no element")
	}
	return root, nil
}

// syntax leaves out of an error of the decoder what says nothing to a user.
func syntax(err error) error {
	var s *xml.SyntaxError
	if errors.As(err, &s) {
		return fmt.Errorf("line %d: %s", s.Line, s.Msg)
	}
	return err
}

func rawName(n xml.Name) string {
	if n.Space == "" {
		return n.Local
	}
	return n.Space + ":" + n.Local
}

// open makes the element of a start tag, as a child of parent.
func open(parent *element, token xml.StartElement, src string, start, end int) (*element, error) {
	e := &element{raw: rawName(token.Name), parent: parent, start: start, inner: end,
		closed: strings.HasSuffix(src[start:end], "/>")}
	e.scope = map[string]string{"xml": xmlSpace}
	if parent != nil {
		e.scope = parent.scope
		parent.children = append(parent.children, e)
	}
	own := false
	for _, a := range token.Attr {
		prefix, declares := a.Name.Local, a.Name.Space == "xmlns"
		if a.Name.Space == "" && a.Name.Local == "xmlns" {
			prefix, declares = "", true
		}
		if !declares {
			continue
		}
		if !own {
			e.scope, own = maps.Clone(e.scope), true
		}
		e.scope[prefix] = a.Value
	}
	var err error
	if e.name, err = e.resolve(token.Name, true); err != nil {
		return nil, err
	}
	places := attributePlaces(src[start:end])
	if len(places) != len(token.Attr) {
		return nil, fmt.Errorf("<%s> has attributes that cannot be read", e.raw)
	}
	for i, a := range token.Attr {
		name, err := e.resolve(a.Name, false)
		if err != nil {
			return nil, err
		}
		e.attrs = append(e.attrs, attribute{name, a.Value, start + places[i][0], start + places[i][1]})
	}
	return e, nil
}

// resolve finds the namespace of a name as it is written. Attributes without a prefix have none.
func (e *element) resolve(n xml.Name, isElement bool) (Name, error) {
	if n.Space == "xmlns" || n.Space == "" && (n.Local == "xmlns" || !isElement) {
		return Name{"", rawName(n)}, nil
	}
	space, ok := e.scope[n.Space]
	if !ok && n.Space != "" {
		return Name{}, fmt.Errorf("the prefix of %s is not declared", rawName(n))
	}
	return Name{space, n.Local}, nil
}

// attributePlaces are the begin and the end of each attribute in a start tag that the decoder has read.
func attributePlaces(tag string) (places [][2]int) {
	const space = " \t\r\n"
	i := strings.IndexAny(tag, space+"/>")
	for i >= 0 && i < len(tag) {
		if strings.IndexByte(space+"/>", tag[i]) >= 0 {
			i++
			continue
		}
		equals := strings.IndexByte(tag[i:], '=')
		if equals < 0 {
			return nil
		}
		quote := i + equals + 1
		for quote < len(tag) && strings.IndexByte(space, tag[quote]) >= 0 {
			quote++
		}
		if quote >= len(tag) {
			return nil
		}
		closing := strings.IndexByte(tag[quote+1:], tag[quote])
		if closing < 0 {
			return nil
		}
		end := quote + 1 + closing + 1
		places = append(places, [2]int{i, end})
		i = end
	}
	return places
}

// attr finds an attribute.
func (e *element) attr(n Name) (attribute, bool) {
	for _, a := range e.attrs {
		if a.name == n {
			return a, true
		}
	}
	return attribute{}, false
}

// child finds the first child of a name.
func (e *element) child(n Name) *element {
	for _, c := range e.children {
		if c.name == n {
			return c
		}
	}
	return nil
}

// prefix is a prefix that stands for a namespace within the element, with the declaration that it needs first, or "".
func (e *element) prefix(space, preferred string) (prefix, declaration string) {
	if e.scope[preferred] == space {
		return preferred, ""
	}
	for p, s := range e.scope {
		if s == space && p != "" && (prefix == "" || p < prefix) {
			prefix = p
		}
	}
	if prefix != "" {
		return prefix, ""
	}
	return preferred, fmt.Sprintf(` xmlns:%s="%s"`, preferred, space)
}
