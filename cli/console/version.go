package console

import (
	"runtime/debug"
	"time"
)

// Version is the release that this source tree is, or that it follows: scripts/release sets it.
const Version = "0.1.0"

// Commit is the git commit that the binary was built from; "" where the build did not record it.
func Commit() string {
	revision := setting("vcs.revision")
	if revision == "" {
		return ""
	}
	revision = revision[:min(12, len(revision))]
	if setting("vcs.modified") == "true" {
		revision += "+changes"
	}
	return revision
}

// Date is the day of that commit, in UTC as 2006-01-02; "" where the build did not record it. Two builds of one commit
// have the same date.
func Date() string {
	at, err := time.Parse(time.RFC3339, setting("vcs.time"))
	if err != nil {
		return ""
	}
	return at.UTC().Format(time.DateOnly)
}

// setting is what the build recorded under a key; "" for nothing.
func setting(key string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
