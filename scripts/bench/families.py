"""Measures captioners of each family at base size: a folder of COCO photographs with beam 3, beside transformers or
open_clip in the same run.

    python3 scripts/bench/families.py --peer PYTHON [--models FOLDER] [--families blip,git,florence2,coca,vit-gpt2]
    [--precisions fp32,bf16,int8]
                                      [--photographs 24] [--seconds 60] [--runs 1] [--readme]

The weights are random, of a fixed seed (the cost is the same); scripts/fixtures makes them in FOLDER, which is kept.
Every caption takes 12 tokens on both sides. The peer has --seconds for each of its measurements; a cell says how many
photographs it was through with, where these are not all. The encoder's share (%) of the ceiling is of a 2048 x 2048 x
2048 product of the same type, measured in the same run. --peer names a Python with torch, transformers, open_clip_torch
and Pillow; it makes the models too. --readme writes this processor's column of the table in
docs/benchmarks-families.md, between its marks. Standard library only.
"""

import argparse
import glob
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

import columns
from fullsize import PROGRAM, ROOT, processor, start_up

FLAGS = ["--decode", "search", "--beam-size", "3", "--min-length", "11", "--max-len", "12", "--no-repeat-ngram", "0"]
MARKS = "<!-- families: make bench-families -->", "<!-- /families -->"
SCRIPTS = {"vit-gpt2": ["vitgpt2.py"]}  # of scripts/fixtures, where it is not captioners.py


def make(o, family):
    """The model of a family, made unless it is there."""
    folder = os.path.join(o.models, family)
    if glob.glob(os.path.join(folder, "*.safetensors")) + glob.glob(os.path.join(folder, "*.bin")):
        return folder
    args = (
        SCRIPTS.get(family, ["captioners.py", family])
        + [o.models]
        + (["1", "--check", "0"] if family not in SCRIPTS else [])
    )
    print(f"making {folder}", file=sys.stderr)
    subprocess.run(
        [o.peer, os.path.join(ROOT, "scripts", "fixtures", args[0]), *args[1:]], stdout=subprocess.DEVNULL, check=True
    )
    return folder


def command(model, precision, *more):
    return [PROGRAM, "predict", "--model", model, "--precision", precision, *FLAGS, *more]


def folder_run(model, precision, images):
    """Images a second between the first batch and the end, seconds of encoding an image, and peak memory in MB."""
    p = subprocess.Popen(
        command(model, precision, "-v", "--batch-size", "8", *images),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    times = [time.perf_counter() for _ in p.stdout]
    said = p.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(p.pid, 0)
    if status or len(times) != len(images):
        sys.exit(f"{shlex.join(p.args)}: {len(times)} lines of {len(images)}: {said.strip()}")
    together = sum(t - times[0] < 0.05 for t in times)  # of the first batch, whose time is not known
    encode = float(re.search(r"time in .*encode ([\d.]+) s", said)[1]) / len(images)
    return (len(images) - together) / (times[-1] - times[0]), encode, usage.ru_maxrss / 1024


def one_image(model, precision, image, runs):
    """Milliseconds from a path on standard input to its caption."""
    p = subprocess.Popen(
        command(model, precision, "--batch-size", "1", "-"),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    times = []
    for _ in range(runs + 2):
        start = time.perf_counter()
        p.stdin.write(image.encode() + b"\n")
        p.stdin.flush()
        p.stdout.readline()
        times.append(1e3 * (time.perf_counter() - start))
    p.stdin.close()
    p.wait()
    return statistics.median(times[2:])


def ceilings():
    """GFLOP/s of a large product, by precision."""
    args = ["go", "test", "./torch/torchtest", "-run", "^$", "-bench", "Ceiling", "-benchtime", "1x"]
    out = subprocess.run(args, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout.decode()
    return {m[1]: float(m[2]) for m in re.finditer(r"BenchmarkCeiling/(\w+?)(?:-\d+)?\s.*?([\d.]+) GFLOP/s", out)}


def peer_run(o, family, model, precision, images):
    script = os.path.join(ROOT, "scripts", "bench", "peer_families.py")
    args = [
        o.peer,
        script,
        "run",
        family,
        model,
        "--precision",
        precision,
        "--threads",
        str(o.threads),
        "--seconds",
        str(o.seconds),
        *images,
    ]
    out = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if out.returncode:
        print(
            f"{family} in {precision}: no peer:",
            out.stderr.decode(errors="replace").strip().split("\n")[-1],
            file=sys.stderr,
        )
        return {}
    found = [json.loads(line) for line in out.stdout.decode().splitlines() if line.startswith("{")]
    return {x["what"]: x["value"] for x in found if "what" in x} | {
        "versions": next(x["versions"] for x in found if "versions" in x)
    }


def family_rows(o, family, images, ceiling):
    """{row: cell} of a family, and the peer's versions."""
    model = make(o, family)
    peer = {
        p: peer_run(o, family, model, p, images)
        for p in ("fp32", "bf16")
        if p in o.precisions or p == "bf16" and "int8" in o.precisions
    }
    script = os.path.join(ROOT, "scripts", "bench", "peer_families.py")
    their_start = start_up([o.peer, script, "start", family, model, "--threads", str(o.threads), images[0]], 1)
    rows = {}
    for precision in o.precisions:
        runs = [folder_run(model, precision, images) for _ in range(o.runs)]
        rate, encode, memory = (statistics.median(r[i] for r in runs) for i in range(3))
        theirs = peer["bf16" if precision == "int8" else precision]
        flops = next((p["flops"] for p in peer.values() if p), 0)
        values = [
            ("folder, images/s", rate, 1, 1),
            ("one image, ms", one_image(model, precision, images[0], 5), 0, -1),
            ("encoding alone, images/s", 1 / encode, 1, 1),
            ("peak memory, MB", memory, 0, -1),
            ("start to the first caption, s", start_up(command(model, precision, images[0]), o.runs), 2, -1),
        ]
        for what, x, digits, sense in values:
            y = their_start if what.startswith("start") else theirs.get(what)
            digits = 2 if x < 10 else digits
            cell = f"**{x:.{digits}f}**" + (f" : {y:.{digits}f} = {(x / y if sense > 0 else y / x):.1f} ×" if y else "")
            if what.startswith("folder") and y and theirs["photographs"] < len(images):
                cell += f" ({theirs['photographs']} photographs of the peer)"
            if what.startswith("encoding") and flops and precision in ceiling:
                cell += f", {100 * flops / encode / 1e9 / ceiling[precision]:.0f} %"
            row = f"{family}, {what}"
            rows[row] = (rows[row] + "; " if row in rows else "") + f"{precision} {cell}"
            print(f"{family}, {precision}, {what}: {cell}", file=sys.stderr, flush=True)
    return rows, next((p["versions"] for p in peer.values() if p), "")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--shared", default="../shared", help="where the shared data is, from the repository")
    p.add_argument("--peer", required=True, help="a Python with the peers' packages")
    p.add_argument("--models", default="", help="a folder for the models, kept (3 GB); without it, a temporary one")
    p.add_argument("--families", default="blip,git,florence2,coca,vit-gpt2")
    p.add_argument("--precisions", default="fp32,bf16,int8")
    p.add_argument("--photographs", type=int, default=24)
    p.add_argument("--seconds", type=float, default=60, help="that the peer has for each measurement of a family")
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--runs", type=int, default=1, help="of each measurement")
    p.add_argument("--readme", action="store_true", help="write the table into docs/benchmarks-families.md")
    o = p.parse_args()
    o.precisions = o.precisions.split(",")
    os.environ["CAPTIONER_THREADS"] = str(o.threads)
    images = [
        os.path.abspath(f)
        for f in sorted(glob.glob(os.path.join(ROOT, o.shared, "data/coco-mini/*2017/*.jpg")))[: o.photographs]
        or sorted(glob.glob(os.path.join(ROOT, "examples/*.jpg")))
    ]
    with tempfile.TemporaryDirectory() as scratch:
        o.models = os.path.abspath(o.models or scratch)
        ceiling, values, versions = ceilings(), {}, ""
        for family in o.families.split(","):
            rows, seen = family_rows(o, family, images, ceiling)
            values.update(rows)
            versions = max(versions, seen, key=len)
    about = (
        f"{time.strftime('%Y-%m-%d')}, {len(images)} photographs, {processor()}, {o.threads} threads, load {os.getloadavg()[0]:.1f}; ceiling "
        + ", ".join(f"{k} {v:.0f}" for k, v in ceiling.items())
        + f" GFLOP/s; peer: {versions}."
    )
    print(columns.merge("", columns.processor(), values, about))
    if o.readme:
        columns.replace(os.path.join(ROOT, "docs", "benchmarks-families.md"), MARKS, columns.processor(), values, about)


if __name__ == "__main__":
    main()
