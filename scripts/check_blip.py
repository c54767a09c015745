"""Whether transformers gives the captions of a BLIP that captioner trained: python scripts/check_blip.py MODEL FOLDER
[COUNT]

MODEL is the model file of a training that began with a BLIP, FOLDER has photographs, of which COUNT are captioned
(100). captioner writes MODEL as a folder of Hugging Face; BlipForConditionalGeneration reads that and captions the
photographs as BlipProcessor prepares them. The token sequences are compared with those that captioner gives for MODEL
itself, and for the folder. Run with torch 2.11.0 and transformers 4.57.1, and bin/captioner built. The exit code is 1
where a caption differs.
"""

import json
import os
import subprocess
import sys
import tempfile

import torch
from PIL import Image
from transformers import BlipForConditionalGeneration, BlipProcessor

HERE = os.path.dirname(os.path.abspath(__file__))
CAPTIONER = os.path.join(os.path.dirname(HERE), "bin", "captioner")


def ours(model, photographs):
    """The captions that captioner gives, by photograph."""
    run = subprocess.run(
        [CAPTIONER, "predict", "--quiet", "--model", model, "--format", "jsonl", *photographs],
        check=True,
        capture_output=True,
    )
    return {line["path"]: line["caption"] for line in map(json.loads, run.stdout.splitlines())}


@torch.no_grad()
def theirs(folder, photographs):
    processor = BlipProcessor.from_pretrained(folder, use_fast=False)
    model = BlipForConditionalGeneration.from_pretrained(folder).eval()
    out = {}
    for path in photographs:
        with Image.open(path) as image:
            tokens = model.generate(**processor(images=image, return_tensors="pt"))[0]
        out[path] = processor.decode(tokens, skip_special_tokens=True)
    return out


def main(model, photos, count=100):
    photographs = sorted(
        os.path.join(photos, f) for f in os.listdir(photos) if f.lower().endswith((".jpg", ".jpeg", ".png"))
    )[: int(count)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = os.path.join(scratch, "blip")
        subprocess.run(
            [CAPTIONER, "weights", "convert", model, folder, "--to", "huggingface"], check=True, capture_output=True
        )
        want = theirs(folder, photographs)
        other = 0
        for name, path in (("the model file", model), ("the folder", folder)):
            got = ours(path, photographs)
            wrong = [p for p in photographs if got[p] != want[p]]
            other += len(wrong)
            print(
                f"{name}: {len(photographs) - len(wrong)} of {len(photographs)} captions are those of transformers, "
                f"{len(set(got.values()))} of them different"
            )
            for p in wrong[:5]:
                print(f"  {p}: got {got[p]!r}, want {want[p]!r}")
    return 1 if other else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
