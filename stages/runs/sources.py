"""Where a run is read from: a folder, the workspace, a git revision or an experiment.

A revision is read out of git without a checkout, and what git lacks through DVC's file system,
which finds files in the cache and on a remote alike. Leaves the meaning of files to `run`.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import TYPE_CHECKING

from stages.core.errors import RunError

if TYPE_CHECKING:
    from dvc.api import DVCFileSystem
    from dvc.repo import Repo
    from dvc.repo.index import Index

WORKSPACE = "workspace"


@dataclass(frozen=True)
class Source:
    """A named run: `read` gives the bytes of a file of its folder, None when it is absent."""

    name: str
    read: Callable[[Path], bytes | None]
    names: Callable[[Path], list[str]]
    """Names of the files in a folder of the run; empty when there is none."""

    def within(self, folder: Path, name: str = "") -> "Source":
        """A folder of this one as a source of its own."""
        return Source(
            name or f"{self.name}{'/' if ':' in self.name else ':'}{folder.as_posix()}",
            lambda path: self.read(folder / path),
            lambda path: self.names(folder / path),
        )


def open_source(name: str) -> Source:
    """The run that `name` means: `workspace`, a folder, or `REVISION[:folder]`.

    A revision is anything git or `dvc exp` has a name for. Raises RunError when it is none of
    these.
    """
    if not name.partition(":")[0].strip():
        raise RunError(
            "The name of a run is empty. Name a git revision, a branch, an experiment from "
            "`dvc exp list`, a folder, or `workspace`."
        )
    if name == WORKSPACE:
        return _folder(name, Path())
    if Path(name).is_dir():
        return _folder(name, Path(name))
    revision, _, folder = name.partition(":")
    return _revision(name, revision).within(Path(folder), name)


def _folder(name: str, root: Path) -> Source:
    def read(path: Path) -> bytes | None:
        whole = root / path
        return whole.read_bytes() if whole.is_file() else None

    def names(path: Path) -> list[str]:
        whole = root / path
        return sorted(file.name for file in whole.iterdir()) if whole.is_dir() else []

    return Source(name, read, names)


def _revision(name: str, revision: str) -> Source:
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc_data.index import DataIndexError

    try:
        files = _Revision(Repo.open(url=".", rev=revision, uninitialized=True))
    except DvcException as error:
        raise RunError(
            f"There is no run called {name!r}: it is no folder, and git says {error}. Name a git "
            "revision, a branch, an experiment from `dvc exp list`, a folder, or `workspace`."
        ) from None
    # In neither git nor the cache, nor on a remote that can be reached.
    absent = (OSError, DvcException, DataIndexError)

    def read(path: Path) -> bytes | None:
        place = normpath(path.as_posix())
        with suppress(*absent):
            return files.in_git(place)
        with suppress(*absent):
            return bytes(files.of_dvc(place).read_bytes(place))
        return None

    def names(path: Path) -> list[str]:
        place, listed = normpath(path.as_posix()), []
        with suppress(*absent):
            listed = files.of_dvc(place).ls(place, detail=False)
        return sorted(PurePosixPath(file).name for file in listed)

    return Source(name, read, names)


class _Revision:
    """Git's tree of a revision, and DVC's view of as much of it as is asked for.

    That view rests on an index, which is made of the pipeline files around a path alone: that of a
    repository with a few studies takes seconds.
    """

    def __init__(self, repo: "Repo") -> None:
        self._repo = repo
        self._indexes: dict[str, Index | None] = {}
        self._view: DVCFileSystem | None = None

    def in_git(self, place: str) -> bytes:
        """A file that git holds. Raises OSError when it does not."""
        with self._repo.fs.open(f"{self._repo.root_dir.rstrip('/')}/{place}", "rb") as opened:
            return bytes(opened.read())

    def of_dvc(self, place: str) -> "DVCFileSystem":
        """A file system in which `place`, if there is such a file, is found by that path."""
        from dvc.api import DVCFileSystem

        found = [path for path in self._pipeline_files(place) if path not in self._indexes]
        if found or self._view is None:
            from dvc.repo.index import Index

            self._indexes |= {path: self._index(path) for path in found}
            known = [index for index in self._indexes.values() if index is not None]
            self._repo.index = Index.from_indexes(self._repo, known)
            self._view = DVCFileSystem(self._repo)
        return self._view

    def _index(self, path: str) -> "Index | None":
        """None for a broken pipeline file: it costs its outputs, which are named as missing."""
        from dvc.exceptions import DvcException
        from dvc.repo.index import Index

        with suppress(DvcException):
            return Index.from_file(self._repo, path)
        return None

    def _pipeline_files(self, place: str) -> list[str]:
        """Files that may tell DVC of an output at `place`: those in the folders above it."""
        from dvc.dvcfile import is_valid_filename

        git = self._repo.fs
        folders = map(str, PurePosixPath(self._repo.root_dir, place).parents)
        listed = (
            path for folder in folders if git.isdir(folder) for path in git.ls(folder, detail=False)
        )
        return [
            path
            for path in listed
            if is_valid_filename(PurePosixPath(path).name) and git.isfile(path)
        ]
