"""Copies the license texts of libtorch's wheels into a folder: wheel-licenses.py FOLDER NAME==VERSION….

They come from this Python where it has that torch, and else from wheels that pip downloads (545 MB).
"""

import importlib.metadata as metadata
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

folder = pathlib.Path(sys.argv[1])
PACKAGES = dict(wheel.split("==") for wheel in sys.argv[2:])
TEXT = re.compile(r"[^/]+\.dist-info/(?:licenses/)?((?:LICENSE|License|NOTICE)[^/]*)")


def save(package, name, text):
    to = folder / package.replace("-", "_") / name
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_bytes(text)


def installed(package):
    d = metadata.distribution(package)
    if d.version.split("+")[0] != PACKAGES[package]:
        raise metadata.PackageNotFoundError
    for f in d.files or []:
        if found := TEXT.fullmatch(str(f)):
            save(package, found[1], pathlib.Path(d.locate_file(f)).read_bytes())


def downloaded(package):
    with tempfile.TemporaryDirectory() as wheels:
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "download",
                "-q",
                "--no-deps",
                "--only-binary",
                ":all:",
                "-d",
                wheels,
                f"{package}=={PACKAGES[package]}",
            ],
            check=True,
        )
        for wheel in pathlib.Path(wheels).glob("*.whl"):
            with zipfile.ZipFile(wheel) as z:
                for name in z.namelist():
                    if found := TEXT.fullmatch(name):
                        save(package, found[1], z.read(name))


for package in PACKAGES:
    try:
        installed(package)
    except metadata.PackageNotFoundError:
        downloaded(package)
    if not (folder / package.replace("-", "_")).is_dir():
        sys.exit(f"{package} {PACKAGES[package]}: found no license text")
