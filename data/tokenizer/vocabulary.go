package tokenizer

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A vocabulary is the object of token to id of a vocab.json, in the order of the file. It and mergeList are read by
// hand, because encoding/json takes the larger part of a start for them; it has checked that they are JSON before.
type vocabulary []entry

type entry struct {
	token string
	id    int32
}

func (v *vocabulary) UnmarshalJSON(b []byte) error {
	s := scanner{rest: string(b)}
	if !s.take('{') {
		return fmt.Errorf("vocabulary %.20s, want an object of tokens and ids", b)
	}
	for !s.take('}') {
		token, ok := s.text()
		if !ok || !s.take(':') {
			return fmt.Errorf("vocabulary: found %.20q, want a token", s.rest)
		}
		number := s.word()
		id, err := strconv.ParseInt(number, 10, 32)
		if err != nil {
			return fmt.Errorf("vocabulary: token %q has the id %.20q, want a whole number", token, number)
		}
		*v = append(*v, entry{token, int32(id)})
		s.take(',')
	}
	return nil
}

// A mergeList is the merges of a tokenizer.json: each "a b" in older files, ["a", "b"] in newer ones.
type mergeList [][2]string

func (l *mergeList) UnmarshalJSON(b []byte) error {
	s := scanner{rest: string(b)}
	if !s.take('[') {
		return fmt.Errorf("merges %.20s, want an array", b)
	}
	for !s.take(']') {
		var p [2]string
		var err error
		if s.take('[') {
			p, err = s.parts()
		} else if text, ok := s.text(); ok {
			p, err = cutMerge(text)
		} else {
			err = fmt.Errorf("found %.20q, want two tokens", s.rest)
		}
		if err != nil {
			return fmt.Errorf("merge %d: %v", len(*l), err)
		}
		*l = append(*l, p)
		s.take(',')
	}
	return nil
}

// unpackMerges reads a gzipped merges.txt.
func unpackMerges(zipped []byte) ([][2]string, error) {
	z, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	return parseMerges(text)
}

// parseMerges reads merges.txt. Its first line may be "#version: 0.2"; empty lines do not count.
func parseMerges(b []byte) ([][2]string, error) {
	pairs := make([][2]string, 0, bytes.Count(b, []byte{'\n'})+1)
	number := 0
	for line := range strings.Lines(string(b)) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if line == "" || number == 1 && strings.HasPrefix(line, "#version") {
			continue
		}
		p, err := cutMerge(line)
		if err != nil {
			return nil, FormatError(fmt.Sprintf("merges.txt, line %d: %v", number, err))
		}
		pairs = append(pairs, p)
	}
	return pairs, nil
}

func cutMerge(s string) (p [2]string, err error) {
	left, right, ok := strings.Cut(s, " ")
	if !ok || left == "" || right == "" || strings.Contains(right, " ") {
		return p, fmt.Errorf("found %q, want two tokens with a space between", s)
	}
	return [2]string{left, right}, nil
}

// A scanner reads JSON that is known to be well formed.
type scanner struct{ rest string }

// take goes past a sign if it comes next, after white space.
func (s *scanner) take(sign byte) bool {
	s.skip()
	if s.rest == "" || s.rest[0] != sign {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *scanner) skip() {
	for s.rest != "" && (s.rest[0] == ' ' || s.rest[0] == '\n' || s.rest[0] == '\t' || s.rest[0] == '\r') {
		s.rest = s.rest[1:]
	}
}

// text reads a string.
func (s *scanner) text() (string, bool) {
	if !s.take('"') {
		return "", false
	}
	end := 0
	escaped := false
	for end < len(s.rest) && s.rest[end] != '"' {
		if s.rest[end] == '\\' {
			escaped = true
			end++
		}
		end++
	}
	if end >= len(s.rest) {
		return "", false
	}
	text := s.rest[:end]
	s.rest = s.rest[end+1:]
	if escaped {
		if err := json.Unmarshal([]byte(`"`+text+`"`), &text); err != nil {
			return "", false
		}
	}
	return text, true
}

// word reads what stands before the next comma, bracket or space.
func (s *scanner) word() string {
	s.skip()
	n := strings.IndexAny(s.rest, " \t\r\n,}]")
	if n < 0 {
		n = len(s.rest)
	}
	word := s.rest[:n]
	s.rest = s.rest[n:]
	return word
}

// parts reads the rest of a merge that is an array.
func (s *scanner) parts() (p [2]string, err error) {
	left, okLeft := s.text()
	comma := s.take(',')
	right, okRight := s.text()
	if !okLeft || !comma || !okRight || !s.take(']') || left == "" || right == "" {
		return p, fmt.Errorf("found an array, want one of two tokens")
	}
	return [2]string{left, right}, nil
}
