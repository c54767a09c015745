package tokenizer

// A Codec is what a captioner needs of a tokenizer, whatever its kind: [*Tokenizer] (byte-level BPE, or whole words)
// and [*WordPiece]. [Read] gives the one that a tokenizer.json describes.
type Codec interface {
	// Encode gives the ids of a text, without tokens for its beginning and end. Special tokens in the text are text.
	Encode(text string) []int32
	// EncodeSpecial is Encode, but special tokens in the text get their own ids.
	EncodeSpecial(text string) []int32
	// Decode gives the text of ids. It leaves out special tokens and ids that do not exist.
	Decode(ids []int32) string
	// VocabSize is the number of ids: they run from 0 to VocabSize-1.
	VocabSize() int
	// BOS and EOS are the ids that begin and end a text.
	BOS() int32
	EOS() int32
	// ID gives the id of a token as the vocabulary spells it; Token is the way back.
	ID(token string) (int32, bool)
	Token(id int32) (string, bool)
	// IsSpecial says whether an id is a special token, which stands for no text.
	IsSpecial(id int32) bool
	// Continues says whether a token goes on with the word before it, as "bra" does after "ze".
	Continues(id int32) bool
	// JSON writes the tokenizer as Hugging Face's tokenizer.json, which Read reads.
	JSON() ([]byte, error)
}

var _, _ Codec = (*Tokenizer)(nil), (*WordPiece)(nil)
