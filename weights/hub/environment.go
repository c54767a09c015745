package hub

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"captioner/weights/transfer"
)

// DefaultEndpoint is where the Hugging Face hub is.
const DefaultEndpoint = "https://huggingface.co"

// Environment is what the variables of huggingface_hub say, by its own rules.
type Environment struct {
	Cache    string // the folder of models, shared with Python
	Endpoint string // the hub, or a mirror of it with the same paths
	Token    string // empty for none
	TokenOf  string // where the token was found: "HF_TOKEN", or the path of its file
	Offline  bool
}

// FromEnvironment reads HF_HOME, HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, XDG_CACHE_HOME, HF_ENDPOINT, HF_TOKEN,
// HUGGING_FACE_HUB_TOKEN, HF_TOKEN_PATH, HF_HUB_DISABLE_IMPLICIT_TOKEN, HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE from
// getenv, and the file of the token.
func FromEnvironment(getenv func(string) string) (Environment, error) {
	e := Environment{
		Endpoint: cmp.Or(getenv("HF_ENDPOINT"), DefaultEndpoint),
		Offline:  isTrue(cmp.Or(getenv("HF_HUB_OFFLINE"), getenv("TRANSFORMERS_OFFLINE"))),
	}
	home, err := Expand(cmp.Or(getenv("HF_HOME"), filepath.Join(CacheHome(getenv), "huggingface")))
	if err == nil {
		e.Cache, err = Expand(cmp.Or(getenv("HF_HUB_CACHE"), getenv("HUGGINGFACE_HUB_CACHE"), filepath.Join(home, "hub")))
	}
	if err != nil {
		return e, &transfer.SettingError{Err: fmt.Errorf("find the Hugging Face cache folder: %w", err),
			Remedy: "set HF_HOME or HOME"}
	}
	e.readToken(getenv, home)
	return e, nil
}

// readToken takes the token of the variables, else that of the file where "hf auth login" has put it.
func (e *Environment) readToken(getenv func(string) string, home string) {
	for _, name := range []string{"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"} {
		if e.Token = clean(getenv(name)); e.Token != "" {
			e.TokenOf = name
			return
		}
	}
	if isTrue(getenv("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
		return
	}
	path, err := Expand(cmp.Or(getenv("HF_TOKEN_PATH"), filepath.Join(home, "token")))
	if err != nil {
		return
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Size() > 1<<16 {
		return // nobody has logged in
	}
	if b, err := os.ReadFile(path); err == nil {
		if e.Token = clean(string(b)); e.Token != "" {
			e.TokenOf = path
		}
	}
}

// clean takes line ends out of a token, which no header may hold.
func clean(token string) string {
	return strings.TrimSpace(strings.NewReplacer("\r", "", "\n", "").Replace(token))
}

// CacheHome is the folder of a user's caches, by the rules of Python's programs; it may begin with ~.
func CacheHome(getenv func(string) string) string {
	return cmp.Or(getenv("XDG_CACHE_HOME"), "~/.cache")
}

// Expand replaces a leading ~ by the home folder.
func Expand(dir string) (string, error) {
	rest, ok := strings.CutPrefix(dir, "~")
	if !ok || rest != "" && !strings.HasPrefix(rest, "/") {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, rest), err
}

// isTrue reads a variable as huggingface_hub does.
func isTrue(s string) bool {
	switch strings.ToUpper(s) {
	case "1", "ON", "YES", "TRUE":
		return true
	}
	return false
}
