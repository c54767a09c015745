"""The request that PhotoPrism's Ollama engine sends for a caption. As a program it prints it whole, to send by hand:

python3 scripts/photoprism.py PHOTO.jpg HOST:PORT > request
"""

import base64
import json
import pathlib
import sys

PATH = "/api/generate"


def body(photo):
    """The fields that it sends."""
    return {
        "id": "3f0780c5-f94e-452a-8d68-cf7cb6d6786b",
        "model": "demo:latest",
        "prompt": "Write exactly one sentence in the active voice that says what the image shows. Start with its main "
        "subject. No formatting.",
        "suffix": "",
        "options": {"temperature": 0.1},
        "stream": False,
        "images": [base64.b64encode(photo).decode()],
    }


if __name__ == "__main__":
    text = json.dumps(body(pathlib.Path(sys.argv[1]).read_bytes()))
    sys.stdout.write(
        f"POST {PATH} HTTP/1.1\r\nHost: {sys.argv[2]}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}"
    )
