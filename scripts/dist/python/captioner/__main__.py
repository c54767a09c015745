"""The command line: this Python becomes the program."""

from __future__ import annotations

import os
import sys

from captioner import _program


def main() -> None:
    try:
        program, environment = _program.program(), _program.environment()
    except _program.MissingError as e:
        sys.exit(f"captioner: {e}")
    os.execve(program, ["captioner", *sys.argv[1:]], environment)


if __name__ == "__main__":
    main()
