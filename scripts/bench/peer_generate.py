"""What fullsize.py compares with: OpenAI's CLIP ViT-B/32 and GPT2LMHeadModel.generate with its key/value cache,
batched, in Python.

Needs torch, transformers, safetensors, Pillow and the package clip. One JSON object a line on standard output.
  peer_generate.py start --weights DIR IMAGE               one caption, greedy: the parent takes the time
  peer_generate.py run --weights DIR --precision fp32|bf16 --threads N IMAGE...   one image, encoding alone, the folder
  peer_generate.py run --processor ...                                          the folder alone, in processor time
"""

import argparse
import json
import os
import resource
import statistics
import time

NEW = 12  # tokens of every caption


def load(weights, precision):
    import torch
    from clip.model import CLIP
    from safetensors.torch import load_file
    from torch import nn
    from transformers import GPT2Config, GPT2LMHeadModel
    from transformers.modeling_utils import no_init_weights

    eye = CLIP(512, 224, 12, 768, 32, 77, 49408, 512, 8, 12).float().eval()
    missing, unexpected = eye.load_state_dict(load_file(os.path.join(weights, "clip.safetensors")), strict=False)
    assert not unexpected and not any(m.startswith("visual.") for m in missing)
    with no_init_weights():
        voice = GPT2LMHeadModel(
            GPT2Config(n_layer=6, n_embd=768, n_head=12, vocab_size=50257, add_cross_attention=True)
        ).eval()
    missing, unexpected = voice.load_state_dict(load_file(os.path.join(weights, "decoder.safetensors")), strict=False)
    assert not unexpected and all(
        m == "lm_head.weight" or m.endswith((".attn.bias", "masked_bias")) for m in missing
    ), missing
    voice.tie_weights()
    if precision == "bf16":  # LayerNorm of CLIP stays in float32, as in its own half precision
        for m in eye.modules():
            if isinstance(m, (nn.Conv2d, nn.Linear, nn.MultiheadAttention)):
                for p in m.parameters(recurse=isinstance(m, nn.MultiheadAttention)):
                    p.data = p.data.bfloat16()
        eye.visual.proj.data = eye.visual.proj.data.bfloat16()
        voice = voice.bfloat16()
    return torch, eye, voice


class Captioner:
    def __init__(self, weights, precision):
        from clip.clip import _transform

        self.torch, self.eye, self.voice = load(weights, precision)
        self.transform = _transform(224)
        self.dtype = self.torch.bfloat16 if precision == "bf16" else self.torch.float32

    def pixels(self, path):
        from PIL import Image

        return self.transform(Image.open(path))

    def generate(self, x, beams):
        e = self.eye.encode_image(x)
        memory = self.torch.zeros(e.shape[0], 1, 768, dtype=self.dtype)
        memory[:, 0, :512] = e.to(self.dtype)
        ids = self.torch.full((len(x), 1), 50256, dtype=self.torch.long)
        out = self.voice.generate(
            input_ids=ids,
            attention_mask=self.torch.ones_like(ids),
            encoder_hidden_states=memory,
            use_cache=True,
            num_beams=beams,
            do_sample=False,
            min_new_tokens=NEW,
            max_new_tokens=NEW,
            pad_token_id=50256,
        )
        assert out.shape == (len(x), 1 + NEW)
        return out


def median(f, runs, warm=1):
    for _ in range(warm):
        f()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("mode", choices=["start", "run"])
    p.add_argument("--weights", required=True)
    p.add_argument("--precision", default="fp32")
    p.add_argument("--threads", type=int, default=0)
    p.add_argument("--processor", action="store_true")
    p.add_argument("images", nargs="+")
    a = p.parse_args()
    import torch

    if a.threads:
        torch.set_num_threads(a.threads)
    with torch.inference_mode():
        c = Captioner(a.weights, a.precision)
        if a.mode == "start":
            print(json.dumps({"caption": c.generate(c.pixels(a.images[0])[None], 1)[0].tolist()}), flush=True)
            return
        import transformers

        say = lambda **kw: print(json.dumps(kw), flush=True)
        say(versions=f"torch {torch.__version__}, transformers {transformers.__version__}")
        if a.processor:
            c.generate(torch.stack([c.pixels(i) for i in a.images[:2]]), 4)
            start = time.process_time()
            c.generate(torch.stack([c.pixels(i) for i in a.images]), 4)
            say(what="processor", value=1e3 * (time.process_time() - start) / len(a.images))
            return
        for beams in (1, 4):
            say(
                what=f"one image, beam {beams}",
                value=1e3 * median(lambda: c.generate(c.pixels(a.images[0])[None], beams), 5, 2),
            )
        for batch in (1, 16, 64):
            x = c.pixels(a.images[0])[None].expand(batch, -1, -1, -1).contiguous()
            say(what=f"encode, batch {batch}", value=batch / median(lambda: c.eye.encode_image(x), 3))

        class Files(torch.utils.data.Dataset):
            def __len__(self):
                return len(a.images)

            def __getitem__(self, i):
                return c.pixels(a.images[i])

        c.generate(torch.randn(32, 3, 224, 224), 4)
        start = time.perf_counter()
        for x in torch.utils.data.DataLoader(Files(), batch_size=32, num_workers=2):
            c.generate(x, 4)
        say(what="folder, beam 4", value=len(a.images) / (time.perf_counter() - start))
        say(what="peak memory", value=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


main()
