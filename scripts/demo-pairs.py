#!/usr/bin/env python3
"""Gives photographs without captions lines of other people's captions that name what an ImageNet classifier sees in
them.

    go run ./scripts/democlasses -weights efficientnet-lite2.pth ../shared/data/coco-uncaptioned > classes.jsonl
    captioner predict --model MODEL --json --min-confidence 0 ../shared/data/coco-uncaptioned > own.jsonl
    python3 scripts/demo-pairs.py --classes classes.jsonl --own own.jsonl [--shared ../shared] [--data runs/demo-data]

A photograph counts where the classes of one of NOUNS have a probability of 0.35 or more together. Its captions are the
five lines of SHARED/data/text/coco_captions.txt.gz with that noun that are most like the caption of MODEL, and like
each other, by CIDEr-D: MODEL knows the place and the postures, the classifier knows the thing. Photographs of coco-mini
stay out, for people look at these. It writes class-new.json into DATA, beside the files of scripts/demo-data.py: 2,000
photographs of Flickr8k, those of coco-extra as in train-new.json, and the new ones.

They are for cross-entropy. With CIDEr-D as the reward, the lines teach to say the same short sentence of every thing.
The same input gives the same files. Standard library only.
"""

import argparse
import collections
import glob
import gzip
import json
import math
import os
import random
import re

LEAST, LINES, LIKE, MOST = 0.35, 5, 40, 1500


def span(first, last):
    return list(range(first, last + 1))


# Nouns of COCO, as a pattern, and the numbers of ImageNet's classes that they name.
NOUNS = {
    # animals
    "dog|dogs|puppy": span(151, 268),
    "cat|cats|kitten": span(281, 285),
    "bear|bears": span(294, 297),
    "zebra|zebras": [340],
    "elephant|elephants": [385, 386],
    "horse|horses": [339],
    "sheep": [348, 349],
    "cow|cows|cattle|bull": [345, 346],
    "duck|ducks": [97],
    "bird|birds": span(7, 24) + span(80, 96) + span(98, 100) + span(127, 146),
    # food
    "pizza|pizzas": [963],
    "broccoli": [937, 938],
    "banana|bananas": [954],
    "orange|oranges": [950],
    "apple|apples": [948],
    "hot dog|hot dogs": [934],
    "sandwich|burger|hamburger": [933],
    "plate|food": [923, 962],
    "bowl|soup": [925, 809],
    "donut|donuts|bagel": [931],
    "coffee|cup": [967, 968, 504],
    "pasta|noodles": [959],
    "ice cream": [928],
    "wine": [966, 907],
    "strawberries|strawberry|fruit": [949, 951, 952, 953, 955, 956, 957],
    "carrots|vegetables|vegetable": [936, 939, 940, 942, 943, 944, 945, 947],
    # what moves, and the street
    "train|trains": [466, 547, 705, 820, 829],
    "bus|buses": [654, 779, 874],
    "fire truck|fire trucks": [555],
    "truck|trucks": [569, 675, 717, 864, 867],
    "plane|airplane|jet|airplanes|planes|airliner": [404, 895, 908],
    "car|cars": [436, 468, 511, 609, 627, 656, 751, 817],
    "motorcycle|motorcycles|motor bike|scooter": [665, 670],
    "bicycle|bike|bikes|bicycles": [444, 671],
    "boat|boats": [472, 484, 510, 554, 576, 625, 780, 814, 871, 914],
    "street sign|street signs|sign": [919],
    "traffic light|traffic lights|traffic signal": [920],
    "parking meter|parking meters|meter": [704],
    "bench|benches": [703],
    "umbrella|umbrellas": [879],
    # rooms
    "toilet|toilets": [861],
    "sink": [896],
    "bath tub|bathtub|tub|bathroom": [435, 876],
    "refrigerator|fridge": [760],
    "microwave|oven|stove": [651, 766, 827],
    "kitchen": [534],
    "laptop|laptops|computer": [620, 681],
    "desk": [526],
    "keyboard": [508, 673],
    "television|tv|monitor": [664, 782, 851],
    "cell phone|phone|cellphone": [487],
    "remote|remotes|controller": [761],
    "couch|sofa": [831],
    "bed|bedroom": [564, 750],
    "table": [532],
    "clock|clocks": [409, 892],
    "vase|vases": [883],
    "books|book shelf": [453],
    "restaurant": [762],
    "teddy bear|teddy bears|stuffed": [850],
    "tie|suit": [457, 834, 906],
    # games and places
    "skis|ski|skier|skiing|skiers": [795, 970],
    "baseball": [429, 981],
    "tennis": [752, 852],
    "soccer": [805],
    "beach|ocean": [978],
}


def words(text):
    return re.findall(r"[a-z0-9']+", text.lower())


def grams(caption):
    """The n-grams of one to four words, counted."""
    w = words(caption)
    return [collections.Counter(tuple(w[i : i + n]) for i in range(len(w) - n + 1)) for n in (1, 2, 3, 4)]


class Likeness:
    """CIDEr-D of one caption against another, with the document frequencies of images' captions."""

    def __init__(self, images):
        self.frequency = collections.Counter()  # of n-grams: in how many images' captions
        for captions in images:
            self.frequency.update({g for c in captions for n in grams(c) for g in n})
        self.images = math.log(len(images))

    def vector(self, caption):
        parts = []
        for counted in grams(caption):
            v = {g: k * (self.images - math.log(max(1, self.frequency[g]))) for g, k in counted.items()}
            parts.append((v, math.sqrt(sum(x * x for x in v.values()))))
        return parts, len(words(caption))

    @staticmethod
    def of(a, b):
        (left, m), (right, n) = a, b
        total = sum(
            sum(min(x, u.get(g, 0)) * u.get(g, 0) for g, x in v.items()) / (one * two)
            for (v, one), (u, two) in zip(left, right)
            if one and two
        )
        return 2.5 * total * math.exp(-((m - n) ** 2) / 72)


def noun(classes):
    """The noun that the classes name together, and its probability."""
    of = {c: n for n, cs in NOUNS.items() for c in cs}
    total = collections.Counter()
    for c, p in classes:
        if int(c) in of:
            total[of[int(c)]] += p
    return total.most_common(1)[0] if total else (None, 0)


def by_path(path):
    with open(path) as f:
        return {r["path"]: r for r in map(json.loads, f)}


def number(path):
    """The number of a COCO photograph, without what stands before it in the name."""
    return os.path.basename(path).rsplit("_", 1)[-1].lstrip("0")


def pairs(a, train):
    """(image, captions) for each photograph whose thing is known."""
    named = {i["id"]: i["file_name"] for i in train["images"]}  # an image that stands thrice has three ids and one file
    captions = collections.defaultdict(list)
    for x in train["annotations"]:
        captions[named[x["image_id"]]].append(x["caption"])
    likeness = Likeness(captions.values())
    with gzip.open(os.path.join(a.shared, "data", "text", "coco_captions.txt.gz"), "rt") as f:
        lines = [x for x in dict.fromkeys(map(str.strip, f)) if 7 <= len(x.split()) <= 15]
    draw, known = random.Random(1), {}
    for n in NOUNS:
        found = [x for x in lines if re.search(rf"\b(?:{n})\b", x.lower())]
        known[n] = [(x, likeness.vector(x)) for x in (found if len(found) < MOST else draw.sample(found, MOST))]
    apart = {number(p) for p in glob.glob(os.path.join(a.shared, "data", "coco-mini", "**", "*.jpg"), recursive=True)}
    own = by_path(a.own)
    for path, r in by_path(a.classes).items():
        n, p = noun(r["classes"])
        if p < LEAST or path not in own or number(path) in apart or len(known[n]) < 20:
            continue
        v = likeness.vector(own[path]["caption"])
        near = sorted(known[n], key=lambda t: -likeness.of(v, t[1]))[:LIKE]
        near.sort(key=lambda t: -(likeness.of(v, t[1]) + 0.5 * sum(likeness.of(t[1], u[1]) for u in near) / LIKE))
        name = os.path.relpath(path, os.path.join(a.shared, "data"))
        yield {"id": "u-" + os.path.splitext(number(path))[0], "file_name": name}, [x for x, _ in near[:LINES]]


def write(path, images, annotations):
    with open(path + ".tmp", "w") as f:
        json.dump({"images": images, "annotations": [dict(x, id=k) for k, x in enumerate(annotations)]}, f)
    os.replace(path + ".tmp", path)
    print(f"{path}: {len(images)} images with {len(annotations)} captions")


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--classes", required=True, help="lines of scripts/democlasses")
    p.add_argument("--own", required=True, help="lines of captioner predict --json")
    p.add_argument("--shared", default="../shared")
    p.add_argument("--data", default="runs/demo-data", help="folder of what scripts/demo-data.py wrote")
    a = p.parse_args()
    files = {}
    for name in ("train", "train-new"):
        with open(os.path.join(a.data, name + ".json")) as f:
            files[name] = json.load(f)
    new = list(pairs(a, files["train"]))
    images = [i for i, _ in new]
    said = [{"image_id": i["id"], "caption": c} for i, cs in new for c in cs]
    few = files["train-new"]["images"]
    flickr = [i for i in few if i["file_name"].startswith("flickr8k")]
    few = flickr[:2000] + [i for i in few if not i["file_name"].startswith("flickr8k")]
    ids = {i["id"] for i in few}
    write(
        os.path.join(a.data, "class-new.json"),
        few + images,
        [x for x in files["train-new"]["annotations"] if x["image_id"] in ids] + said,
    )


if __name__ == "__main__":
    main()
