#!/usr/bin/env python3
"""Measures what the confidence of captions says: how many captions of a confidence name something that is not in the photograph.

    bin/captioner predict --json --min-confidence 0 IMAGES... > captions.jsonl
    python3 scripts/demo-confidence.py --text LINES.txt.gz [--text …] CAPTIONS.jsonl=REFERENCES.json [CAPTIONS.jsonl=REFERENCES.json …]

A caption is wrong where it has a wrong noun: one that stands in none of the photograph's references, in its singular form, and neither does a word of
the same line of SAME below. A word is a noun where the lines of --text put it behind an article, a number or a possessive, and before the end, a
preposition, a verb form of "be" or "and", in a tenth of its uses or more. Photographs without four references or more are left out, and every set of
photographs counts alike, however many it has.

Prints a table by confidence, and the confidence at which half of the captions are wrong: where the share that is right, as a rising function of
confidence that fits the captions best (isotonic regression), passes a half. Standard library only.
"""

import argparse
import collections
import gzip
import json
import os
import re

SAME = [
    line.split()
    for line in """
person man guy boy woman lady girl child kid toddler baby player rider skater skateboarder surfer skier snowboarder biker bicyclist cyclist people group crowd
men women boys girls kids children couple family players someone
man guy person gentleman male player he people men
woman lady girl female person she people women
boy child kid toddler baby person children kids
girl child kid toddler baby woman person children kids
dog puppy animal
cat kitten animal
street road sidewalk
bike bicycle cycle
motorcycle motorbike bike
plane airplane jet aircraft
ocean sea water wave beach
water lake pool river pond ocean
field grass yard lawn park
ball soccer football baseball tennis basketball
couch sofa chair
picture photo photograph
car vehicle automobile truck
mountain hill cliff slope snow
building house
shirt jacket sweater coat top
""".strip().split("\n")
]
BEFORE = set("a an the two three four several some his her their its this many".split())
AFTER = set(
    "in on at of with and is are is to by near next while that under over from through behind into for sitting standing".split()
)
VAGUE = set(
    "front top side middle background air close view other it one his her back couple bunch group pair lot picture photo image scene day".split()
)


def words(text):
    return re.findall(r"[a-z]+", text.lower())


def singular(word):
    if word in ("men", "women"):
        return word[:-2] + "an"
    if word == "children":
        return "child"
    for end, to in (("sses", "ss"), ("shes", "sh"), ("ches", "ch"), ("xes", "x"), ("ies", "y"), ("s", "")):
        if word.endswith(end) and not word.endswith("ss") and len(word) > 3:
            return word[: -len(end)] + to
    return word


def nouns(files):
    """The words that the lines of text files use as nouns."""
    uses, seen = collections.Counter(), collections.Counter()
    for name in files:
        with (gzip.open if name.endswith(".gz") else open)(name, "rt") as f:
            for line in f:
                w = words(line)
                for i, word in enumerate(w):
                    seen[word] += 1
                    if i > 0 and w[i - 1] in BEFORE and (i + 1 == len(w) or w[i + 1] in AFTER):
                        uses[word] += 1
    return {w for w, n in uses.items() if n >= 0.1 * seen[w] and seen[w] >= 5 and w not in BEFORE | AFTER | VAGUE}


def wrong(caption, references, known):
    """The nouns of a caption that its references do not have."""
    have = {singular(w) for r in references for w in words(r)}
    for line in SAME:
        line = [singular(w) for w in line]
        if have & {line[0]}:
            have = have | set(line)
        elif have & set(line):
            have = have | {line[0]}
    return [w for w in words(caption) if w in known and singular(w) not in have]


def passes_half(rows):
    """The confidence at which the isotonic fit of what is right passes a half. Rows are confidence, wrong, weight, in order of confidence."""
    blocks = []  # [right, weight, confidence of the first]: the pool-adjacent-violators algorithm
    for confidence, is_wrong, weight in rows:
        blocks.append([weight * (not is_wrong), weight, confidence])
        while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]:
            right, weight, _ = blocks.pop()
            blocks[-1][0] += right
            blocks[-1][1] += weight
    return next((first for right, weight, first in blocks if right >= 0.5 * weight), 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", action="append", required=True)
    parser.add_argument("sets", nargs="+")
    args = parser.parse_args()
    known = nouns(args.text)
    rows = []  # confidence, wrong, weight
    for pair in args.sets:
        captions, references = pair.split("=")
        with open(references) as f:
            file = json.load(f)
        said = collections.defaultdict(list)
        for a in file["annotations"]:
            said[a["image_id"]].append(a["caption"])
        by_name = {os.path.basename(i["file_name"]): said[i["id"]] for i in file["images"]}
        own = []
        with open(captions) as f:
            for line in f:
                r = json.loads(line)
                refs = by_name.get(os.path.basename(r["path"]), [])
                if len(refs) >= 4:
                    own.append((r["confidence"], len(wrong(r["caption"], refs, known)) > 0))
        print(f"{captions}: {sum(w for _, w in own)} of {len(own)} captions have a wrong noun")
        rows += [(c, w, 1 / len(own)) for c, w in own]
    rows.sort()
    print("confidence   captions  without a wrong noun")
    edges = [0, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 1]
    for low, high in zip(edges, edges[1:]):
        part = [r for r in rows if low <= r[0] < high]
        if part:
            right = sum(r[2] for r in part if not r[1]) / sum(r[2] for r in part)
            print(f"{low:.2f} to {high:.2f} {len(part):9d}  {right:.2f}")
    least = passes_half(rows)
    print(f"half of the captions have a wrong noun at {least:.3f}")
    for name, part in (("below", [r for r in rows if r[0] < least]), ("above", [r for r in rows if r[0] >= least])):
        print(
            f"{name}: {len(part)} captions, {sum(r[2] for r in part if not r[1]) / sum(r[2] for r in part):.0%} without a wrong noun"
        )


if __name__ == "__main__":
    main()
