package encoder

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Member is one of a JSON object.
type Member struct {
	Key   string
	Value any // nil leaves the member out
}

// MarshalMembers writes an object whose members stand in the order that is given.
func MarshalMembers(members ...Member) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for _, m := range members {
		if m.Value == nil {
			continue
		}
		value, err := json.Marshal(m.Value)
		if err != nil {
			return nil, err
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", m.Key, value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// ReadMembers splits an object into its members, but for those that are null.
func ReadMembers(b []byte) (map[string]json.RawMessage, error) {
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, err
	}
	for key, value := range all {
		if string(value) == "null" {
			delete(all, key)
		}
	}
	return all, nil
}
