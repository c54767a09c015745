package beit

import (
	"testing"

	"captioner/torch/torchtest"
)

func TestMain(m *testing.M) { torchtest.OneThread(m) }
