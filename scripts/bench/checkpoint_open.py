"""Opens a checkpoint of about 600 MB with PyTorch and with captioner's weights/pickle, and prints time and memory of
both.

Run from the project's root: python scripts/bench/checkpoint_open.py [checkpoint]

Python: torch.load(path, mmap=True, weights_only=True), then every tensor is looked at once.
Go:     CAPTIONER_BENCH_CHECKPOINT=path go test ./weights/pickle -run '^$' -bench BenchmarkOpen -benchtime 5x
Both: the file is in the page cache; the best of five opens in one process; memory is what the process owns itself
(RssAnon), as pages of the file are shared. "touch" then brings every page in: Python takes the maximum of all bytes, Go
adds up one byte of each cache line, so of that only the order of magnitude compares.
"""

import os
import subprocess
import sys
import tempfile
import time

import torch


def make(path):
    torch.manual_seed(0)
    state = {
        f"layer.{i}.{k}": torch.randn(*shape)
        for i in range(24)
        for k, shape in (("attn.weight", (1024, 3072)), ("mlp.weight", (1024, 3072)), ("bias", (3072,)))
    }
    torch.save({"state_dict": state, "epoch": 1}, path)


def own():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon"):
            return int(line.split()[1]) // 1024
    return -1


def python(path):
    before, best, touch = own(), 1e9, 1e9
    for _ in range(5):
        start = time.perf_counter()
        x = torch.load(path, mmap=True, weights_only=True)
        tensors = list(x["state_dict"].values())
        best = min(best, time.perf_counter() - start)
        total = sum(int(t.view(torch.uint8).max()) for t in tensors)
        touch = min(touch, time.perf_counter() - start)
    assert total > 0
    print(
        f"python: torch {torch.__version__}: open {1e3 * best:.2f} ms, open and touch {1e3 * touch:.0f} ms, "
        f"memory of its own +{own() - before} MB"
    )


def main():
    with tempfile.TemporaryDirectory() as d:
        path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(d, "checkpoint.pt")
        if len(sys.argv) == 1:
            make(path)
        print(f"file: {os.path.getsize(path) / 1e6:.0f} MB")
        subprocess.run([sys.executable, __file__, "--python", path], check=True)
        env = dict(os.environ, CAPTIONER_BENCH_CHECKPOINT=path, CGO_ENABLED="0")
        subprocess.run(
            ["go", "test", "./weights/pickle", "-run", "^$", "-bench", "BenchmarkOpen", "-benchtime", "5x"],
            check=True,
            env=env,
        )


if sys.argv[1:2] == ["--python"]:
    python(sys.argv[2])
else:
    main()
