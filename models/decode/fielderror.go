package decode

import "strings"

// Field names one setting of a [Request] as the service's JSON does. The flag of the command line is the same name with
// hyphens.
type Field string

// The fields of a Request.
const (
	FieldRule          Field = "decode"
	FieldBeam          Field = "beam_size"
	FieldMaxLen        Field = "max_len"
	FieldMinLen        Field = "min_length"
	FieldLengthPenalty Field = "length_penalty"
	FieldNoRepeatNGram Field = "no_repeat_ngram"
	FieldCaptions      Field = "num_captions"
	FieldGroups        Field = "diverse"
	FieldDiversity     Field = "diversity"
	FieldKeywords      Field = "keywords"
	FieldPrompt        Field = "prompt"
	FieldTask          Field = "task"
	FieldForce         Field = "force"
	FieldBan           Field = "ban"
	FieldSample        Field = "sample"
	FieldTemperature   Field = "temperature"
	FieldTopK          Field = "top_k"
	FieldTopP          Field = "top_p"
	FieldSeed          Field = "seed"
)

// Fields that a model sets and a Request does not have.
const (
	fieldTokens        Field = "begin and end token"
	fieldEarlyStopping Field = "early_stopping"
	fieldPenalty       Field = "repetition_penalty"
)

// FieldError says what is wrong with one field: its value, or its company.
type FieldError struct {
	Field   Field
	Found   string // its value; empty where the value does not matter
	Want    string // what it may be, without a field's name; empty where Against or Needs says it
	Against Field  // the field that it contradicts
	Needs   Field  // the field that it makes no sense without
}

func (e *FieldError) Error() string { return e.Text(func(f Field) string { return string(f) }) }

// Text is the error with each field named by name: a flag here, a key of JSON there.
func (e *FieldError) Text(name func(Field) string) string {
	subject := name(e.Field)
	if e.Found != "" {
		subject += " " + e.Found
	}
	switch {
	case e.Against != "":
		return subject + " and " + name(e.Against) + " contradict each other"
	case e.Needs != "":
		return subject + " needs " + name(e.Needs)
	}
	return subject + ": want " + e.Want
}

// FieldErrors is everything that is wrong with a Request or with Options. [errors.As] finds the first *FieldError.
type FieldErrors []*FieldError

func (e FieldErrors) Error() string {
	lines := make([]string, len(e))
	for i, f := range e {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lists the errors for package errors.
func (e FieldErrors) Unwrap() []error {
	all := make([]error, len(e))
	for i, f := range e {
		all[i] = f
	}
	return all
}

// err is nil where nothing is wrong: an empty list in an error would not be.
func (e FieldErrors) err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}
