"""The shell around a stage: help, exit status, one paragraph for what goes wrong."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from stages.core.cli import reporting_errors
from stages.core.errors import DataError


def raising(error: BaseException):
    def work() -> int:
        raise error

    return work


@pytest.mark.parametrize("columns", [60, 100, 300])
def test_a_user_error_is_one_paragraph_as_wide_as_the_terminal(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    long = "There are too few images of the class cat. " * 5
    assert reporting_errors(raising(DataError(long))) == 1
    output = capsys.readouterr()
    assert output.out == ""
    lines = output.err.splitlines()
    assert lines[0].startswith("error: There are too few")
    assert min(columns, 100) - 10 < max(map(len, lines)) <= min(columns, 100)
    assert " ".join(lines).split() == ("error: " + long).split()


def test_addresses_and_paths_are_not_broken(capsys):
    path = "/a-very-long/" + "folder-name/" * 12 + "file.json"
    reporting_errors(raising(DataError(f"Cannot read {path} now.")))
    assert path in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission is denied"),
        (errno.EPERM, "not permitted"),
        (errno.ENOTDIR, "a file is in the place of a folder"),
        (errno.EEXIST, "a file is in the place of a folder"),
    ],
)
def test_storage_trouble_is_one_paragraph(capsys, number, said):
    error = OSError(number, os.strerror(number), "metrics/train.json")
    assert reporting_errors(raising(error)) == 1
    message = " ".join(capsys.readouterr().err.split())
    assert message.startswith("error: Cannot read or write metrics/train.json: ")
    assert said in message
    assert "Traceback" not in message


def test_a_folder_in_the_place_of_an_output(capsys, tmp_path):
    from stages.core.files import write_text

    (tmp_path / "metrics").write_text("a file")
    assert reporting_errors(lambda: write_text(tmp_path / "metrics/train.json", "x") or 0) == 1
    assert "move it away" in " ".join(capsys.readouterr().err.split())


def test_storage_trouble_without_a_name(capsys):
    assert reporting_errors(raising(OSError(errno.ENOSPC, "full"))) == 1
    assert "an output" in capsys.readouterr().err


@pytest.mark.parametrize("defect", [ValueError("x"), OSError(errno.ECHILD, "x"), OSError("x")])
def test_defects_keep_their_traceback(defect):
    with pytest.raises(type(defect)):
        reporting_errors(raising(defect))


@pytest.mark.parametrize(
    "trouble",
    [
        MemoryError(),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_too_little_memory_is_one_paragraph(capsys, trouble):
    def work() -> int:
        raise trouble

    assert reporting_errors(work) == 1
    assert " ".join(capsys.readouterr().err.split()).startswith("error: Out of memory (")


def test_an_interrupt_is_130(capsys):
    assert reporting_errors(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err.startswith("error: Interrupted.")


def test_the_handler_of_sigterm_is_put_back():
    before = signal.getsignal(signal.SIGTERM)
    assert reporting_errors(lambda: 0) == 0
    assert signal.getsignal(signal.SIGTERM) is before


LONG_WORK = """
import sys, time
from stages.core.cli import reporting_errors
from stages.core.files import replacing

def work():
    with replacing("result.json") as temporary:
        temporary.write_text("half")
        print("working", flush=True)
        while True:
            time.sleep(0.01)

sys.exit(reporting_errors(work))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_terminated_process_tidies_up(tmp_path, root, number):
    with subprocess.Popen(
        [sys.executable, "-c", LONG_WORK], cwd=tmp_path, text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == "working\n"
        child.send_signal(number)
        _, message = child.communicate()
    assert child.returncode == 130
    assert "Traceback" not in message
    assert "run the same command again" in " ".join(message.split())
    assert not list(tmp_path.iterdir())
