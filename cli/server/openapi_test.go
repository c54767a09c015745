package server

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"captioner/cli/server/page"
)

type object = map[string]any

// specification is openapi.json.
func specification(t *testing.T) object {
	t.Helper()
	var o object
	if err := json.Unmarshal(openAPI, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// at walks down a document; names may hold slashes.
func at(v any, names ...string) any {
	for _, n := range names {
		o, _ := v.(object)
		v = o[n]
	}
	return v
}

func keysOf(v any) []string {
	o, _ := v.(object)
	return slices.Sorted(maps.Keys(o))
}

// check says how a value differs from a schema; it knows what openapi.json uses, and fails on what it does not know.
func check(root, schema object, v any, path string) error {
	if r, ok := schema["$ref"].(string); ok {
		s, ok := at(root, strings.Split(strings.TrimPrefix(r, "#/"), "/")...).(object)
		if !ok {
			return fmt.Errorf("%s: %s is not there", path, r)
		}
		return check(root, s, v, path)
	}
	if any, ok := schema["anyOf"].([]any); ok {
		var last error
		for _, s := range any {
			if last = check(root, s.(object), v, path); last == nil {
				return nil
			}
		}
		return fmt.Errorf("%s: none of anyOf; the last: %w", path, last)
	}
	bad := fmt.Errorf("%s: found %T %.60v, want %v", path, v, v, schema["type"])
	switch schema["type"] {
	case "string":
		if _, ok := v.(string); !ok {
			return bad
		}
	case "number":
		if _, ok := v.(float64); !ok {
			return bad
		}
	case "integer":
		if x, ok := v.(float64); !ok || x != math.Trunc(x) {
			return bad
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			return bad
		}
	case "array":
		list, ok := v.([]any)
		if !ok {
			return bad
		}
		for i, x := range list {
			if err := check(root, schema["items"].(object), x, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	case "object":
		return checkObject(root, schema, v, path, bad)
	default:
		return fmt.Errorf("%s: the schema's type is %v", path, schema["type"])
	}
	return nil
}

func checkObject(root, schema object, v any, path string, bad error) error {
	o, ok := v.(object)
	if !ok {
		return bad
	}
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, ok := o[name.(string)]; !ok {
			return fmt.Errorf("%s: %v is missing", path, name)
		}
	}
	for name, x := range o {
		s, ok := at(schema, "properties", name).(object)
		if !ok {
			if schema["additionalProperties"] == false {
				return fmt.Errorf("%s: %q is not in the schema", path, name)
			}
			continue
		}
		if err := check(root, s, x, path+"."+name); err != nil {
			return err
		}
	}
	return nil
}

// Every path and method that is answered is described, and no other.
func TestSpecificationHasTheRoutes(t *testing.T) {
	spec := specification(t)
	if spec["openapi"] != "3.1.0" {
		t.Errorf("openapi %v, want 3.1.0", spec["openapi"])
	}
	s := start(t, &fake{}, nil)
	var got, want []string
	for _, rt := range s.table() {
		if !slices.ContainsFunc(page.Files(false), func(f page.File) bool { return f.Path == rt.path }) {
			got = append(got, rt.path+" "+strings.ToLower(rt.method))
		}
	}
	for _, p := range keysOf(spec["paths"]) {
		for _, m := range keysOf(at(spec, "paths", p)) {
			want = append(want, p+" "+m)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("routes:\ngot  %q\nwant %q as in openapi.json", got, want)
	}
	for _, rt := range s.table() { // and what it says of tokens is so
		if op, ok := at(spec, "paths", rt.path, strings.ToLower(rt.method)).(object); ok &&
			(op["security"] == nil) != rt.open {
			t.Errorf("%s: needs a token %t, openapi.json says %v", rt.path, !rt.open, op["security"])
		}
	}
}

// The options that are described are those that are taken.
func TestSpecificationHasTheOptions(t *testing.T) {
	spec := specification(t)
	for path, schema := range map[string]string{
		"/v1/captions": "CaptionRequest", "/v1/captions:fromEmbedding": "EmbeddingCaptionRequest",
	} {
		var query []string
		for _, p := range at(spec, "paths", path, "post", "parameters").([]any) {
			query = append(query, p.(object)["name"].(string))
		}
		if !slices.Equal(query, settingNames) {
			t.Errorf("%s: got %q, want %q", path, query, settingNames)
		}
		fields := keysOf(at(spec, "components", "schemas", schema, "properties"))
		for _, name := range settingNames {
			if !slices.Contains(fields, name) {
				t.Errorf("%s lacks %s", schema, name)
			}
			var x settings
			if err := x.set(name, "1"); err != nil {
				t.Errorf("%s is not taken: %v", name, err)
			}
		}
	}
	b, _ := json.Marshal(settings{})
	var fields object
	json.Unmarshal(b, &fields)
	if want := slices.Sorted(slices.Values(settingNames)); !slices.Equal(keysOf(fields), want) {
		t.Errorf("JSON fields: got %q, want %q", keysOf(fields), want)
	}
}

// What is answered is as the specification says, body by body.
func TestAnswersFollowTheSpecification(t *testing.T) {
	spec := specification(t)
	s := start(t, &fake{}, nil)
	image := base64.StdEncoding.EncodeToString(imagePNG(1, 2))
	many := fmt.Sprintf(`{"images":[%q,{"name":"b","image":"AAAA"}],"num_captions":2}`, image)
	js := "Content-Type: application/json"
	for _, c := range []struct {
		method, path, body, header string
		status                     int
	}{
		{"POST", "/v1/captions", string(imagePNG(1, 2)), "Content-Type: image/png", 200},
		{"POST", "/v1/captions", many, js, 200},
		{"POST", "/v1/captions", "{", js, 400},
		{"POST", "/v1/captions", "x", "Content-Type: image/png", 422},
		{"POST", "/v1/captions", "x", "Content-Type: text/x", 415},
		{"POST", "/v1/embeddings", fmt.Sprintf(`{"image":%q,"form":"places"}`, image), js, 200},
		{"POST", "/v1/embeddings", fmt.Sprintf(`{"images":[%q],"encoding":"base64"}`, image), js, 200},
		{"POST", "/v1/embeddings", `{"image":""}`, js, 400},
		{"POST", "/v1/captions:fromEmbedding", `{"embedding":[1,2,3]}`, js, 200},
		{"POST", "/v1/captions:fromEmbedding", `{"embeddings":[[1,2,3]],"beam_size":1}`, js, 200},
		{"POST", "/v1/captions:fromEmbedding", `{"embeddings":[[1]]}`, js, 400},
		{"GET", "/v1/models", "", "Accept: */*", 200},
		{"GET", "/healthz", "", "Accept: */*", 200},
		{"GET", "/readyz", "", "Accept: */*", 200},
		{"GET", "/version", "", "Accept: */*", 200},
		{"GET", "/metrics", "", "Accept: */*", 200},
		{"GET", "/openapi.json", "", "Accept: */*", 200},
		{"GET", "/problems/queue-full", "", "Accept: */*", 200},
		{"GET", "/problems/nothing", "", "Accept: */*", 404},
	} {
		w := ask(s, c.method, c.path, bytes.NewReader([]byte(c.body)), c.header)
		if err := described(spec, c.method, c.path, w); err != nil || w.Code != c.status {
			t.Errorf("%s %s %.40q: status %d, want %d: %v", c.method, c.path, c.body, w.Code, c.status, err)
		}
	}
}

// described checks an answer against its description.
func described(spec object, method, path string, w *httptest.ResponseRecorder) error {
	if strings.HasPrefix(path, "/problems/") {
		path = "/problems/{name}"
	}
	r, ok := at(spec, "paths", path, strings.ToLower(method), "responses", fmt.Sprint(w.Code)).(object)
	if !ok {
		return fmt.Errorf("status %d is not described", w.Code)
	}
	if ref, ok := r["$ref"].(string); ok {
		r = at(spec, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...).(object)
	}
	kind, _, _ := strings.Cut(w.Header().Get("Content-Type"), ";")
	schema, ok := at(r, "content", kind, "schema").(object)
	if !ok {
		return fmt.Errorf("content type %q is not described", kind)
	}
	if !strings.HasSuffix(kind, "json") || kind == "application/x-ndjson" {
		return nil
	}
	var v any
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		return err
	}
	return check(spec, schema, v, "answer")
}
