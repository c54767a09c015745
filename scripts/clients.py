"""Talks to "captioner serve" as tools do, with the ollama and openai packages, and with PhotoPrism's request.

usage: clients.py CAPTIONER
"""

import base64
import contextlib
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

import ollama
import openai

import photoprism

PHOTO = next(p for p in sorted(pathlib.Path("examples").rglob("*.jpg")))
TOKEN = "a-token-for-the-tools"


@contextlib.contextmanager
def service(captioner):
    """Starts the service on a free port and gives its address."""
    with tempfile.TemporaryDirectory() as folder:
        tokens = pathlib.Path(folder, "tokens")
        tokens.write_text(TOKEN + "\n")
        tokens.chmod(0o600)
        command = [captioner, "serve", "--listen", "127.0.0.1:0", "--token-file", str(tokens)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            lines = []
            for line in process.stderr:
                lines.append(line)
                if found := re.search(r"http://[\d.:]+", line):
                    yield found[0]
                    break
            else:
                sys.exit("the service did not start: " + "".join(lines))
        finally:
            process.terminate()
            process.wait(30)


def check(what, ok, found):
    print(("ok    " if ok else "WRONG ") + what, "" if ok else found)
    return ok


def by_ollama(url, want):
    client = ollama.Client(url, headers={"Authorization": "Bearer " + TOKEN})
    yield check("ollama list", [m.model for m in client.list().models] == ["demo:latest"], client.list())
    yield check("ollama show", "vision" in client.show("demo").capabilities, client.show("demo"))
    a = client.generate("demo", "Describe this picture.", images=[PHOTO])
    yield check("ollama generate", a.response == want and a.done and a.done_reason == "stop", a)
    parts = list(client.generate("demo", "Caption?", images=[PHOTO], stream=True))
    yield check("ollama generate, streamed", "".join(p.response for p in parts) == want and parts[-1].done, parts)
    message = {"role": "user", "content": "What is on this photo?", "images": [PHOTO.read_bytes()]}
    a = client.chat("captioner", [message])
    yield check("ollama chat", a.message.content == want and a.message.role == "assistant", a)
    parts = list(client.chat("demo:latest", [message], stream=True))
    yield check("ollama chat, streamed", "".join(p.message.content for p in parts) == want, parts)
    a = client.generate("demo", "")
    yield check("ollama generate, to load the model", a.done_reason == "load", a)
    try:
        client.generate("llava", "x", images=[PHOTO])
        yield check("ollama, another model", False, "no error")
    except ollama.ResponseError as e:
        yield check("ollama, another model", e.status_code == 404 and "llava" in e.error, e)
    try:
        ollama.Client(url).list()
        yield check("ollama without a token", False, "no error")
    except ollama.ResponseError as e:
        yield check("ollama without a token", e.status_code == 401, e)


def by_openai(url, want):
    client = openai.OpenAI(base_url=url + "/v1", api_key=TOKEN, max_retries=0)
    data = "data:image/jpeg;base64," + base64.b64encode(PHOTO.read_bytes()).decode()
    yield check("openai models", [m.id for m in client.models.list()] == ["demo"], client.models.list())
    messages = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Write a caption for this image."},
                {"type": "image_url", "image_url": {"url": data, "detail": "low"}},
            ],
        }
    ]
    a = client.chat.completions.create(model="demo", messages=messages)
    yield check("openai chat", a.choices[0].message.content == want and a.choices[0].finish_reason == "stop", a)
    a = client.chat.completions.create(model="demo", messages=messages, n=3)
    texts = [c.message.content for c in a.choices]
    yield check("openai chat, three choices", len(texts) == len(set(texts)) == 3, texts)
    parts = list(
        client.chat.completions.create(
            model="demo", messages=messages, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(p.choices[0].delta.content or "" for p in parts if p.choices)
    yield check("openai chat, streamed", text == want and parts[-1].usage.completion_tokens > 0, parts)
    entry = [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Describe it as a pirate."},
                {"type": "input_image", "image_url": data},
            ],
        }
    ]
    a = client.responses.create(model="demo", input=entry)
    yield check("openai responses", a.output_text == want and a.status == "completed", a)
    yield check("openai responses, what is not followed", "pirate" in a.model_extra["ignored"], a)
    with client.responses.stream(model="demo", input=entry) as events:
        text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
        final = events.get_final_response()
    yield check("openai responses, streamed", text == want == final.output_text, final)
    for what, kind, call in [
        ("another model", openai.NotFoundError, lambda: client.chat.completions.create(model="x", messages=messages)),
        ("no image", openai.BadRequestError, lambda: client.responses.create(model="demo", input="Hello")),
        (
            "a private address",
            openai.UnprocessableEntityError,
            lambda: client.responses.create(
                model="demo",
                input=[{"role": "user", "content": [{"type": "input_image", "image_url": url + "/icon.svg"}]}],
            ),
        ),
        (
            "no token",
            openai.AuthenticationError,
            lambda: openai.OpenAI(base_url=url + "/v1", api_key="x").responses.create(model="demo", input="Hello"),
        ),
    ]:
        try:
            call()
            yield check("openai, " + what, False, "no error")
        except kind as e:
            yield check("openai, " + what, bool(e.message and e.code), e)
    a = client.chat.completions.create(
        model="demo",
        messages=[
            {
                "role": "user",
                "content": [{"type": "text", "text": "Describe this image in detail."}, messages[0]["content"][1]],
            }
        ],
    )
    long = a.choices[0].message.content
    yield check("openai, in detail", len(long.split()) > len(want.split()), long)


def by_photoprism(url, want):
    request = urllib.request.Request(
        url + photoprism.PATH,
        json.dumps(photoprism.body(PHOTO.read_bytes())).encode(),
        {"Content-Type": "application/json", "Authorization": "Bearer " + TOKEN},
    )
    with urllib.request.urlopen(request) as answer:
        a = json.load(answer)
    yield check("PhotoPrism", a["response"] == want and a["done"] and "active voice" in a["ignored"], a)


def main(captioner):
    want = subprocess.run(
        [captioner, "predict", "-q", "--template", "{caption}", str(PHOTO)], check=True, capture_output=True, text=True
    ).stdout.strip()
    print(f"{PHOTO}: {want}")
    with service(captioner) as url:
        results = [*by_ollama(url, want), *by_openai(url, want), *by_photoprism(url, want)]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
