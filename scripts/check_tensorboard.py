"""Does the tensorboard package read what train writes?

    python scripts/check_tensorboard.py RUN

Opens the run folder with tensorboard's own readers, as the page does. Every number is compared with metrics.jsonl, the
captions with samples.jsonl; the images open and have their size; the two losses share a chart; the hparams are those of
options.json. Run with tensorboard 2.20.0 and Pillow.
"""

import io
import json
import math
import os
import sys
from collections import defaultdict

from PIL import Image
from tensorboard import version
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.backend.event_processing.tag_types import IMAGES, SCALARS, TENSORS
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import plugin_data_pb2

EVERYTHING = {SCALARS: 0, TENSORS: 0, IMAGES: 0}


def wanted(run):
    """The numbers of metrics.jsonl by their tags, at steps that count through all phases."""
    want, lines = defaultdict(list), [json.loads(line) for line in open(f"{run}/metrics.jsonl")]
    planned, order = {}, []
    for e in lines:
        if e["phase"] != "final" and e["phase"] not in planned:
            planned[e["phase"]] = e["steps"]
            order.append(e["phase"])
    base = {p: sum(planned[q] for q in order[: order.index(p)]) for p in order}
    base["final"] = sum(planned.values())
    for e in lines:
        step = base[e["phase"]] + e["step"]
        if e.get("scores"):
            side = "final" if e["phase"] == "final" else "val"
            values = {f"{side}/{k.removeprefix('val_')}": v for k, v in e["scores"].items()}
        else:
            name = "reward" if e["phase"] == "scst" else "loss"
            values = {
                f"train/{name}": e.get("loss", 0),
                "train/lr": e.get("lr", 0),
                "train/grad_norm": e.get("grad_norm", 0),
            }
        for tag, v in values.items():
            want[tag].append((step, v))
    return want


def same(tag, got, want):
    assert len(got) == len(want), f"{tag}: found {len(got)} values, want {len(want)}"
    for (s, v), (ws, wv) in zip(got, want):
        assert s == ws and math.isclose(v, wv, rel_tol=1e-6, abs_tol=1e-9), (
            f"{tag}: found {v} at {s}, want {wv} at {ws}"
        )


def plugin(reader, tag):
    return reader.SummaryMetadata(tag).plugin_data


def main():
    (run,) = sys.argv[1:]
    reader = EventAccumulator(run, size_guidance=EVERYTHING)
    reader.Reload()
    want = wanted(run)
    tags = reader.Tags()
    assert sorted(tags[SCALARS]) == sorted(want), f"found the tags {sorted(tags[SCALARS])}, want {sorted(want)}"
    for tag in tags[SCALARS]:
        same(tag, [(e.step, e.value) for e in reader.Scalars(tag)], want[tag])

    # One chart has both losses: the same tag in two folders, and a layout of charts for the two tags.
    every = EventMultiplexer(size_guidance=EVERYTHING).AddRunsFromDirectory(run)
    every.Reload()
    for side in ("train", "val"):
        if want[f"{side}/loss"]:
            same(side, [(e.step, e.value) for e in every.Scalars(side, "loss")], want[f"{side}/loss"])
    layout = layout_pb2.Layout.FromString(reader.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0])
    charts = {c.title: list(c.multiline.tag) for c in layout.category[0].chart}
    assert charts["loss"] == ["^train/loss$", "^val/loss$"], charts

    samples = [json.loads(line) for line in open(f"{run}/samples.jsonl")]
    text = "\n".join(e.tensor_proto.string_val[0].decode() for e in reader.Tensors("val/captions/text_summary"))
    assert plugin(reader, "val/captions/text_summary").plugin_name == "text"
    for s in samples:
        row = f"| {os.path.basename(s['path'])} | {s['caption']} |"
        assert row in text, f"the text has no row {row!r}"
    pictures = 0
    for tag in tags[IMAGES]:
        for e in reader.Images(tag):
            picture = Image.open(io.BytesIO(e.encoded_image_string))
            picture.load()
            assert picture.size == (e.width, e.height) and picture.mode in ("RGB", "RGBA"), (
                tag,
                picture.size,
                picture.mode,
            )
            pictures += 1
    assert pictures == len(samples), f"found {pictures} images, want {len(samples)}"

    data = plugin_data_pb2.HParamsPluginData.FromString(plugin(reader, "_hparams_/session_start_info").content)
    options = {
        k: v
        for k, v in json.load(open(f"{run}/options.json")).items()
        if isinstance(v, (str, bool, int, float)) and v != ""
    }
    got = {k: getattr(v, v.WhichOneof("kind")) for k, v in data.session_start_info.hparams.items()}
    assert got == options, set(got.items()) ^ set(options.items())
    info = plugin_data_pb2.HParamsPluginData.FromString(plugin(reader, "_hparams_/experiment").content).experiment
    assert {i.name for i in info.hparam_infos} == set(options)
    assert all(m.name.tag in want for m in info.metric_infos), [m.name.tag for m in info.metric_infos]
    end = plugin_data_pb2.HParamsPluginData.FromString(plugin(reader, "_hparams_/session_end_info").content)
    assert end.session_end_info.status == 1
    print(
        f"tensorboard {version.VERSION}: {len(want)} tags, {sum(map(len, want.values()))} values as in metrics.jsonl, one chart of both losses, "
        f"{len(samples)} captions as text and below {pictures} images, {len(got)} hparams"
    )


if __name__ == "__main__":
    main()
