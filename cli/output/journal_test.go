package output

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"captioner/cli/input"
)

func TestOneRunAtATimeWritesAFile(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	first, err := OpenJournal(out, JournalOptions{Identity: "x"})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := OpenJournal(out, JournalOptions{Identity: "x"}); err == nil ||
		!strings.Contains(err.Error(), "another run is writing it") {
		t.Errorf("got %v, want a refusal", err)
	}
}

// A result that no disk took is in no file, and is not counted.
func TestHeldCountsWhatIsWritten(t *testing.T) {
	for _, tt := range []struct {
		name string
		full bool
		want int
	}{
		{"written", false, 1},
		{"not written", true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j, err := OpenJournal(filepath.Join(t.TempDir(), "out"), JournalOptions{Identity: "x", Format: "text"})
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			if tt.full {
				j.part.Close()
			}
			if _, err := j.Write([]byte("a.png\ta dog\n")); err != nil {
				t.Fatal(err)
			}
			j.Note(&Result{Input: input.Input{Path: "a.png"}})
			if err := j.Commit(); (err != nil) != tt.full {
				t.Fatal(err)
			}
			if j.Held() != tt.want {
				t.Errorf("%d images held, want %d", j.Held(), tt.want)
			}
		})
	}
}

// A run goes on after one of an older version: what that one wrote stays, but for half a line. Journals of others are
// told apart.
func TestJournalsOfOthers(t *testing.T) {
	const zero = "000000000000000000000000"
	for _, tt := range []struct{ name, journal, part, want, err string }{
		{"version 2, whole", "captioner journal 2 y\n12 0123456789abcdef01234567 a\n8 " + zero + "\n", "a\tdog 1\n",
			"a\tdog 1\n", ""},
		{"version 2, killed", "captioner journal 2 y\n8 0123456789abcdef01234567 a\n8 " + zero + "\n",
			"a\tdog 1\nb\tdog 2\nc\td", "a\tdog 1\nb\tdog 2\n", ""},
		{"version 2, killed at once", "captioner journal 2 y\n", "a\tdo", "", ""},
		{"version 9", "captioner journal 9 x\n", "a\tdog 1\n", "", "is of another version"},
		{"another run", "captioner journal 3 y\n", "a\tdog 1\n", "", "another model or other options"},
		{"no journal", "Dear diary\n", "a\tdog 1\n", "", "is no journal"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			err := errors.Join(os.WriteFile(out+".journal", []byte(tt.journal), 0o600),
				os.WriteFile(out+".part", []byte(tt.part), 0o600))
			if err != nil {
				t.Fatal(err)
			}
			j, err := OpenJournal(out, JournalOptions{Identity: "x", Format: "text", Resume: true})
			if err == nil {
				defer j.Close()
			}
			got, _ := os.ReadFile(out + ".part")
			switch {
			case tt.err != "":
				if err == nil || !strings.Contains(err.Error(), tt.err) || string(got) != tt.part {
					t.Errorf("got %v and %q, want an error with %q and all that was there", err, got, tt.err)
				}
				if b, _ := os.ReadFile(out + ".journal"); string(b) != tt.journal {
					t.Errorf("the journal became %q", b)
				}
			case err != nil || string(got) != tt.want || j.Held() != strings.Count(tt.want, "\n"):
				t.Errorf("got %v and %q, want %q", err, got, tt.want)
			}
		})
	}
}

// Whatever a journal says, what no journal says to be half written stays in the file.
func FuzzJournal(f *testing.F) {
	f.Add([]byte("12 0123456789abcdef01234567 a.png\n12 000000000000000000000000 0\n"), "a.png\ta dog\n")
	f.Add([]byte("9999999999999999999 00 x\n-1"), "")
	f.Add([]byte("> 6 YS5wbmcJ\n"), "a.png\t")
	f.Add([]byte("5 0123456789abcdef01234567"), "a\tb\nmine\n")
	f.Fuzz(func(t *testing.T, notes []byte, text string) {
		out := filepath.Join(t.TempDir(), "out")
		err := errors.Join(os.WriteFile(out+".journal", append([]byte(journalHead+"x\n"), notes...), 0o600),
			os.WriteFile(out+".part", []byte(text), 0o600))
		if err != nil {
			t.Fatal(err)
		}
		j, err := OpenJournal(out, JournalOptions{Identity: "x", Format: "text", Resume: true})
		got, readErr := os.ReadFile(out + ".part")
		if readErr != nil {
			t.Fatal(readErr)
		}
		if err != nil {
			if string(got) != text {
				t.Fatalf("refused (%v), and yet %q became %q", err, text, got)
			}
			return
		}
		defer j.Close()
		left := strings.TrimPrefix(text, string(got))
		if !strings.HasPrefix(text, string(got)) && string(got) != text+"\n" || strings.Contains(left, "\n") &&
			!bytes.Contains(notes, []byte("> ")) {
			t.Fatalf("%q became %q", text, got)
		}
		if int64(len(got)) != j.size {
			t.Fatalf("%d bytes, want %d", len(got), j.size)
		}
	})
}
