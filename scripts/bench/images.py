"""Measures how fast photographs become the 224 x 224 pixels that CLIP wants: JPEG decode, bicubic resize of the shorter
side, centre crop; from memory, on one core, by captioner's data/image and by Pillow, on the same files. Needs Pillow,
and Go with cgo.

    python scripts/bench/images.py [--shared ../shared] [--rounds 5]

Rates are by second of processor time, not of the clock, and the two take turns round by round, so a busy machine
changes little; printed are the medians with the smallest and the largest.
"""

import argparse
import glob
import io
import os
import platform
import re
import statistics
import subprocess
import time

from PIL import Image, features, __version__ as pillow

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GO = [
    "go",
    "test",
    "captioner/data/image",
    "-run",
    "^$",
    "-bench",
    "^BenchmarkPrepare$/^crop$|^BenchmarkDecode$",
    "-cpu",
    "1",
    "-benchtime",
    "2s",
]
SIZE = 224


def decode(b):
    return Image.open(io.BytesIO(b)).convert("RGB")


def prepare(b):
    """torchvision's Resize and CenterCrop, without its calls."""
    im = decode(b)
    w, h = im.size
    w, h = (SIZE, int(SIZE * h / w)) if w < h else (int(SIZE * w / h), SIZE)
    im = im.resize((w, h), Image.Resampling.BICUBIC)
    x, y = round((w - SIZE) / 2), round((h - SIZE) / 2)
    return im.crop((x, y, x + SIZE, y + SIZE))


def rate(f, files, seconds=2):
    done, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        for b in files:
            f(b)
        done += len(files)
    return done / (time.process_time() - start)


def go_rates():
    # The torch environment's flags are not needed here and would only rebuild things.
    env = {k: v for k, v in os.environ.items() if not k.startswith("CGO_")} | {"CGO_ENABLED": "1"}
    out = subprocess.run(GO, cwd=ROOT, env=env, check=True, capture_output=True, text=True).stdout
    found = dict(re.findall(r"^Benchmark(\S+)\s.*?([\d.]+) images/cpu-s", out, re.M))
    return float(found["Decode"]), float(found["Prepare/crop"])


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--shared", default=os.path.join(ROOT, "../shared"))
    ap.add_argument("--rounds", type=int, default=5)
    a = ap.parse_args()
    os.environ["CAPTIONER_SHARED"] = os.path.abspath(a.shared)
    names = sorted(glob.glob(os.path.join(a.shared, "data/coco-mini/val2017/*.jpg")))
    if not names:
        raise SystemExit(f"no photographs in {a.shared!r}: say where with --shared")
    files = [open(n, "rb").read() for n in names]
    rows = {"decode": ([], []), "decode, resize, crop": ([], [])}
    for _ in range(a.rounds):
        ours = go_rates()
        for (name, (go, py)), g, f in zip(rows.items(), ours, (decode, prepare)):
            go.append(g)
            py.append(rate(f, files))
    print(
        f"{len(files)} files, {sum(map(len, files)) // len(files) // 1024} KiB on average; {platform.processor() or platform.machine()};",
        subprocess.run(["go", "version"], capture_output=True, text=True).stdout.strip() + f"; Pillow {pillow},",
        f"libjpeg-turbo {features.version_feature('libjpeg_turbo')}, Python {platform.python_version()}; {a.rounds} rounds",
    )
    print(" ".join(GO))
    for name, (go, py) in rows.items():
        show = lambda v: f"{statistics.median(v):6.1f} ({min(v):.1f} to {max(v):.1f})"
        print(
            f"{name}: captioner {show(go)} images/CPU-s, Pillow {show(py)} images/CPU-s, ratio {statistics.median(go) / statistics.median(py):.2f}"
        )


if __name__ == "__main__":
    main()
