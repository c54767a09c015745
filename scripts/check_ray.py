"""Captions a table with examples/ray on a local Ray of two workers, of which one is killed, and the captioner of the
other; then holds the captions to those of predict.

usage: check_ray.py CAPTIONER    (with ray[data] 2.51 and pyarrow 21)
"""

import glob
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 120


def children(pid):
    return [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def captioners(program, root):
    """The captioners below a process: (their pid, that of their worker)."""
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        try:
            for child in children(pid):
                line = pathlib.Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
                if line[0].decode() == program and b"serve" in line:
                    found.append((child, pid))
                todo.append(child)
        except OSError:
            pass
    return found


def table(folder):
    photos = sorted(glob.glob("examples/*.jpg"))
    rows = [{"bytes": pathlib.Path(photos[i % len(photos)]).read_bytes(), "path": f"{i:04d}.jpg"} for i in range(ROWS)]
    rows[7]["bytes"] = b"no image"
    image = pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    for part in range(4):
        n = ROWS // 4  # one block of Ray each
        pq.write_table(
            pa.table({"image": image[part * n : (part + 1) * n], "number": list(range(part * n, (part + 1) * n))}),
            folder / f"part-{part}.parquet",
            row_group_size=20,
        )
    return photos


def killer(program, root, killed, stop):
    """Kills a worker, and later the captioner of another one, once both work."""
    while not stop.is_set() and len(killed) < 2:
        all = captioners(program, root)
        if len(all) >= 2:
            time.sleep(3)
            captioner, worker = all[0]
            target = worker if not killed else all[-1][0]
            try:
                os.kill(target, signal.SIGKILL)
                killed.append("worker" if target == worker else "captioner")
            except ProcessLookupError:
                pass
            time.sleep(6)
        time.sleep(0.2)


def main():
    program = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "in").mkdir()
        photos = table(folder / "in")
        run = (
            "import ray, runpy, sys; ray.init(num_cpus=6, include_dashboard=False); sys.argv = sys.argv[1:]; "
            "runpy.run_path(sys.argv[0], run_name='__main__')"
        )
        command = [
            sys.executable,
            "-c",
            run,
            "examples/ray/caption.py",
            str(folder / "in"),
            str(folder / "out"),
            "--workers",
            "2",
            "--batch-size",
            "10",
            "--program",
            program,
            "--",
            "--device",
            "cpu",
        ]
        process = subprocess.Popen(command)
        killed, stop = [], threading.Event()
        thread = threading.Thread(target=killer, args=(program, process.pid, killed, stop))
        thread.start()
        status = process.wait()
        stop.set()
        thread.join()
        rows = pq.read_table(folder / "out").to_pylist() if status == 0 else []
        want = {}
        lines = subprocess.run(
            [program, "predict", "-q", "--json", "--device", "cpu", *photos], check=True, capture_output=True, text=True
        ).stdout
        for line in io.StringIO(lines):
            caption = json.loads(line)
            want[caption["path"]] = caption["caption"]
        wrong = [r for r in rows if r["number"] != 7 and r["caption"] != want[photos[r["number"] % len(photos)]]]
        bad = [r for r in rows if r["error"]]
        left = captioners(program, 1)
        checks = {
            "the run ends well": status == 0,
            "a worker and a captioner were killed": sorted(killed) == ["captioner", "worker"],
            f"{ROWS} rows, each once": sorted(r["number"] for r in rows) == list(range(ROWS)),
            "captions are those of predict": not wrong,
            "one row has an error": [r["number"] for r in bad] == [7],
            "paths are kept": all(r["path"] == f"{r['number']:04d}.jpg" for r in rows),
            "no captioner is left": not left,
        }
        for what, ok in checks.items():
            print("ok    " if ok else "WRONG ", what)
        print("killed:", killed, "wrong:", wrong[:2], "bad:", bad[:2])
        sys.exit(0 if all(checks.values()) else 1)


if __name__ == "__main__":
    main()
