"""Holds the captions of models/captioner/testdata/lavis to salesforce-lavis's own BlipCaption.generate, text for text.

Run with salesforce-lavis 1.0.2, transformers 4.26.1 (which it pins), torch, omegaconf 2.3.0, iopath 0.1.10 and timm
0.4.12:
    python scripts/check_lavis.py VOCABULARY [--write]    BERT's vocab.txt, as of bert-base-uncased

With --write LAVIS's captions become the wanted ones, behind a run of scripts/fixtures/lavis.py, which makes the model.
What LAVIS imports for its data sets and other models stands empty here: of its own code BlipCaption, the text decoder,
the vision tower and the processor run.
"""

import gzip
import importlib.abc
import importlib.machinery
import io
import json
import os
import sys
import types
import unittest.mock

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDER = os.path.join(ROOT, "models", "captioner", "testdata", "lavis")
EMPTY = (
    "decord",
    "cv2",
    "fairscale",
    "webdataset",
    "spacy",
    "pycocoevalcap",
    "pycocotools",
    "opendatasets",
    "peft",
    "ipdb",
    "soundfile",
    "moviepy",
    "pandas",
    "sklearn",
    "plotly",
    "streamlit",
    "contexttimer",
    "ftfy",
    "nltk",
    "torchvision.datasets.utils",
    "diffusers",
    "open3d",
    "easydict",
    "matplotlib",
    "scipy",
    "skimage",
    "pytorch_lightning",
    "imageio",
    "wandb",
    "torchaudio",
    "visual_genome",
    "h5py",
    "PIL.ImageQt",
)


class Empty(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Modules without content, for what is not installed."""

    def find_spec(self, name, path=None, target=None):
        if any(name == e or name.startswith(e + ".") for e in EMPTY):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        m = types.ModuleType(spec.name)
        m.__path__ = []
        m.__getattr__ = lambda name: unittest.mock.MagicMock()
        return m

    def exec_module(self, module):
        pass


sys.meta_path.append(Empty())

import torch
import transformers

SETTINGS = {"min_length": 10, "max_length": 30, "num_beams": 3}


def model(vocabulary):
    from lavis.models.blip_models import blip_caption
    from lavis.models.med import BertConfig, XBertLMHeadDecoder
    from lavis.models.vit import VisionTransformerEncoder

    def tokenizer(*_):
        t = transformers.BertTokenizer(vocabulary)
        t.add_special_tokens({"bos_token": "[DEC]"})
        t.add_special_tokens({"additional_special_tokens": ["[ENC]"]})
        t.enc_token_id = t.additional_special_tokens_ids[0]
        return t

    blip_caption.BlipCaption.init_tokenizer = classmethod(tokenizer)
    config = BertConfig(
        vocab_size=30524,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=3,
        max_position_embeddings=40,
        encoder_width=32,
        add_cross_attention=True,
        is_decoder=True,
        pad_token_id=0,
    )
    config.add_type_embeddings, config.fusion_layer = False, 0
    vision = VisionTransformerEncoder(img_size=32, patch_size=16, embed_dim=32, depth=2, num_heads=2, mlp_ratio=2)
    m = blip_caption.BlipCaption(vision, XBertLMHeadDecoder(config), prompt="a picture of ", max_txt_len=40)
    tensors = torch.load(io.BytesIO(gzip.open(os.path.join(FOLDER, "lavis.pth.gz")).read()))["model"]
    print(m.load_state_dict({k: v.float() for k, v in tensors.items()}, strict=False))
    return m.eval()


@torch.no_grad()
def main():
    from PIL import Image
    from lavis.processors.blip_processors import BlipImageEvalProcessor

    m, processor = model(sys.argv[1]), BlipImageEvalProcessor(image_size=32)
    want = json.load(open(os.path.join(FOLDER, "lavis.json")))
    same, count, whole, decode = 0, 0, [], m.tokenizer.batch_decode
    m.tokenizer.batch_decode = lambda *args, **kw: whole.append(decode(*args, **kw)) or whole[-1]
    for image in want["images"]:
        x = processor(Image.open(os.path.join(ROOT, image["path"])).convert("RGB"))[None]
        for c in image["captions"]:
            s = {**SETTINGS, **c["settings"]}
            prompt = s.pop("prompt", None)
            m.prompt = prompt + " " if prompt else "a picture of "
            m.prompt_length = len(m.tokenizer(m.prompt).input_ids) - 1
            s["min_length"] = min(s["min_length"], s["max_length"] - 1)
            got = m.generate({"image": x}, **s)[0]
            if prompt:  # which the fixture keeps in the text
                got = whole[-1][0]
            count += 1
            same += got == c["text"]
            if "--write" in sys.argv:
                c["text"] = got
            if got != c["text"]:
                print(image["path"], c["settings"], "LAVIS:", repr(got), "want:", repr(c["text"]))
    if "--write" in sys.argv:
        want["versions"] |= {
            "salesforce-lavis": "1.0.2",
            "transformers": transformers.__version__,
            "torch": torch.__version__,
        }
        with open(os.path.join(FOLDER, "lavis.json"), "w") as g:
            json.dump(want, g, separators=(",", ":"))
    print(
        f"{same} of {count} captions are LAVIS's own; transformers {transformers.__version__}, torch {torch.__version__}"
    )
    return same != count


sys.exit(main())
