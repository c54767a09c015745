"""What families.py compares with: transformers' and open_clip's own generate, batched, over the same random weights.

Needs torch, transformers, open_clip_torch and Pillow. One JSON object a line on standard output.
  peer_families.py start FAMILY FOLDER IMAGE                  one caption: the parent takes the time
  peer_families.py run FAMILY FOLDER --precision fp32|bf16 --threads N --seconds S IMAGE...
                                                              one image, encoding alone, the folder: of each what S
                                                              seconds allow
"""

import argparse
import json
import os
import resource
import statistics
import time

NEW, BEAMS, BATCH = 12, 3, 8  # tokens of every caption, beams, images at once


class HuggingFace:
    """A captioner of transformers: its processor makes pixels, its generate makes tokens."""

    def __init__(self, folder, precision):
        import torch
        from transformers import AutoImageProcessor

        self.torch, self.folder = torch, folder
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self.processor = AutoImageProcessor.from_pretrained(folder, use_fast=False)
        self.m = self.load().to(self.dtype).eval()

    def pixels(self, path):
        from PIL import Image

        return self.processor(Image.open(path).convert("RGB"), return_tensors="pt").pixel_values[0]

    def generate(self, x):
        return self.m.generate(
            pixel_values=x.to(self.dtype),
            **self.inputs(len(x)),
            num_beams=BEAMS,
            do_sample=False,
            no_repeat_ngram_size=0,
            min_new_tokens=NEW,
            max_new_tokens=NEW,
        )

    def inputs(self, n):
        return {}


class Blip(HuggingFace):
    def load(self):
        from transformers import BlipForConditionalGeneration

        return BlipForConditionalGeneration.from_pretrained(self.folder)

    def encode(self, x):
        return self.m.vision_model(x.to(self.dtype)).last_hidden_state


class Git(HuggingFace):
    def load(self):
        from transformers import GitForCausalLM

        return GitForCausalLM.from_pretrained(self.folder)

    def inputs(self, n):
        return {"input_ids": self.torch.full((n, 1), self.m.config.bos_token_id)}

    def encode(self, x):
        return self.m.git.image_encoder(x.to(self.dtype)).last_hidden_state


class Florence2(HuggingFace):
    def load(self):
        from transformers import AutoProcessor, Florence2ForConditionalGeneration

        words = AutoProcessor.from_pretrained(self.folder, use_fast=False)
        text = "<image>" * words.num_image_tokens + "<s>" + words._construct_prompts("<CAPTION>")[0] + "</s>"
        self.ids = words.tokenizer([text], add_special_tokens=False, return_tensors="pt").input_ids
        return Florence2ForConditionalGeneration.from_pretrained(self.folder)

    def inputs(self, n):
        return {"input_ids": self.ids.expand(n, -1)}

    def encode(self, x):
        return self.m.model.vision_tower(x.to(self.dtype))


class VisionEncoderDecoder(HuggingFace):
    def load(self):
        from transformers import VisionEncoderDecoderModel

        return VisionEncoderDecoderModel.from_pretrained(self.folder)

    def encode(self, x):
        return self.m.encoder(x.to(self.dtype)).last_hidden_state


class Coca:
    """open_clip's CoCa. transformers 4.57 still has the beam search that it wants, in another place than it looks."""

    def __init__(self, folder, precision):
        import open_clip
        import open_clip.coca_model
        import torch
        import transformers
        from safetensors.torch import load_file
        from transformers.generation import beam_search

        names = (
            "LogitsProcessorList",
            "TopPLogitsWarper",
            "TopKLogitsWarper",
            "RepetitionPenaltyLogitsProcessor",
            "MinLengthLogitsProcessor",
            "MaxLengthCriteria",
            "StoppingCriteriaList",
        )
        open_clip.coca_model.__dict__.update(
            {n: getattr(transformers, n) for n in names},
            BeamSearchScorer=beam_search.BeamSearchScorer,
            _has_transformers=True,
        )
        self.torch, self.dtype = torch, torch.bfloat16 if precision == "bf16" else torch.float32
        self.m = open_clip.create_model("coca_ViT-B-32")
        self.m.load_state_dict(
            {k: v.float() for k, v in load_file(os.path.join(folder, "open_clip_model.safetensors")).items()}
        )
        self.m = self.m.to(self.dtype).eval()
        self.transform = open_clip.image_transform(
            224, is_train=False, mean=open_clip.OPENAI_DATASET_MEAN, std=open_clip.OPENAI_DATASET_STD
        )

    def pixels(self, path):
        from PIL import Image

        return self.transform(Image.open(path))

    def generate(self, x):
        return self.m.generate(
            x.to(self.dtype), seq_len=NEW + 1, min_seq_len=NEW, num_beams=BEAMS, num_beam_groups=BEAMS
        )

    def encode(self, x):  # as far as the pooler, which captioner counts to writing
        return self.m.visual.transformer(self.m.visual._embeds(x.to(self.dtype)))


FAMILIES = {"blip": Blip, "git": Git, "florence2": Florence2, "coca": Coca, "vit-gpt2": VisionEncoderDecoder}


def median(f, runs, seconds):
    """Seconds of a run of f: the median of some runs behind a first one, or of as many as the time allows, the first
    among them where it takes half of it."""
    times = []
    while len(times) <= runs and (not times or sum(times) + times[-1] <= seconds):
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:] or times)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("mode", choices=["start", "run"])
    p.add_argument("family", choices=FAMILIES)
    p.add_argument("folder")
    p.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    p.add_argument("--threads", type=int, default=0)
    p.add_argument("--seconds", type=float, default=1e9, help="of each measurement")
    p.add_argument("images", nargs="+")
    a = p.parse_args()
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    if a.threads:
        torch.set_num_threads(a.threads)
    say = lambda **kw: print(json.dumps(kw), flush=True)
    with torch.no_grad():
        c = FAMILIES[a.family](a.folder, a.precision)
        one = c.pixels(a.images[0])[None]
        if a.mode == "start":
            return say(caption=c.generate(one)[0].tolist())
        versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
        if a.family == "coca":
            import open_clip

            versions += f", open_clip {open_clip.__version__}"
        say(versions=versions)
        say(what="flops", value=flops(lambda: c.encode(one)))
        single = median(lambda: c.generate(c.pixels(a.images[0])[None]), 3, a.seconds)
        say(what="one image, ms", value=1e3 * single)
        some = one.expand(BATCH, -1, -1, -1).contiguous()
        say(what="encoding alone, images/s", value=BATCH / median(lambda: c.encode(some), 2, a.seconds))
        images = a.images[: max(1, int(a.seconds / single))] if single * BATCH > a.seconds else a.images

        class Files(torch.utils.data.Dataset):
            def __len__(self):
                return len(images)

            def __getitem__(self, i):
                return c.pixels(images[i])

        start, done = time.perf_counter(), 0
        for x in torch.utils.data.DataLoader(Files(), batch_size=BATCH, num_workers=2):
            c.generate(x)
            done += len(x)
            if time.perf_counter() - start > a.seconds:
                break
        say(what="folder, images/s", value=done / (time.perf_counter() - start))
        say(what="photographs", value=done)
        say(what="peak memory, MB", value=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def flops(f):
    """Multiplications and additions of products and convolutions, as PyTorch counts them. It does not see the
    products within its fused layers and attention: these are made one by one here."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        f()
    torch.backends.mha.set_fastpath_enabled(fused)
    return counter.get_total_flops()


main()
