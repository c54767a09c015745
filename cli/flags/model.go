package flags

import (
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/torch"
	"captioner/torch/nn"
)

// Model say which model runs, and on what.
type Model struct {
	Path       string       // "" is the embedded demo model
	Encoder    string       // "" is the one in the model file
	Device     string       // "auto", "cpu", "cuda", "cuda:1"; AllGPUs where All is set
	All        bool         // AllGPUs is taken
	Notice     func(string) // told what the model does otherwise than asked; nil: nobody
	Detail     func(string) // told what those who ask for more want to know; nil: nobody
	Precision  string       // "auto", or a name of torch.ParsePrecision; its own one after Validate
	Heads      Heads
	Activation Activation
	NoEncoder  bool   // open the model for features alone
	Threads    int    // 0 leaves it to libtorch
	Kernels    string // "measured", "default", or what nn.ParseFixed reads
	Graphs     string // of the decoder's steps on a GPU: "auto", "on", "off"
}

// Flags are the flags that set o.
func (o *Model) Flags() []cli.Flag {
	const category = "MODEL"
	return []cli.Flag{
		&cli.StringFlag{Name: "model", Aliases: []string{"m"},
			Usage: "model: a captioner's `FILE`, one of clip-text-decoder or Lightning, a Hugging Face folder, ORG/NAME " +
				"or ORG/NAME@REVISION of the Hugging Face hub, or a name of \"weights list\"; without it, the small model " +
				"that is built in",
			Category: category, Destination: &o.Path, TakesFile: true},
		&cli.StringFlag{Name: "encoder",
			Usage: "`FILE` or name (ViT-B/32, blip:base, ORG/NAME of the Hugging Face hub, …) of the vision encoder, " +
				"for a model that leaves it out",
			Category: category, Destination: &o.Encoder, TakesFile: true},
		o.Heads.Flag(category),
		o.Activation.Flag(category),
		&cli.StringFlag{Name: "device", Value: "auto", Usage: o.devices(), Category: category,
			Destination: &o.Device},
		&cli.StringFlag{Name: "precision", Value: "auto", Usage: "auto (fp32), fp32, bf16, 16 (fp16 on a GPU, bf16 on a " +
			"CPU), fp16 (on a GPU alone) or int8 (on the CPU alone); also as Lightning spells them: 32, bf16-mixed",
			Category: category, Destination: &o.Precision},
		&cli.IntFlag{Name: "threads", Usage: "threads of one computation; 0: as many as there are cores", Category: category,
			Destination: &o.Threads},
		&cli.StringFlag{Name: "kernels", Value: "measured", Category: category, Destination: &o.Kernels,
			Usage: "what makes the products on a CPU: measured (the quickest here), default, own, onednn, mkl, or two as " +
				"`ENCODER/DECODER`"},
		&cli.StringFlag{Name: "cuda-graphs", Value: "auto", Category: category, Destination: &o.Graphs,
			Usage: "record the decoder's steps on a GPU as CUDA graphs, which saves the host's time: auto (where that works; " +
				"-v says why not), on (or fail) or off"},
	}
}

// devices are the words for --device.
func (o *Model) devices() string {
	if o.All {
		return "`DEVICE`: auto, cpu, cuda, cuda:N, or cuda:all for a process on every GPU"
	}
	return "`DEVICE`: auto, cpu, cuda or cuda:N"
}

// Validate checks what can be checked before a model is opened.
func (o *Model) Validate() error {
	if err := ValidDevice(o.Device); err != nil && !(o.All && o.Device == AllGPUs) {
		return err
	}
	if p, ok := torch.ParsePrecision(o.Precision); ok {
		o.Precision = p.Name
	} else if err := console.OneOf("--precision", o.Precision, "auto", "fp32", "bf16", "16", "fp16", "int8"); err != nil {
		return err
	}
	if _, err := o.Heads.Parse(); err != nil {
		return err
	}
	if err := o.Activation.Validate(); err != nil {
		return err
	}
	if _, err := o.FixedKernels(); err != nil {
		return err
	}
	if o.Graphs != "" {
		if err := console.OneOf("--cuda-graphs", o.Graphs, "auto", "on", "off"); err != nil {
			return err
		}
	}
	if o.Threads < 0 || o.Threads > 4096 {
		return console.Usagef("", "--threads %d: want 0 to 4096", o.Threads)
	}
	return nil
}

// NumberType is fp32 where nobody asked for another.
func (o *Model) NumberType() string {
	if o.Precision == "auto" {
		return "fp32"
	}
	return o.Precision
}

// AllGPUs is the device that is all GPUs of the machine. Whoever takes it looks for it before ValidDevice.
const AllGPUs = "cuda:all"

// FixedKernels is the choice of kernels that the flag names, nil where it is to be measured.
func (o *Model) FixedKernels() (nn.Kernels, error) {
	switch o.Kernels {
	case "", "measured":
		return nil, nil
	case "default":
		return nn.Fixed{}, nil
	}
	f, err := nn.ParseFixed(o.Kernels)
	if err != nil {
		return nil, console.Usagef("", "--kernels %q: want measured, default, own, onednn, mkl, or two of these as "+
			"ENCODER/DECODER", o.Kernels)
	}
	return f, nil
}

// ValidDevice checks the word; whether the device is there is found out when the model opens.
func ValidDevice(s string) error {
	kind, number, numbered := strings.Cut(s, ":")
	ok := kind == "cuda" || !numbered && (kind == "auto" || kind == "cpu")
	if numbered {
		if n, err := strconv.Atoi(number); err != nil || n < 0 || strconv.Itoa(n) != number {
			ok = false
		}
	}
	if s == AllGPUs {
		return console.Usagef("train and eval take --nproc gpu; others take one GPU, --device cuda:0",
			"--device %s is for predict", s)
	}
	if !ok {
		return console.Usagef("--device cpu works everywhere", "--device %q: want auto, cpu, cuda or cuda:N", s)
	}
	return nil
}
