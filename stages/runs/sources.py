"""Where a run is read from: a folder, the workspace, a git revision or an experiment.

A revision is read out of git without a checkout, and what git lacks through DVC's file system,
which finds files in the cache and on a remote alike.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import TYPE_CHECKING, Any

from stages.core import paths
from stages.core.errors import RunError

if TYPE_CHECKING:
    from dvc.api import DVCFileSystem
    from dvc.repo import Repo

WORKSPACE = "workspace"


@dataclass(frozen=True)
class Source:
    """A named run: `read` gives the bytes of a file of its folder, None when it is absent."""

    name: str
    read: Callable[[Path], bytes | None]
    names: Callable[[Path], list[str]]
    """Names of the files in a folder of the run; empty when there is none."""

    def within(self, folder: Path) -> "Source":
        """A folder of this one as a source of its own."""
        return Source(
            f"{self.name}{'/' if ':' in self.name else ':'}{folder.as_posix()}",
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
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc_data.index import DataIndexError

    revision, _, folder = name.partition(":")
    try:
        repo = Repo.open(url=".", rev=revision, uninitialized=True)
    except DvcException as error:
        raise RunError(
            f"There is no run called {name!r}: it is no folder, and git says {error}. Name a git "
            "revision, a branch, an experiment from `dvc exp list`, a folder, or `workspace`; a "
            "task of the queue that failed left no run (`dvc queue logs NAME`)."
        ) from None
    # In neither git nor the cache, nor on a remote that can be reached.
    absent = (OSError, DvcException, DataIndexError)
    of_dvc = cache(lambda: _view(repo, PurePosixPath(repo.root_dir, folder)))

    def read(path: Path) -> bytes | None:
        place = normpath((Path(folder) / path).as_posix())
        with suppress(OSError):
            return bytes(repo.fs.read_bytes(str(PurePosixPath(repo.root_dir, place))))
        with suppress(*absent):
            return bytes(of_dvc().read_bytes(place))
        return None

    def names(path: Path) -> list[str]:
        place, listed = normpath((Path(folder) / path).as_posix()), []
        with suppress(OSError):
            listed = repo.fs.ls(str(PurePosixPath(repo.root_dir, place)), detail=False)
        if not listed:
            with suppress(*absent):
                listed = of_dvc().ls(place, detail=False)
        return sorted(PurePosixPath(file).name for file in listed)

    return Source(name, read, names)


def _view(repo: "Repo", folder: PurePosixPath) -> "DVCFileSystem":
    """DVC's view of a run's folder at a revision.

    Its index is made of the pipeline files around the run alone: that of a repository with a few
    studies takes seconds.
    """
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException
    from dvc.repo.index import Index

    indexes = []
    for path in _pipeline_files(repo.fs, folder):
        with suppress(DvcException):  # a broken one costs its outputs, which are named as missing
            indexes.append(Index.from_file(repo, path))
    repo.index = Index.from_indexes(repo, indexes)
    return DVCFileSystem(repo)


def _pipeline_files(git: Any, folder: PurePosixPath) -> list[str]:
    """Files that tell DVC of a run's outputs: in the run's folder, above it and one level below."""
    from dvc.dvcfile import is_valid_filename

    below = {folder / path.parent for path in (paths.SNAPSHOTS, paths.TRACE, paths.TRAIN_METRICS)}
    places = [str(place) for place in (*folder.parents, folder, *sorted(below))]
    listed = [path for place in places if git.isdir(place) for path in git.ls(place, detail=False)]
    return [
        path for path in listed if is_valid_filename(PurePosixPath(path).name) and git.isfile(path)
    ]
