// Package board writes how a training goes as TensorBoard reads it: curves, captions as text and beside their images,
// and what was asked for with what came of it. Each function gives records that are appended to a file; a file begins
// with [Header].
package board

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Header is the record that a file begins with.
func Header() []byte { return frame(message(nil).double(1, now()).text(3, "brain.Event:2")) }

// Scalars are numbers at a step, by their tags.
func Scalars(step int, values map[string]float64) []byte {
	var summary message
	for _, tag := range slices.Sorted(maps.Keys(values)) {
		summary = summary.bytes(1, message(nil).text(1, tag).float(2, values[tag]))
	}
	return event(step, summary)
}

// Text is Markdown at a step.
func Text(step int, tag, markdown string) []byte {
	value := message(nil).text(1, tag+"/text_summary").bytes(8, stringTensor([]byte(markdown))).
		bytes(9, metadata("text", nil))
	return event(step, message(nil).bytes(1, value))
}

// Image is a PNG file of that size at a step.
func Image(step int, tag string, width, height int, png []byte) []byte {
	const rgb = 3
	image := message(nil).number(1, uint64(height)).number(2, uint64(width)).number(3, rgb).bytes(4, png)
	return event(step, message(nil).bytes(1, message(nil).text(1, tag).bytes(4, image)))
}

// Chart is a drawing that shows several tags.
type Chart struct {
	Title string
	Tags  []string
}

// Layout says which tags share a chart.
func Layout(title string, charts []Chart) []byte {
	category := message(nil).text(1, title)
	for _, c := range charts {
		var lines message
		for _, tag := range c.Tags {
			lines = lines.text(1, "^"+tag+"$") // tags are patterns
		}
		category = category.bytes(2, message(nil).text(1, c.Title).bytes(2, lines))
	}
	value := message(nil).text(1, "custom_scalars__config__").
		bytes(8, stringTensor(message(nil).bytes(2, category))).bytes(9, metadata("custom_scalars", nil))
	return event(0, message(nil).bytes(1, value))
}

// hparams is a record of the plugin hparams; what fills field number of its data.
func hparams(tag string, number int, what message) []byte {
	value := message(nil).text(1, "_hparams_/"+tag).bytes(9, metadata("hparams", message(nil).bytes(number, what)))
	return event(0, message(nil).bytes(1, value))
}

// Begin says what was asked for, an object of JSON, and which scalars will say what came of it. Texts, numbers and
// booleans are shown.
func Begin(name string, options []byte, scalars []string) []byte {
	const isString, isBool, isNumber = 1, 2, 3
	var asked map[string]any
	_ = json.Unmarshal(options, &asked) // options that cannot be read are not shown
	var experiment, session message
	for _, key := range slices.Sorted(maps.Keys(asked)) {
		var value message
		kind := isString
		switch v := asked[key].(type) {
		case string:
			if v == "" {
				continue
			}
			value = value.text(3, v)
		case bool:
			kind, value = isBool, value.number(4, map[bool]uint64{true: 1}[v])
		case float64:
			kind, value = isNumber, value.double(2, v)
		default:
			continue
		}
		experiment = experiment.bytes(4, message(nil).text(1, key).number(4, uint64(kind)))
		session = session.bytes(1, message(nil).text(1, key).bytes(2, value))
	}
	for _, tag := range scalars {
		shown := strings.TrimPrefix(tag, "val/")
		experiment = experiment.bytes(5, message(nil).bytes(1, message(nil).text(2, tag)).text(3, shown))
	}
	start := session.text(4, name).double(5, now())
	return append(hparams("experiment", 2, experiment), hparams("session_start_info", 3, start)...)
}

// End says that the run has come to its end.
func End() []byte {
	const success = 1
	return hparams("session_end_info", 4, message(nil).number(1, success).double(2, now()))
}
