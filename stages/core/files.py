"""Files that are either whole or absent: everything is written beside its place and renamed.

Covers text, JSON, CSV and any writer that takes a path. Leaves what goes into the files to
the stages, and reading of tables to pandas.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.core.errors import RunError

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the same folder; rename it to `path` on success, else remove it.

    The data are flushed to the disk before the rename, so a power cut leaves the old file or
    the new one, never a part. Raises OSError as the file system does.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text with unix line ends, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON; NaN and infinities are refused (ValueError)."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def write_csv(path: Path | str, table: "pd.DataFrame") -> None:
    """Write a table as CSV without its index; floats keep every bit (shortest round trip)."""
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def read_json(path: Path | str) -> Any:
    """Read JSON that an earlier stage wrote.

    Raises RunError when the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(
            f"{path} is missing. It is written by an earlier stage: run `dvc repro`."
        ) from None
    except json.JSONDecodeError as error:
        raise RunError(
            f"{path} is not valid JSON ({error}). Delete it and run `dvc repro`."
        ) from None


def sha256_of_file(path: Path | str) -> str:
    """Hex SHA-256 of a file's bytes."""
    with Path(path).open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def sha256_of_json(value: Any) -> str:
    """Hex SHA-256 of a JSON value in canonical form: sorted keys, no spaces."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
