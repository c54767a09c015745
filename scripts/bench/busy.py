"""Measures captioner on a busy machine: predict, serve and train alone, and beside busy loops, two for each core.

    python3 scripts/bench/busy.py [PART ...] [--shared ../shared] [--images 100] [--runs 3] [--loops 2] [--program
    bin/captioner]

Parts: predict, serve, train; without any, all. With two loops for each core a third of the machine is a fair share, so
that work should take three times as long. Printed is the share of that which is reached: 100 % is fair, and at least 80
% is wanted. Of each part the medians of alternating runs, and the processor time, which loops beside it hardly change.
Standard library only.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "scripts", "bench", "serve"))
sys.path.insert(0, os.path.join(ROOT, "scripts", "bench"))
import run as service  # noqa: E402  scripts/bench/serve/run.py
from processes import subset  # noqa: E402

WANTED = 0.8


class Load:
    """Busy loops that run while the block does."""

    def __init__(self, loops):
        self.loops = loops

    def __enter__(self):
        self.processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(self.loops)]
        time.sleep(0.2)

    def __exit__(self, *_):
        for p in self.processes:
            p.kill()
            p.wait()


def timed(command):
    """Seconds by the clock and of the processor."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    status = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT)
    if status.returncode:
        sys.exit(status.stderr.decode(errors="replace"))
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def report(part, alone, busy, cores, loops):
    """Prints a part; says whether it reached what is wanted."""
    fair = cores / (cores + loops)
    a, b = (statistics.median(s for s, _ in runs) for runs in (alone, busy))
    share = a / b / fair
    cpu = [statistics.median(c for _, c in runs) for runs in (alone, busy)]
    print(
        f"{part:8} alone {a:6.2f} s ({cpu[0]:.2f} s of the processor), beside {loops} busy loops {b:6.2f} s ({cpu[1]:.2f} s): "
        f"{100 * share:.0f} % of the fair share, want {100 * WANTED:.0f} %"
    )
    return share >= WANTED


def predict(o, work):
    return lambda: timed([o.program, "predict", "-q", "--json", *images(o)])


def images(o):
    folder = os.path.join(ROOT, o.shared, "data", "flickr8k", "dev")
    return [os.path.join(folder, f) for f in sorted(os.listdir(folder))[: o.images]]


def serve(o, work):
    """The images through a service, eight clients at a time; it runs all along."""
    service.PROGRAM = o.program
    s = service.captioner("-q")
    bodies = []
    for name in images(o):
        with open(name, "rb") as f:
            bodies.append(f.read())

    def post():
        while True:
            with lock:
                if not left:
                    return
                body = left.pop()
            request = service.urllib.request.Request(s.url + "/v1/captions", body, {"Content-Type": "image/jpeg"})
            service.urllib.request.urlopen(request, timeout=600).read()

    lock, left = threading.Lock(), []

    def once():
        left[:] = bodies
        before, start = service.processor(s.pid), time.perf_counter()
        clients = [threading.Thread(target=post) for _ in range(8)]
        for c in clients:
            c.start()
        for c in clients:
            c.join()
        return time.perf_counter() - start, service.processor(s.pid) - before

    once.stop = s.stop
    return once


def train(o, work):
    """Two epochs of the built-in model's decoder on features that are cached."""
    flickr = os.path.join(ROOT, o.shared, "data", "flickr8k")
    subset(os.path.join(flickr, "captions_train.json"), 160, os.path.join(work, "train.json"))
    subset(os.path.join(flickr, "captions_dev.json"), 8, os.path.join(work, "val.json"))
    count = 0

    def once():
        nonlocal count
        count += 1
        return timed(
            [
                o.program,
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
                "2",
            ]
        )

    return once


def main():
    parts = {"predict": predict, "serve": serve, "train": train}
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("parts", nargs="*", choices=[[], *parts], metavar="PART")
    a.add_argument(
        "--shared", default=os.path.join("..", "shared"), help="where the shared data is, from the repository"
    )
    a.add_argument("--images", type=int, default=100)
    a.add_argument("--runs", type=int, default=3)
    a.add_argument("--loops", type=int, default=2, help="for each core")
    a.add_argument("--program", default=os.path.join(ROOT, "bin", "captioner"))
    o = a.parse_args()
    o.program = os.path.abspath(o.program)
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):  # the program must not need them
        os.environ.pop(name, None)
    cores = len(os.sched_getaffinity(0))
    print(
        f"{cores} processors, load before {os.getloadavg()[0]:.1f}"
        + (": not idle, figures by the clock mean little" if os.getloadavg()[0] > 0.5 else "")
    )
    reached = True
    with tempfile.TemporaryDirectory() as work:
        for part in o.parts or parts:
            once = parts[part](o, work)
            try:
                once()  # warm: the file cache and the features
                alone, busy = [], []
                for _ in range(o.runs):
                    alone.append(once())
                    with Load(o.loops * cores):
                        busy.append(once())
            finally:
                getattr(once, "stop", lambda: None)()
            reached &= report(part, alone, busy, cores, o.loops * cores)
    sys.exit(0 if reached else 1)


if __name__ == "__main__":
    main()
