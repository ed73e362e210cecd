"""Fixtures shared by all tests: the repository's root and the real pictures."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Test processes beside one another share the cores; threads beyond them wait for one another.
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    share = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, share)))

import stages  # noqa: F401  # isort: skip  (settings that must precede torch)
import torch

# A shell that starts the tests in the background has them ignore Ctrl-C, and their children too.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests make repositories and commit in them. A hook's variables would have them do so in the
# user's own one, and settings to sign or to run hooks would refuse them.
for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"):
    os.environ.pop(name, None)
plain = {"commit.gpgsign": "false", "tag.gpgsign": "false", "core.hooksPath": os.devnull}
for number, (key, value) in enumerate(plain.items(), int(os.environ.get("GIT_CONFIG_COUNT", 0))):
    os.environ |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    os.environ["GIT_CONFIG_COUNT"] = str(number + 1)

# No test asserts on time, and hypothesis neither, which would find a busy machine too slow.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")

ROOT = Path(__file__).resolve().parent.parent


SLOW = ("tests/pipeline/test_repro", "tests/studies/test_whole", "tests/studies/test_edits",
        "tests/studies/test_jobs", "tests/studies/test_project", "tests/pipeline/",
        "tests/test_contributing", "tests/training/test_checkpoint",
        "tests/training/test_distributed", "tests/training/test_determinism")  # fmt: skip
"""Files of few tests that take minutes: begun first, for one begun last is waited for alone.

Those of `tests/pipeline` share a first run: while one makes it, the others would wait for it.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return next((i for i, slow in enumerate(SLOW) if item.nodeid.startswith(slow)), len(SLOW))

    items.sort(key=place)


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores, for tests wait for files and processes, but at most four."""
    return min(4, (os.cpu_count() or 1) + 1)


@pytest.fixture(autouse=True)
def _torch_as_it_was() -> Iterator[None]:
    """Threads and determinism are the whole process's: no test sees what another one set."""
    threads = torch.get_num_threads()
    torch.use_deterministic_algorithms(False)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository under test."""
    return ROOT


@pytest.fixture(scope="session")
def real_pictures() -> Path:
    """The zip of real pictures: `BACKBONE_DNA_PICTURES`, or beside the checkout."""
    path = Path(
        os.environ.get("BACKBONE_DNA_PICTURES", ROOT.parent / "shared/data/cifar10-jpeg.zip")
    )
    if not path.is_file():
        pytest.skip(f"real pictures are absent: {path}; set BACKBONE_DNA_PICTURES to the zip")
    return path
