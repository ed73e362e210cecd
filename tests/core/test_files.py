"""Files are whole or absent, whatever interrupts the writing."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError

from stages.core import files
from stages.core.errors import DataError, RunError


class Interruption(BaseException):
    """Stands for Ctrl-C, which pytest would take for its own."""


@pytest.mark.parametrize("fault", [Interruption, ValueError, OSError(errno.ENOSPC, "full")])
def test_an_interrupted_write_leaves_what_was_there(tmp_path, fault):
    path = tmp_path / "a/result.json"
    kind = fault if isinstance(fault, type) else type(fault)
    for before in (None, "whole"):
        with pytest.raises(kind), files.replacing(path) as temporary:  # noqa: PT012
            temporary.write_text("half")
            raise fault
        assert (path.read_text() if path.exists() else None) == before
        path.write_text("whole")
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["result.json"]


def test_a_killed_process_leaves_no_result(tmp_path, root):
    code = (
        "import time\n"
        "from stages.core.files import replacing\n"
        "with replacing('result.json') as temporary:\n"
        "    temporary.write_text('half')\n"
        "    print('writing', flush=True)\n"
        "    while True: time.sleep(0.01)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(root)}
    for number in (signal.SIGINT, signal.SIGKILL):
        child = subprocess.Popen(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        with child:
            assert child.stdout is not None
            assert child.stdout.readline() == "writing\n"
            child.send_signal(number)
            child.wait()
        assert not (tmp_path / "result.json").exists()


@pytest.mark.parametrize("write", [files.write_json, files.write_text])
def test_a_write_that_breaks_off_leaves_what_was_there(tmp_path, monkeypatch, write):
    path = tmp_path / "result.json"
    write(path, "first")
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(path, "second")
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]


def test_reasons_that_libraries_hide(tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    rust = SafetensorError("I/O error: No space left on device (os error 28)")
    with pytest.raises(OSError, match="No space left") as caught, files.replacing(path):
        raise rust
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=0))
    with pytest.raises(OSError, match="No space left") as caught, files.replacing(path):
        raise OSError("1000000 requested and 25584 written")
    assert caught.value.filename == str(path)


def test_other_errors_pass_unchanged(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=0))
    for fault in (DataError("a class is missing"), FileNotFoundError(2, "no such file", "other")):
        with pytest.raises(type(fault)) as caught, files.replacing(tmp_path / "a"):
            raise fault
        assert caught.value is fault


def test_json_refuses_what_is_no_number(tmp_path):
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON compliant"):
            files.write_json(tmp_path / "a.json", {"loss": value})
    assert not list(tmp_path.iterdir())


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)  # fmt: skip


@given(values)
def test_json_hashes_do_not_depend_on_order(value):
    def turned(part: object) -> object:
        if isinstance(part, dict):
            return {key: turned(part[key]) for key in reversed(part)}
        return [turned(row) for row in part] if isinstance(part, list) else part

    assert files.sha256_of_json(value) == files.sha256_of_json(turned(value))


def test_json_comes_back(tmp_path):
    value = {"Käse": [1, None, 0.1, {"a": "ü"}]}
    files.write_json(tmp_path / "a.json", value)
    assert files.read_json(tmp_path / "a.json") == value
    assert "Käse" in (tmp_path / "a.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("content", [None, b'{"half": ', b"\xff\xfe", b""])
def test_json_that_cannot_be_read_says_what_to_run(tmp_path, content):
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(RunError, match="dvc repro"):
        files.read_json(tmp_path / "a.json")


def test_tables_keep_every_bit_and_unix_line_ends(tmp_path):
    table = pd.DataFrame({"a": [0.1, 1 / 3, 5e-324, 1e308], "b": ["x", "y,z", 'q"', "ü"]})
    files.write_csv(tmp_path / "a.csv", table)
    assert b"\r" not in (tmp_path / "a.csv").read_bytes()
    back = pd.read_csv(tmp_path / "a.csv", converters={"a": float})
    pd.testing.assert_frame_equal(back, table, check_exact=True)


def test_a_folder_is_emptied_of_what_earlier_runs_left(tmp_path):
    for _ in range(2):
        files.emptied(tmp_path / "a/b")
        assert list((tmp_path / "a/b").iterdir()) == []
        (tmp_path / "a/b/old").touch()


def test_hash_of_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256_of_file(tmp_path / "a") == known


def test_the_clock_of_a_file_moves_on(tmp_path):
    """A file that is written again is new, also with the same content."""
    files.write_text(tmp_path / "a", "same")
    first = (tmp_path / "a").stat()
    time.sleep(0.01)
    files.write_text(tmp_path / "a", "same")
    assert (tmp_path / "a").stat().st_mtime_ns > first.st_mtime_ns
