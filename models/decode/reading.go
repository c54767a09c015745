package decode

import (
	"fmt"
	"strings"
)

// A Task is something that a model does with an image, and the prompt that asks for it.
type Task struct{ Name, Prompt string }

// Reading is how a model reads a prompt beside its image, instead of beginning captions with it. Options.Prompt is what
// is read then.
type Reading struct {
	Tasks []Task  // that Request.Task may name, the usual one first; none: the model reads free prompts alone
	Image []int32 // what stands for the image in front of the prompt
	// Prompt gives a prompt's tokens as the model reads them. The error says what prompts may be.
	Prompt func(text string) ([]int32, error)
}

// Names are the names of the tasks; none where r is nil.
func (r *Reading) Names() []string {
	if r == nil {
		return nil
	}
	var names []string
	for _, t := range r.Tasks {
		names = append(names, t.Name)
	}
	return names
}

// usual is the prompt of a model that was told nothing.
func (r *Reading) usual() string {
	if len(r.Tasks) == 0 {
		return ""
	}
	return r.Tasks[0].Prompt
}

// ReadUsual gives o the way in which a model reads prompts, and the prompt that it reads where it is told nothing.
func (o *Options) ReadUsual(r *Reading) (err error) {
	o.Reading = r
	if o.Prompt, err = r.Prompt(r.usual()); err == nil && len(r.Tasks) > 0 {
		o.Task = r.Tasks[0].Name
	}
	return err
}

// Begun is how many tokens captions begin with: those of a prompt that is not read beside the image.
func (o Options) Begun() int {
	if o.Reading != nil {
		return 0
	}
	return len(o.Prompt)
}

// readPrompt takes a request's prompt or task into options of a model that reads them.
func (r *Request) readPrompt(o *Options) *FieldError {
	text, name, asked := strings.TrimSpace(value(r.Prompt, "")), "", FieldPrompt
	switch {
	case r.Task != nil:
		task, wrong := r.task(o.Reading)
		if wrong != nil {
			return wrong
		}
		text, name, asked = task.Prompt, task.Name, FieldTask
	case text == "":
		return nil // the usual one
	}
	tokens, err := o.Reading.Prompt(text)
	if err != nil {
		return &FieldError{Field: asked, Found: fmt.Sprintf("%.60q", text), Want: err.Error()}
	}
	o.Prompt, o.Task = tokens, name
	return nil
}

// task finds the task that is asked for.
func (r *Request) task(reading *Reading) (Task, *FieldError) {
	found := fmt.Sprintf("%.60q", *r.Task)
	if reading == nil || len(reading.Tasks) == 0 {
		return Task{}, &FieldError{Field: FieldTask, Found: found, Want: "none: this model has no tasks"}
	}
	for _, t := range reading.Tasks {
		if t.Name == *r.Task {
			return t, nil
		}
	}
	return Task{}, &FieldError{Field: FieldTask, Found: found, Want: "one of " + strings.Join(reading.Names(), ", ")}
}
