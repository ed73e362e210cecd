"""Where a run is read from: a folder, the workspace, a git revision or an experiment.

Revisions are read through DVC's file system, which finds files that git holds, files in the cache
and files on a remote alike, without a checkout. Leaves the meaning of files to `record`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.core.errors import RunError

WORKSPACE = "workspace"


@dataclass(frozen=True)
class Source:
    """A named run: `read` gives the bytes of a file of the pipeline, None when it is absent."""

    name: str
    read: Callable[[Path], bytes | None]
    names: Callable[[Path], list[str]]
    """Names of the files in a folder of the run; empty when there is none."""


def open_source(name: str) -> Source:
    """The run that `name` means: `workspace`, a folder, or `REVISION[:folder]`.

    A revision is anything git or `dvc exp` has a name for. Raises RunError when it is none of
    these.
    """
    if name == WORKSPACE:
        return _folder(name, Path())
    if Path(name).is_dir():
        return _folder(name, Path(name))
    return _revision(name)


def _folder(name: str, root: Path) -> Source:
    def read(path: Path) -> bytes | None:
        whole = root / path
        return whole.read_bytes() if whole.is_file() else None

    def names(path: Path) -> list[str]:
        whole = root / path
        return sorted(file.name for file in whole.iterdir()) if whole.is_dir() else []

    return Source(name, read, names)


def _revision(name: str) -> Source:
    revision, _, folder = name.partition(":")
    files = _open_revision(name, revision)

    def read(path: Path) -> bytes | None:
        try:
            return bytes(files.read_bytes((Path(folder) / path).as_posix()))
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None

    def names(path: Path) -> list[str]:
        try:
            listed = files.ls((Path(folder) / path).as_posix(), detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(Path(file).name for file in listed)

    return Source(name, read, names)


def _open_revision(name: str, revision: str) -> Any:
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException

    try:
        files = DVCFileSystem(url=".", rev=revision)
        files.exists("dvc.yaml")  # the revision is resolved at the first question
        files.read_bytes("dvc.yaml")
    except FileNotFoundError:
        return files
    except DvcException as error:
        raise RunError(
            f"There is no run called {name!r}: it is no folder, and git says {error}. Name a git "
            "revision, a branch, an experiment from `dvc exp list`, a folder, or `workspace`."
        ) from None
    return files
