"""Where the program is, and what it needs to find libtorch."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import re
from typing import Dict, Optional

# The releases of torch whose libtorch the program was linked with, such as 2.11: scripts/dist/wheel writes it here.
TORCH = "@TORCH@"


class MissingError(RuntimeError):
    """The program cannot run as things are installed."""


def program() -> str:
    """The path of the program. The variable CAPTIONER_PROGRAM names another one."""
    own = pathlib.Path(__file__).parent / "bin" / "captioner"
    return os.environ.get("CAPTIONER_PROGRAM") or str(own)


def environment() -> Dict[str, str]:
    """The variables to start the program with.

    It finds libtorch by itself where torch lies beside this package. Elsewhere LD_LIBRARY_PATH says where it is.
    """
    env = dict(os.environ)
    if env.get("CAPTIONER_PROGRAM"):
        return env
    torch = _torch()
    if torch is None:
        raise MissingError(f"found no torch, want torch {TORCH}: pip install torch=={TORCH}.*")
    version = _version(torch)
    if version and not re.match(rf"{re.escape(TORCH)}(\.|$)", version):
        raise MissingError(f"found torch {version}, want torch {TORCH}: pip install torch=={TORCH}.*")
    beside = pathlib.Path(__file__).resolve().parent.parent / "torch"
    if torch.resolve() != beside:
        folders = [str(torch / "lib"), env.get("LD_LIBRARY_PATH", "")]
        env["LD_LIBRARY_PATH"] = os.pathsep.join(f for f in folders if f)
    return env


def _torch() -> Optional[pathlib.Path]:
    """The folder of the package torch, which is not imported: that takes seconds."""
    spec = importlib.util.find_spec("torch")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (pathlib.Path(folder) / "lib" / "libtorch_cpu.so").exists():
            return pathlib.Path(folder)
    return None


def _version(torch: pathlib.Path) -> str:
    try:
        text = (torch / "version.py").read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(r"__version__ = ['\"]([0-9.]+)", text)
    return found[1] if found else ""
