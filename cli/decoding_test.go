package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	stdimage "image"
	"image/png"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"

	"captioner/cli/flags"
	"captioner/cli/server"
	"captioner/data/image"
	"captioner/models/decode"
)

// doorModel is a model with decoding options of its own. It notes those that the service asks it for.
type doorModel struct {
	fake
	own   decode.Options
	asked decode.Options
}

func (m *doorModel) Defaults() decode.Options { return m.own }

// served is doorModel as the service wants it.
type doorServed struct{ *doorModel }

func (m doorServed) Info() server.Info {
	return server.Info{Name: "door", Defaults: m.own, Positions: m.Positions(), Vectors: 1, Width: 1}
}

func (m doorServed) Caption(_ context.Context, images []*image.RGB, o decode.Options) ([]decode.Caption, error) {
	m.asked = o
	return make([]decode.Caption, len(images)), nil
}

func (m doorServed) Features(context.Context, []*image.RGB) ([][]float32, error) { return nil, nil }

func (m doorServed) CaptionFeatures(context.Context, [][]float32, decode.Options) ([]decode.Caption, error) {
	return nil, nil
}

// byFlags asks for options on a command line.
func byFlags(t *testing.T, m *doorModel, args string) (decode.Options, error) {
	t.Helper()
	var d flags.Decode
	var o decode.Options
	app := &cli.App{Writer: &bytes.Buffer{}, Flags: d.Flags(), Action: func(c *cli.Context) (err error) {
		d.Set = c.IsSet
		if err = d.Validate(); err == nil {
			o, err = d.Apply(m)
		}
		return err
	}}
	words := strings.Fields(args)
	for i, w := range words {
		words[i] = strings.ReplaceAll(w, "_", " ")
	}
	err := app.Run(append([]string{"captioner"}, words...))
	return o, err
}

// byJSON asks for options over HTTP.
func byJSON(t *testing.T, m *doorModel, fields string) (decode.Options, error) {
	t.Helper()
	s, err := server.New(doorServed{m}, server.DefaultOptions(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var b bytes.Buffer
	if err := png.Encode(&b, stdimage.NewGray(stdimage.Rect(0, 0, 1, 1))); err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"image":%q%s}`, base64.StdEncoding.EncodeToString(b.Bytes()), fields)
	r := httptest.NewRequest("POST", "/v1/captions", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	if w.Code == 200 {
		o := m.asked
		o.IDs = nil // of the images, not of the request
		return o, nil
	}
	var p struct{ Type, Detail string }
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Type != "/problems/bad-option" {
		t.Fatalf("%s: got %s", body, w.Body)
	}
	return decode.Options{}, fmt.Errorf("%s", p.Detail)
}

// The command line and the service take the same request for the same options, and refuse the same field.
func TestBothDoorsDecideTheSame(t *testing.T) {
	plain := decode.DefaultOptions()
	huggingFace := decode.DefaultOptions()
	huggingFace.MinLen, huggingFace.EarlyStopping, huggingFace.Beam = 5, decode.StopFalse, 4
	old := decode.DefaultOptions() // of clip-text-decoder
	old.Rule, old.Beam, old.MaxLen, old.LengthPenalty, old.NoRepeatNGram = decode.ClipDecoder, 1, 24, 0, 0
	keep := func(*decode.Options) {}
	search := func(change func(*decode.Options)) func(*decode.Options) {
		return func(o *decode.Options) {
			*o = decode.DefaultOptions()
			change(o)
		}
	}
	for name, c := range map[string]struct {
		own    decode.Options
		flags  string // _ stands for a space within an argument
		json   string
		want   func(*decode.Options) // changes own
		refuse decode.Field
	}{
		"nothing": {own: plain, want: keep},
		"nothing, and a model with a shortest caption": {own: huggingFace, want: keep},
		"nothing, and a model of clip-text-decoder":    {own: old, want: keep},
		"a shortest caption": {own: huggingFace, flags: "--min-length 2", json: `,"min_length":2`,
			want: func(o *decode.Options) { o.MinLen = 2 }},
		"a longest caption below the model's shortest": {own: huggingFace, flags: "--max-len 4", json: `,"max_len":4`,
			want: func(o *decode.Options) { o.MaxLen, o.MinLen = 4, 3 }},
		"a shortest caption above the model's longest": {own: plain, flags: "--min-length 40", json: `,"min_length":40`,
			want: func(o *decode.Options) { o.MaxLen, o.MinLen = 41, 40 }},
		"several captions": {own: plain, flags: "--num-captions 5", json: `,"num_captions":5`,
			want: func(o *decode.Options) { o.Captions, o.Beam = 5, 5 }},
		"keywords": {own: plain, flags: "--keywords 5", json: `,"keywords":5`,
			want: func(o *decode.Options) { o.Keywords = 5 }},
		"keywords, by clip-text-decoder": {own: old, flags: "--keywords 5", json: `,"keywords":5`,
			want: func(o *decode.Options) { o.Keywords = 5 }},
		"too many keywords": {own: plain, flags: "--keywords 101", json: `,"keywords":101`, refuse: decode.FieldKeywords},
		"groups": {own: plain, flags: "--diverse 4", json: `,"diverse":4`,
			want: func(o *decode.Options) { o.Groups, o.Captions, o.Beam = 4, 4, 8 }},
		"groups and captions": {own: plain, flags: "--diverse 2 --num-captions 5", json: `,"diverse":2,"num_captions":5`,
			want: func(o *decode.Options) { o.Groups, o.Captions, o.Beam = 2, 5, 6 }},
		"a forced word": {own: plain, flags: "--force x", json: `,"force":["x"]`, want: func(o *decode.Options) {
			o.Beam, o.Force = 6, [][][]int32{{{' ', 'x'}, {'x'}, {'X'}}}
		}},
		"two forced words": {own: plain, flags: "--force x --force y", json: `,"force":["x","y"]`,
			want: func(o *decode.Options) {
				o.Beam, o.Force = 9, [][][]int32{{{' ', 'x'}, {'x'}, {'X'}}, {{' ', 'y'}, {'y'}, {'Y'}}}
			}},
		"a draw": {own: plain, flags: "--sample --seed 3 --num-captions 2", json: `,"sample":true,"seed":3,"num_captions":2`,
			want: func(o *decode.Options) { o.Sample, o.Seed, o.Captions = true, 3, 2 }},
		"a prompt, by clip-text-decoder": {own: old, flags: "--prompt a", json: `,"prompt":"a"`,
			want: search(func(o *decode.Options) { o.Prompt = []int32{'a'} })},
		"a ban, by clip-text-decoder": {own: old, flags: "--ban 7", json: `,"ban":["7"]`,
			want: search(func(o *decode.Options) { o.Ban = [][]int32{{'7'}, {' ', '7'}} })},
		"a shortest caption, by clip-text-decoder": {own: old, flags: "--min-length 3", json: `,"min_length":3`,
			want: search(func(o *decode.Options) { o.MinLen = 3 })},
		"a beam, by clip-text-decoder": {own: old, flags: "--beam 4", json: `,"beam_size":4`,
			want: func(o *decode.Options) { o.Beam = 4 }},

		"a forced and banned word": {own: plain, flags: "--force Dog|puppy --ban dog --ban PUPPY",
			json: `,"force":["Dog|puppy"],"ban":["dog","PUPPY"]`, refuse: decode.FieldForce},
		"a banned word in the prompt": {own: plain, flags: "--prompt A_Dog_barks --ban dog",
			json: `,"prompt":"A Dog barks","ban":["dog"]`, refuse: decode.FieldBan},
		"an empty forced word": {own: plain, flags: "--force a|", json: `,"force":["a|"]`, refuse: decode.FieldForce},
		"an empty banned word": {own: plain, flags: "--ban |a", json: `,"ban":["|a"]`, refuse: decode.FieldBan},
		"a forced word in a beam of one": {own: plain, flags: "--force a --beam 1", json: `,"force":["a"],"beam_size":1`,
			refuse: decode.FieldBeam},
		"a forced word in groups": {own: plain, flags: "--force a --diverse 2", json: `,"force":["a"],"diverse":2`,
			refuse: decode.FieldForce},
		"a beam of a draw": {own: plain, flags: "--sample --beam 2", json: `,"sample":true,"beam_size":2`,
			refuse: decode.FieldSample},
		"a length penalty of a draw": {own: plain, flags: "--sample --length-penalty 1",
			json:   `,"sample":true,"length_penalty":1`,
			refuse: decode.FieldSample},
		"a seed without a draw": {own: plain, flags: "--seed 1", json: `,"seed":1`, refuse: decode.FieldSeed},
		"draws that are the same": {own: plain, flags: "--sample --top-k 1 --num-captions 2",
			json: `,"sample":true,"top_k":1,"num_captions":2`, refuse: decode.FieldCaptions},
		"diversity without groups": {own: plain, flags: "--diversity 1", json: `,"diversity":1`,
			refuse: decode.FieldDiversity},
		"no groups": {own: plain, flags: "--diverse 0", json: `,"diverse":0`, refuse: decode.FieldGroups},
		"groups that do not divide": {own: plain, flags: "--diverse 3 --beam 4", json: `,"diverse":3,"beam_size":4`,
			refuse: decode.FieldGroups},
		"more captions than beam": {own: plain, flags: "--num-captions 3 --beam 2", json: `,"num_captions":3,"beam_size":2`,
			refuse: decode.FieldCaptions},
		"a longest caption below the shortest": {own: plain, flags: "--max-len 3 --min-length 4",
			json: `,"max_len":3,"min_length":4`, refuse: decode.FieldMinLen},
		"a prompt without room": {own: plain, flags: "--prompt 1234567890 --max-len 60",
			json: `,"prompt":"1234567890","max_len":60`, refuse: decode.FieldPrompt},
		"a temperature": {own: plain, flags: "--sample --temperature 101", json: `,"sample":true,"temperature":101`,
			refuse: decode.FieldTemperature},
	} {
		t.Run(name, func(t *testing.T) {
			m := &doorModel{own: c.own}
			byFlag, flagErr := byFlags(t, m, c.flags)
			fields, fieldErr := byJSON(t, m, c.json)
			if c.refuse != "" {
				if flagErr == nil || !strings.HasPrefix(flagErr.Error(), flags.FlagOf(c.refuse)+" ") {
					t.Errorf("flags: got %v, want %s refused", flagErr, flags.FlagOf(c.refuse))
				}
				if fieldErr == nil || !strings.HasPrefix(fieldErr.Error(), string(c.refuse)+" ") {
					t.Errorf("JSON: got %v, want %s refused", fieldErr, c.refuse)
				}
				return
			}
			want := c.own
			c.want(&want)
			if flagErr != nil || !cmp.Equal(byFlag, want) {
				t.Errorf("flags: %v\n%s", flagErr, cmp.Diff(want, byFlag))
			}
			if fieldErr != nil || !cmp.Equal(fields, want) {
				t.Errorf("JSON: %v\n%s", fieldErr, cmp.Diff(want, fields))
			}
		})
	}
}
