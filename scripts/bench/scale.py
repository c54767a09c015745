"""Says how training scales over nodes that a network joins, by simulation from measured times.

    python3 scripts/bench/scale.py --step 2.6 --backward 0.42 --optimizer 0.05 --gradient-mb 385 [--gbits 10]
    [--latency-us 50]
        [--bucket-mb 25] [--nodes 1,2,4,8,16,32,64] [--markdown]

--step is the seconds of one node's step on its share of the work without any exchange, of which --backward are the
backward pass of the last of its batches (the gradients of the others stay where they are) and --optimizer what comes
after the gradients. scripts/bench/train.py measures the first; its processor seconds by thread hold for an idle
machine. The load of a node stays the same, so that more nodes make larger steps.

Gradients travel in buckets, in the order in which the backward pass ends with them, one after the other, each as a
ring: 2 (n-1)/n of its bytes pass each node's link, in 2 (n-1) messages. A bucket starts when it is whole and the one
before it is through; with overlap the backward pass goes on beside it. Gloo shares the node's cores: --core-share is
the part of the exchange's time that it takes from the backward pass, an assumption that scripts/bench/processes.py can
replace on the machine at hand. Prints for each number of nodes the step with overlap, without, and with one bucket, and
the share of a perfect scaling that is left. Standard library only.
"""

import argparse


def ring(bytes_, nodes, bandwidth, latency):
    """Seconds of one all-reduce."""
    if nodes == 1:
        return 0.0
    return 2 * (nodes - 1) / nodes * bytes_ / bandwidth + 2 * (nodes - 1) * latency


def step(a, nodes, bucket, overlap):
    """Seconds of a step: its work, and what of the exchange is not hidden behind the backward pass."""
    total, bandwidth, latency = a.gradient_mb * 1e6, a.gbits * 1e9 / 8, a.latency_us * 1e-6
    sizes = [bucket] * int(total // bucket)
    if total % bucket:
        sizes.append(total % bucket)
    busy = sum(ring(b, nodes, bandwidth, latency) for b in sizes)
    backward = a.backward + (a.core_share * min(busy, a.backward) if overlap and nodes > 1 else 0)
    free, ready = 0.0, 0.0  # since the last backward pass began
    for b in sizes:
        ready += backward * b / total
        free = max(free, ready if overlap else backward) + ring(b, nodes, bandwidth, latency)
    return a.step - a.backward - a.optimizer + max(free, backward) + a.optimizer


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--step", type=float, required=True)
    p.add_argument("--backward", type=float, required=True)
    p.add_argument("--optimizer", type=float, default=0.05)
    p.add_argument("--gradient-mb", type=float, required=True)
    p.add_argument("--gbits", type=float, default=10)
    p.add_argument("--latency-us", type=float, default=50)
    p.add_argument("--bucket-mb", type=float, default=25)
    p.add_argument("--core-share", type=float, default=0.2)
    p.add_argument("--nodes", default="1,2,4,8,16,32,64")
    p.add_argument("--markdown", action="store_true")
    a = p.parse_args()
    if not 0 < a.backward + a.optimizer <= a.step:
        p.error("--step holds --backward and --optimizer")
    if min(a.gradient_mb, a.gbits, a.bucket_mb) <= 0 or a.latency_us < 0:
        p.error("want sizes and rates above 0")
    rows = []
    for n in map(int, a.nodes.split(",")):
        times = [
            step(a, n, a.bucket_mb * 1e6, True),
            step(a, n, a.bucket_mb * 1e6, False),
            step(a, n, a.gradient_mb * 1e6, False),
        ]
        rows.append([str(n)] + [f"{t:.2f} s, {a.step / t * 100:.0f} %" for t in times])
    head = ["nodes", f"buckets of {a.bucket_mb:g} MB, overlapped", "the same, after the backward pass", "one bucket"]
    if a.markdown:
        rows.insert(0, ["---"] * len(head))
        print("\n".join("| " + " | ".join(r) + " |" for r in [head] + rows))
    else:
        widths = [max(len(r[i]) for r in [head] + rows) for i in range(len(head))]
        print("\n".join("  ".join(c.rjust(w) for c, w in zip(r, widths)) for r in [head] + rows))


if __name__ == "__main__":
    main()
