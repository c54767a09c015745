"""Repeats the headline of clip-text-decoder, 0.30 BLEU-4 after less than an hour of training, where COCO and a GPU are.

    python3 scripts/bench/headline.py --data TRAIN --val VAL [--images DIR] [--device cuda:0] [--encoder ViT-B/32]
    [--language-model distilgpt2]
        [--python "COMMAND" --python-model FILE] [--work DIR] [--sides python,recipe,default] [--extra "FLAGS"]
    python3 scripts/bench/headline.py --rehearse [--shared ../shared] [--work DIR]

The sides, one after the other, each with the device for itself:
    python     COMMAND, which trains by clip-text-decoder's train.py in its own environment, and leaves its checkpoint
               at FILE
    recipe     captioner train --recipe clip-text-decoder, from the same encoder and language model
    default    captioner train, the small decoder over the patches of the same encoder
Before a captioner side runs, its own --dry-run measures a step and tells how long all will take. Every model is scored
on VAL by captioner eval, with its own decoding. What a side has finished stands in --work: the same command goes on
after a cut, in the middle of a run too. --rehearse does all of it in minutes on a CPU, end to end, from the built-in
model's encoder and no language model, on Flickr8k and coco-extra in SHARED (scripts/demo-data.py), a few photographs of
each: its numbers mean nothing. Standard library only.
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CAPTIONER = os.path.join(ROOT, "bin", "captioner")


def rehearsal(a):
    """Small files of both data sets, and options of minutes."""
    full = os.path.join(a.work, "data")
    subprocess.run(
        [
            sys.executable,
            os.path.join(ROOT, "scripts", "demo-data.py"),
            "--shared",
            a.shared,
            "--out",
            full,
            "--repeat",
            "1",
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    for name, step in (("train", 40), ("watch", 20)):
        with open(os.path.join(full, name + ".json")) as f:
            d = json.load(f)
        d["images"] = d["images"][::step]
        ids = {i["id"] for i in d["images"]}
        d["annotations"] = [x for x in d["annotations"] if x["image_id"] in ids]
        with open(os.path.join(a.work, name + ".json"), "w") as f:
            json.dump(d, f)
    a.data, a.val = (os.path.join(a.work, name + ".json") for name in ("train", "watch"))
    a.images = os.path.join(a.shared, "data")
    a.device, a.encoder, a.language_model = "cpu", "demo", ""
    a.sides = a.sides.replace("python,", "")
    a.extra += (
        " --max-epochs 1 --threads 1 --width 384 --heads 6"  # the encoder gives 352 numbers, which the recipe pads
    )


def command(a, side):
    """How captioner trains a side."""
    ours = ["--data", a.data, "--val", a.val, "--encoder", a.encoder, "--device", a.device, "--seed", "0"]
    if a.images:
        ours += ["--images", a.images, "--val-images", a.images]
    if side == "recipe":
        ours += ["--recipe", "clip-text-decoder", f"--language-model={a.language_model}"]
    return [CAPTIONER, "train", *ours, *shlex.split(a.extra)]


def expected(c):
    """What the dry run says of the time, a line a phase."""
    p = subprocess.run(
        [*c, "--dry-run", "--out", os.path.join("runs", "never")], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    if p.returncode:
        sys.exit(p.stderr.strip().split("\n")[-1])
    return "; ".join(re.findall(r"(\w+: \S+ a step, \S+ in all)", p.stderr))


def train(a, side):
    """Trains a side, unless it is there already. The model, and what is known of the time."""
    facts = os.path.join(a.work, side + ".json")
    if os.path.exists(facts):
        return json.load(open(facts))
    run, begin = os.path.join(a.work, side), time.time()
    said = {"model": a.python_model, "expected": ""}
    if side == "python":
        subprocess.run(a.python, shell=True, check=True)
    else:
        c = command(a, side)
        said.update(model=os.path.join(run, "best.safetensors"), expected=expected(c))
        begin = time.time()
        resumed = os.path.exists(os.path.join(run, "options.json"))
        subprocess.run([CAPTIONER, "train", "--resume", run] if resumed else [*c, "--out", run], cwd=ROOT, check=True)
        if resumed:
            said["expected"] += " (was cut and resumed: the time is of the last part)"
    said["minutes"] = (time.time() - begin) / 60
    with open(facts + ".tmp", "w") as f:
        json.dump(said, f)
    os.replace(facts + ".tmp", facts)
    return said


def score(a, model):
    images = ["--images", a.images] if a.images else []
    out = subprocess.run(
        [
            CAPTIONER,
            "eval",
            "-q",
            "--json",
            "--bootstrap",
            "0",
            "--model",
            model,
            "--data",
            a.val,
            "--device",
            a.device,
            *images,
        ],
        check=True,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    return json.loads(out)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data")
    p.add_argument("--val")
    p.add_argument("--images", default="")
    p.add_argument("--device", default="auto")
    p.add_argument("--encoder", default="ViT-B/32")
    p.add_argument("--language-model", default="distilgpt2")
    p.add_argument("--python", default="", metavar="COMMAND")
    p.add_argument("--python-model", default="", metavar="FILE")
    p.add_argument("--sides", default="python,recipe,default")
    p.add_argument("--extra", default="", metavar="FLAGS", help="for both captioner sides")
    p.add_argument("--shared", default=os.path.join(ROOT, "..", "shared"))
    p.add_argument("--work", default=os.path.join(ROOT, "runs", "headline"))
    p.add_argument("--rehearse", action="store_true")
    a = p.parse_args()
    a.work, a.shared = os.path.abspath(a.work), os.path.abspath(a.shared)
    os.makedirs(a.work, exist_ok=True)
    if a.rehearse:
        rehearsal(a)
    elif not a.data or not a.val:
        p.error("want --data and --val, or --rehearse")
    if not a.python:
        a.sides = a.sides.replace("python,", "")
    print("| | expected | took | BLEU-4 | CIDEr | ROUGE-L |\n| --- | --- | --- | --- | --- | --- |")
    for side in a.sides.split(","):
        said = train(a, side)
        s = score(a, said["model"])
        print(
            f"| {side} | {said['expected']} | {said['minutes']:.1f} min | {s['BLEU-4']:.3f} | {s['CIDEr']:.3f} | {s['ROUGE-L']:.3f} |",
            flush=True,
        )
    for side in a.sides.split(","):
        if side != "python":
            print(f"{side}: {shlex.join(command(a, side)).replace(CAPTIONER, 'bin/captioner')}")


if __name__ == "__main__":
    main()
