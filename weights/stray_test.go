package weights

import "testing"

func TestStray(t *testing.T) {
	for text, want := range map[string]bool{
		"version https://git-lfs.github.com/spec/v1\noid sha256:00\n": true,
		"\n<!DOCTYPE html><html>":                                     true,
		"<HTML><body>":                                                true,
		"<?xml version=\"1.0\"?>":                                     true,
		"<s>\n<pad>\n":                                                false,
		"{}":                                                          false,
		"":                                                            false,
	} {
		if got := Stray([]byte(text)); got != "" != want {
			t.Errorf("%q: got %q", text, got)
		}
	}
}
