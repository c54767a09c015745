package console

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Rounded is a number with six decimals at most: what lies below depends on the machine.
type Rounded float64

// MarshalJSON writes the number without an exponent, and null for what is no number.
func (r Rounded) MarshalJSON() ([]byte, error) {
	x := math.Round(float64(r)*1e6) / 1e6
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, x, 'f', -1, 64), nil
}

// MarshalJSON is v as one line of JSON, with <, > and & as they are.
func MarshalJSON(v any) ([]byte, error) {
	var s strings.Builder
	e := json.NewEncoder(&s)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return []byte(s.String()), nil
}

// WriteJSON writes v as one line.
func WriteJSON(w io.Writer, v any) error {
	b, err := MarshalJSON(v)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}
