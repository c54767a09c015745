"""Measures bin/captioner predict as a user meets it: the time from start to the first caption, images per second over a
folder, and memory. Standard library only.

    python3 scripts/bench/predict.py [--shared ../shared] [--runs 5] [-- FLAGS OF PREDICT…]

Prints medians with the smallest and the largest, the commands, the processor and its threads. The folder is Flickr8k's
dev split (1,000 photographs at 224x224) where the shared data is, otherwise the photographs in examples/, repeated.
"""

import argparse
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.join("bin", "captioner")
IMAGES = 1000


def resident(pid):
    """Resident memory of a process in MB, as the kernel has it now; 0 once it is gone."""
    try:
        with open(f"/proc/{pid}/status") as f:
            return next((int(line.split()[1]) / 1024 for line in f if line.startswith("VmRSS")), 0)
    except OSError:
        return 0


def run(arguments):
    """Runs predict; returns seconds to the first line and to the end, lines, memory at a quarter, at the end and at
    its peak, CPU seconds."""
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        p = subprocess.Popen([PROGRAM, "predict", *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=errors)
        first, lines, samples = None, 0, []
        for _ in p.stdout:
            if first is None:
                first = time.perf_counter() - start
            lines += 1
            if lines % 50 == 0:
                samples.append(resident(p.pid))
        _, status, usage = os.wait4(p.pid, 0)
        seconds = time.perf_counter() - start
        p.returncode = os.waitstatus_to_exitcode(status)
        if p.returncode or first is None:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip()
            sys.exit(
                f"{shlex.join([PROGRAM, 'predict', *arguments])}: exit status {p.returncode}, {lines} lines\n{said}"
            )
    quarter = samples[len(samples) // 4] if samples else 0
    return (
        first,
        seconds,
        lines,
        quarter,
        samples[-1] if samples else 0,
        usage.ru_maxrss / 1024,
        usage.ru_utime + usage.ru_stime,
    )


def spread(values, unit, digits):
    return f"{statistics.median(values):.{digits}f} {unit} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def processor():
    with open("/proc/cpuinfo") as f:
        name = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), "unknown processor")
    cores = len(os.sched_getaffinity(0))
    return f"{name}, {cores} logical processors; captioner computes with {os.environ.get('CAPTIONER_THREADS', cores)} threads"


def folder(shared, scratch):
    """Returns a folder of IMAGES photographs and what it is."""
    dev = os.path.join(ROOT, shared, "data", "flickr8k", "dev")
    if os.path.isdir(dev):
        return dev, f"{len(os.listdir(dev))} photographs at 224x224 (Flickr8k dev)"
    examples = os.path.join(ROOT, "examples")
    photos = sorted(f for f in os.listdir(examples) if f.endswith(".jpg"))
    for i in range(IMAGES):
        shutil.copy(os.path.join(examples, photos[i % len(photos)]), os.path.join(scratch, f"{i:04}.jpg"))
    return scratch, f"{IMAGES} copies of the {len(photos)} photographs in examples/"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", default="../shared", help="where the shared data is, from the repository")
    parser.add_argument("--runs", type=int, default=5, help="of each measurement")
    parser.add_argument("flags", nargs="*", help="of predict, after --")
    o = parser.parse_args()

    print(processor())
    one = [*o.flags, os.path.join("examples", "dog.jpg")]
    run(one)  # warm: the file cache holds the program, libtorch and the picture
    runs = [run(one) for _ in range(o.runs)]
    print(f"\n$ {shlex.join([PROGRAM, 'predict', *one])}    # {o.runs} runs, after one that warms the file cache")
    print(f"  start to first caption   {spread([r[0] for r in runs], 's', 2)}")
    print(f"  peak memory              {spread([r[5] for r in runs], 'MB', 0)}")

    with tempfile.TemporaryDirectory() as scratch:
        path, what = folder(o.shared, scratch)
        many = [*o.flags, path]
        times = max(1, min(3, o.runs))
        runs = [run(many) for _ in range(times)]
        shown = [*o.flags, os.path.relpath(path, ROOT) if path != scratch else "COPIES/"]
        print(f"\n$ {shlex.join([PROGRAM, 'predict', *shown])}    # {what}, {times} runs")
        print(f"  images per second        {spread([r[2] / r[1] for r in runs], '', 1)}, start included")
        print(f"  processor time           {spread([1000 * r[6] / r[2] for r in runs], 'ms an image', 1)}")
        print(f"  memory at a quarter      {spread([r[3] for r in runs], 'MB', 0)}")
        print(f"  memory at the end        {spread([r[4] for r in runs], 'MB', 0)}")
        print(f"  peak memory              {spread([r[5] for r in runs], 'MB', 0)}")


if __name__ == "__main__":
    main()
