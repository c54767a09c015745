#!/usr/bin/env python3
"""Writes a model file with another card: what `make train-demo` ends with becomes the built-in model.

    python3 scripts/demo-card.py runs/demo.safetensors CARD.json models/captioner/demo/demo.safetensors

Each key of CARD.json stands for that key of the card, null for none; the others stay. The card of the built-in model
names the scores on both dev sets (`captioner eval --data runs/demo-data/coco-dev.json` and `flickr-dev.json`) and what
each stage gave, and uncertain_below, which scripts/demo-confidence.py measures. The weights are copied byte for byte.
Standard library only.
"""

import json
import os
import struct
import sys

# As captioner writes them, in its order, so that the file that it writes of this one has the same bytes.
KEYS = (
    "name",
    "data",
    "licence",
    "encoder",
    "command",
    "origin",
    "options",
    "split",
    "tokeniser",
    "decoding",
    "seed",
    "metrics",
    "stages",
    "uncertain_below",
    "versions",
)


def main(model, card, out):
    with open(model, "rb") as f:
        (size,) = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(size))
        data = f.read()
    with open(card) as f:
        changes = json.load(f)
    meta = header["__metadata__"]
    own = json.loads(meta["captioner.card"])
    own.update(changes)
    unknown = set(own) - set(KEYS)
    if unknown:
        sys.exit(f"{card}: found the keys {sorted(unknown)}, want those of a card")
    own = {k: own[k] for k in KEYS if own.get(k) is not None}
    meta["captioner.card"] = json.dumps(own, separators=(",", ":"))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with open(out + ".tmp", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)
    os.replace(out + ".tmp", out)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
