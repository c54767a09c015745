"""Measures how fast the cache of features fills: captioner encode beside the loaders of clip-text-decoder, on the same
photographs with the same ViT-B/32 of random weights, in float32, with as many threads. Needs clip (OpenAI's package),
torch and Pillow for the Python side.

    python3 scripts/bench/encode.py [--shared ../shared] [--images 200] [--runs 3]

The original's loaders: one picture at a time (clip-text-decoder 1.2 and 1.3) and batches of 32 (1.4). Each side starts
anew in each run, the sides in turn; times are without the start of the program and the loading of the weights. Prints
medians, ratios and the commands. Seconds of the processor are printed too (captioner's as the difference to a run over
one photograph): other load on the machine hardly changes them.
"""

import argparse
import glob
import json
import os
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def original(weights, paths, batch, threads):
    """The loaders' work: decode, preprocess, encode, as float32 arrays."""
    import torch
    from clip import clip, model
    from PIL import Image

    torch.set_num_threads(threads)
    net = model.build_model(torch.load(weights, map_location="cpu")).float().eval()
    prepare = clip._transform(net.visual.input_resolution)
    with torch.inference_mode():
        net.encode_image(torch.zeros(batch, 3, 224, 224))
        start, cpu, out = time.perf_counter(), time.process_time(), []
        for i in range(0, len(paths), batch):
            images = torch.stack([prepare(Image.open(p).convert("RGB")) for p in paths[i : i + batch]])
            out.extend(net.encode_image(images).unsqueeze(1).cpu().numpy())
    return {
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
        "images": len(out),
        "torch": torch.__version__,
    }


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--shared", default=os.path.join(ROOT, "..", "shared"))
    a.add_argument("--images", type=int, default=200)
    a.add_argument("--runs", type=int, default=3)
    a.add_argument("--threads", type=int, default=os.cpu_count())
    a.add_argument("--original", help=argparse.SUPPRESS)
    a.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    a = a.parse_args()
    if a.original:
        job = json.load(open(a.original))
        print(json.dumps(original(job["weights"], job["paths"], a.batch, a.threads)))
        return
    paths = sorted(glob.glob(os.path.join(a.shared, "data", "flickr8k", "train", "*.jpg")))[: a.images]
    if not paths:
        sys.exit(f"found no photographs in {a.shared}/data/flickr8k/train")
    with tempfile.TemporaryDirectory() as work:
        import torch
        from clip import model

        torch.manual_seed(0)
        weights = os.path.join(work, "vit-b-32.pt")
        torch.save(model.CLIP(512, 224, 12, 768, 32, 77, 49408, 512, 8, 12).state_dict(), weights)
        job, listed, one = os.path.join(work, "job.json"), os.path.join(work, "paths"), os.path.join(work, "one")
        open(one, "w").write(paths[0] + "\n")
        json.dump({"weights": weights, "paths": paths}, open(job, "w"))
        open(listed, "w").write("\n".join(paths) + "\n")
        env = dict(os.environ, OMP_NUM_THREADS=str(a.threads))
        for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
            env.pop(name, None)
        rates = {"one by one": [], "batches of 32": [], "captioner": []}
        processor = {name: [] for name in rates}

        def captioner(run, listed):
            command = [
                os.path.join(ROOT, "bin", "captioner"),
                "encode",
                "--json",
                "-q",
                "--encoder",
                weights,
                "--memory",
                "pooled-padded",
                "--threads",
                str(a.threads),
                "--cache",
                os.path.join(work, f"cache{run}"),
                "-",
            ]
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            out = subprocess.run(
                command, env=env, check=True, capture_output=True, text=True, stdin=open(listed)
            ).stdout
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            return json.loads(out), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, command

        for run in range(a.runs):
            for name, batch in (("one by one", 1), ("batches of 32", 32)):
                out = subprocess.run(
                    [
                        sys.executable,
                        os.path.abspath(__file__),
                        "--original",
                        job,
                        "--batch",
                        str(batch),
                        "--threads",
                        str(a.threads),
                    ],
                    env=env,
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout
                said = json.loads(out)
                rates[name].append(said["images"] / said["seconds"])
                processor[name].append(said["cpu"] / said["images"])
            _, least, _ = captioner(f"{run}-one", one)
            ours, most, command = captioner(run, listed)
            processor["captioner"].append((most - least) / (len(paths) - 1))
            assert ours["images"] == ours["computed"] == len(paths), ours
            rates["captioner"].append(ours["images"] / ours["encode_seconds"])
    print(f"{len(paths)} photographs of Flickr8k, ViT-B/32 in float32, {a.threads} threads, torch {said['torch']}")
    for name, r in rates.items():
        print(f"{name:14} {statistics.median(r):6.1f} images/s ({min(r):.1f} to {max(r):.1f})")
    for name in ("one by one", "batches of 32"):
        ratio = [o / p for o, p in zip(rates["captioner"], rates[name])]
        less = [p / o for o, p in zip(processor["captioner"], processor[name])]
        print(
            f"captioner / {name}: {statistics.median(ratio):.2f} ({min(ratio):.2f} to {max(ratio):.2f}) images/s; by seconds of the processor "
            f"{statistics.median(less):.2f} ({min(less):.2f} to {max(less):.2f})"
        )
    print("command:", shlex.join(command))


if __name__ == "__main__":
    main()
