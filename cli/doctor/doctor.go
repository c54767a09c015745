// Package doctor is the command that says what works on a machine, and what to do where something does not.
package doctor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/cli/model"
	"captioner/data/image"
	"captioner/models/captioner/demo"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/nn/measure"
	"captioner/weights"
	"captioner/weights/plural"
)

// Command is the command doctor.
func Command(con *console.Console, load model.Loader) *cli.Command {
	return &cli.Command{
		Name:        "doctor",
		Usage:       "say what works here: libtorch, processor, CUDA, model",
		Description: "Exit code 1 if something is broken; each such line has its remedy.",
		Action: func(c *cli.Context) error {
			if err := flags.NoArguments(c); err != nil {
				return err
			}
			return run(c.Context, con, load)
		},
	}
}

func run(ctx context.Context, con *console.Console, load model.Loader) error {
	broken := false
	all := []func(context.Context, model.Loader) []console.Finding{examineTorch, examineCPU, examineKernels, examineCUDA,
		examineFolders, examineDemo}
	for _, examine := range all {
		for _, f := range examine(ctx, load) {
			broken = broken || f.Status == "broken"
			if err := console.Tell(con, f); err != nil {
				return err
			}
		}
	}
	if broken {
		return console.ErrReported
	}
	return nil
}

func finding(check, status, found, remedy string) console.Finding {
	return console.Finding{Check: check, Status: status, Found: found, Remedy: remedy}
}

// The libtorch versions that captioner is tested with, and that it accepts.
const (
	testedTorch             = "2.11.0"
	firstTorch, latestTorch = 7, 15 // 2.N
)

func examineTorch(ctx context.Context, _ model.Loader) []console.Finding {
	version, path := torch.Version(), torch.LibraryPath()
	f := finding("libtorch", "ok", fmt.Sprintf("%s in %s", version, path), "")
	var major, minor int
	_, err := fmt.Sscanf(version, "%d.%d", &major, &minor)
	switch {
	case err != nil || major != 2 || minor < firstTorch || minor > latestTorch:
		f.Status, f.Remedy = "broken", fmt.Sprintf("want 2.%d to 2.%d: run scripts/setup-libtorch and build again",
			firstTorch, latestTorch)
	case !strings.HasPrefix(version, testedTorch):
		f.Status, f.Remedy = "note", "captioner is tested with "+testedTorch+"; this one is accepted"
	}
	var sum float64
	err = torch.Do(ctx, func() error {
		a := torch.Full(2, torch.Float32, torch.CPU, 64, 64)
		sum = a.Matmul(a).Sum().Float()
		return nil
	})
	works := finding("arithmetic", "ok", "a matrix product comes out right", "")
	if want := 64. * 64 * 64 * 4; err != nil || sum != want {
		works = finding("arithmetic", "broken", fmt.Sprintf("a matrix product sums to %g, want %g (%v)", sum, want, err),
			"libtorch does not fit this processor: run scripts/setup-libtorch and build again")
	}
	return []console.Finding{f, works}
}

func examineCPU(ctx context.Context, _ model.Loader) []console.Finding {
	features := torch.CPUFeatures()
	f := finding("processor", "ok", fmt.Sprintf("%s; libtorch uses %s", strings.Join(features, " "),
		torch.CPUCapability()), "")
	if len(features) == 0 {
		f = finding("processor", "note", "no AVX2; libtorch uses "+torch.CPUCapability(),
			"it works, several times slower than on a processor with AVX2")
	}
	threads, ours := 0, 0
	// an error shows as 0 threads
	_ = torch.Do(ctx, func() error { threads, ours = torch.Threads(), torch.ParallelThreads(); return nil })
	t := finding("threads", "ok", fmt.Sprintf("%d, on %s", threads, plural.Count(torch.Cores(), "core")), "")
	if threads < 1 {
		t.Status, t.Remedy = "broken", "unset OMP_NUM_THREADS and MKL_NUM_THREADS"
	} else if threads > torch.Cores() {
		t.Status, t.Remedy = "note", fmt.Sprintf("more threads than cores are slow: give --threads %d, or unset "+
			"OMP_NUM_THREADS", torch.Cores())
	} else if ours < threads {
		t.Status, t.Remedy = "note", fmt.Sprintf("captioner's own kernels run on %d of them: build again with a compiler "+
			"that has OpenMP", ours)
	}
	return []console.Finding{f, t}
}

// examineKernels measures what makes products the quickest, on shapes of a full-size model, unless it is known already.
// What predict measures of its own model is beside it in the same table.
func examineKernels(ctx context.Context, _ model.Loader) []console.Finding {
	const in, out = 768, 2304 // queries, keys and values of CLIP ViT-B and GPT-2
	table := model.Measured()
	table.Tries = 10
	encoder := make(map[string]float64) // GFLOP/s by precision
	var findings []console.Finding
	err := torch.Do(ctx, func() error {
		table.SetThreads(torch.Float32, in, out)
		if cores, all := torch.Cores(), torch.Processors(); all > cores {
			const chosen = "%d of %d processors, which share %s"
			findings = append(findings, finding("threads", "ok",
				fmt.Sprintf(chosen, torch.Threads(), all, plural.Count(cores, "core")), ""))
		}
		for _, d := range []torch.DType{torch.Float32, torch.BFloat16, torch.Int8} {
			var parts, missing []string
			for _, use := range []nn.Use{nn.Encoder, nn.Decoder} {
				e, ok := table.Entry(d, use, in, out)
				if !ok {
					missing = append(missing, string(use))
					continue
				}
				if use == nn.Encoder {
					encoder[measure.Name(d)] = e.Rate()
				}
				parts = append(parts, fmt.Sprintf("%s %s: %s", use, e.Best, rates(e)))
			}
			if len(missing) > 0 {
				parts = append(parts, strings.Join(missing, " and ")+" not measured: the machine is busy")
			}
			findings = append(findings, finding(measure.Name(d), "ok", strings.Join(parts, "; "), ""))
		}
		return nil
	})
	if err != nil {
		return []console.Finding{finding("kernels", "broken", console.OneLine(err), "report this with the lines above")}
	}
	return append(findings, finding("precision", "ok", advice(encoder["fp32"], encoder["bf16"], encoder["int8"]), ""))
}

// rates lists what engines reach.
func rates(e measure.Entry) string {
	var all []string
	for _, r := range e.Rates {
		s := fmt.Sprintf("%s %.0f GFLOP/s", r.Engine, r.GFLOPS)
		if r.Differs {
			s += " (not the same bits in every batch)"
		}
		all = append(all, s)
	}
	return strings.Join(all, ", ")
}

// advice says which precision is quick here, by the measured rates of products.
func advice(fp32, bf16, int8 float64) string {
	if fp32 == 0 || bf16 == 0 || int8 == 0 {
		return "not measured: the machine is busy; run \"captioner doctor\" again when it is not"
	}
	const worth = 1.1
	said := fmt.Sprintf("products in bf16 are %.1f times as quick as in fp32, in int8 %.1f times", bf16/fp32, int8/fp32)
	switch {
	case int8 > worth*max(fp32, bf16):
		said += ": --precision int8 is the quickest, and changes few captions"
	case bf16 <= worth*fp32:
		return said + ": stay with fp32"
	}
	if bf16 > worth*fp32 {
		said += "; --precision bf16 changes fewer"
	} else {
		said += "; bf16 gains nothing here"
	}
	return said
}

// examineFolders looks at the folders that captioner writes to besides those that it is told.
func examineFolders(context.Context, model.Loader) []console.Finding {
	var out []console.Finding
	dir, err := os.UserCacheDir()
	if err != nil {
		return append(out, finding("cache", "broken", console.OneLine(err), "set HOME or XDG_CACHE_HOME"))
	}
	dir = filepath.Join(dir, "captioner")
	out = append(out, writable("cache", dir))
	return append(out, writable("temporary", os.TempDir()))
}

// writable finds the folder, or the nearest one above it that is there, and tries to write in it.
func writable(check, dir string) console.Finding {
	at := dir
	for {
		info, err := os.Stat(at)
		if err == nil && !info.IsDir() {
			return finding(check, "broken", fmt.Sprintf("%s: %s is a file", dir, at), "remove or rename "+at)
		}
		if err == nil || filepath.Dir(at) == at {
			break
		}
		at = filepath.Dir(at)
	}
	f, err := os.CreateTemp(at, ".captioner-*")
	if err != nil {
		return finding(check, "broken", fmt.Sprintf("%s: %v", dir, weights.Reason(err)), "make "+at+" writable for this user")
	}
	f.Close()
	os.Remove(f.Name())
	if at != dir {
		return finding(check, "ok", dir+" (not there yet)", "")
	}
	return finding(check, "ok", dir, "")
}

func examineDemo(ctx context.Context, load model.Loader) []console.Finding {
	sum := sha256.Sum256(demo.Model)
	f := finding("demo model", "ok", fmt.Sprintf("%s, sha256 %s", console.Size(int64(len(demo.Model))),
		hex.EncodeToString(sum[:])), "")
	m, err := load(ctx, flags.Model{Device: "cpu", Precision: "fp32"})
	if err != nil {
		f.Status, f.Found, f.Remedy = "broken", console.OneLine(err), "build the program again, from an unchanged clone"
		return []console.Finding{f}
	}
	defer m.Close()
	size := 64
	captions, err := m.Caption(ctx, []*image.RGB{m.Prepare(image.New(size, size))}, m.Defaults())
	if err != nil || captions[0].Text == "" {
		return []console.Finding{f, finding("captioning", "broken", fmt.Sprintf("a black image gets no caption (%v)", err),
			"report this with the lines above")}
	}
	return []console.Finding{f, finding("captioning", "ok", fmt.Sprintf("a black image is %q", captions[0].Text), "")}
}
