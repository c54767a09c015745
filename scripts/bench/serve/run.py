"""Measures captioner serve: against predict on the same pictures, under load, in overload, with slow clients, and
beside FastAPI.

    python3 scripts/bench/serve/run.py [PART …] [--pictures FOLDER] [--seconds 20] [--peer PYTHON]

Parts: throughput (64 clients against predict), alone (one client), load (70 % of what it can), overload (three times
that), slow (10,000 slow or half-open connections), soak (half load for --soak, 2m), peer (FastAPI with the same model;
PYTHON has the packages that peer.py names); without any, all but soak and peer. The load comes from a process of its
own (main.go) over loopback. Needs bin/captioner and go.
"""

import argparse
import json
import os
import resource
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
PROGRAM = os.path.join(ROOT, "bin", "captioner")
PARTS = ["throughput", "alone", "load", "overload", "slow", "soak", "peer"]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def resident(pid):
    """Memory of a process in MB."""
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) / 1024 for line in f if line.startswith("VmRSS"))


def processor(pid):
    """Seconds of processor time that a process has used: unlike the time by the clock they hardly depend on what
    else the machine does."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Service:
    """A service that is started and ended; ready tells after how many seconds it was."""

    def __init__(self, command, port):
        self.url = f"http://127.0.0.1:{port}"
        self.errors = tempfile.TemporaryFile()
        start = time.perf_counter()
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=self.errors, stdout=self.errors)
        while True:
            try:
                urllib.request.urlopen(self.url + "/readyz", timeout=1).read()
                break
            except OSError:
                if self.process.poll() is not None or time.perf_counter() - start > 300:
                    self.errors.seek(0)
                    sys.exit(f"{shlex.join(command)}: not ready\n{self.errors.read().decode(errors='replace')}")
                time.sleep(0.01)
        self.ready = time.perf_counter() - start
        self.pid = self.process.pid

    def metrics(self):
        text = urllib.request.urlopen(self.url + "/metrics", timeout=30).read().decode()
        values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#")
        return {k: float(v) for k, v in values.items()}

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            print("the service did not end within 60 s of SIGTERM and was killed", file=sys.stderr)
            return
        if status not in (0, -signal.SIGTERM):
            self.errors.seek(0)
            sys.exit(f"the service ended with status {status}\n{self.errors.read().decode(errors='replace')[-2000:]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def captioner(*flags):
    port = free_port()
    return Service([PROGRAM, "serve", "--listen", f"127.0.0.1:{port}", *flags], port)


class Client:
    def __init__(self, binary, pictures):
        self.binary, self.pictures = binary, pictures

    def start(self, s, **flags):
        command = [self.binary, "-url", s.url, "-pictures", self.pictures]
        for k, v in flags.items():
            command += ["-" + k.rstrip("_"), str(v)]
        return subprocess.Popen(command, stdout=subprocess.PIPE)

    def run(self, s, **flags):
        before = processor(s.pid)
        got = self.end(self.start(s, **flags))
        got["cpu_ms"] = 1000 * (processor(s.pid) - before) / max(got["answered"], 1)
        return got

    def end(self, p):
        out, _ = p.communicate()
        if p.returncode:
            sys.exit("the load generator failed")
        return json.loads(out)


def times(q):
    return f"p50 {q['p50']:.0f} ms, p99 {q['p99']:.0f} ms, longest {q['max']:.0f} ms"


def sample(s, process, every):
    """Memory and the like of a service while a load runs."""
    seen = []
    while process.poll() is None:
        m = s.metrics()
        seen.append(
            {
                "mb": resident(s.pid),
                "tensors": m.get("captioner_live_tensors", 0),
                "goroutines": m.get("go_goroutines", 0),
                "files": m.get("process_open_fds", 0),
            }
        )
        deadline = time.monotonic() + every
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
    return seen


def predict(pictures):
    """Pictures a second of predict and its milliseconds of processor time a picture, its start taken off by a run
    over one picture."""

    def run(path):
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([PROGRAM, "predict", "-q", path], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.perf_counter() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    files = sorted(f for f in os.listdir(pictures) if f.endswith(".jpg"))
    (whole, cpu), (one, one_cpu) = run(pictures), run(os.path.join(pictures, files[0]))
    return (len(files) - 1) / (whole - one), 1000 * (cpu - one_cpu) / (len(files) - 1)


def throughput(c, o):
    with captioner("--timeout", "5m") as s:
        c.run(s, clients=64, for_=f"{max(o.seconds // 4, 2)}s")
        served, bare = [], []
        for _ in range(o.runs):  # turn about, so that both meet the same machine
            served.append(c.run(s, clients=64, for_=f"{o.seconds}s"))
            s.process.send_signal(signal.SIGSTOP)
            bare.append(predict(o.pictures))
            s.process.send_signal(signal.SIGCONT)
        share = statistics.median(a["per_second"] / b[0] for a, b in zip(served, bare))
        cpu, cpu_bare = statistics.median(a["cpu_ms"] for a in served), statistics.median(b[1] for b in bare)
        print(
            f"64 clients: {statistics.median(a['per_second'] for a in served):.1f} pictures/s, predict {statistics.median(b[0] for b in bare):.1f} pictures/s: "
            f"{100 * share:.0f} %; processor time a picture {cpu:.1f} and {cpu_bare:.1f} ms: {100 * cpu_bare / cpu:.0f} % ({times(served[-1]['ms'])}; status {served[-1]['status']})"
        )


def alone(c, o):
    with captioner() as s:
        c.run(s, clients=1, for_="2s")
        got = c.run(s, clients=1, for_=f"{o.seconds}s")
        print(
            f"one client: {times(got['ms'])}; more than the model's own time: {times(got['ms_over_model'])}; {got['per_second']:.1f} pictures/s, {got['cpu_ms']:.1f} ms of processor time a picture"
        )


def sustainable(c, s, o):
    c.run(s, clients=64, for_="3s")
    return c.run(s, clients=64, for_=f"{max(o.seconds // 2, 5)}s")["per_second"]


def load(c, o):
    with captioner() as s:
        rate = sustainable(c, s, o)
        got = c.run(s, rate=0.7 * rate, for_=f"{o.seconds}s")
        q = got["ms"]
        print(
            f"70 % of {rate:.1f} pictures/s: {times(q)}: p99 is {q['p99'] / q['p50']:.1f} times the median; status {got['status']}"
        )


def overload(c, o):
    with captioner() as s:
        rate = sustainable(c, s, o)
        p = c.start(s, rate=3 * rate, for_="60s")
        seen = sample(s, p, 1)
        got = c.end(p)
        mb = [x["mb"] for x in seen]
        print(
            f"three times {rate:.1f} pictures/s for 60 s: status {got['status']}, errors {got.get('errors', {})}; 429: {times(got['ms_429'])}; "
            f"answered {got['per_second']:.1f} pictures/s, {times(got['ms'])}; memory {mb[len(mb) // 4]:.0f} MB after a quarter, {mb[-1]:.0f} MB at the end, most {max(mb):.0f} MB"
        )


def slow(c, o):
    with captioner() as s:
        before = c.run(s, clients=1, for_="5s")
        got = c.run(s, clients=1, hold=10000, for_=f"{max(o.seconds, 30)}s")
        print(
            f"one client beside {got['held']} slow or half-open connections: {times(got['ms'])} (without: {times(before['ms'])}); status {got['status']}; "
            f"{s.metrics()['captioner_connections']:.0f} connections are left, {resident(s.pid):.0f} MB"
        )


def soak(c, o):
    with captioner(
        "--timeout", "10m"
    ) as s:  # whether anything grows is asked here, not whether the machine has other work at times
        rate = sustainable(c, s, o)
        p = c.start(s, rate=rate / 2, for_=o.soak)
        seen = sample(s, p, 5)
        got = c.end(p)
        half = seen[len(seen) // 4 :]
        print(
            f"half of {rate:.1f} pictures/s for {o.soak}: status {got['status']}, errors {got.get('errors', {})}, {times(got['ms'])}"
        )
        wrong = []
        for what, allowed in {"tensors": 64, "goroutines": 64, "files": 64, "mb": 64}.items():
            x = [v[what] for v in half]
            third = max(len(x) // 3, 1)
            first, last = statistics.median(x[:third]), statistics.median(x[-third:])
            print(f"  {what:10} {first:.0f} at first, {last:.0f} at the end, {min(x):.0f} to {max(x):.0f}")
            if last - first > allowed:
                wrong.append(what)
        if wrong or set(got["status"]) != {"200"}:
            sys.exit(f"not flat: {wrong}" if wrong else f"answers other than 200: {got['status']}")


def peer(c, o):
    port = free_port()
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peer.py")
    rows = []
    for name, start in (
        ("captioner serve", lambda: captioner("--timeout", "5m")),
        ("FastAPI + transformers", lambda: Service([o.peer, script, "--port", str(port)], port)),
    ):
        with start() as s:
            idle = resident(s.pid)
            c.run(s, clients=4, for_="3s")
            one = c.run(s, clients=1, for_=f"{o.seconds}s")
            many = c.run(s, clients=64, for_=f"{o.seconds}s")
            print(
                f"{name}: ready after {s.ready:.2f} s, {idle:.0f} MB, one client {one['per_second']:.1f} pictures/s, 64 clients {many['per_second']:.1f}",
                file=sys.stderr,
                flush=True,
            )
            rows.append(
                (
                    name,
                    f"{s.ready:.2f} s",
                    f"{idle:.0f} MB",
                    f"{resident(s.pid):.0f} MB",
                    f"{one['per_second']:.1f}",
                    f"{one['ms']['p50']:.0f} / {one['ms']['p99']:.0f} ms",
                    f"{one['cpu_ms']:.0f} ms",
                    f"{many['per_second']:.1f}",
                    f"{many['ms']['p50']:.0f} / {many['ms']['p99']:.0f} ms",
                    f"{many['cpu_ms']:.0f} ms",
                    str(many["status"]),
                )
            )
    print(
        "| | ready after | memory, idle | memory, after | 1 client: pictures/s | p50 / p99 | processor | 64 clients: pictures/s | p50 / p99 | processor |"
    )
    print("|" + " --- |" * 10)
    for r in rows:
        print("| " + " | ".join(r[:-1]) + " |")
    print("status of the 64 clients:", ", ".join(r[-1] for r in rows))


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that services end with it
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("parts", nargs="*", metavar="PART")
    p.add_argument("--pictures", default=os.path.join(ROOT, "..", "shared", "data", "flickr8k", "dev"))
    p.add_argument("--seconds", type=int, default=20)
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--soak", default="2m")
    p.add_argument("--peer", default=sys.executable)
    o = p.parse_args()
    if not os.path.isdir(o.pictures):
        o.pictures = os.path.join(ROOT, "examples")
    unknown = set(o.parts) - set(PARTS)
    if unknown:
        p.error(f"{sorted(unknown)}: want {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory() as d:
        binary = os.path.join(d, "load")
        subprocess.run(
            ["go", "build", "-o", binary, "./scripts/bench/serve"],
            cwd=ROOT,
            check=True,
            env=dict(os.environ, CGO_ENABLED="0"),
        )
        c = Client(binary, o.pictures)
        for part in o.parts or PARTS[:5]:
            globals()[part](c, o)


if __name__ == "__main__":
    main()
