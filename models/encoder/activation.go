package encoder

import "fmt"

// The activations of a CLIP. No weight says which it has.
const (
	GELU      = "gelu"
	QuickGELU = "quick_gelu"
)

// Activations are both.
var Activations = []string{GELU, QuickGELU}

// Doubt says for people what was taken for want of a word in the files; "" is nothing.
// The part says what the encoder is for: EncoderPart or CLIPPart.
func (c Config) Doubt(p Part) string {
	if !c.Assumed {
		return ""
	}
	what := "encoder"
	if p == CLIPPart {
		what = "scoring CLIP,"
	}
	usual := map[string]string{QuickGELU: "OpenAI's models of this width", GELU: "OpenCLIP's models of this width"}
	other := map[string]string{QuickGELU: GELU, GELU: QuickGELU}[c.Activation]
	return fmt.Sprintf("no file says the activation of the %s %s: %s is taken, as in %s; "+
		"--%s-activation says which it is, %s or %s",
		what, c.Architecture, c.Activation, usual[c.Activation], p, c.Activation, other)
}

// settleActivation takes the activation that the user gives, or that the model says which wants the encoder, where the
// files of the encoder or of a CLIP that scores do not say it.
func (a Architecture) settleActivation(c *Config, h *Heads, p Part) error {
	if a.Activate == nil || h == nil {
		return nil
	}
	given := h.Activation
	h.activated = h.activated || given != ""
	if given == "" && c.Assumed && p == EncoderPart {
		given = h.activation
	}
	switch {
	case given == "":
	case !c.Assumed && given != c.Activation:
		return fmt.Errorf("activation: found %s given for the %s, want the %s that its files say", given, p, c.Activation)
	default:
		a.Activate(c, given)
		c.Assumed = false
	}
	return nil
}

// An ActivationUnusedError says that an activation was given that nothing has asked for.
type ActivationUnusedError struct{ Activation string }

func (e *ActivationUnusedError) Error() string {
	const found = "encoder-activation: found %s given, want none: the encoder is no CLIP, or is not opened"
	return fmt.Sprintf(found, e.Activation)
}

// Hint says what to do instead.
func (e *ActivationUnusedError) Hint() string { return "leave it out" }
