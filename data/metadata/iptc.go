package metadata

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"captioner/data/text"
)

// Data sets of IPTC-IIM, by record and number.
const (
	iptcCharset  = 1<<8 | 90
	iptcKeyword  = 2<<8 | 25
	iptcDate     = 2<<8 | 55
	iptcCity     = 2<<8 | 90
	iptcLocation = 2<<8 | 92
	iptcState    = 2<<8 | 95
	iptcCountry  = 2<<8 | 101
	iptcCaption  = 2<<8 | 120
)

// The most bytes that IPTC-IIM gives a caption and a keyword.
const (
	maxIPTCCaption = 2000
	maxIPTCKeyword = 64
)

// iptcUTF8 says in the data set of the charset that texts are UTF-8.
const iptcUTF8 = "\x1b%G"

// dataSet is one data set; raw is all of it, value its value.
type dataSet struct {
	number     int // record<<8 | number
	raw, value []byte
}

// parseIPTC reads data sets; rest is what stands behind them, such as padding.
func parseIPTC(b []byte) (sets []dataSet, rest []byte, err error) {
	for len(b) > 0 && b[0] == 0x1c {
		if len(b) < 5 {
			return nil, nil, errors.New("metadata: its IPTC is cut off")
		}
		head, n := 5, int(binary.BigEndian.Uint16(b[3:]))
		if n&0x8000 != 0 { // the length of a length
			size := n & 0x7fff
			if size > 4 || len(b) < 5+size {
				return nil, nil, errors.New("metadata: its IPTC is damaged")
			}
			n = 0
			for _, c := range b[5 : 5+size] {
				n = n<<8 | int(c)
			}
			head += size
		}
		if n < 0 || n > len(b)-head {
			return nil, nil, errors.New("metadata: its IPTC is cut off")
		}
		sets = append(sets, dataSet{int(b[1])<<8 | int(b[2]), b[:head+n], b[head : head+n]})
		b = b[head+n:]
	}
	return sets, b, nil
}

// iptcText is a value as text.
func iptcText(value []byte) string {
	s := string(value)
	if !utf8.ValidString(s) {
		s = text.Decode(s)
	}
	return strings.TrimSpace(strings.TrimRight(s, "\x00"))
}

func infoOfIPTC(b []byte) (i Info) {
	sets, _, err := parseIPTC(b)
	if err != nil {
		return i
	}
	for _, s := range sets {
		value := iptcText(s.value)
		if value == "" {
			continue
		}
		switch s.number {
		case iptcCaption:
			i.Description = realText(value)
		case iptcKeyword:
			i.Keywords = append(i.Keywords, value)
		case iptcDate:
			i.Date = day(value)
		case iptcCity:
			i.City = value
		case iptcLocation:
			i.Location = value
		case iptcState:
			i.State = value
		case iptcCountry:
			i.Country = value
		}
	}
	return i
}

// changeIPTC is a block with another caption and with keywords added. All other data sets keep their bytes.
func changeIPTC(b []byte, caption string, keywords []string) ([]byte, error) {
	sets, rest, err := parseIPTC(b)
	if err != nil {
		return nil, err
	}
	encode := iptcEncoder(sets)
	value, err := encode(caption)
	if err != nil {
		return nil, err
	}
	if len(value) > maxIPTCCaption {
		return nil, fmt.Errorf("metadata: a caption of %d bytes, and IPTC takes %d", len(value), maxIPTCCaption)
	}
	var there []string
	for _, s := range sets {
		if s.number == iptcKeyword {
			there = append(there, iptcText(s.value))
		}
	}
	sets = slices.DeleteFunc(sets, func(s dataSet) bool { return s.number == iptcCaption })
	sets = putDataSet(sets, iptcCaption, value)
	for _, k := range keywords {
		value, err := encode(k)
		known := slices.ContainsFunc(there, func(s string) bool { return strings.EqualFold(s, k) })
		if err != nil || known || len(value) > maxIPTCKeyword {
			continue
		}
		there = append(there, k)
		sets = putDataSet(sets, iptcKeyword, value)
	}
	var out []byte
	for _, s := range sets {
		out = append(out, s.raw...)
	}
	return append(out, rest...), nil
}

// iptcEncoder writes a text in the charset of the data sets that are there.
func iptcEncoder(sets []dataSet) func(string) ([]byte, error) {
	charset := text.Encoding{Charset: text.Windows1252} // where none is named, it is mostly this
	for _, s := range sets {
		if s.number == iptcCharset && string(s.value) == iptcUTF8 {
			charset.Charset = text.UTF8
		}
	}
	return func(s string) ([]byte, error) {
		b, err := charset.Encode(s)
		if err != nil {
			return nil, fmt.Errorf("metadata: its IPTC is not UTF-8: %w", err)
		}
		return b, nil
	}
}

// putDataSet puts a value behind the data sets of smaller numbers.
func putDataSet(sets []dataSet, number int, value []byte) []dataSet {
	raw := []byte{0x1c, byte(number >> 8), byte(number), byte(len(value) >> 8), byte(len(value))}
	at := len(sets)
	for at > 0 && sets[at-1].number > number {
		at--
	}
	return slices.Insert(sets, at, dataSet{number, append(raw, value...), value})
}
