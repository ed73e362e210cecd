"""The download stage: what it writes, what it refuses, and that an interrupt leaves nothing."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import yaml

from stages.core import paths
from stages.datasets.pool import read_table
from stages.download import download
from stages.runs.stage import run_stage
from tests.datasets.conftest import Server, repository, server, unused_port  # noqa: F401
from tests.datasets.samples import random_pixels, sha256, write_cifar10, write_pictures

pytestmark = pytest.mark.usefixtures("repository")


def run(**dataset: str) -> int:
    paths.PARAMS.write_text(yaml.safe_dump({"dataset": dataset}))
    return run_stage(download, [])


def manifest() -> dict:
    return json.loads(paths.MANIFEST.read_text())


def test_digits():
    assert run(name="digits") == 0
    written = manifest()
    assert written["images"] == {"any": 1797}
    assert written["short_side_px_min"] == written["short_side_px_max"] == 8
    assert written["files"] == written["skipped"] == []
    assert written["pool_sha256"] == sha256(paths.POOL)
    table = read_table(paths.POOL)
    assert table.columns.tolist() == ["split", "name", "label", "digest"]
    assert table["name"].is_unique
    assert not Path("data/raw").exists()


def test_the_same_files_come_out_every_time():
    run(name="digits")
    first = paths.POOL.read_bytes(), paths.MANIFEST.read_bytes()
    run(name="digits")
    assert first == (paths.POOL.read_bytes(), paths.MANIFEST.read_bytes())


def test_a_zip_is_named_with_its_checksum(tmp_path):
    folder = write_pictures(tmp_path / "a", {"train/x": 2, "train/y": 2, "test/x": 1, "test/y": 1})
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        for picture in sorted(folder.glob("*/*/*")):
            archive.write(picture, picture.relative_to(folder))
    assert run(name="image_folder", folder=str(tmp_path / "pictures.zip")) == 0
    assert manifest()["images"] == {"test": 2, "train": 4}
    (file,) = manifest()["files"]
    assert file["path"] == "pictures.zip"
    assert file["sha256"] == sha256(tmp_path / "pictures.zip")


def test_a_broken_picture_stops_before_anything_is_written(tmp_path, capsys):
    folder = write_pictures(tmp_path / "a", {"x": 2, "y": 2})
    (folder / "x/000.png").write_bytes(b"broken")
    assert run(name="image_folder", folder=str(folder)) == 1
    assert "x/000.png" in capsys.readouterr().err
    assert not paths.POOL.exists()
    assert not paths.MANIFEST.exists()


def test_a_broken_picture_can_be_skipped(tmp_path, capsys):
    folder = write_pictures(tmp_path / "a", {"x": 2, "y": 2})
    (folder / "x/000.png").write_bytes(b"broken")
    assert run(name="image_folder", folder=str(folder), on_corrupt="skip") == 0
    (skipped,) = manifest()["skipped"]
    assert skipped == {"name": "x/000.png", "reason": "it is no picture of a known format"}
    assert len(read_table(paths.POOL)) == 3
    assert "1 of 4 images cannot be read and is left out" in capsys.readouterr().err


def test_a_missing_folder_is_one_paragraph(capsys):
    assert run(name="image_folder") == 1
    message = capsys.readouterr().err
    assert message.startswith("error: `dataset.folder` data/images does not exist")
    assert "Traceback" not in message


def test_a_truncated_archive_is_refused(server, tmp_path, monkeypatch, capsys):  # noqa: F811
    from tests.datasets.test_cifar import serve

    archive = server.folder / "cifar-10-python.tar.gz"
    write_cifar10(archive)
    serve(monkeypatch, server, "cifar10")
    archive.write_bytes(archive.read_bytes()[:-1000])
    assert run(name="cifar10") == 1
    assert "checksum is wrong" in capsys.readouterr().err.replace("\n", " ")
    assert not paths.POOL.exists()


INTERRUPTED = """
import sys
from dataclasses import replace
from stages.runs.stage import run_stage
from stages.datasets.fetching import Archive
from stages.datasets.sources import cifar
from stages.download import download

archive = Archive(sys.argv[1], sys.argv[2])
cifar.LAYOUTS["cifar10"] = replace(cifar.LAYOUTS["cifar10"], archive=archive)
sys.exit(run_stage(download, []))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_download_leaves_nothing(root, server, number):  # noqa: F811
    archive = server.folder / "cifar-10-python.tar.gz"
    archive.write_bytes(random_pixels(1_000_000).tobytes())
    server.stalling = True
    paths.PARAMS.write_text("dataset: {name: cifar10}")
    child = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, f"{server.address}/{archive.name}", sha256(archive)],
        env={**os.environ, "PYTHONPATH": str(root)},
        stderr=subprocess.PIPE,
        text=True,
    )
    raw = Path("data/raw")
    while not any(path.stat().st_size for path in raw.glob("tmp*")):
        assert child.poll() is None, child.communicate()
        time.sleep(0.02)
    child.send_signal(number)
    _, message = child.communicate()
    assert child.returncode == 130
    assert message.startswith("error: Interrupted.")
    assert "Traceback" not in message
    assert [path.name for path in raw.iterdir()] in ([], [f"{archive.name}.lock"])
    assert not paths.POOL.exists()


def test_real_pictures(real_pictures, tmp_path):
    """A hundred training and twenty test pictures of each class, straight out of the zip."""
    with zipfile.ZipFile(real_pictures) as whole, zipfile.ZipFile(tmp_path / "a.zip", "w") as part:
        for name in whole.namelist():
            number = int(Path(name).stem) if name.endswith(".jpg") else 9999
            if number < (100 if name.startswith("train/") else 20):
                part.writestr(name, whole.read(name))
    assert run(name="image_folder", folder=str(tmp_path / "a.zip")) == 0
    assert manifest()["images"] == {"test": 200, "train": 1000}
    assert len(manifest()["classes"]) == 10
    assert read_table(paths.POOL)["digest"].is_unique
