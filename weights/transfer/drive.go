package transfer

import (
	"html"
	"net/url"
	"regexp"
	"strings"
)

// DriveHost is where Google Drive serves files. Of large ones it first sends a page that asks whether one wants a file
// that was not searched for viruses, with a form to say yes.
const DriveHost = "drive.usercontent.google.com"

var (
	formTag  = regexp.MustCompile(`(?is)<form\b[^>]*\bid="download-?form"[^>]*>`)
	inputTag = regexp.MustCompile(`(?is)<input\b[^>]*\btype="hidden"[^>]*>`)
	titleTag = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)
)

// confirmation returns the address that the form of such a page leads to, if it stays with the host that sent the page,
// or with Google.
func confirmation(at *url.URL, page []byte) (string, bool) {
	form := formTag.FindString(string(page))
	to, err := at.Parse(attribute(form, "action"))
	if form == "" || err != nil || !sameHost(to, at) && (to.Scheme != "https" || !strings.HasSuffix(to.Hostname(),
		".google.com")) {
		return "", false
	}
	q := to.Query()
	for _, in := range inputTag.FindAllString(string(page), 32) {
		if name := attribute(in, "name"); name != "" {
			q.Set(name, attribute(in, "value"))
		}
	}
	to.RawQuery = q.Encode()
	return to.String(), true
}

// attribute returns the value of a quoted attribute of a tag.
func attribute(tag, name string) string {
	_, rest, ok := strings.Cut(tag, " "+name+`="`)
	value, _, _ := strings.Cut(rest, `"`)
	if !ok {
		return ""
	}
	return html.UnescapeString(value)
}

// title is the title of a page, in one line of at most 80 characters.
func title(page []byte) string {
	m := titleTag.FindSubmatch(page)
	if m == nil {
		return ""
	}
	t := []rune(strings.Join(strings.Fields(html.UnescapeString(strings.ToValidUTF8(string(m[1]), "�"))), " "))
	return string(t[:min(len(t), 80)])
}
