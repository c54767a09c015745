#!/usr/bin/env python3
"""Writes what the built-in model learns from and is measured on, as files in COCO's form, from the data sets of a
folder.

    python3 scripts/demo-data.py [--shared ../shared] [--out runs/demo-data] [--repeat 3]

The image paths in the files are relative to SHARED/data, which is what `captioner train --images` is then given.

    coco-dev.json     150 photographs of coco-extra with four captions or more. All that Karpathy's split keeps for dev
                      or test are in it; the
                      others are those whose file names have the smallest SHA-256.
    flickr-dev.json   the 1,000 photographs of Flickr8k's dev split
    watch.json        coco-dev.json, and the 350 photographs of flickr-dev.json whose file names have the smallest
                      SHA-256: what a run chooses its
                      best checkpoint by
    train.json        Flickr8k's training split, and the rest of coco-extra, each photograph REPEAT times: under a
                      second id, it is cropped in
                      other ways
    train-new.json    train.json with 3,000 photographs of Flickr8k alone, those whose file names have the smallest
                      SHA-256: for a model that knows
                      Flickr8k already

Nothing of Karpathy's dev and test splits is in the files to learn from, and the same images and captions give the same
files.
"""

import argparse
import collections
import hashlib
import json
import os

DEV, WATCH, KNOWN = 150, 350, 3000


def lot(image):
    """An order of images that depends on their names alone."""
    return hashlib.sha256(os.path.basename(image["file_name"]).encode()).hexdigest()


class Set:
    """Images with their captions."""

    def __init__(self, images):
        self.images = images  # [{"file_name", "captions", "key"}]

    def __add__(self, other):
        return Set(self.images + other.images)

    def times(self, n):
        """Each image n times, under n keys."""
        return Set([dict(i, key=f"{i['key']}-{k}" if k else i["key"]) for k in range(n) for i in self.images])

    def first(self, n):
        return Set(sorted(self.images, key=lot)[:n])

    def write(self, path):
        out = {"images": [], "annotations": []}
        for i in self.images:
            out["images"].append({"id": i["key"], "file_name": i["file_name"]})
            for caption in i["captions"]:
                out["annotations"].append({"id": len(out["annotations"]), "image_id": i["key"], "caption": caption})
        with open(path + ".tmp", "w") as f:
            json.dump(out, f)
        os.replace(path + ".tmp", path)
        print(f"{path}: {len(out['images'])} images with {len(out['annotations'])} captions")


def read(data, folder, captions, images):
    """The images in SHARED/data/FOLDER/IMAGES that have captions in SHARED/data/FOLDER/CAPTIONS."""
    with open(os.path.join(data, folder, captions)) as f:
        file = json.load(f)
    said = collections.defaultdict(list)
    for a in file["annotations"]:
        said[a["image_id"]].append(a["caption"])
    return Set(
        [
            dict(i, file_name=f"{folder}/{images}/{i['file_name']}", key=f"{folder}-{i['id']}", captions=said[i["id"]])
            for i in file["images"]
            if said[i["id"]]
        ]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", default="../shared")
    parser.add_argument("--out", default="runs/demo-data")
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    data = os.path.join(args.shared, "data")
    os.makedirs(args.out, exist_ok=True)

    coco = read(data, "coco-extra", "captions.json", "images").images
    kept = [i for i in coco if i["karpathy_dev_or_test"]]
    several = sorted(
        (i for i in coco if len(i["captions"]) >= 4), key=lambda i: (not i["karpathy_dev_or_test"], lot(i))
    )
    dev = Set(several[:DEV])
    held = {i["key"] for i in dev.images + kept}
    coco = Set([i for i in coco if i["key"] not in held])
    flickr, flickr_dev = (read(data, "flickr8k", f"captions_{s}.json", s) for s in ("train", "dev"))

    for name, images in {
        "coco-dev": dev,
        "flickr-dev": flickr_dev,
        "watch": dev + flickr_dev.first(WATCH),
        "train": flickr + coco.times(args.repeat),
        "train-new": flickr.first(KNOWN) + coco.times(args.repeat),
    }.items():
        images.write(os.path.join(args.out, name + ".json"))


if __name__ == "__main__":
    main()
