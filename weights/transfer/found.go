package transfer

// Found is a file that is here.
type Found struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	// Checked says by what the content was checked: "sha256", "git" (the hub's SHA-1), "md5" or "crc32c" (the server's,
	// which tell damage but not malice), "record" (the SHA-256 of when it was fetched), or "length" where nobody says
	// more.
	Checked string `json:"checked"`
}
