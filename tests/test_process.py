"""A process of this project ends with its own words and status, and none of Python's end."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("packages", ["torch", "torchvision", "timm, sklearn.linear_model"])
def test_a_process_ends_with_its_own_words_and_status(packages: str, root: Path) -> None:
    code = (
        f"import stages, {packages}, atexit, sys\n"
        "atexit.register(lambda: print('the last word', file=sys.stderr))\n"
        "sys.exit(3)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "the last word\n")


def test_an_error_of_the_code_keeps_its_traceback(root: Path) -> None:
    code = "import stages, torchvision; 1 / 0"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.rstrip().endswith("ZeroDivisionError: division by zero")
