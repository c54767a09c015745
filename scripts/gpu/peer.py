"""PyTorch's side of scripts/gpu/check: the original's model in transformers, on a GPU.

    peer.py caption --precision fp32|fp16|bf16 IMAGE...   a folder with beam 4, and the encoder alone
    peer.py learn --precision fp32|fp16|bf16 --steps N    steps of 4 batches of 32 captions

Needs torch, transformers, safetensors and Pillow. Prints one JSON object. --device cpu is for trying it out.
"""

import argparse
import contextlib
import json
import os
import sys
import time

NEW, BATCH, ACCUMULATE = 12, 32, 4
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "scripts", "bench"))


def voice(torch):
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(GPT2Config(n_layer=6, n_embd=768, n_head=12, vocab_size=50257, add_cross_attention=True))


def sync(torch, device):
    if device != "cpu":
        torch.cuda.synchronize()


def caption(torch, o):
    """The encoder is transformers' CLIP with random weights: its cost is that of the trained one."""
    import numpy
    from PIL import Image
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[o.precision]
    eye = (
        CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                hidden_size=768,
                intermediate_size=3072,
                num_hidden_layers=12,
                num_attention_heads=12,
                image_size=224,
                patch_size=32,
                projection_dim=512,
            )
        )
        .eval()
        .to(o.device, dtype)
    )
    m = voice(torch).eval().to(o.device, dtype)
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)

    def pixels(path):
        x = Image.open(path).convert("RGB").resize((224, 224), Image.BICUBIC)
        return (torch.from_numpy(numpy.array(x)).permute(2, 0, 1) / 255 - mean) / std

    def batches():
        for i in range(0, len(o.images), 64):
            yield torch.stack([pixels(p) for p in o.images[i : i + 64]])

    def generate(x):
        e = eye(x.to(o.device, dtype)).image_embeds
        memory = torch.zeros(len(x), 1, 768, device=o.device, dtype=dtype)
        memory[:, 0, :512] = e
        ids = torch.full((len(x), 1), 50256, dtype=torch.long, device=o.device)
        return m.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            encoder_hidden_states=memory,
            use_cache=True,
            num_beams=4,
            do_sample=False,
            min_new_tokens=NEW,
            max_new_tokens=NEW,
            pad_token_id=50256,
        )

    with torch.inference_mode():
        first = next(iter(batches()))
        generate(first)
        sync(torch, o.device)
        start = time.perf_counter()
        for x in batches():
            generate(x).cpu()
        folder = len(o.images) / (time.perf_counter() - start)
        x = first.to(o.device, dtype)
        eye(x)
        sync(torch, o.device)
        start, n = time.perf_counter(), 0
        while time.perf_counter() - start < 2:
            eye(x)
            sync(torch, o.device)
            n += len(x)
        encoder = n / (time.perf_counter() - start)
    return {"folder_images_per_second": folder, "encoder_images_per_second": encoder}


def learn(torch, o):
    """The original's recipe: loss over padding, AdamW, autocast; for fp16 a gradient scaler."""
    device = o.device
    m = voice(torch).to(device).train()
    adam = torch.optim.AdamW(m.parameters(), lr=1e-4, fused=device != "cpu")
    scaler = torch.amp.GradScaler(device, enabled=o.precision == "fp16" and device != "cpu")
    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(o.precision)
    torch.manual_seed(0)
    ids = torch.randint(50257, (o.batch, 16), device=device)
    memory = torch.randn(o.batch, 1, 768, device=device)
    times = []
    for _ in range(o.steps + 2):
        sync(torch, device)
        start = time.perf_counter()
        for _ in range(ACCUMULATE):
            with torch.autocast(device, dtype) if dtype else contextlib.nullcontext():
                loss = m(input_ids=ids, encoder_hidden_states=memory, labels=ids, use_cache=False).loss / ACCUMULATE
            scaler.scale(loss).backward()
        scaler.step(adam)
        scaler.update()
        adam.zero_grad(set_to_none=True)
        sync(torch, device)
        times.append(time.perf_counter() - start)
    return {"milliseconds_per_step": 1e3 * sorted(times[2:])[len(times[2:]) // 2]}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("what", choices=["caption", "learn"])
    p.add_argument("images", nargs="*")
    p.add_argument("--precision", default="fp32")
    p.add_argument("--steps", type=int, default=20)
    p.add_argument("--batch", type=int, default=BATCH)
    p.add_argument("--device", default="cuda")
    o = p.parse_intermixed_args()  # images stand behind options
    import torch
    import transformers

    r = {"caption": caption, "learn": learn}[o.what](torch, o)
    if o.device != "cpu":
        r["peak_gpu_mb"] = torch.cuda.max_memory_allocated() / 1e6
    print(json.dumps({**r, "torch": torch.__version__, "transformers": transformers.__version__}))


if __name__ == "__main__":
    main()
