package transformer

import (
	"context"
	"os"
	"testing"

	"captioner/torch"
)

// Tests run on one thread: nets this small gain nothing from more, and lose much where other processes want the cores.
func TestMain(m *testing.M) {
	if err := torch.Do(context.Background(), func() error { torch.SetThreads(1); return nil }); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
