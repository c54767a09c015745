"""Does the tensorboard package read what train writes?

    python scripts/check_tensorboard.py RUN

Opens the run folder with tensorboard's own reader, as the page does, and compares every number with metrics.jsonl. Run with tensorboard 2.21.0.
"""
import json
import math
import sys
from collections import defaultdict

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.tag_types import SCALARS, TENSORS
from tensorboard import version


def main():
    (run,) = sys.argv[1:]
    reader = EventAccumulator(run, size_guidance={SCALARS: 0, TENSORS: 0})
    reader.Reload()
    want = defaultdict(list)
    for line in open(f"{run}/metrics.jsonl"):
        e = json.loads(line)
        values = e.get("scores") or {"reward" if e["phase"] == "scst" else "loss": e.get("loss", 0), "lr": e.get("lr", 0), "grad_norm": e.get("grad_norm", 0)}
        for name, v in values.items():
            want[f"{e['phase']}/{name}"].append((e["step"], v))
    tags = reader.Tags()[SCALARS]
    assert sorted(tags) == sorted(want), f"found the tags {sorted(tags)}, want {sorted(want)}"
    for tag in tags:
        got = [(e.step, e.value) for e in reader.Scalars(tag)]
        assert len(got) == len(want[tag]), f"{tag}: found {len(got)} values, want {len(want[tag])}"
        for (s, v), (ws, wv) in zip(got, want[tag]):
            assert s == ws and math.isclose(v, wv, rel_tol=1e-6, abs_tol=1e-9), f"{tag}: found {v} at {s}, want {wv} at {ws}"
    print(f"tensorboard {version.VERSION}: {len(tags)} tags, {sum(map(len, want.values()))} values as in metrics.jsonl")


if __name__ == "__main__":
    main()
