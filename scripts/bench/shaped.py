"""Holds scripts/bench/scale.py against a real link: two nodes of one core each, joined by a link of a set rate, learn
the same steps.

    sudo python3 scripts/bench/shaped.py [--shared ../shared] [--gbits 10,1,0.3,0.1] [--epochs 2] [--width 384]
    [--layers 4]

A node is a network namespace with one core; the two are joined by a pair of virtual interfaces, each shaped by tc to
the rate. The decoder of --width and --layers learns in float32 from cached features of Flickr8k's photographs, 32
photographs a node and step. A step's time is the median of a run, by its TensorBoard file. One node alone gives --step
of scale.py; the backward pass is taken as two thirds of it, for it makes two of the three products of a layer. Prints
measured and simulated times. Needs root, iproute2 and an idle machine; standard library only.
"""

import argparse
import glob
import json
import math
import os
import statistics
import struct
import subprocess
import tempfile
from types import SimpleNamespace

import scale
from processes import ROOT, subset

NODES = [("captioner-a", "capt-a", "10.91.7.1"), ("captioner-b", "capt-b", "10.91.7.2")]


def ip(*args):
    subprocess.run(["ip", *args], check=True)


class Link:
    """Two namespaces with a link of a rate between them."""

    def __enter__(self):
        for space, _, _ in NODES:
            ip("netns", "add", space)
        ip("link", "add", NODES[0][1], "type", "veth", "peer", "name", NODES[1][1])
        for space, device, address in NODES:
            ip("link", "set", device, "netns", space)
            ip("-n", space, "addr", "add", address + "/24", "dev", device)
            ip("-n", space, "link", "set", device, "up")
            ip("-n", space, "link", "set", "lo", "up")
        return self

    def shape(self, gbits):
        for space, device, _ in NODES:
            burst = max(64, int(gbits * 1e9 / 8 / 250 / 1024))  # what passes in 4 ms
            subprocess.run(
                [
                    "tc",
                    "-n",
                    space,
                    "qdisc",
                    "replace",
                    "dev",
                    device,
                    "root",
                    "tbf",
                    "rate",
                    f"{gbits * 1000:.0f}mbit",
                    "burst",
                    f"{burst}kb",
                    "latency",
                    "20ms",
                ],
                check=True,
            )

    def __exit__(self, *_):
        for space, _, _ in NODES:
            subprocess.run(["ip", "netns", "del", space])


def learn(a, work, nodes):
    """Seconds of a step on one node or two, the median of a run, and the model file that it made."""
    run = tempfile.mkdtemp(dir=work) + "/run"
    command = [
        os.path.join(ROOT, "bin", "captioner"),
        "train",
        "-q",
        "--data",
        os.path.join(work, "train.json"),
        "--images",
        a.flickr + "/train",
        "--val",
        os.path.join(work, "val.json"),
        "--val-images",
        a.flickr + "/dev",
        "--encoder",
        os.path.join(ROOT, "models/captioner/demo/demo.safetensors"),
        "--cache",
        os.path.join(work, "cache"),
        "--out",
        run,
        "--precision",
        "32",
        "--flip=false",
        "--batch-size",
        str(32 * nodes),
        "--vocab-min-count",
        "1",
        "--width",
        str(a.width),
        "--layers",
        str(a.layers),
        "--heads",
        "8",
        "--threads",
        "1",
        "--text-epochs",
        "0",
        "--log-every",
        "1",
        "--max-epochs",
        str(a.epochs),
        "--kernels",
        "default",
    ]
    running = []
    for rank, (space, device, _) in enumerate(NODES[:nodes]):
        env = dict(os.environ, OMP_NUM_THREADS="1")
        if nodes > 1:
            env.update(
                RANK=str(rank),
                LOCAL_RANK="0",
                WORLD_SIZE="2",
                LOCAL_WORLD_SIZE="1",
                MASTER_ADDR=NODES[0][2],
                MASTER_PORT="29517",
                GLOO_SOCKET_IFNAME=device,
            )
        running.append(
            subprocess.Popen(
                ["ip", "netns", "exec", space, "taskset", "-c", str(rank), *command], env=env, stdout=subprocess.DEVNULL
            )
        )
    for p in running:
        if p.wait():
            raise SystemExit(f"a node ended with status {p.returncode}")
    times = steps(glob.glob(run + "/events.out.tfevents.*")[0])
    gaps = [times[n] - times[n - 1] for n in sorted(times) if n - 1 in times]
    return statistics.median(gaps), run + "/last.safetensors"


def steps(path):
    """{step: seconds since 1970} of a TensorBoard file that has an event a step: records of a length, its CRC, an
    Event and its CRC."""
    times, at = {}, 0
    with open(path, "rb") as f:
        data = f.read()
    while at + 12 <= len(data):
        n = struct.unpack_from("<Q", data, at)[0]
        event, at = data[at + 12 : at + 12 + n], at + 16 + n
        if len(event) < 11 or event[0] != 0x09 or event[9] != 0x10:  # wall_time, a double, then step, a varint
            continue
        step, shift = 0, 0
        for byte in event[10:]:
            step |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        times.setdefault(step, struct.unpack_from("<d", event, 1)[0])
    return times


def learned(file):
    """Megabytes of float32 gradients: of every tensor of a model file that is not the encoder's."""
    with open(file, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
    return (
        sum(
            4 * math.prod(t["shape"]) for k, t in header.items() if k != "__metadata__" and not k.startswith("encoder.")
        )
        / 1e6
    )


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--shared", default=os.path.join(ROOT, "..", "shared"))
    p.add_argument("--gbits", default="10,1,0.3,0.1")
    p.add_argument("--epochs", type=int, default=2, help="of 320 photographs: ten steps each on one node, five on two")
    p.add_argument("--width", type=int, default=384)
    p.add_argument("--layers", type=int, default=4)
    a = p.parse_args()
    a.flickr = os.path.abspath(os.path.join(a.shared, "data", "flickr8k"))
    with tempfile.TemporaryDirectory() as work, Link() as link:
        subset(a.flickr + "/captions_dev.json", 8, os.path.join(work, "val.json"))
        subset(a.flickr + "/captions_train.json", 320, os.path.join(work, "train.json"))
        learn(a, work, 1)  # fills the cache
        alone, file = learn(a, work, 1)
        gradient = learned(file)
        print(f"one node: {alone:.3f} s a step; gradients of {gradient:.1f} MB")
        for gbits in map(float, a.gbits.split(",")):
            link.shape(gbits)
            measured, _ = learn(a, work, 2)
            s = SimpleNamespace(
                step=alone,
                backward=alone * 2 / 3,
                optimizer=0,
                gradient_mb=gradient,
                gbits=gbits,
                latency_us=50,
                core_share=0.2,
            )
            said = [scale.step(s, 2, 25e6, True), scale.step(s, 2, gradient * 1e6, False)]
            print(
                f"two nodes, {gbits:g} Gbit/s: {measured:.3f} s a step, {100 * alone / measured:.0f} % of perfect; "
                f"simulated {said[0]:.3f} s overlapped, {said[1]:.3f} s without"
            )


if __name__ == "__main__":
    main()
