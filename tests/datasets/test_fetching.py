"""Archives arrive whole and verified, or not at all, and are fetched once."""

import io
import threading

import pytest

from stages.core.errors import DataError
from stages.datasets import fetching
from stages.datasets.fetching import Archive, fetch
from tests.datasets.samples import random_pixels, sha256


@pytest.fixture
def archive(server) -> Archive:
    served = server.folder / "pictures.tar.gz"
    served.write_bytes(random_pixels(200_000).tobytes())
    return Archive(f"{server.address}/{served.name}", sha256(served))


def left_over(repository) -> list[str]:
    raw = repository / "data/raw"
    return [path.name for path in raw.iterdir() if path.suffix != ".lock"]


def test_it_arrives_verified_and_is_fetched_once(archive, server, repository):
    first = fetch(archive, "sample")
    assert first == repository / "data/raw/pictures.tar.gz"
    assert sha256(first) == archive.sha256
    assert fetch(archive, "sample") == first
    assert server.requests == ["/pictures.tar.gz"]
    assert left_over(repository) == ["pictures.tar.gz"]


def test_an_archive_put_there_by_hand_needs_no_network(archive, server, repository):
    (repository / "data/raw").mkdir(parents=True)
    content = (server.folder / "pictures.tar.gz").read_bytes()
    (repository / "data/raw/pictures.tar.gz").write_bytes(content)
    fetch(archive, "sample")
    assert server.requests == []


def test_a_damaged_archive_in_place_is_fetched_again(archive, repository):
    path = fetch(archive, "sample")
    path.write_bytes(path.read_bytes()[:1000])
    assert sha256(fetch(archive, "sample")) == archive.sha256


def test_an_altered_archive_is_refused(archive, server, repository):
    (server.folder / "pictures.tar.gz").write_bytes(b"something else")
    with pytest.raises(DataError, match="checksum is wrong") as caught:
        fetch(archive, "sample")
    assert archive.sha256 in str(caught.value)
    assert left_over(repository) == []


def test_a_transfer_that_breaks_off_leaves_nothing(archive, server, repository):
    server.cut_off = True
    with pytest.raises(DataError, match="broke off"):
        fetch(archive, "sample")
    assert left_over(repository) == []


def test_it_tries_again(archive, server, repository, monkeypatch):
    monkeypatch.setattr(fetching, "RETRIES", 1)
    server.failures = 1
    assert sha256(fetch(archive, "sample")) == archive.sha256
    assert len(server.requests) == 2


def test_a_refusing_server_is_quoted(archive, server, repository):
    server.failures = 1
    with pytest.raises(DataError, match="503 Service Unavailable"):
        fetch(archive, "sample")


def test_without_network_it_tells_the_address_and_the_folder(repository, unused_port):
    archive = Archive(f"http://127.0.0.1:{unused_port}/pictures.tar.gz", "0" * 64)
    with pytest.raises(DataError) as caught:
        fetch(archive, "sample")
    message = str(caught.value)
    assert "\n" not in message
    for part in ("sample", archive.url, str(repository / "data/raw"), archive.sha256):
        assert part in message


def test_two_at_once_fetch_it_once(archive, server, repository):
    server.seconds_per_chunk = 0.001
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(fetch(archive, "sample"))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert len(server.requests) == 1


def test_progress_shows_on_a_terminal_alone(archive, repository, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, pipe = Terminal(), io.StringIO()
    monkeypatch.setattr("sys.stderr", pipe)
    fetch(archive, "sample").unlink()
    monkeypatch.setattr("sys.stderr", terminal)
    fetch(archive, "sample")
    assert pipe.getvalue() == ""
    assert "pictures.tar.gz: 100%" in terminal.getvalue()
