"""One process of captioner that answers on a socket of its own for as long as somebody needs it."""

from __future__ import annotations

import collections
import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import weakref
from typing import Any, Deque, Dict, List, Mapping, Optional, Tuple, Union

from captioner import _program

# A socket's path has at most 107 bytes.
_MOST_PATH = 100


class CaptionerError(RuntimeError):
    """What captioner said: the image, the model or the request is wrong. ``hint`` is the remedy, where it knows one."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message} ({hint})" if hint else message)
        self.hint = hint


class _Connection(http.client.HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


class Process:
    """``captioner serve`` with these arguments, on a socket that this user alone can reach.

    It ends with ``close``, with the last reference to this object, or with this Python, however that ends: it reads
    standard input, a pipe that is never written to. A process that dies is started anew by the next request.
    """

    def __init__(self, arguments: List[str]) -> None:
        self._arguments = arguments
        self._lock = threading.Lock()
        self._running: Optional[_Running] = None
        self._closed = False
        self.start()

    def start(self) -> "_Running":
        """The running process; the first call starts it and waits until it has loaded the model."""
        with self._lock:
            if self._closed:
                raise CaptionerError("the model is closed")
            if self._running is None or not self._running.alive():
                if self._running is not None:
                    self._running.end()
                self._running = _Running(self, self._arguments)
            return self._running

    def close(self) -> None:
        """Ends the process, and returns when it is gone."""
        with self._lock:
            self._closed = True
            if self._running is not None:
                self._running.end()

    def ask(
        self, method: str, path: str, body: Union[bytes, None] = None, headers: Mapping[str, str] = {}
    ) -> Dict[str, Any]:
        """Sends a request and gives the answer's JSON. A request that meets the end of the process is sent again."""
        for last in (False, True):
            running = self.start()
            try:
                return running.ask(method, path, body, headers)
            except (ConnectionError, http.client.HTTPException, FileNotFoundError):
                if last or running.alive():
                    raise
        raise AssertionError


class _Running:
    """A process that was started."""

    def __init__(self, owner: Process, arguments: List[str]) -> None:
        self._folder = _folder()
        self._socket = os.path.join(self._folder, "socket")
        self._said: Deque[str] = collections.deque(maxlen=20)
        try:
            command = [
                _program.program(),
                "serve",
                "--listen",
                "unix:" + self._socket,
                "--end-with-stdin",
                "--log-format",
                "json",
                *arguments,
            ]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=_program.environment(),
                start_new_session=True,
            )  # Ctrl-C is Python's
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        self._reader = threading.Thread(target=_read, args=(self._process.stderr, self._said), daemon=True)
        self._reader.start()
        self.end = weakref.finalize(owner, _end, self._process, self._folder, os.getpid())
        try:
            self._wait()
        except BaseException:
            self.end()
            raise

    def alive(self) -> bool:
        # After a fork the child can ask, but only the parent knows how its own child is.
        return self.end.alive and self._process.poll() is None

    def _wait(self) -> None:
        """Waits until it answers."""
        while self._process.poll() is None:
            try:
                self.ask("GET", "/readyz")
                return
            except (ConnectionError, FileNotFoundError):
                time.sleep(0.01)
        self._reader.join(5)
        raise self._failure()

    def _failure(self) -> CaptionerError:
        """What it said before it ended."""
        for line in reversed(self._said):
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            error = entry.get("error") or (entry.get("msg") if entry.get("level") == "ERROR" else None)
            if error:
                return CaptionerError(str(error), str(entry.get("hint") or ""))
        return CaptionerError(
            "captioner ended: " + (" ".join(self._said).strip() or f"exit code {self._process.returncode}")
        )

    def ask(
        self, method: str, path: str, body: Optional[bytes] = None, headers: Mapping[str, str] = {}
    ) -> Dict[str, Any]:
        while True:
            status, retry_after, answer = self._send(method, path, body, headers)
            if status == 429 or status == 503 and retry_after:  # more at once than it takes: later
                time.sleep(min(retry_after, 1))
                continue
            if status != 200:
                raise CaptionerError(
                    str(answer.get("detail") or answer.get("title") or f"status {status}"),
                    str(answer.get("remedy") or ""),
                )
            return answer

    def _send(
        self, method: str, path: str, body: Optional[bytes], headers: Mapping[str, str]
    ) -> Tuple[int, float, Dict[str, Any]]:
        connection = _Connection(self._socket)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            text = response.read()
            return response.status, float(response.getheader("Retry-After") or 0), json.loads(text or b"{}")
        finally:
            connection.close()


def _folder() -> str:
    """A new folder with a short path, which only this user may enter."""
    folder = tempfile.mkdtemp(prefix="captioner-")
    if len(os.fsencode(folder)) > _MOST_PATH - len("/socket"):
        os.rmdir(folder)
        folder = tempfile.mkdtemp(prefix="captioner-", dir="/tmp")
    return folder


def _read(stream: Any, said: Deque[str]) -> None:
    for line in stream:
        said.append(line.decode("utf-8", "replace"))
    stream.close()


def _end(process: "subprocess.Popen[bytes]", folder: str, owner: int) -> None:
    if os.getpid() != owner:  # in a fork: the process belongs to the parent
        return
    if process.stdin is not None:
        try:
            process.stdin.close()
        except OSError:
            pass
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    shutil.rmtree(folder, ignore_errors=True)
