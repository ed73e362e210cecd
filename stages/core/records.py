"""Files that know whether they are whole: results held against the hash that was recorded of them.

A record is a JSON file that carries the hash of its own content, and those of the files that were
written beside it. DVC trusts its cache, and git keeps what it is given: a damaged or edited file is
noticed here, by whoever reads it. Records of earlier versions have no hashes and are believed.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stages.core.errors import RunError
from stages.core.files import missing, read_json, sha256_of_file, sha256_of_json, write_json
from stages.core.paths import dvc_root

SEAL = "content_sha256"
FILES = "files_sha256"
LOCK = Path("dvc.lock")


def seal_of(values: Mapping[str, Any]) -> str:
    """The hash of a JSON object's content. Raises ValueError for NaN and infinities."""
    return sha256_of_json(json.loads(json.dumps(dict(values), allow_nan=False)))


def unsealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The content without its hash. Raises ValueError when the two do not fit."""
    content = {name: value for name, value in values.items() if name != SEAL}
    if SEAL in values and values[SEAL] != sha256_of_json(content):
        raise ValueError(f"its content does not fit its {SEAL}: it was damaged or edited")
    return content


def write_record(path: Path | str, values: Mapping[str, Any]) -> None:
    """Write a JSON object with the hash of its content."""
    write_json(path, {**values, SEAL: seal_of(values)})


def read_record(path: Path | str) -> dict[str, Any]:
    """Read what `write_record` wrote. Raises RunError when it is missing or damaged."""
    content = read_json(path)
    try:
        if not isinstance(content, dict):
            raise ValueError("it does not hold keys and values")
        return unsealed(content)
    except ValueError as error:
        raise damaged(Path(path), str(error)) from None


def hashes_of(paths: Iterable[Path]) -> dict[str, str]:
    """The SHA-256 of files by path, as a record keeps them under `files_sha256`."""
    return {path.as_posix(): sha256_of_file(path) for path in paths}


def require_recorded(path: Path, sha256: str | None, record: Path) -> None:
    """Raise RunError when a file is missing or not the one that `record` tells of."""
    if not path.is_file():
        raise missing(path)
    found = sha256_of_file(path)
    if sha256 not in (None, found):
        raise damaged(path, f"its SHA-256 is {found[:12]}…, but {record} recorded {sha256[:12]}…")


def damaged(path: Path, why: str) -> RunError:
    """What to say of a result that is not as it was written, and how to get it back."""
    copy = copy_in_cache(path)
    also = f" and its copy in DVC's cache, {copy}," if copy else ""
    return RunError(
        f"{path} is not as it was written ({why}). Restore it, or delete it{also} and run "
        "`dvc repro`, which makes it anew."
    )


def copy_in_cache(path: Path) -> Path | None:
    """The object of DVC's cache that the lock file names for an output; None when it is not there.

    DVC takes a file of its cache for whole, so that a damaged one would come back.
    """
    lock = LOCK.read_text(encoding="utf-8", errors="replace") if LOCK.is_file() else ""
    found = re.search(rf"path: {re.escape(path.as_posix())}\n.*?md5: (..)(\w+)\n", lock, re.DOTALL)
    if found is None:
        return None
    copy = dvc_root() / ".dvc" / "cache" / "files" / "md5" / found[1] / found[2]
    return copy if copy.is_file() else None
