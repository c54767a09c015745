"""The classes of clip-text-decoder, over captioner. Nothing here imports torch."""

from __future__ import annotations

import base64
import concurrent.futures
import json
import os
import shutil
import struct
import subprocess
import urllib.parse
from typing import Any, Dict, Iterable, List, Optional, Tuple, Type, TypeVar, Union

from captioner import _image, _program
from captioner._process import CaptionerError, Process

_Path = Union[str, "os.PathLike[str]"]
_Self = TypeVar("_Self", bound="DecoderInferenceModel")

# More at once fill no larger batches: serve takes 16 images together.
_AT_ONCE = 32

# A program's own requests have no need for the limits of a service.
_LIMITS = [
    "--limit-beam",
    "64",
    "--limit-len",
    "1024",
    "--queue",
    "1024",
    "--max-body",
    "1024",
    "--max-memory",
    "4096",
    "--timeout",
    "10m",
    "--no-reload",
]


class DecoderInferenceModel:
    """Captions embeddings. Its methods may be called from any thread; images of several threads share batches."""

    _needs_encoder = False

    def __init__(
        self,
        path: Optional[_Path] = None,
        *,
        encoder: Optional[str] = None,
        device: Any = "auto",
        precision: str = "auto",
        threads: int = 0,
    ) -> None:
        """Opens a model: a file or folder, a name of "captioner weights list", or ORG/NAME of the Hugging Face hub.

        Without a path it is the small model that is built in. ``encoder`` names the vision encoder of a model that
        leaves it out (a file, "ViT-B/32", "blip:base"); by default it is the one that the file names. ``device`` is
        "auto", "cpu", "cuda" or "cuda:N"; ``precision`` "auto", "fp32", "bf16", "fp16" or "int8"; ``threads`` those of
        one computation, 0 for as many as there are cores.
        """
        self._options: Tuple[Optional[str], Optional[str], str, int] = (
            None if path is None else os.fspath(path),
            encoder,
            precision,
            threads,
        )
        self._device = str(device)
        self._process = self._open(self._device)

    def _open(self, device: str) -> Process:
        path, encoder, precision, threads = self._options
        arguments = ["--device", device, "--precision", precision, "--threads", str(threads), *_LIMITS]
        if path is not None:
            arguments += ["--model", path]
        if not self._needs_encoder:
            arguments.append("--no-encoder")
        elif encoder is None and path is not None:
            encoder = _encoder_of(path)
        if self._needs_encoder and encoder is not None:
            arguments += ["--encoder", encoder]
        return Process(arguments)

    @classmethod
    def load(cls: Type[_Self], path: _Path, **options: Any) -> _Self:
        """Opens a model file. ``options`` are those of the constructor."""
        return cls(path, **options)

    @classmethod
    def download_pretrained(cls: Type[_Self], dest: Optional[_Path] = None, **options: Any) -> _Self:
        """Opens the model that clip-text-decoder 1.4 publishes, fetched once; a copy goes to ``dest``."""
        if dest is not None and os.path.exists(dest):
            return cls(dest, **options)
        path = _run("weights", "fetch", "clip-text-decoder", "--json")
        if dest is not None:
            shutil.copyfile(path, dest)
            path = os.fspath(dest)
        return cls(path, **options)

    @property
    def device(self) -> str:
        """Where the model works: "cpu" or "cuda:N"."""
        return str(self._about()["device"])

    def to(self: _Self, device: Any) -> _Self:
        """Moves the model to another device: a name, or a torch.device."""
        wanted = str(device)
        if wanted not in (self._device, self.device):
            before, self._process = self._process, self._open(wanted)
            before.close()
        self._device = wanted
        return self

    def eval(self: _Self) -> _Self:
        """Does nothing, as the model never trains."""
        return self

    def save(self, path: _Path) -> None:
        """Writes the model to another file, in the form that the name's end says: .safetensors, .pt, .ckpt."""
        from_path, encoder, _, _ = self._options
        if from_path is None:
            raise CaptionerError("the built-in model is no file that can be copied")
        _run("weights", "convert", from_path, os.fspath(path), *(["--encoder", encoder] if encoder else []))

    def close(self) -> None:
        """Ends the process. Without it, that happens when the model is no longer referred to."""
        self._process.close()

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, x: Any, max_len: Optional[int] = None, beam_size: Optional[int] = None) -> str:
        """Captions an embedding: a tensor, an array or a list of numbers, of any shape.

        ``max_len`` and ``beam_size`` are the model's own settings by default: 64 and 1 for models of
        clip-text-decoder, as there.
        """
        numbers = [float(n) for n in _flat(x)]
        body = {"embedding": base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()}
        return self._caption(
            "/v1/captions:fromEmbedding", json.dumps(body).encode(), "application/json", max_len, beam_size
        )

    def _caption(self, path: str, body: bytes, kind: str, max_len: Optional[int], beam_size: Optional[int]) -> str:
        given = {"max_len": max_len, "beam_size": beam_size}
        query = urllib.parse.urlencode({k: v for k, v in given.items() if v is not None})
        answer = self._process.ask("POST", f"{path}?{query}", body, {"Content-Type": kind})
        return str(answer["caption"])

    def _about(self) -> Dict[str, Any]:
        models: List[Dict[str, Any]] = self._process.ask("GET", "/v1/models")["models"]
        return models[0]

    def __reduce__(self) -> Any:
        path, encoder, precision, threads = self._options
        return _again, (
            type(self),
            path,
            dict(encoder=encoder, device=self._device, precision=precision, threads=threads),
        )


class ClipDecoderInferenceModel(DecoderInferenceModel):
    """DecoderInferenceModel by its name before clip-text-decoder 1.4."""


class ImageCaptionInferenceModel(DecoderInferenceModel):
    """Captions images."""

    _needs_encoder = True

    def __call__(self, image: Any, max_len: Optional[int] = None, beam_size: Optional[int] = None) -> str:
        """Captions an image: a path, an image of Pillow, an array of uint8 [H, W, 3], or the bytes of a file.

        A file is turned as its EXIF says. An image of Pillow and an array are taken as they are.
        """
        return self._caption("/v1/captions", _image.encode(image), "application/octet-stream", max_len, beam_size)

    def captions(
        self, images: Iterable[Any], max_len: Optional[int] = None, beam_size: Optional[int] = None
    ) -> List[str]:
        """Captions many images, in their order, as fast as the machine can. The first error is raised."""
        with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(lambda image: self(image, max_len, beam_size), images))


def _again(cls: Type[_Self], path: Optional[str], options: Dict[str, Any]) -> _Self:
    return cls(path, **options)


def _flat(x: Any) -> Iterable[Any]:
    """The numbers of a tensor, an array or nested lists, one after the other."""
    for step in ("detach", "cpu", "float", "numpy"):  # of a tensor, wherever it is
        if hasattr(x, step):
            x = getattr(x, step)()
    if hasattr(x, "ravel"):
        x = x.ravel().tolist()
    for item in x:
        if isinstance(item, (list, tuple)):
            yield from _flat(item)
        else:
            yield item


def _encoder_of(path: str) -> Optional[str]:
    """The name of the encoder that a model file leaves out; None where it holds it, or where nobody can tell.

    Files of clip-text-decoder before 1.4 name none: that package took ViT-B/32 for all of them.
    """
    if not os.path.exists(path):
        return None
    try:
        about = json.loads(_run_whole("weights", "inspect", "--json", "--no-tensors", path))
    except (CaptionerError, ValueError):
        return None
    name = about.get("encoder_missing")
    if name == "unknown":
        return "ViT-B/32"
    return str(name) if name else None


def _run(*arguments: str) -> str:
    """What a command prints: the path in its last line of JSON, or the line itself."""
    lines = _run_whole(*arguments).strip().splitlines()
    try:
        return str(json.loads(lines[-1])["path"])
    except (IndexError, ValueError, KeyError, TypeError):
        return lines[-1] if lines else ""


def _run_whole(*arguments: str) -> str:
    done = subprocess.run(
        [_program.program(), *arguments],
        env=_program.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise CaptionerError(lines[0].replace("error: ", "", 1), " ".join(lines[1:]).replace("hint: ", "", 1))
    return done.stdout
