package hub

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"captioner/weights/transfer"
)

// What the hub refuses, for errors.Is.
var (
	ErrRepository = errors.New("no such repository")
	ErrRevision   = errors.New("no such revision")
	ErrGated      = errors.New("gated repository")
	ErrToken      = errors.New("token refused")

	errNoEntry = errors.New("no such file in the repository")
)

// The hub's headers.
const (
	commitHeader  = "X-Repo-Commit"
	codeHeader    = "X-Error-Code"
	messageHeader = "X-Error-Message"
)

// refused says what the hub means by an answer. A repository that is missing and one that is private look the same to
// who has no token.
func (h *Hub) refused(ref Ref, r *http.Response, e *transfer.Error) {
	code, message := r.Header.Get(codeHeader), strings.Join(strings.Fields(r.Header.Get(messageHeader)), " ")
	denied := r.StatusCode == http.StatusUnauthorized || r.StatusCode == http.StatusForbidden
	missing := r.StatusCode == http.StatusNotFound || r.StatusCode == http.StatusGone
	token := h.client.Token != ""
	badToken := r.StatusCode == http.StatusUnauthorized && token && code != "GatedRepo" && code != "RepoNotFound"
	switch {
	case code == "RevisionNotFound":
		e.Err, e.Detail = ErrRevision, fmt.Sprintf("found no revision %q", ref.Revision)
		e.Remedy = fmt.Sprintf("%s/tree/main lists branches and tags; a name without @ is main", page(ref))
	case code == "EntryNotFound", missing && r.Header.Get(commitHeader) != "":
		e.Err = errNoEntry
	case code == "GatedRepo", r.StatusCode == http.StatusForbidden && strings.Contains(message, "gated"):
		e.Err, e.Detail = ErrGated, "the repository is gated: its owner says who may read it"
		e.Remedy = fmt.Sprintf("agree to its terms at %s, then set HF_TOKEN to a token of that account", page(ref))
		if token {
			e.Remedy = fmt.Sprintf("agree to its terms at %s with the account of the token in %s", page(ref), h.o.TokenOf)
		}
	case denied && strings.Contains(message, "disabled"):
		e.Err, e.Detail = transfer.ErrDenied, "the hub has disabled the repository"
		e.Remedy = "take another; " + page(ref) + " says why"
	case badToken:
		e.Err, e.Detail = ErrToken, fmt.Sprintf("the hub refuses the token in %s", h.o.TokenOf)
		e.Remedy = "it may have expired: make another at " + DefaultEndpoint + "/settings/tokens, " +
			"or unset it for what is public"
	case code == "RepoNotFound", r.StatusCode == http.StatusUnauthorized, missing:
		e.Err, e.Detail, e.Remedy = ErrRepository, "found no such repository, or it is private", h.missingHint(ref)
	case r.StatusCode == http.StatusForbidden:
		e.Detail = strings.TrimSuffix("the hub forbids it: "+message, ": ")
		e.Remedy = "the token in " + h.o.TokenOf + " may not read it: give it the right to read this repository"
		if !token {
			e.Remedy = "a proxy or the hub's limits may forbid it; of a private repository set HF_TOKEN"
		}
	case r.StatusCode == http.StatusTooManyRequests:
		e.Detail = "the hub answers no more requests for a while (429 Too Many Requests)"
		if !token {
			e.Remedy = "try again later; with HF_TOKEN set the limit is higher"
		}
	}
}

// missingHint is the remedy of a repository that is not found.
func (h *Hub) missingHint(ref Ref) string {
	switch {
	case h.client.Mirrored():
		return "the mirror lacks it"
	case h.client.Token == "":
		return "check the spelling; of a private repository set HF_TOKEN to a token that may read it"
	}
	return "check the spelling, and that the account of the token in " + h.o.TokenOf + " may read it"
}

// fault is an error about a repository as a whole.
func (h *Hub) fault(ref Ref, e *transfer.Error) error {
	return h.client.Fault(transfer.File{Entry: ref.String(), URL: h.address(ref.Repo)}, e)
}

// FilesError says that a repository lacks files that it should have.
type FilesError struct {
	Ref    Ref
	Found  string
	Want   string
	Remedy string
}

func (e *FilesError) Error() string {
	return fmt.Sprintf("fetch %q: found %s, want %s", e.Ref, e.Found, e.Want)
}

// Hint says what to do about it.
func (e *FilesError) Hint() string { return e.Remedy }

// noWeights is the error of a repository without weights that are read.
func noWeights(ref Ref, files []string) error {
	found := "a repository without files"
	if n := len(files); n > 0 {
		shown := files[:min(n, 6)]
		if found = "no weights among " + strings.Join(shown, ", "); n > len(shown) {
			found += fmt.Sprintf(" and %d more", n-len(shown))
		}
	}
	return &FilesError{Ref: ref, Found: found, Want: "model.safetensors, pytorch_model.bin or their shards",
		Remedy: "see " + page(ref) + "/tree/main for what it holds; " +
			"other formats (ONNX, TensorFlow, Flax, GGUF) are not read"}
}

// noShard is the error of a repository of which a shard is missing.
func noShard(ref Ref, index, shard string, shards int) error {
	return &FilesError{Ref: ref,
		Found: fmt.Sprintf("%s, which names %d shards, without %s", index, shards, shard), Want: "all of them",
		Remedy: "the repository was not uploaded whole: take another revision (@REVISION), or tell its owner"}
}
