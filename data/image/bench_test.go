//go:build unix

package image

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// photographs reads the COCO validation photographs to memory.
func photographs(b *testing.B) [][]byte {
	names, err := filepath.Glob(filepath.Join(shared(b), "val2017", "*.jpg"))
	if err != nil || len(names) == 0 {
		b.Skipf("no COCO photographs: %v", err)
	}
	var files [][]byte
	for _, n := range names {
		f, err := os.ReadFile(n)
		if err != nil {
			b.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// perCPU starts a count; the function that it returns reports images by second
// of processor time of the whole process, which other programs do not change.
func perCPU(b *testing.B) (report func()) {
	used := func() float64 {
		var r syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
			b.Fatal(err)
		}
		return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
	}
	start := used()
	return func() { b.ReportMetric(float64(b.N)/(used()-start), "images/cpu-s") }
}

// BenchmarkPrepare is the way from a file in memory to the model's square;
// scripts/bench/images.py measures Pillow on the same files.
func BenchmarkPrepare(b *testing.B) {
	files := photographs(b)
	for _, fit := range []string{FitCrop, FitSquash} {
		p := Preprocess{Size: 224, Fit: fit}
		b.Run(fit, func(b *testing.B) {
			b.ReportAllocs()
			defer perCPU(b)()
			for i := 0; b.Loop(); i++ {
				m, err := Decode(files[i%len(files)], DefaultOptions())
				if err != nil {
					b.Fatal(err)
				}
				p.Apply(m)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	files := photographs(b)
	defer perCPU(b)()
	for i := 0; b.Loop(); i++ {
		if _, err := Decode(files[i%len(files)], DefaultOptions()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkResize(b *testing.B) {
	m := noise(640, 427, 1)
	for _, fit := range []string{FitCrop, FitSquash} {
		p := Preprocess{Size: 224, Fit: fit}
		b.Run(fit, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Apply(m)
			}
		})
	}
}
