"""The built-in model behind FastAPI, one picture a request, as such services are usually written: what run.py compares
captioner serve with.

    python scripts/bench/serve/peer.py --port 8001 [--threads 2]

It reads models/captioner/demo/demo.safetensors: the encoder is written in plain PyTorch, the decoder is transformers'
GPT2LMHeadModel with cross-attention, whose generate searches by the model's own decoding options (beam 3). A handler is
a plain function, so that FastAPI runs it on its thread pool; a lock lets one picture at a time into the model, because
two forward passes at once are slower on two cores. Its captions are those of captioner predict. Needs torch,
transformers, safetensors, Pillow, fastapi and uvicorn.
"""

import argparse
import io
import json
import os
import struct
import threading

import numpy
import torch
import torch.nn as nn
import torch.nn.functional as F
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request
from PIL import Image
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
MODEL = os.path.join(ROOT, "models", "captioner", "demo", "demo.safetensors")


class Conv(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding and no bias."""

    def __init__(self, i, o, kernel, stride=1, groups=1):
        super().__init__(i, o, kernel, stride, groups=groups, bias=False)

    def forward(self, x):
        k, s = self.kernel_size[0], self.stride[0]
        sides = []
        for n in (x.shape[-1], x.shape[-2]):
            total = max((-(-n // s) - 1) * s + k - n, 0)
            sides += [total // 2, total - total // 2]
        return super().forward(F.pad(x, sides))


class Block(nn.Module):
    def __init__(self, i, o, kernel, stride, expand):
        super().__init__()
        mid = i * expand
        if expand != 1:
            self._expand_conv, self._bn0 = Conv(i, mid, 1), nn.BatchNorm2d(mid, eps=1e-3)
        self._depthwise_conv, self._bn1 = Conv(mid, mid, kernel, stride, mid), nn.BatchNorm2d(mid, eps=1e-3)
        self._project_conv, self._bn2 = Conv(mid, o, 1), nn.BatchNorm2d(o, eps=1e-3)
        self.expand, self.skip = expand != 1, stride == 1 and i == o

    def forward(self, x):
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expand else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.skip else y


class Encoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        self._conv_stem, self._bn0 = Conv(3, c["stem"], 3, 2), nn.BatchNorm2d(c["stem"], eps=1e-3)
        blocks, i = [], c["stem"]
        for s in c["stages"]:
            for r in range(s["repeats"]):
                blocks.append(Block(i, s["out"], s["kernel"], s["stride"] if r == 0 else 1, s["expand"]))
                i = s["out"]
        self._blocks = nn.ModuleList(blocks)

    def forward(self, x):
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for b in self._blocks:
            x = b(x)
        return x.flatten(2).transpose(1, 2)  # [B, P, C]


class MemoryBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln_1, self.ln_2, self.heads = nn.LayerNorm(width), nn.LayerNorm(width), heads
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "out": nn.Linear(width, width)})
        self.mlp = nn.ModuleDict({"up": nn.Linear(width, 4 * width), "down": nn.Linear(4 * width, width)})

    def forward(self, x):
        n, p, c = x.shape
        q, k, v = self.attn["qkv"](self.ln_1(x)).view(n, p, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        x = x + self.attn["out"](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, p, c))
        return x + self.mlp["down"](F.gelu(self.mlp["up"](self.ln_2(x)), approximate="tanh"))


class Memory(nn.Module):
    def __init__(self, c, width):
        super().__init__()
        if c["kind"] != "grid":
            raise SystemExit(f"memory of kind {c['kind']}: want grid")
        self.norm_in, self.project, self.norm_out = (
            nn.LayerNorm(c["in"]),
            nn.Linear(c["in"], width),
            nn.LayerNorm(width),
        )
        self.rows, self.columns = (nn.Parameter(torch.empty(c["side"], width)) for _ in range(2))
        if c.get("layers"):
            self.layers = nn.ModuleList(MemoryBlock(width, c["heads"]) for _ in range(c["layers"]))
            self.norm_last = nn.LayerNorm(width)

    def forward(self, x):
        x = self.norm_out(self.project(self.norm_in(x))) + (self.rows[:, None] + self.columns[None]).flatten(0, 1)
        if hasattr(self, "layers"):
            for b in self.layers:
                x = b(x)
            x = self.norm_last(x)
        return x


class Captioner:
    def __init__(self, path):
        with open(path, "rb") as f:
            meta = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))["__metadata__"]
        c = json.loads(meta["captioner.config"])
        weights = {k: v.float() for k, v in load_file(path).items()}
        part = lambda prefix: {k[len(prefix) :]: v for k, v in weights.items() if k.startswith(prefix)}
        self.pre = c["encoder"]["preprocess"]
        self.encoder = Encoder(c["encoder"]["efficientnet"])
        self.encoder.load_state_dict(part("encoder."), strict=False)  # num_batches_tracked is not stored
        self.memory = Memory(c["memory"], c["decoder"]["n_embd"])
        self.memory.load_state_dict(part("memory."))
        tokenizer = Tokenizer.from_str(meta["captioner.tokenizer"])
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
        self.end = tokenizer.token_to_id("<|endoftext|>")
        d = {**c["decoder"], "n_inner": None, "bos_token_id": self.end, "eos_token_id": self.end}
        self.decoder = GPT2LMHeadModel(GPT2Config(**d))
        self.decoder.load_state_dict(
            {**part("decoder."), "lm_head.weight": weights["decoder.transformer.wte.weight"]}, strict=False
        )
        for m in (self.encoder, self.memory, self.decoder):
            m.eval()
        o = c["decoding"]
        self.options = {
            "num_beams": o["beam"],
            "length_penalty": o["length_penalty"],
            "max_new_tokens": o["max_len"],
            "no_repeat_ngram_size": o["no_repeat_ngram"],
            "do_sample": False,
            "early_stopping": False,
            "pad_token_id": self.end,
        }

    @torch.inference_mode()
    def caption(self, picture):
        size = self.pre["size"]
        pixels = numpy.asarray(picture.convert("RGB").resize((size, size), Image.BICUBIC), dtype=numpy.float32)
        x = torch.from_numpy((pixels - numpy.float32(self.pre["mean"])) / numpy.float32(self.pre["std"])).permute(
            2, 0, 1
        )[None]
        memory = self.memory(self.encoder(x))
        ids = self.decoder.generate(
            torch.tensor([[self.end]]),
            attention_mask=torch.ones(1, 1, dtype=torch.long),
            encoder_hidden_states=memory,
            **self.options,
        )
        return self.tokenizer.decode(ids[0], skip_special_tokens=True).strip()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--port", type=int, required=True)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--caption", help="caption one file and end")
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    m, lock, app = Captioner(MODEL), threading.Lock(), FastAPI()
    if a.caption:
        print(m.caption(Image.open(a.caption)))
        return

    @app.get("/readyz")
    def ready():
        return {"status": "ready"}

    async def body(request: Request):
        return await request.body()

    @app.post("/v1/captions")
    def caption(data: bytes = Depends(body)):
        try:
            picture = Image.open(io.BytesIO(data)).convert("RGB")
        except OSError as e:
            raise HTTPException(422, str(e))
        with lock:
            return {"caption": m.caption(picture)}

    uvicorn.run(app, host="127.0.0.1", port=a.port, log_level="warning")


main()
