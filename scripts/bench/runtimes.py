"""Measures the captioner beside the strongest stacks that one can build of runtimes: OpenVINO and ONNX Runtime, from
JPEG files to tokens, in one run.

    python3 scripts/bench/runtimes.py --stack PYTHON [--shared ../shared] [--weights DIR] [--images N] [--runs 1]
    [--stacks NAME,...]

The model is that of fullsize.py, CLIP ViT-B/32 with distilgpt2 and cross-attention, with random weights, and so are the
photographs, beam 4 and the 12 steps of a caption. Both sides read the same JPEG files. A stack decodes and resizes with
Pillow in threads beside its runtimes, in batches of 64; encoder and decoder are ONNX graphs, with log-softmax, the best
tokens and the reordering of the cache inside. Its stacks, by precision:
    fp32   openvino+onnxruntime: encoder by OpenVINO, decoder by ONNX Runtime
    bf16   openvino: both by OpenVINO in bfloat16
    int8   openvino+onnxruntime: encoder quantized by nncf on photographs, decoder by ONNX Runtime's dynamic
           quantization
    int8   onnxruntime: both by dynamic quantization
--stack names a Python with torch, onnx, onnxruntime, openvino, nncf, numpy, Pillow and safetensors. Tried with torch
2.11.0, onnx 1.23.2, onnxruntime 1.32.0, openvino 2026.4.1 and nncf 3.4.0. Tokens and log-probabilities of float32 are
held to those of the same model in PyTorch. Making the graphs takes a minute and does not count. Prints medians and
ratios, both sides in turn. This side needs the standard library only.
"""

import argparse
import glob
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

STACKS = {
    "fp32: openvino+onnxruntime": ("ov-f32", "ort-fp32"),
    "bf16: openvino": ("ov-bf16", "ov-bf16"),
    "int8: openvino+onnxruntime": ("ov-int8", "ort-int8"),
    "int8: onnxruntime": ("ort-int8", "ort-int8"),
}
WIDTH, HEADS, LAYERS, VOCAB, BEAM, STEPS, BATCH = 768, 12, 6, 50257, 4, 12, 64
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


# ---- the stack's side: graphs


def networks(weights):
    """The encoder and the decoder's step as PyTorch modules with the weights of the two files."""
    import torch
    from safetensors.torch import load_file
    from torch import nn
    from torch.nn import functional as F

    def split(x):  # [R, T, C] -> [R, H, T, D]
        return x.unflatten(-1, (HEADS, 64)).transpose(1, 2)

    def attend(q, k, v):
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

    def linear(w, b=None):
        layer = nn.Linear(w.shape[1], w.shape[0], bias=b is not None)
        layer.weight.data.copy_(w)
        if b is not None:
            layer.bias.data.copy_(b)
        return layer

    def norm(t, name):
        layer = nn.LayerNorm(WIDTH)
        layer.weight.data.copy_(t[name + ".weight"])
        layer.bias.data.copy_(t[name + ".bias"])
        return layer

    class EncoderBlock(nn.Module):
        def __init__(self, t, p):
            super().__init__()
            both = lambda n: (t[p + n + "weight"], t[p + n + "bias"])
            self.norm1, self.norm2 = norm(t, p + "ln_1"), norm(t, p + "ln_2")
            self.qkv, self.out = linear(*both("attn.in_proj_")), linear(*both("attn.out_proj."))
            self.up, self.down = linear(*both("mlp.c_fc.")), linear(*both("mlp.c_proj."))

        def forward(self, x):
            x = x + self.out(attend(*(split(y) for y in self.qkv(self.norm1(x)).chunk(3, -1))))
            h = self.up(self.norm2(x))
            return x + self.down(h * torch.sigmoid(1.702 * h))

    class Encoder(nn.Module):
        """pixels [B, 3, 224, 224] -> [B, 512]"""

        def __init__(self, t):
            super().__init__()
            v = "visual."
            self.patch = nn.Conv2d(3, WIDTH, 32, 32, bias=False)
            self.patch.weight.data.copy_(t[v + "conv1.weight"])
            self.first, self.positions = (
                nn.Parameter(t[v + "class_embedding"]),
                nn.Parameter(t[v + "positional_embedding"]),
            )
            self.before, self.after = norm(t, v + "ln_pre"), norm(t, v + "ln_post")
            self.blocks = nn.ModuleList(EncoderBlock(t, f"{v}transformer.resblocks.{i}.") for i in range(12))
            self.project = linear(t[v + "proj"].T)

        def forward(self, pixels):
            x = self.patch(pixels).flatten(2).transpose(1, 2)
            x = torch.cat([self.first.expand(x.shape[0], 1, WIDTH), x], 1) + self.positions
            x = self.before(x)
            for b in self.blocks:
                x = b(x)
            return self.project(self.after(x[:, 0]))

    class DecoderBlock(nn.Module):
        def __init__(self, t, p):
            super().__init__()
            of = lambda n: linear(t[p + n + ".weight"].T, t[p + n + ".bias"])
            self.norm1, self.norm2, self.norm3 = norm(t, p + "ln_1"), norm(t, p + "ln_cross_attn"), norm(t, p + "ln_2")
            self.qkv, self.out = of("attn.c_attn"), of("attn.c_proj")
            self.ask, self.seen = of("crossattention.q_attn"), of("crossattention.c_proj")
            self.up, self.down = of("mlp.c_fc"), of("mlp.c_proj")

        def forward(self, x, k, v, mk, mv):
            q, k1, v1 = (split(y) for y in self.qkv(self.norm1(x)).chunk(3, -1))
            k, v = torch.cat([k, k1], 2), torch.cat([v, v1], 2)
            x = x + self.out(attend(q, k, v))
            x = x + self.seen(attend(split(self.ask(self.norm2(x))), mk, mv))
            return x + self.down(F.gelu(self.up(self.norm3(x)), approximate="tanh")), k, v

    class Decoder(nn.Module):
        """A step of beam search: tokens [R, 1], the place of each, the rows that they continue, and caches -> the
        best tokens, grown caches."""

        def __init__(self, t):
            super().__init__()
            self.tokens = nn.Embedding.from_pretrained(t["transformer.wte.weight"])
            self.places = nn.Embedding.from_pretrained(t["transformer.wpe.weight"])
            self.blocks = nn.ModuleList(DecoderBlock(t, f"transformer.h.{i}.") for i in range(LAYERS))
            self.norm, self.head = norm(t, "transformer.ln_f"), linear(t["transformer.wte.weight"])

        def forward(self, ids, place, rows, *caches):
            x, grown = self.tokens(ids) + self.places(place), []
            for i, b in enumerate(self.blocks):
                k, v, mk, mv = caches[4 * i : 4 * i + 4]
                x, k, v = b(x, k.index_select(0, rows), v.index_select(0, rows), mk, mv)
                grown += [k, v]
            score, best = torch.topk(torch.log_softmax(self.head(self.norm(x))[:, 0], -1), 2 * BEAM, -1)
            return (score, best, *grown)

    class Memory(nn.Module):
        """[B, 512] -> keys and values of the memory in each layer, [B, H, 1, D]"""

        def __init__(self, t):
            super().__init__()
            of = lambda p: linear(t[p + ".weight"].T, t[p + ".bias"])
            self.layers = nn.ModuleList(of(f"transformer.h.{i}.crossattention.c_attn") for i in range(LAYERS))

        def forward(self, x):
            x = F.pad(x, (0, WIDTH - x.shape[-1]))[:, None]
            return [split(y).contiguous() for l in self.layers for y in l(x).chunk(2, -1)]

    torch.manual_seed(0)
    eye, voice = (load_file(os.path.join(weights, n)) for n in ("clip.safetensors", "decoder.safetensors"))
    return Encoder(eye).eval(), Decoder(voice).eval(), Memory(voice).eval()


def cache_names():
    return [f"{kind}{i}" for i in range(LAYERS) for kind in ("k", "v", "mk", "mv")]


def export(encoder, decoder, work):
    """Writes encoder.onnx and decoder.onnx, and the same with weights and products in 8 bits."""
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic

    grown = [f"{kind}{i}" for i in range(LAYERS) for kind in ("nk", "nv")]
    names, out = ["ids", "place", "rows"] + cache_names(), ["score", "best"] + grown
    axes = {n: {0: "r"} for n in ("ids", "rows", "score", "best")}
    axes.update({n: {0: "c"} if n[0] == "m" else {0: "c", 2: "t"} for n in cache_names()})
    axes.update({n: {0: "r", 2: "u"} for n in grown})
    cache = lambda n: torch.zeros(2, HEADS, 1 if n[0] == "m" else 3, 64)
    step = (
        torch.zeros(2, 1, dtype=torch.long),
        torch.zeros(1, 1, dtype=torch.long),
        torch.tensor([0, 1]),
        *map(cache, cache_names()),
    )
    with torch.no_grad():
        torch.onnx.export(
            encoder,
            (torch.zeros(2, 3, 224, 224),),
            os.path.join(work, "encoder.onnx"),
            dynamo=False,
            opset_version=17,
            input_names=["pixels"],
            output_names=["features"],
            dynamic_axes={"pixels": {0: "b"}, "features": {0: "b"}},
        )
        torch.onnx.export(
            decoder,
            step,
            os.path.join(work, "decoder.onnx"),
            dynamo=False,
            opset_version=17,
            input_names=names,
            output_names=out,
            dynamic_axes=axes,
        )
    for n in ("encoder", "decoder"):
        quantize_dynamic(
            os.path.join(work, n + ".onnx"),
            os.path.join(work, n + "-int8.onnx"),
            op_types_to_quantize=["MatMul", "Gemm"],
            weight_type=QuantType.QInt8,
            per_channel=True,
        )


# ---- the stack's side: engines; each maps {input: array} to a list of outputs, which may stay inside the runtime


class OnnxRuntime:
    def __init__(self, work, name, kind, threads, _):
        import onnxruntime

        o = onnxruntime.SessionOptions()
        o.intra_op_num_threads, o.inter_op_num_threads = threads, 1
        path = os.path.join(work, name + ("-int8" if kind == "int8" else "") + ".onnx")
        self.value = onnxruntime.OrtValue
        self.session = onnxruntime.InferenceSession(path, o, providers=["CPUExecutionProvider"])
        self.out = [x.name for x in self.session.get_outputs()]

    def __call__(self, inputs):
        put = lambda v: v if isinstance(v, self.value) else self.value.ortvalue_from_numpy(v)
        return self.session.run_with_ort_values(self.out, {k: put(v) for k, v in inputs.items()})

    @staticmethod
    def array(v):
        return v.numpy()


class OpenVINO:
    def __init__(self, work, name, kind, threads, sample):
        import openvino

        core = openvino.Core()
        model = core.read_model(os.path.join(work, name + ".onnx"))
        if kind == "int8":
            import nncf

            nncf.set_log_level(40)  # errors
            model = nncf.quantize(
                model,
                nncf.Dataset([{"pixels": x} for x in sample]),
                model_type=nncf.ModelType.TRANSFORMER,
                subset_size=len(sample),
            )
        quick = kind == "bf16" or kind == "int8" and "avx512_bf16" in open("/proc/cpuinfo").read()
        config = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "bf16" if quick else "f32",
        }
        self.request = core.compile_model(model, "CPU", config).create_infer_request()

    def __call__(self, inputs):
        self.request.infer(inputs)
        return [t.data.copy() for t in self.request.output_tensors]

    @staticmethod
    def array(v):
        return v


class PyTorch:
    """The modules themselves: what the others are compared with."""

    def __init__(self, module, names):
        self.module, self.names = module, names

    def __call__(self, inputs):
        import torch

        with torch.no_grad():
            out = self.module(*(torch.as_tensor(inputs[n]) for n in self.names))
        return [out] if torch.is_tensor(out) else list(out)

    @staticmethod
    def array(v):
        return v.numpy()


# ---- the stack's side: captions


def pixels(path):
    """A photograph as CLIP wants it: [3, 224, 224] in float32."""
    import numpy
    from PIL import Image

    image = Image.open(path).convert("RGB")
    scale = 224 / min(image.size)
    image = image.resize([max(224, round(s * scale)) for s in image.size], Image.BICUBIC)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    x = numpy.asarray(image.crop((left, top, left + 224, top + 224)), numpy.float32) / 255
    return ((x - numpy.float32(MEAN)) / numpy.float32(STD)).transpose(2, 0, 1)


def caption(encoder, decoder, memory, x):
    """The best beam's tokens of each image [B, STEPS] and their log-probability [B], after STEPS steps of beam
    search without an end."""
    import numpy
    import torch

    b = len(x)
    with torch.no_grad():
        kept = [t.numpy() for t in memory(torch.as_tensor(numpy.array(encoder.array(encoder({"pixels": x})[0]))))]
    many = [numpy.repeat(t, BEAM, 0) for t in kept]
    empty = numpy.zeros((b, HEADS, 0, 64), numpy.float32)
    ids, rows, caches = numpy.full((b, 1), VOCAB - 1), numpy.arange(b), [empty] * (2 * LAYERS)
    for step in range(STEPS):
        inputs = {"ids": ids, "place": numpy.full((1, 1), step), "rows": rows}
        of = many if step else kept
        for i in range(LAYERS):
            inputs.update(
                {f"k{i}": caches[2 * i], f"v{i}": caches[2 * i + 1], f"mk{i}": of[2 * i], f"mv{i}": of[2 * i + 1]}
            )
        out = decoder(inputs)
        score, best, caches = decoder.array(out[0]), decoder.array(out[1]), out[2:]
        if step == 0:
            sums, text = score[:, :BEAM], best[:, :BEAM, None]
            rows = numpy.repeat(numpy.arange(b), BEAM)
        else:
            all_sums = (sums.reshape(-1, 1) + score).reshape(b, -1)
            top = numpy.argsort(-all_sums, 1, kind="stable")[:, :BEAM]
            parents, sums = top // (2 * BEAM), numpy.take_along_axis(all_sums, top, 1)
            token = numpy.take_along_axis(best.reshape(b, -1), top, 1)
            text = numpy.concatenate([numpy.take_along_axis(text, parents[:, :, None], 1), token[:, :, None]], 2)
            rows = (numpy.arange(b)[:, None] * BEAM + parents).reshape(-1)
        ids = numpy.ascontiguousarray(text[:, :, -1]).reshape(-1, 1)
    return text[:, 0], sums[:, 0]


def folder(encoder, decoder, memory, paths, threads):
    """Seconds from the first file to the last caption: the next batch is read while one is captioned."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy

    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        read = lambda at: [pool.submit(pixels, p) for p in paths[at : at + BATCH]]
        ahead = read(0)
        for at in range(0, len(paths), BATCH):
            batch, ahead = ahead, read(at + BATCH)
            caption(encoder, decoder, memory, numpy.stack([x.result() for x in batch]))
    return time.perf_counter() - start


def stack(o):
    """Prints for each run of a stack its images a second, as JSON."""
    import importlib.metadata

    import numpy
    import torch

    torch.set_num_threads(o.threads)
    parts = networks(o.weights)
    encoder, decoder, memory = parts
    sample = [numpy.stack([pixels(p)]) for p in o.paths[:8]]
    with tempfile.TemporaryDirectory() as work:
        export(encoder, decoder, work)
        plain = PyTorch(encoder, ["pixels"]), PyTorch(decoder, ["ids", "place", "rows"] + cache_names())
        want = caption(*plain, memory, numpy.concatenate(sample))
        for name in o.stacks:
            engines = []
            for part, kind in zip(("encoder", "decoder"), STACKS[name]):
                engine, kind = kind.split("-")
                engines.append((OpenVINO if engine == "ov" else OnnxRuntime)(work, part, kind, o.threads, sample))
            got = caption(*engines, memory, numpy.concatenate(sample))
            same = float((got[0] == want[0]).all(1).mean())
            off = float(abs(got[1] / want[1] - 1).max())
            if name.startswith("fp32") and (same < 1 or off > 1e-5):
                sys.exit(
                    f"{name}: {100 * same:.0f} % of the captions are those of PyTorch, want all; a log-probability is off by {off:.2g} of itself, "
                    "want at most 1e-5"
                )
            folder(*engines, memory, o.paths[:BATCH], o.threads)  # warm
            rates = [len(o.paths) / folder(*engines, memory, o.paths, o.threads) for _ in range(o.runs)]
            print(json.dumps({"stack": name, "rates": rates, "same": same}), flush=True)
            del engines
    versions = {n: importlib.metadata.version(n) for n in ("torch", "onnx", "onnxruntime", "openvino", "nncf")}
    print(json.dumps({"versions": versions}))


# ---- both sides


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument(
        "--stack", default="", metavar="PYTHON", help="a Python with the runtimes; without one, nothing is measured"
    )
    a.add_argument("--shared", default="../shared", help="where the shared data is, from the repository")
    a.add_argument("--weights", default="", help="a folder for the weights, kept (740 MB); without it, a temporary one")
    a.add_argument("--stacks", default=",".join(STACKS), help="some of the stacks")
    a.add_argument("--images", type=int, default=256)
    a.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    a.add_argument("--runs", type=int, default=1)
    a.add_argument("--side", action="store_true", help=argparse.SUPPRESS)
    a.add_argument("paths", nargs="*", help=argparse.SUPPRESS)
    o = a.parse_args()
    o.stacks = [s.strip() for s in o.stacks.split(",")]
    if o.side:
        return stack(o)
    import fullsize

    if not o.stack:
        print("no stack of runtimes was measured: --stack names a Python that has them")
        return
    os.environ["CAPTIONER_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(o.threads)
    with tempfile.TemporaryDirectory() as scratch:
        o.weights = os.path.abspath(o.weights or os.path.join(scratch, "weights"))
        os.makedirs(o.weights, exist_ok=True)
        if len(glob.glob(os.path.join(o.weights, "*.safetensors"))) < 2:
            fullsize.make(o.weights)
        photos = sorted(glob.glob(os.path.join(fullsize.ROOT, o.shared, "data/coco-mini/*2017/*.jpg")))
        photos = photos or sorted(glob.glob(os.path.join(fullsize.ROOT, "examples/*.jpg")))
        there = os.path.join(scratch, "photographs")
        os.mkdir(there)
        for i in range(o.images):
            shutil.copy(photos[i % len(photos)], os.path.join(there, f"{i:04d}.jpg"))
        paths = sorted(glob.glob(os.path.join(there, "*.jpg")))
        run = subprocess.run(
            [
                o.stack,
                os.path.abspath(__file__),
                "--side",
                "--weights",
                o.weights,
                "--threads",
                str(o.threads),
                "--runs",
                str(o.runs),
                "--stacks",
                ",".join(o.stacks),
                *paths,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        if run.returncode:
            why = run.stderr.decode(errors="replace").strip().split("\n")[-1]
            if why.startswith("ModuleNotFoundError"):
                print("no stack of runtimes was measured:", why)
                return
            sys.exit("no stack: " + why)
        found = [json.loads(l) for l in run.stdout.decode().splitlines() if l.startswith("{")]
        ours = {
            p: statistics.median(fullsize.folder_run(o.weights, p, there, len(paths))[0] for _ in range(o.runs))
            for p in sorted({s.split(":")[0] for s in o.stacks})
        }
    print(
        "| folder of COCO photographs, JPEG included, beam 4, images/s | captioner | the stack | | captions as in PyTorch |\n| --- | --- | --- | --- | --- |"
    )
    for x in found[:-1]:
        mine, theirs = ours[x["stack"].split(":")[0]], statistics.median(x["rates"])
        print(f"| {x['stack']} | {mine:.1f} | {theirs:.1f} | {mine / theirs:.1f} × | {100 * x['same']:.0f} % |")
    print(
        f"\n{time.strftime('%Y-%m-%d')}, {len(paths)} photographs, {fullsize.processor()}, {o.threads} threads, load {os.getloadavg()[0]:.1f}; "
        + ", ".join(f"{n} {v}" for n, v in found[-1]["versions"].items())
    )


if __name__ == "__main__":
    main()
