"""Time of the caption metrics against PyPI pycocoevalcap 1.2, both in one run on the same captions.

    python scripts/bench/metrics.py [--shared ../shared] [--meteor] [--runs 3]

5,000 images of COCO val2017, the first caption of each against the others. Python's side is what pycocoevalcap does
from captions in memory to scores: PTBTokenizer for references and hypotheses, Bleu(4), Rouge, Cider, and with --meteor
also Meteor with the start of its jar. Ours is the Go benchmark of the same work (data/metrics/bench_test.go), METEOR
with the reading of its data. Prints both wall times, the best of the runs, and their ratio. Needs go, java and
pycocoevalcap.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:] = [p for p in sys.path if os.path.abspath(p or ".") != HERE]  # scripts here bear the names of packages

import argparse
import contextlib
import io
import json
import re
import subprocess
import tempfile
import time

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer import ptbtokenizer


def python_scores(images):
    tokenizer = ptbtokenizer.PTBTokenizer()
    refs = tokenizer.tokenize({i: [{"caption": c} for c in cs[1:]] for i, cs in enumerate(images)})
    hyps = tokenizer.tokenize({i: [{"caption": cs[0]}] for i, cs in enumerate(images)})
    Bleu(4).compute_score(refs, hyps, verbose=0)
    Rouge().compute_score(refs, hyps)
    Cider().compute_score(refs, hyps)
    return refs, hyps


def timed(f, *args):
    start = time.perf_counter()
    out = f(*args)
    return time.perf_counter() - start, out


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--shared", default=os.path.join(ROOT, "..", "shared"))
    p.add_argument("--meteor", action="store_true")
    p.add_argument("--runs", type=int, default=3)
    a = p.parse_args()
    by = {}
    with open(os.path.join(a.shared, "data", "coco_captions_val2017.json")) as f:
        for x in json.load(f)["annotations"]:
            by.setdefault(x["image_id"], []).append(x["caption"])
    images = list(by.values())

    data = os.path.join(os.path.dirname(os.path.dirname(ptbtokenizer.__file__)), "meteor")
    env = dict(os.environ, CGO_ENABLED="0", CAPTIONER_SHARED=os.path.abspath(a.shared), CAPTIONER_METEOR=data)
    best = {}

    def keep(who, what, seconds):
        best[who, what] = min(seconds, best.get((who, what), seconds))

    with tempfile.TemporaryDirectory() as d:
        binary = os.path.join(d, "metrics.test")
        subprocess.run(["go", "test", "-c", "-o", binary, "./data/metrics"], cwd=ROOT, env=env, check=True)
        for _ in range(a.runs):  # turn about, so that both meet the same load
            with contextlib.redirect_stderr(io.StringIO()):
                seconds, (refs, hyps) = timed(python_scores, images)
            keep("python", "Score", seconds)
            if a.meteor:
                keep("python", "METEOR", timed(lambda: Meteor().compute_score(refs, hyps))[0])
            which = "Score|METEOR|Reward" if a.meteor else "Score|Reward"
            out = subprocess.run(
                [binary, "-test.run", "^$", "-test.bench", "^Benchmark(%s)$" % which, "-test.benchtime", "1s"],
                cwd=os.path.join(ROOT, "data", "metrics"),
                env=env,
                check=True,
                stdout=subprocess.PIPE,
            ).stdout.decode()
            for name, ns in re.findall(r"^Benchmark(\w+?)(?:-\d+)?\s+\d+\s+([\d.]+) ns/op", out, re.M):
                keep("go", name, float(ns) / 1e9)
    print("load average: %.1f %.1f %.1f, processors: %d" % (*os.getloadavg(), os.cpu_count()))
    for what, label in (("Score", "tokeniser + BLEU + ROUGE-L + CIDEr"), ("METEOR", "METEOR")):
        if ("python", what) in best:
            x, y = best["python", what], best["go", what]
            print("%-36s python %8.3f s   go %8.3f s   %.1f times" % (label, x, y, x / y))
    print("%-36s %.0f captions/s" % ("CIDEr-D as a reward, all processors", 1 / best["go", "Reward"]))


main()
