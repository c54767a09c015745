package decode

import "strings"

// OpenWith gives o a prompt of the model's own, with which captions begin where no other is asked for. The text of
// captions leaves it out, as LAVIS does. MaxLen and MinLen become those behind it.
func (o *Options) OpenWith(text string, encode func(string) []int32) {
	o.Opening = strings.TrimSpace(text)
	o.Prompt = encode(o.Opening)
	if n := len(o.Prompt); o.MaxLenOfAll {
		o.MaxLen = max(o.MaxLen-n, 1)
	}
	if n := len(o.Prompt); o.MinLenOfAll {
		o.MinLen = max(o.MinLen-n, 0)
	}
}

// closed is o without a prompt of the model's own.
func closed(o Options) Options {
	if o.Opening != "" {
		o.Opening, o.Prompt = "", nil
	}
	return o
}

// Caption is what a text says behind Opening and the space that follows it.
func (o Options) Caption(text string) string {
	if o.Opening == "" {
		return text
	}
	runes := []rune(text)
	return strings.TrimSpace(string(runes[min(len(runes), len([]rune(o.Opening))+1):]))
}
