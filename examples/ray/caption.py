"""Captions a data set with Ray Data: images in Parquet tables or in a folder or bucket, captions in Parquet.

    python caption.py s3://photos/tables/ s3://photos/captions/ --workers 8
    python caption.py 's3://photos/2026/' out/ --binary -- --model best.safetensors --precision int8

Each worker is a Ray actor that keeps one "captioner serve" on a socket of its own. What follows "--" is given to it. A
table has a column "image" of bytes, or of structs of bytes and path, as data sets of Hugging Face have; --column names
another. The output has all other columns, and "caption", "confidence" and "error".

Ray needs cores beside those of the workers, to read and to write: workers x cpus is less than the cluster has.

What fails:
- an image that cannot be read costs its row a caption; "error" says why;
- a captioner that ends is started again, and its batch sent again;
- a worker that ends is started again by Ray, which also gives its block to another one.
"""

import argparse
import concurrent.futures
import ctypes
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import pyarrow as pa
import ray


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a socket of the file system."""

    def __init__(self, path):
        super().__init__("captioner", timeout=300)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def end_with_parent():
    """Asks Linux to end the captioner when its worker ends, however that ends."""
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Captioner:
    """A worker: a captioner that lives as long as the actor."""

    def __init__(self, program, options, column, threads, tries=3):
        self.program, self.options, self.column = program, options, column
        self.threads, self.tries = threads, tries
        self.folder = tempfile.mkdtemp(prefix="captioner-")
        self.path = os.path.join(self.folder, "socket")
        self.process = None
        self.pool = concurrent.futures.ThreadPoolExecutor(32)
        self.start()

    def start(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        pathlib.Path(self.path).unlink(missing_ok=True)
        command = [self.program, "serve", "--listen", "unix:" + self.path, "-q"]
        if self.threads:
            command += ["--threads", str(self.threads)]
        self.process = subprocess.Popen(command + self.options, preexec_fn=end_with_parent)
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"captioner ended with status {self.process.returncode}: see its message above")
            try:
                if self.ask("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise RuntimeError("captioner was not ready within 300 s")

    def ask(self, method, path, body=None):
        connection = UnixConnection(self.path)
        try:
            headers = {"Content-Type": "application/octet-stream", "Accept": "application/json"} if body else {}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def caption(self, image):
        """The caption of an image, its confidence, and what is wrong."""
        if not image:
            return None, None, "the row has no image"
        while True:
            status, body = self.ask("POST", "/v1/captions", image)
            if status != 429:  # the queue is full
                break
            time.sleep(0.2)
        answer = json.loads(body)
        if status == 200:
            return answer["caption"], answer["confidence"], None
        if status >= 500:
            raise ConnectionError(f"HTTP status {status}")
        return None, None, answer.get("detail") or answer.get("title") or f"HTTP status {status}"

    def __call__(self, table: pa.Table) -> pa.Table:
        images = [x.get("bytes") if isinstance(x, dict) else x for x in table.column(self.column).to_pylist()]
        for left in reversed(range(self.tries)):
            try:
                rows = list(self.pool.map(self.caption, images))
                break
            except (OSError, http.client.HTTPException):
                if left == 0:
                    raise
                self.start()
        captions, confidences, errors = zip(*rows) if rows else ((), (), ())
        table = table.drop_columns([self.column])
        table = table.append_column("caption", pa.array(captions, pa.string()))
        table = table.append_column("confidence", pa.array(confidences, pa.float64()))
        return table.append_column("error", pa.array(errors, pa.string()))


def keep_names(table: pa.Table, column) -> pa.Table:
    """Gives the path in a struct of bytes and path a column of its own, which outlives the bytes."""
    kind = table.schema.field(column).type
    if pa.types.is_struct(kind) and kind.get_field_index("path") >= 0 and "path" not in table.column_names:
        paths = [x and x.get("path") for x in table.column(column).to_pylist()]
        table = table.append_column("path", pa.array(paths, pa.string()))
    return table


def arguments():
    p = argparse.ArgumentParser(description=__doc__.partition("\n")[0], epilog="what follows -- is for captioner serve")
    p.add_argument("data", help="a Parquet table, a folder or a bucket of them; with --binary of images")
    p.add_argument("out", help="the folder of the Parquet tables that are written")
    p.add_argument("--binary", action="store_true", help="data is images, not tables")
    p.add_argument("--column", default="image", help="of the images' bytes")
    p.add_argument("--workers", type=int, default=2)
    p.add_argument("--cpus", type=float, default=1, help="of each worker, which are also its threads")
    p.add_argument("--gpus", type=float, default=0, help="of each worker; give --device cuda behind -- too")
    p.add_argument("--batch-size", type=int, default=64)
    p.add_argument("--program", default=shutil.which("captioner") or "captioner")
    own, mark, options = sys.argv[1:], "--", []
    if mark in own:
        at = own.index(mark)
        own, options = own[:at], own[at + 1 :]
    o = p.parse_args(own)
    o.options = options
    return o


def main():
    o = arguments()
    if o.binary:
        names = ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "heic", "avif"]
        data = ray.data.read_binary_files(o.data, include_paths=True, file_extensions=names)
        o.column = "bytes"
    else:
        data = ray.data.read_parquet(o.data)
        data = data.map_batches(keep_names, batch_format="pyarrow", fn_args=(o.column,), batch_size=None)
    data = data.map_batches(
        Captioner,
        fn_constructor_args=(o.program, o.options, o.column, int(o.cpus)),
        batch_format="pyarrow",
        batch_size=o.batch_size,
        compute=ray.data.ActorPoolStrategy(size=o.workers),
        num_cpus=o.cpus,
        num_gpus=o.gpus or None,
    )
    data.write_parquet(o.out)


if __name__ == "__main__":
    main()
