package server

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"

	"captioner/cli/server/problem"
	"captioner/weights/plural"
)

// vectors reads the embeddings of a request in JSON: lists of numbers, or little-endian float32 in base64.
func (rd reader) vectors(a *asked, d *document) error {
	if d.Image != nil || d.Images != nil {
		return problem.New("bad-request", "found images, want embedding or embeddings")
	}
	if (d.Embedding == nil) == (d.Embeddings == nil) {
		return problem.New(
			"bad-request",
			"want either embedding (a list of numbers, or a string in base64) or embeddings (a list of such)",
		)
	}
	list := d.Embeddings
	if a.many = d.Embeddings != nil; !a.many {
		list = []json.RawMessage{d.Embedding}
	}
	if len(list) > rd.limits.MaxImages {
		return rd.tooMany()
	}
	for i, raw := range list {
		v, err := vector(raw)
		if err != nil {
			return problem.New("bad-request", "embedding %d: %s", i, err.(*problem.Problem).Detail)
		}
		a.embeddings = append(a.embeddings, v)
	}
	return nil
}

func vector(raw json.RawMessage) ([]float32, error) {
	var v []float32
	var text string
	if strict(raw, &text) == nil {
		b, err := decode64(text)
		if err != nil || len(b)%4 != 0 {
			return nil, problem.New("bad-request", "want float32 numbers, little-endian, in base64")
		}
		v = make([]float32, len(b)/4)
		for i := range v {
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
	} else if strict(raw, &v) != nil {
		return nil, problem.New("bad-request", "want a list of numbers within float32, or a string in base64")
	}
	for i, x := range v {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return nil, problem.New("bad-request", "number %d is not finite", i)
		}
	}
	return v, nil
}

// spread makes the model's features of an embedding: all vectors stay as they are, and a pooled vector is repeated.
func spread(v []float32, m Info) ([]float32, error) {
	switch {
	case len(v) == m.Vectors*m.Width, m.Pads && 0 < len(v) && len(v) < m.Width:
		return v, nil
	case len(v) == m.Width:
		out := make([]float32, 0, m.Vectors*m.Width)
		for range m.Vectors {
			out = append(out, v...)
		}
		return out, nil
	}
	return nil, problem.New(
		"bad-request",
		"found an embedding of %s, want %d (pooled) or %d (all places)",
		plural.Count(len(v), "number"),
		m.Width,
		m.Vectors*m.Width,
	)
}

// pool is the mean over the vectors.
func pool(v []float32, m Info) []float32 {
	out := make([]float32, m.Width)
	for k := range out {
		sum := 0.0
		for p := range m.Vectors {
			sum += float64(v[p*m.Width+k])
		}
		out[k] = float32(sum / float64(m.Vectors))
	}
	return out
}

// base64Floats writes numbers as vector reads them.
func base64Floats(v []float32) string {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(b)
}
