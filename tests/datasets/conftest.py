"""A server on loopback that can be slow, broken or cut off, and a repository of its own."""

import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stages.datasets import fetching


class Server(ThreadingHTTPServer):
    """Serves `folder`; the faults are switched on by tests."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
        self.folder = folder
        self.requests: list[str] = []
        self.failures = 0  # how many of the next answers are 503
        self.cut_off = False  # promise the whole file and send half of it
        self.seconds_per_chunk = 0.0
        self.stalling = False  # send half of the file and then nothing, until the server ends
        self.ended = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(SimpleHTTPRequestHandler):
    server: Server

    def log_message(self, *arguments: object) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        if self.server.failures:
            self.server.failures -= 1
            self.send_error(503)
        else:
            super().do_GET()

    def copyfile(self, source, outputfile) -> None:
        content = source.read()
        if self.server.stalling:
            outputfile.write(content[: len(content) // 2])
            self.server.ended.wait()
            return
        if self.server.cut_off:
            content = content[: len(content) // 2]
        for start in range(0, len(content), 1024):
            outputfile.write(content[start : start + 1024])
            time.sleep(self.server.seconds_per_chunk)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "served"
    folder.mkdir()
    with Server(folder) as running:
        thread = threading.Thread(target=partial(running.serve_forever, poll_interval=0.02))
        thread.start()
        yield running
        running.ended.set()
        running.shutdown()
        thread.join()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository as the working directory, with no patience for failing downloads."""
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DVC_ROOT", str(folder))
    monkeypatch.setattr(fetching, "RETRIES", 0)
    return folder


@pytest.fixture
def unused_port() -> int:
    """A port of loopback where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
