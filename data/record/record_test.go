package record_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"captioner/data/record"
)

func TestRows(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string // the fields of each row, joined by "/"
	}{
		{"commas", "a,\"b,\n\"\"c\"\"\"\nd,e\n", []string{"a/b,\n\"c\"", "d/e"}},
		{"semicolons", "a;b,c\n", []string{"a/b,c"}},
		{"tabs", "a\t\"b\"\n\nc\td", []string{"a/\"b\"", "c/d"}},
		{"bars", "a| b\n", []string{"a/ b"}},
		{"a comma before a bar", "a,b|c\n", []string{"a/b|c"}},
		{"a said semicolon", "sep=;\r\na,b;c\r\n", []string{"a,b/c"}},
		{"a said tab", "SEP=\t\na;\tc\n", []string{"a;/c"}},
		{"a said word", "sep=x\n", []string{"sep=x"}},
		{"nothing", "", nil},
	}
	for _, test := range tests {
		var got []string
		for _, row := range record.Rows(bufio.NewReader(strings.NewReader(test.text)), "f") {
			if row.Err != nil {
				t.Fatalf("%s: %v", test.name, row.Err)
			}
			got = append(got, strings.Join(row.Fields, "/"))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
	for _, row := range record.Rows(bufio.NewReader(strings.NewReader("a,b\nc,\"d\n")), "f") {
		if row.Err == nil {
			continue
		}
		var where *record.Error
		if !errors.As(row.Err, &where) || where.File != "f" || where.Record != "line 2" {
			t.Errorf("an open quote: got %v, want an Error at line 2", row.Err)
		}
		return
	}
	t.Error("an open quote: got no error")
}

func TestID(t *testing.T) {
	for text, want := range map[string]record.ID{`7`: "7", `"x"`: "x", `1.5e3`: "1.5e3"} {
		var id record.ID
		if err := json.Unmarshal([]byte(text), &id); err != nil || id != want {
			t.Errorf("%s: got %q, %v, want %q", text, id, err, want)
		}
	}
	var id record.ID
	if err := json.Unmarshal([]byte(`[7]`), &id); err == nil {
		t.Errorf("an array: got %q, want an error", id)
	}
}

func TestNotes(t *testing.T) {
	var none *record.Notes
	none.Add("a", "x")
	none.Replace(record.Tally{})
	if lines := none.Lines(); lines != nil {
		t.Errorf("nil: got %q", lines)
	}
	var n record.Notes
	n.Add("file", "read as UTF-16")
	for range 2 { // each range begins anew
		var found record.Tally
		found.Add("a", "left out")
		found.Add("b", "left out")
		found.Add("c", "paired")
		found.Add("d", "left out")
		n.Replace(found)
	}
	want := []string{`"file": read as UTF-16`, `"a" and 2 more: left out`, `"c": paired`}
	if got := n.Lines(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
