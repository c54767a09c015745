"""Measures what it costs to train in two processes on one core each instead of one process on two: the time of the same
steps, from run to run.

    python3 scripts/bench/processes.py [--shared ../shared] [--epochs 6] [--runs 3]

The built-in model's decoder learns from 160 photographs of Flickr8k in float32, batches of 32 pictures with 5 captions;
features are cached before. Times are differences of a long and a short run, so that the start does not count. Prints
medians, the ratio and the commands.
"""

import argparse
import json
import os
import resource
import shlex
import statistics
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def subset(path, n, out):
    d = json.load(open(path))
    images = d["images"][:n]
    ids = {i["id"] for i in images}
    json.dump({"images": images, "annotations": [a for a in d["annotations"] if a["image_id"] in ids]}, open(out, "w"))


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--shared", default=os.path.join(ROOT, "..", "shared"))
    a.add_argument("--epochs", type=int, default=6)
    a.add_argument("--runs", type=int, default=3)
    a = a.parse_args()
    flickr = os.path.abspath(os.path.join(a.shared, "data", "flickr8k"))
    with tempfile.TemporaryDirectory() as work:
        subset(os.path.join(flickr, "captions_train.json"), 160, os.path.join(work, "train.json"))
        subset(os.path.join(flickr, "captions_dev.json"), 8, os.path.join(work, "val.json"))
        count = 0

        def run(epochs, more, env):
            nonlocal count
            count += 1
            command = [
                os.path.join(ROOT, "bin", "captioner"),
                "train",
                "-q",
                "--data",
                os.path.join(work, "train.json"),
                "--images",
                os.path.join(flickr, "train"),
                "--val",
                os.path.join(work, "val.json"),
                "--val-images",
                os.path.join(flickr, "dev"),
                "--encoder",
                os.path.join(ROOT, "models", "captioner", "demo", "demo.safetensors"),
                "--cache",
                os.path.join(work, "cache"),
                "--out",
                os.path.join(work, f"run{count}"),
                "--precision",
                "32",
                "--flip=false",
                "--batch-size",
                "32",
                "--vocab-min-count",
                "1",
                "--max-epochs",
                str(epochs),
                *more,
            ]
            start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=dict(os.environ, **env))
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            return (
                time.perf_counter() - start,
                after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
                command,
            )

        run(1, [], {})  # fills the cache
        seconds, processor, commands = {"one": [], "two": []}, {"one": [], "two": []}, {}
        for _ in range(a.runs):
            for name, more, env in (
                ("one", ["--threads", "2"], {}),
                ("two", ["--nproc", "2"], {"OMP_NUM_THREADS": "1"}),
            ):
                short, least, _ = run(1, more, env)
                long, most, commands[name] = run(1 + a.epochs, more, env)
                seconds[name].append((long - short) / a.epochs)
                processor[name].append((most - least) / a.epochs)
    for name, s in seconds.items():
        print(
            f"{name} process{'es' if name == 'two' else ''}: {statistics.median(s):.2f} s an epoch of 5 steps and a measurement ({min(s):.2f} to {max(s):.2f})"
        )
    ratio = [t / o for o, t in zip(seconds["one"], seconds["two"])]
    print(f"two / one: {statistics.median(ratio):.3f} ({min(ratio):.3f} to {max(ratio):.3f})")
    work = [t / o for o, t in zip(processor["one"], processor["two"])]
    print(f"the same by seconds of the processor: {statistics.median(work):.3f} ({min(work):.3f} to {max(work):.3f})")
    for c in commands.values():
        print("command:", shlex.join(c))


if __name__ == "__main__":
    main()
