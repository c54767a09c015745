"""Compares what training gives in the same time: clip-text-decoder's own Python code, captioner train --recipe
clip-text-decoder, and captioner's default recipe, from the same photographs and the same encoder, scored in the same
way.

    python3 scripts/bench/original.py --original PYTHON --encoder lite2.pth [--shared ../shared] [--minutes 16]
    [--epochs 1.7,8]

Learnt are Flickr8k's 6,000 photographs with 5 captions each, scores are of its 1,000 dev photographs. The encoder is
frozen and its features are computed before, which does not count: of EfficientNet-Lite2 (scripts/fetch-encoder), their
mean over the picture, 352 numbers padded to 768, for the first two sides, and the grid that the default recipe looks at
for the third. Every decoder starts from random weights, the first two from the same: distilgpt2's own are not used.
    original    Decoder of clip-text-decoder 1.4.4 in its Lightning Trainer, with loader and collate function as its
                train.py has them, in bfloat16
                (its --precision 16 wants CUDA), until its time is over; its clock starts with the first batch
    recipe      captioner train --recipe clip-text-decoder, for as many rounds as --epochs names first
    default     captioner train --flip=false, for as many rounds as --epochs names second (mirrored pictures want
                features of their own)
Each has one thread, and the time is the processor's, which other load on the machine hardly moves; the sides run at
once. captioner's count from the start of the process to its end; choose --epochs such that they take no longer than the
original. Validation on 50 dev pictures is in the time of all. The original's captions are found by captioner from its
checkpoint, by its own rule (token for token the same: see docs/clip-text-decoder.md). A side whose result is in --work
already does not run again. --original names a Python with clip-text-decoder 1.4.4. For Linux; standard library only.
"""

import argparse
import json
import os
import random
import shlex
import struct
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CAPTIONER = os.path.join(ROOT, "bin", "captioner")
BATCH, ACCUMULATE, VALIDATION = 32, 4, 50


class Over(Exception):
    """The time is over."""


def features(folder):
    """The rows that captioner encode --format npy wrote, by picture, and its files."""
    import numpy

    files = sorted(f for f in os.listdir(folder) if f.endswith(".npy"))
    rows = numpy.concatenate([numpy.load(os.path.join(folder, f)).astype("float32") for f in files])
    index = [json.loads(line) for line in open(os.path.join(folder, "index.jsonl"))]
    return {os.path.basename(e["path"]): x.reshape(1, -1) for e, x in zip(index, rows)}


def random_decoder(transformers):
    """distilgpt2's shape with cross-attention, and random weights."""
    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(n_layer=6, n_embd=768, n_head=12, vocab_size=50257, add_cross_attention=True)
    )


def start(a):
    """Writes the weights that the first two sides start from."""
    import torch
    import transformers

    torch.manual_seed(0)
    torch.save(random_decoder(transformers).state_dict(), os.path.join(a.work, "decoder.pt"))


def original(a):
    """The Python side, in this process."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    random.seed(0)
    import clip_text_decoder.model as package
    import transformers
    from pytorch_lightning import Callback, Trainer
    from torch.utils.data import DataLoader

    gpt2 = os.path.join(a.shared, "data", "gpt2")
    tok = transformers.GPT2Tokenizer(os.path.join(gpt2, "vocab.json"), os.path.join(gpt2, "merges.txt"))
    tok.pad_token = tok.eos_token
    tok.sanitize_special_tokens()

    def items(split):
        d = json.load(open(os.path.join(a.shared, "data", "flickr8k", f"captions_{split}.json")))
        x, texts = features(os.path.join(a.work, split)), {}
        for c in d["annotations"]:
            texts.setdefault(c["image_id"], []).append(c["caption"])
        return [(x[os.path.basename(i["file_name"])], texts[i["id"]]) for i in d["images"]]

    def collate(batch):
        e = tok(
            [f"{tok.bos_token}{random.choice(t)}{tok.eos_token}" for _, t in batch],
            max_length=1024,
            padding=True,
            truncation=True,
            return_tensors="pt",
        )
        return torch.stack([torch.from_numpy(x) for x, _ in batch]).float(), e["input_ids"], e["attention_mask"]

    class Clock(Callback):
        start, steps = None, 0

        def on_train_batch_start(self, trainer, module, batch, i):
            self.start = self.start or time.process_time()

        def on_train_batch_end(self, trainer, module, out, batch, i):
            if trainer.global_step > self.steps and time.process_time() - self.start > 60 * a.minutes:
                trainer.save_checkpoint(os.path.join(a.work, "original.ckpt"))
                raise Over
            self.steps = trainer.global_step

    net = random_decoder(transformers)
    net.load_state_dict(torch.load(os.path.join(a.work, "decoder.pt")))
    package.load_language_model = lambda name, device=None: net
    clock = Clock()
    trainer = Trainer(
        max_epochs=1000,
        accelerator="cpu",
        devices=1,
        precision="bf16-mixed",
        accumulate_grad_batches=ACCUMULATE,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[clock],
    )
    try:
        trainer.fit(
            package.Decoder(vision_backbone="clip:ViT-B/32", language_model="distilgpt2", device="cpu").train(),
            DataLoader(items("train"), batch_size=BATCH, shuffle=True, collate_fn=collate),
            DataLoader(items("dev")[:VALIDATION], batch_size=BATCH, collate_fn=collate),
        )
    except Over:
        pass
    print(
        json.dumps(
            {"seconds": time.process_time() - clock.start, "rounds": trainer.global_step * BATCH * ACCUMULATE / 6000}
        )
    )


def run(command, **more):
    return subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True, **more).stdout


def tell(command):
    return shlex.join(os.path.relpath(x, ROOT) if x == CAPTIONER else x for x in command)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--shared", default=os.path.join(ROOT, "..", "shared"))
    a.add_argument("--original", metavar="PYTHON", required=True)
    a.add_argument("--encoder", metavar="FILE", required=True, help="checkpoint of EfficientNet-Lite2")
    a.add_argument("--minutes", type=float, default=16, help="of the processor, for the original")
    a.add_argument("--epochs", default="1.7,8", help="rounds of the recipe and of the default")
    a.add_argument("--sides", default="original,recipe,default")
    a.add_argument("--work", help="folder to keep features and runs in")
    a.add_argument("--cache", help="folder of cached features")
    a.add_argument("--side", choices=("start", "original"), help=argparse.SUPPRESS)
    a = a.parse_args()
    if a.side:
        {"start": start, "original": original}[a.side](a)
        return
    os.environ.update(OMP_NUM_THREADS="1")
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(name, None)
    flickr = os.path.join(os.path.abspath(a.shared), "data", "flickr8k")
    a.encoder = os.path.abspath(a.encoder)
    with tempfile.TemporaryDirectory() as scratch:
        work = os.path.abspath(a.work or scratch)
        os.makedirs(work, exist_ok=True)
        compare(a, work, flickr)


def compare(a, work, flickr):
    """Runs the sides and prints the table."""
    cache = ["--cache", os.path.abspath(a.cache) if a.cache else os.path.join(work, "cache")]
    train, dev, few = (
        os.path.join(flickr, "captions_train.json"),
        os.path.join(flickr, "captions_dev.json"),
        os.path.join(work, "val.json"),
    )
    d = json.load(open(dev))
    d["images"] = d["images"][:VALIDATION]
    ids = {i["id"] for i in d["images"]}
    json.dump(
        {"images": d["images"], "annotations": [x for x in d["annotations"] if x["image_id"] in ids]}, open(few, "w")
    )
    for split, captions in (("train", train), ("dev", dev)):
        if not os.path.exists(os.path.join(work, split)):
            run(
                [
                    CAPTIONER,
                    "encode",
                    "-q",
                    "--data",
                    captions,
                    "--encoder",
                    a.encoder,
                    "--memory",
                    "pooled-padded",
                    "--format",
                    "npy",
                    "--out",
                    os.path.join(work, split),
                    *cache,
                ]
            )
    python = [
        a.original,
        os.path.abspath(__file__),
        "--original",
        a.original,
        "--encoder",
        a.encoder,
        "--shared",
        os.path.abspath(a.shared),
        "--work",
        work,
        "--minutes",
        str(a.minutes),
    ]
    if not os.path.exists(os.path.join(work, "decoder.pt")):
        run([*python, "--side", "start"])
    if "default" in a.sides.split(","):
        run([CAPTIONER, "encode", "-q", "--data", train, "--encoder", a.encoder, *cache])
    short, long = a.epochs.split(",")
    ours = [
        "--data",
        train,
        "--val",
        few,
        "--val-images",
        os.path.join(flickr, "dev"),
        "--encoder",
        a.encoder,
        "--threads",
        "1",
        "-q",
        *cache,
    ]
    commands = {
        "original": [*python, "--side", "original"],
        "recipe": [
            CAPTIONER,
            "train",
            "--recipe",
            "clip-text-decoder",
            *ours,
            "--language-model",
            os.path.join(work, "decoder.pt"),
            "--max-epochs",
            short,
            "--out",
            os.path.join(work, "recipe"),
        ],
        "default": [
            CAPTIONER,
            "train",
            *ours,
            "--flip=false",
            "--max-epochs",
            long,
            "--out",
            os.path.join(work, "default"),
        ],
    }
    sides = {
        name: subprocess.Popen(commands[name], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for name in a.sides.split(",")
        if not os.path.exists(os.path.join(work, name + ".json"))
    }
    for name, p in sides.items():
        out = p.stdout.read()
        _, status, usage = os.wait4(p.pid, 0)
        if status:
            raise SystemExit(f"{tell(commands[name])}: status {status}")
        said = {
            "seconds": usage.ru_utime + usage.ru_stime,
            "rounds": float({"recipe": short, "default": long}.get(name, 0)),
        }
        if name == "original":
            said = json.loads(out.strip().split("\n")[-1])
        json.dump(said, open(os.path.join(work, name + ".json"), "w"))
    print(
        "| | processor | rounds | decoding | CIDEr | BLEU-4 | ROUGE-L | different captions |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    for name, beam in (("original", 1), ("recipe", 1), ("default", 1), ("default", 3)):
        if name in a.sides.split(","):
            s, different, n = score(work, flickr, name, beam)
            said = json.load(open(os.path.join(work, name + ".json")))
            print(
                f"| {name} | {said['seconds'] / 60:.1f} min | {said['rounds']:.2f} | {'greedy' if beam == 1 else f'beam {beam}'} | {s['CIDEr']:.3f} | "
                f"{s['BLEU-4']:.3f} | {s['ROUGE-L']:.3f} | {different} of {n} |",
                flush=True,
            )
    for c in commands.values():
        print("command:", tell(c))


def score(work, flickr, name, beam):
    """What captioner eval says of the captions of dev, and how many of them are different."""
    dev, results = os.path.join(flickr, "captions_dev.json"), os.path.join(work, f"{name}-beam{beam}.json")
    if not os.path.exists(results):
        json.dump(captions(work, flickr, name, beam, json.load(open(dev))["images"]), open(results, "w"))
    said = json.load(open(results))
    return (
        json.loads(run([CAPTIONER, "eval", "-q", "--json", "--predictions", results, "--references", dev])),
        len({x["caption"] for x in said}),
        len(said),
    )


def captions(work, flickr, name, beam, pictures):
    """What a side says of dev, in COCO's form."""
    model, inputs = os.path.join(work, name, "best.safetensors"), [os.path.join(flickr, "dev")]
    if (
        name == "original"
    ):  # which knows no encoder of 352 numbers: zeros up to those of ViT-B/32, as it pads to 768 itself
        model, rows = os.path.join(work, "original.ckpt"), os.path.join(work, "dev512.safetensors")
        padded(os.path.join(work, "dev", "features.npy"), rows)
        inputs = ["--embeddings", rows]
    said = [
        json.loads(line)
        for line in run(
            [
                CAPTIONER,
                "predict",
                "-q",
                "--json",
                "--model",
                model,
                "--beam-size",
                str(beam),
                "--batch-size",
                "64",
                *inputs,
            ]
        ).splitlines()
    ]
    if name == "original":
        for line, entry in zip(said, open(os.path.join(work, "dev", "index.jsonl"))):
            line["path"] = json.loads(entry)["path"]
    ids = {i["file_name"]: i["id"] for i in pictures}
    return [{"image_id": ids[os.path.basename(line["path"])], "caption": line["caption"]} for line in said]


def padded(npy, out):
    """Rows of 352 halves in a .npy file become rows of 512 in a safetensors file."""
    b = open(npy, "rb").read()
    rows = b[10 + struct.unpack("<H", b[8:10])[0] :]
    n = len(rows) // (2 * 352)
    header = json.dumps({"features": {"dtype": "F16", "shape": [n, 512], "data_offsets": [0, n * 1024]}}).encode()
    with open(out, "wb") as f:
        f.write(struct.pack("<Q", len(header)) + header)
        for i in range(n):
            f.write(rows[i * 704 : (i + 1) * 704] + bytes(320))


if __name__ == "__main__":
    main()
