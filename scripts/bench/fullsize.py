"""Measures the captioner at full size, CLIP ViT-B/32 with distilgpt2 and cross-attention, and beside it PyTorch's
generate in the same run.

    python3 scripts/bench/fullsize.py [--shared ../shared] [--peer PYTHON] [--weights DIR] [--precisions fp32,bf16,int8]
    [--readme]

The weights are random, of a fixed seed (the cost is the same), and every caption takes 12 steps on both sides. Measured
are a folder of COCO photographs with beam 4, one photograph from its file to its caption in a program that has loaded
the model, the encoder alone, the time from the start of the process to the first caption, and peak memory. Shares of
the ceiling are of a 2048 x 2048 x 2048 product of the same type, measured in the same run (torch/torchtest).
--processor measures nothing but the processor time that an image of one batch of 32 costs with one thread, from file to
caption with beam 4: of the two sides' clocks it is the one that other work on the machine hardly moves. --peer names a
Python with torch, transformers, safetensors, Pillow and clip; without one, the peer's part stays empty. --readme writes
this processor's column of the table in docs/benchmarks.md, between its marks. Standard library only.
"""

import argparse
import array
import glob
import json
import os
import random
import re
import shlex
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import columns

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.join("bin", "captioner")
FLAGS = ["--decode", "search", "--min-length", "11", "--max-len", "12", "--no-repeat-ngram", "0"]
MARKS = "<!-- full size: make bench -->", "<!-- /full size -->"


def shapes():
    """The tensors of both files, in OpenAI's and Hugging Face's keys, each with the spread of its numbers (1 for
    norms: all ones)."""
    eye, voice = {}, {}
    c = 768
    v = "visual."
    eye.update(
        {
            v + "conv1.weight": ((c, 3, 32, 32), 0.02),
            v + "class_embedding": ((c,), 0.02),
            v + "positional_embedding": ((50, c), 0.02),
            v + "proj": ((c, 512), 0.03),
        }
    )
    for n in ("ln_pre", "ln_post"):
        eye.update({v + n + ".weight": ((c,), 1), v + n + ".bias": ((c,), 0)})
    for i in range(12):
        b = v + f"transformer.resblocks.{i}."
        for n in ("ln_1", "ln_2"):
            eye.update({b + n + ".weight": ((c,), 1), b + n + ".bias": ((c,), 0)})
        for n, o, k in (
            ("attn.in_proj_", 3 * c, c),
            ("attn.out_proj.", c, c),
            ("mlp.c_fc.", 4 * c, c),
            ("mlp.c_proj.", c, 4 * c),
        ):
            eye.update({b + n + "weight": ((o, k), k**-0.5), b + n + "bias": ((o,), 0.02)})
    t = "transformer."
    voice.update({t + "wte.weight": ((50257, c), 0.05), t + "wpe.weight": ((1024, c), 0.02)})
    voice.update({t + "ln_f.weight": ((c,), 1), t + "ln_f.bias": ((c,), 0)})
    for i in range(6):
        b = t + f"h.{i}."
        for n in ("ln_1", "ln_cross_attn", "ln_2"):
            voice.update({b + n + ".weight": ((c,), 1), b + n + ".bias": ((c,), 0)})
        for n, k, o in (
            ("attn.c_attn", c, 3 * c),
            ("attn.c_proj", c, c),
            ("crossattention.c_attn", c, 2 * c),
            ("crossattention.q_attn", c, c),
            ("crossattention.c_proj", c, c),
            ("mlp.c_fc", c, 4 * c),
            ("mlp.c_proj", 4 * c, c),
        ):
            voice.update({b + n + ".weight": ((k, o), k**-0.5), b + n + ".bias": ((o,), 0.02)})
    return {"clip.safetensors": eye, "decoder.safetensors": voice}


def make(folder):
    """Writes both files: normal numbers of a fixed seed, a block of them over and over. Its length is a prime: no
    two rows of a table are equal, so that no two tokens have the same probability, between which each program would
    choose in its own way."""
    rng = random.Random(0)
    block = array.array("f", (rng.gauss(0, 1) for _ in range((1 << 18) - 5)))
    for name, tensors in shapes().items():
        header, at = {}, 0
        for k, (shape, _) in tensors.items():
            n = 4
            for d in shape:
                n *= d
            header[k] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + n]}
            at += n
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(os.path.join(folder, name), "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text)
            for k, (shape, spread) in tensors.items():
                n = (header[k]["data_offsets"][1] - header[k]["data_offsets"][0]) // 4
                if spread in (0, 1):
                    f.write(array.array("f", [spread] * n).tobytes())
                    continue
                part = array.array("f", (spread * x for x in block)).tobytes()
                skip = 4 * rng.randrange(1 << 17)  # each tensor begins elsewhere in the block
                while n > 0:
                    some = part[skip : skip + 4 * n]
                    f.write(some)
                    n, skip = n - len(some) // 4, 0


def command(weights, precision, *more):
    return [
        PROGRAM,
        "predict",
        "--model",
        os.path.join(weights, "decoder.safetensors"),
        "--encoder",
        os.path.join(weights, "clip.safetensors"),
        "--precision",
        precision,
        *FLAGS,
        *more,
    ]


def folder_run(weights, precision, path, n):
    """Images a second between the first line and the last, and peak memory: the start is measured apart."""
    p = subprocess.Popen(
        command(weights, precision, "--beam-size", "4", path), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    times = [time.perf_counter() for _ in p.stdout]
    _, status, usage = os.wait4(p.pid, 0)
    if status or len(times) != n:
        sys.exit(f"{shlex.join(p.args)}: {len(times)} lines of {n}: {p.stderr.read().decode(errors='replace').strip()}")
    together = sum(t - times[0] < 0.02 for t in times)  # of the first batch, whose time is not known
    return (n - together) / (times[-1] - times[0]), usage.ru_maxrss / 1024


def one_image(weights, precision, beam, image, runs):
    """Milliseconds from a path on standard input to its caption."""
    p = subprocess.Popen(
        command(weights, precision, "--beam-size", str(beam), "--batch-size", "1", "-"),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    times = []
    for _ in range(runs + 3):
        start = time.perf_counter()
        p.stdin.write(image.encode() + b"\n")
        p.stdin.flush()
        p.stdout.readline()
        times.append(1e3 * (time.perf_counter() - start))
    p.stdin.close()
    p.wait()
    return statistics.median(times[3:])


def start_up(args, runs):
    """Seconds from the start of a process to its first line."""
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        p = subprocess.Popen(args, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = p.stdout.readline()
        times.append(time.perf_counter() - start)
        p.communicate()
        if not line:
            sys.exit(f"{shlex.join(args)}: no caption")
    return statistics.median(times[1:])


def encode(precisions, threads):
    """Rates of the encoder alone by a Go benchmark, {(precision, batch): (images/s, share of the ceiling)}."""
    names = {"float32": "fp32", "bfloat16": "bf16", "int8": "int8"}
    wanted = "|".join(k for k, v in names.items() if v in precisions)
    args = [
        "go",
        "test",
        "./models/clip",
        "-run",
        "^$",
        "-bench",
        f"EncodeImage/encoder/({wanted})",
        "-benchtime",
        "1s",
        "-args",
        "-threads",
        str(threads),
    ]
    out = subprocess.run(args, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout.decode()
    found = {}
    for t, batch, line in re.findall(r"EncodeImage/encoder/(\w+)/batch=(\d+)\S*(.*)", out):
        number = lambda unit: float(re.search(r"([\d.]+) " + unit, line).group(1))
        found[names[t], int(batch)] = number("images/s"), number("%ceiling")
    return found, shlex.join(args)


def processor():
    with open("/proc/cpuinfo") as f:
        text = f.read()
    name = re.search(r"model name\s*:\s*(.*)", text).group(1)
    has = [
        f for f in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16") if re.search(r"\b" + f + r"\b", text)
    ]
    return f"{name}, {len(os.sched_getaffinity(0))} logical processors ({', '.join(has)})"


def peer_rates(o, images, first):
    """Runs the peer: {(precision, what): value}, its versions, its start-up time."""
    script = os.path.join(ROOT, "scripts", "bench", "peer_generate.py")
    rates, versions = {}, ""
    env = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    for precision in [p for p in o.precisions if p != "int8"]:
        args = [
            o.peer,
            script,
            "run",
            "--weights",
            o.weights,
            "--precision",
            precision,
            "--threads",
            str(o.threads),
            *images,
        ]
        out = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
        if out.returncode:
            print("no peer:", out.stderr.decode(errors="replace").strip().split("\n")[-1], file=sys.stderr)
            return {}, "", None
        for line in out.stdout.decode().splitlines():
            x = json.loads(line)
            versions = x.get("versions", versions)
            if "what" in x:
                rates[precision, x["what"]] = x["value"]
    start = start_up([o.peer, script, "start", "--weights", o.weights, "--threads", str(o.threads), first], 2)
    return rates, versions, start


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--shared", default="../shared", help="where the shared data is, from the repository")
    p.add_argument("--peer", default="", help="a Python with the peer's packages")
    p.add_argument("--weights", default="", help="a folder for the weights, kept (740 MB); without it, a temporary one")
    p.add_argument("--precisions", default="fp32,bf16,int8")
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--times", type=int, default=4, help="how often each photograph stands in the folder")
    p.add_argument("--runs", type=int, default=3, help="of each measurement")
    p.add_argument("--processor", action="store_true", help="processor time alone, for a busy machine")
    p.add_argument("--readme", action="store_true", help="write the table into docs/benchmarks.md")
    o = p.parse_args()
    o.precisions = o.precisions.split(",")
    os.environ["CAPTIONER_THREADS"] = str(o.threads)
    with tempfile.TemporaryDirectory() as scratch:
        o.weights = os.path.abspath(o.weights or os.path.join(scratch, "weights"))
        os.makedirs(o.weights, exist_ok=True)
        if len(glob.glob(os.path.join(o.weights, "*.safetensors"))) < 2:
            make(o.weights)
        photos = sorted(glob.glob(os.path.join(ROOT, o.shared, "data/coco-mini/*2017/*.jpg"))) or sorted(
            glob.glob(os.path.join(ROOT, "examples/*.jpg"))
        )
        folder = os.path.join(scratch, "photographs")
        os.mkdir(folder)
        for i in range(o.times):
            for f in photos:
                shutil.copy(f, os.path.join(folder, f"{i}-{os.path.basename(f)}"))
        (processor_time if o.processor else lambda o, images: report(o, folder, images))(
            o, sorted(glob.glob(os.path.join(folder, "*.jpg")))
        )


def processor_time(o, images):
    """Milliseconds of processor time an image, both sides at once: what one batch costs more than one photograph
    alone."""
    images = images[:32]
    shell = lambda precision, some: subprocess.Popen(
        command(o.weights, precision, "--beam-size", "4", "--threads", "1", "--workers", "1", *some),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    ours = {p: [shell(p, images), shell(p, images[:1])] for p in o.precisions}
    script = os.path.join(ROOT, "scripts", "bench", "peer_generate.py")
    peers = {
        p: subprocess.Popen(
            [o.peer, script, "run", "--processor", "--weights", o.weights, "--precision", p, "--threads", "1", *images],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for p in o.precisions
        if p != "int8" and o.peer
    }
    cost = {}
    for p, both in ours.items():
        used = []
        for x in both:
            _, status, usage = os.wait4(x.pid, 0)
            if status:
                sys.exit(f"{shlex.join(x.args)}: status {status}")
            used.append(usage.ru_utime + usage.ru_stime)
        cost[p] = 1e3 * (used[0] - used[1]) / (len(images) - 1)
    theirs = {
        p: next((json.loads(l)["value"] for l in x.communicate()[0].decode().splitlines() if "value" in l), None)
        for p, x in peers.items()
    }
    print("| processor time of an image, beam 4, one thread, ms | captioner | generate | |\n| --- | --- | --- | --- |")
    for p in o.precisions:
        y = theirs.get("bf16" if p == "int8" else p)
        print(f"| {p} | {cost[p]:.1f} | " + (f"{y:.1f} | {y / cost[p]:.1f} × |" if y else "| |"))
    print(f"\n{processor()}, load {os.getloadavg()[0]:.1f}")


def report(o, folder, images):
    ours = {}
    for precision in o.precisions:
        runs = [folder_run(o.weights, precision, folder, len(images)) for _ in range(o.runs)]
        ours[precision, "folder, beam 4"] = statistics.median(r[0] for r in runs)
        ours[precision, "peak memory"] = max(r[1] for r in runs)
        for beam in (1, 4):
            ours[precision, f"one image, beam {beam}"] = one_image(o.weights, precision, beam, images[0], 9)
        ours[precision, "start"] = start_up(command(o.weights, precision, "--beam-size", "1", images[0]), o.runs)
    rates, go = encode(o.precisions, o.threads)
    for (precision, batch), (rate, share) in rates.items():
        ours[precision, f"encode, batch {batch}"], ours[precision, f"share, batch {batch}"] = rate, share
    theirs, versions, peer_start = peer_rates(o, images, images[0]) if o.peer else ({}, "", None)
    if peer_start:
        for precision in o.precisions:
            theirs[precision, "start"] = peer_start

    rows = [
        ("folder of COCO photographs, beam 4, images/s", "folder, beam 4", 1, 1),
        ("one image, beam 4, ms", "one image, beam 4", 0, -1),
        ("one image, greedy, ms", "one image, beam 1", 0, -1),
        ("encoding alone, batch 1, images/s", "encode, batch 1", 1, 1),
        ("encoding alone, batch 16, images/s", "encode, batch 16", 1, 1),
        ("encoding alone, batch 64, images/s", "encode, batch 64", 1, 1),
        ("start of the process to the first caption, s", "start", 2, -1),
        ("peak memory of the folder run, MB", "peak memory", 0, -1),
    ]
    names = {"fp32": "fp32", "bf16": "bf16", "int8": "int8 beside the peer's bf16"}
    values = {}
    for title, what, digits, sense in rows:
        for precision in o.precisions:
            x, y = ours[precision, what], theirs.get(("bf16" if precision == "int8" else precision, what))
            cell = f"**{x:.{digits}f}**"
            if y:
                cell += f" : {y:.{digits}f} = {(x / y if sense > 0 else y / x):.1f} ×"
            if what.startswith("encode") and (precision, what.replace("encode", "share")) in ours:
                cell += f", {ours[precision, what.replace('encode', 'share')]:.0f} % of the ceiling"
            values[f"{title}, {names[precision]}"] = cell
    version = (
        subprocess.run([PROGRAM, "version"], cwd=ROOT, stdout=subprocess.PIPE)
        .stdout.decode()
        .strip()
        .replace("\n", ", ")
    )
    kernels = subprocess.run(
        [PROGRAM, "predict", "-v", *command(o.weights, o.precisions[0], images[0])[2:]],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ).stderr.decode()
    chosen = re.search(r"chosen=(.*?)(?: threads=|$)", kernels, re.M)
    about = (
        f"{time.strftime('%Y-%m-%d')}, {len(images)} photographs, {processor()}, {o.threads} threads, load {os.getloadavg()[0]:.1f}; "
        + (f"kernels: {chosen[1]}; " if chosen else "")
        + version
        + (f"; peer: {versions}" if versions else "; no peer was measured: --peer names a Python that has it")
        + "."
    )
    print(columns.merge("", columns.processor(), values, about))
    print(
        "$ python3 scripts/bench/fullsize.py" + (" --peer PYTHON" if o.peer else ""),
        "$ " + shlex.join(command("WEIGHTS", "int8", "--beam-size", "4", "PHOTOGRAPHS/")),
        "$ " + go,
        sep="\n",
    )
    if o.readme:
        columns.replace(os.path.join(ROOT, "docs", "benchmarks.md"), MARKS, columns.processor(), values, about)


if __name__ == "__main__":
    main()
