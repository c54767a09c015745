"""Measures a training step that trains the encoder too: seconds of the processor, which other load on the machine
hardly moves.

    python3 scripts/bench/tuning.py [--encoder demo] [--from -1] [--precision fp32] [--steps 4] [--runs 3] [--program
    bin/captioner ...]

Each run is a real one on one pinned processor and one thread, over photographs of Flickr8k; a first step does not
count. With several programs they take turns. What the lower part of the encoder gives is cached before, as always; with
--from 0 images are decoded anew each step. Prints the least and the median of all steps, and images a second by the
least. For Linux; standard library only.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

import fullsize
import train

ROOT = fullsize.ROOT


def steps(program, a, work):
    """The seconds of the processor, in user mode and in all, of each step behind the first, and the command."""
    flickr, run = os.path.abspath(os.path.join(a.shared, "data", "flickr8k")), tempfile.mkdtemp(dir=work)
    command = [
        os.path.abspath(program),
        "train",
        "--encoder",
        a.encoder,
        "--train-encoder",
        "--encoder-from",
        str(a.start),
        "--precision",
        a.precision,
        "--data",
        os.path.join(work, "train.json"),
        "--images",
        os.path.join(flickr, "train"),
        "--val",
        os.path.join(work, "val.json"),
        "--val-images",
        os.path.join(flickr, "dev"),
        "--cache",
        os.path.join(work, "cache"),
        "--out",
        os.path.join(run, "run"),
        "--batch-size",
        str(a.batch),
        "--views",
        "1",
        "--epochs",
        "1",
        "--threads",
        "1",
        "--log-every",
        "1",
        "-q",
        *a.more,
    ]
    p = subprocess.Popen(
        ["taskset", "-c", str(a.processor), *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    ticks, metrics = [], os.path.join(run, "run", "metrics.jsonl")
    while len(ticks) <= a.steps:
        time.sleep(0.002)
        if os.path.exists(metrics) and open(metrics).read().count("\n") > len(ticks):
            used = open(f"/proc/{p.pid}/stat").read().rpartition(")")[2].split()
            ticks.append([int(used[11]) / os.sysconf("SC_CLK_TCK"), int(used[12]) / os.sysconf("SC_CLK_TCK")])
        elif p.poll() is not None:
            sys.exit(f"{shlex.join(command)}: {p.stderr.read().decode(errors='replace').strip()}")
    p.kill()
    _, _, usage = os.wait4(p.pid, 0)
    return [[y - x for x, y in zip(s, t)] for s, t in zip(ticks, ticks[1:])], usage.ru_maxrss / 1024, command


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--shared", default=os.path.join(ROOT, "..", "shared"))
    a.add_argument("--program", nargs="+", default=[os.path.join(ROOT, fullsize.PROGRAM)])
    a.add_argument("--encoder", default="demo")
    a.add_argument("--from", type=int, default=-1, dest="start")
    a.add_argument("--precision", default="fp32")
    a.add_argument("--batch", type=int, default=32)
    a.add_argument("--steps", type=int, default=4)
    a.add_argument("--runs", type=int, default=3)
    a.add_argument("--processor", type=int, default=0)
    a.add_argument("more", nargs="*", help="more flags of train, behind --")
    a = a.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    flickr = os.path.join(a.shared, "data", "flickr8k")
    with tempfile.TemporaryDirectory() as work:
        train.pictures(
            os.path.join(flickr, "captions_train.json"), a.batch * (a.steps + 1), os.path.join(work, "train.json")
        )
        train.pictures(os.path.join(flickr, "captions_dev.json"), 4, os.path.join(work, "val.json"))
        said = {p: [] for p in a.program}
        for _ in range(a.runs):
            for p in a.program:
                said[p].append(steps(p, a, work))
        for p, results in said.items():
            user, system = ([s[i] for r in results for s in r[0]] for i in (0, 1))
            least = min(user)
            print(
                f"{p}: a step of {a.batch} images from stage {a.start} of {a.encoder} in {a.precision}: user {least:.2f} s at least, "
                f"{statistics.median(user):.2f} in the middle, system {statistics.median(system):.2f}; {a.batch / least:.1f} images/s; "
                f"peak memory {max(r[1] for r in results):.0f} MB",
                flush=True,
            )
        print("command:", shlex.join(results[0][2]))


if __name__ == "__main__":
    main()
