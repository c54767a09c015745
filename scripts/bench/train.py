"""Measures a training step of the original's model, distilgpt2 with cross-attention, on cached features of CLIP
ViT-B/32 (one token of 512 numbers an image, padded to 768), beside clip-text-decoder's own loop and PyTorch's.

    python3 scripts/bench/train.py --original PYTHON --peer PYTHON [--shared ../shared] [--precisions fp32,bf16]
    [--steps 1] [--runs 2]

Every side learns captions of Flickr8k, one of five drawn for each picture, 32 pictures a batch, four batches a step of
AdamW, dropout 0.1, random weights of a fixed seed. The sides:
    original          Decoder of clip-text-decoder 1.4.4 in its Lightning Trainer, loader and collate function as its
                      train.py has them
    bare loop         GPT2LMHeadModel in a plain PyTorch loop, loss over the padding as the original's
    same tricks       that loop with batches of captions of like length, and the output layer on real tokens only
    captioner         train --recipe clip-text-decoder, loss over the padding
    captioner, packed the same with --loss-over-padding=false: no padding passes through the linear layers
--original names a Python with clip-text-decoder 1.4.4, --peer one with torch and transformers; without one, its sides
are left out. bf16 is autocast on all sides. Each side starts anew in each run, the sides in turn; start, loading and a
first step (Python: a first batch and step) do not count. Prints medians, and ratios within a run, also by seconds of
the processor, which other load on the machine hardly moves. Tokens are those to learn without padding, and the end. For
Linux; standard library only.
"""

import argparse
import json
import os
import random
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

import fullsize

ROOT = fullsize.ROOT
BATCH, ACCUMULATE = 32, 4
PYTHON = {"original": "original", "bare loop": "peer", "same tricks": "peer"}
CAPTIONER = {"captioner": [], "captioner, packed": ["--loss-over-padding=false"]}


def model():
    """The decoder with random weights."""
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(GPT2Config(n_layer=6, n_embd=768, n_head=12, vocab_size=50257, add_cross_attention=True))


def tick(pid):
    """Now, and the seconds of the processor that a process has used."""
    used = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    return time.perf_counter(), (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")


def between(ticks):
    return [[y - x for x, y in zip(a, b)] for a, b in zip(ticks, ticks[1:])]


def captions(path):
    texts = {}
    for a in json.load(open(path))["annotations"]:
        texts.setdefault(a["image_id"], []).append(a["caption"])
    return [texts[i] for i in sorted(texts)]


def side(a):
    """One of Python's sides, in this process: prints what its steps took."""
    import torch

    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    random.seed(a.seed)
    import transformers

    gpt2 = os.path.join(a.shared, "data", "gpt2")
    tok = transformers.GPT2Tokenizer(os.path.join(gpt2, "vocab.json"), os.path.join(gpt2, "merges.txt"))
    tok.pad_token = tok.eos_token
    if hasattr(tok, "sanitize_special_tokens"):  # of old versions: from_pretrained calls it
        tok.sanitize_special_tokens()
    texts = captions(os.path.join(a.shared, "data", "flickr8k", "captions_train.json"))
    batches = ACCUMULATE * a.steps
    items = [(torch.randn(1, 512).numpy(), t) for t in texts]
    random.shuffle(items)

    def collate(batch):
        e = tok(
            [f"{tok.bos_token}{random.choice(t)}{tok.eos_token}" for _, t in batch],
            max_length=1024,
            padding=True,
            truncation=True,
            return_tensors="pt",
        )
        return torch.stack([torch.from_numpy(x) for x, _ in batch]).float(), e["input_ids"], e["attention_mask"]

    if a.side == "original":
        times, versions = original(a, items[: BATCH * (ACCUMULATE + batches)], collate)
    else:
        if a.side == "same tricks":  # one caption of each, by length; the batches evenly from short to long
            items = [(x, [random.choice(t)]) for x, t in items]
            items.sort(key=lambda i: len(tok(i[1][0])["input_ids"]))
            first = [
                random.randrange(len(items) // batches - BATCH) + k * (len(items) // batches) for k in range(batches)
            ]
            items = [i for f in random.sample(first, batches) for i in items[f : f + BATCH]]
        times, versions = plain(a, items, collate), {}
    n = [len(tok(random.choice(t))["input_ids"]) + 1 for t in texts]
    print(
        json.dumps(
            {
                "steps": times,
                "tokens": sum(n) / len(n),
                "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "versions": {"torch": torch.__version__, "transformers": transformers.__version__, **versions},
            }
        )
    )


def plain(a, items, collate):
    import torch
    from torch.nn import functional as F

    m = model().train()
    adam = torch.optim.AdamW(m.parameters(), lr=1e-4)

    def learn(batch):
        x, ids, mask = collate(batch)
        memory = F.pad(x, (0, 768 - x.shape[-1]))
        with torch.autocast("cpu", torch.bfloat16, enabled=a.precision == "bf16"):
            if a.side == "bare loop":
                loss = m(
                    input_ids=ids, attention_mask=mask, encoder_hidden_states=memory, labels=ids, use_cache=False
                ).loss
            else:
                real = mask[:, 1:].bool()
                h = m.transformer(
                    input_ids=ids[:, :-1], attention_mask=mask[:, :-1], encoder_hidden_states=memory, use_cache=False
                )[0]
                loss = F.cross_entropy(m.lm_head(h[real]).float(), ids[:, 1:][real])
        (loss / ACCUMULATE).backward()

    def step():
        adam.step()
        adam.zero_grad(set_to_none=True)

    learn(items[:BATCH])
    step()
    ticks = [tick(os.getpid())]
    for s in range(a.steps):
        for k in range(ACCUMULATE):
            learn(items[(s * ACCUMULATE + k) * BATCH :][:BATCH])
        step()
        ticks.append(tick(os.getpid()))
    return between(ticks)


def original(a, items, collate):
    from importlib import metadata

    import clip_text_decoder.model as package
    from pytorch_lightning import Callback, Trainer
    from torch.utils.data import DataLoader

    ticks = []

    class Clock(Callback):
        def on_train_batch_end(self, trainer, module, out, batch, i):
            if (i + 1) % ACCUMULATE == 0:
                ticks.append(tick(os.getpid()))

    package.load_language_model = lambda name, device=None: model()
    decoder = package.Decoder(vision_backbone="clip:ViT-B/32", language_model="distilgpt2", device="cpu").train()
    Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=1,
        precision="bf16-mixed" if a.precision == "bf16" else 32,
        accumulate_grad_batches=ACCUMULATE,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Clock()],
    ).fit(decoder, DataLoader(items, batch_size=BATCH, shuffle=True, collate_fn=collate, num_workers=a.threads))
    return between(ticks), {n: metadata.version(n) for n in ("clip-text-decoder", "pytorch-lightning")}


def pictures(path, n, out):
    d = json.load(open(path))
    some = random.Random(0).sample(d["images"], n)
    ids = {i["id"] for i in some}
    json.dump({"images": some, "annotations": [x for x in d["annotations"] if x["image_id"] in ids]}, open(out, "w"))


def ours(a, work, precision, more, seed):
    """What steps after the first took, peak memory, and the command: a real run, ended behind the last step that
    counts."""
    flickr, run = os.path.abspath(os.path.join(a.shared, "data", "flickr8k")), tempfile.mkdtemp(dir=work)
    command = [
        os.path.join(ROOT, fullsize.PROGRAM),
        "train",
        "--recipe",
        "clip-text-decoder",
        *more,
        "--precision",
        precision,
        "--language-model",
        os.path.join(work, "decoder.safetensors"),
        "--encoder",
        os.path.join(work, "clip.safetensors"),
        "--data",
        os.path.join(work, "train.json"),
        "--images",
        os.path.join(flickr, "train"),
        "--val",
        os.path.join(work, "val.json"),
        "--val-images",
        os.path.join(flickr, "dev"),
        "--cache",
        os.path.join(work, "cache"),
        "--out",
        os.path.join(run, "run"),
        "--threads",
        str(a.threads),
        "--seed",
        str(seed),
        "--log-every",
        "1",
        "-q",
    ]
    p = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    ticks, metrics = [], os.path.join(run, "run", "metrics.jsonl")
    while len(ticks) <= a.steps:
        time.sleep(0.005)
        if os.path.exists(metrics) and open(metrics).read().count("\n") > len(ticks):
            ticks.append(tick(p.pid))
        elif p.poll() is not None:
            sys.exit(f"{shlex.join(command)}: {p.stderr.read().decode(errors='replace').strip()}")
    p.kill()
    _, _, usage = os.wait4(p.pid, 0)
    libtorch = json.load(open(os.path.join(run, "run", "environment.json")))["libtorch"]
    return {"steps": between(ticks), "mb": usage.ru_maxrss / 1024, "versions": {"libtorch": libtorch}}, command


def ratio(theirs, ours):
    r = [t / o for t, o in zip(theirs, ours)]
    return f"{statistics.median(r):.2f} ({min(r):.2f} to {max(r):.2f})"


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--shared", default=os.path.join(ROOT, "..", "shared"))
    a.add_argument("--original", metavar="PYTHON")
    a.add_argument("--peer", metavar="PYTHON")
    a.add_argument("--precisions", default="fp32,bf16")
    a.add_argument("--steps", type=int, default=1)
    a.add_argument("--runs", type=int, default=2)
    a.add_argument("--threads", type=int, default=os.cpu_count())
    for name in ("--side", "--precision"):
        a.add_argument(name, help=argparse.SUPPRESS)
    a.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    a = a.parse_args()
    if a.side:
        side(a)
        return
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(name, None)
    os.environ["OMP_NUM_THREADS"] = str(a.threads)
    flickr = os.path.join(a.shared, "data", "flickr8k")
    with tempfile.TemporaryDirectory() as work:
        fullsize.make(work)
        pictures(
            os.path.join(flickr, "captions_train.json"),
            BATCH * ACCUMULATE * (a.steps + 2),
            os.path.join(work, "train.json"),
        )
        pictures(os.path.join(flickr, "captions_dev.json"), 8, os.path.join(work, "val.json"))
        for precision in a.precisions.split(","):
            said, tokens, versions = {}, 0, {}
            for run in range(a.runs):
                for name, who in PYTHON.items():
                    if not (python := getattr(a, who)):
                        continue
                    out = subprocess.run(
                        [
                            python,
                            os.path.abspath(__file__),
                            "--side",
                            name,
                            "--precision",
                            precision,
                            "--shared",
                            a.shared,
                            "--steps",
                            str(a.steps),
                            "--threads",
                            str(a.threads),
                            "--seed",
                            str(run),
                        ],
                        check=True,
                        stdout=subprocess.PIPE,
                        text=True,
                    )
                    result = json.loads(out.stdout.strip().split("\n")[-1])
                    said.setdefault(name, []).append(result)
                    tokens, versions[who] = result["tokens"], result["versions"]
                for name, more in CAPTIONER.items():
                    result, command = ours(a, work, precision, more, run)
                    said.setdefault(name, []).append(result)
                    versions["captioner"] = result["versions"]
            print(
                f"{precision}, {a.threads} threads, {a.runs} runs of {a.steps} steps of {BATCH * ACCUMULATE} captions, {tokens:.1f} tokens each"
            )
            clock, processor = (
                {name: [sum(t[i] for t in r["steps"]) / a.steps for r in results] for name, results in said.items()}
                for i in (0, 1)
            )
            for name, t in clock.items():
                rate = BATCH * ACCUMULATE / statistics.median(t)
                memory = statistics.median(r["mb"] for r in said[name])
                print(
                    f"  {name:17} {rate:5.1f} samples/s ({BATCH * ACCUMULATE / max(t):.1f} to {BATCH * ACCUMULATE / min(t):.1f}), "
                    f"{rate * tokens:4.0f} tokens/s, {statistics.median(processor[name]):5.1f} s of the processor a step, peak memory {memory:5.0f} MB"
                )
            for name in CAPTIONER:
                for other in PYTHON:
                    if other in clock:
                        print(
                            f"  {name} / {other}: {ratio(clock[other], clock[name])}; by seconds of the processor "
                            f"{ratio(processor[other], processor[name])}"
                        )
            print("  command:", shlex.join(command), flush=True)
    print("versions:", json.dumps(versions))


if __name__ == "__main__":
    main()
