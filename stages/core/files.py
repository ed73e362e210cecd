"""Files that are either whole or absent: everything is written beside its place and renamed.

Covers text, JSON, CSV and any writer that takes a path.
"""

import errno
import hashlib
import io
import json
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.core.errors import RunError, UserError

if TYPE_CHECKING:
    import pandas as pd

FULL_DISK_BYTES = 1 << 20


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the same folder; rename it to `path` on success, else remove it.

    The data are flushed to the disk before the rename, so a power cut leaves the old file or
    the new one, never a part. Raises OSError with the file's name when it cannot be written, also
    where a library hides the reason.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except Exception as error:
        number = _storage_errno(error, path.parent)
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _storage_errno(error: Exception, folder: Path) -> int | None:
    """The system's error number behind a failed write; None when it was something else.

    Rust libraries (safetensors) pass it on in words; NumPy and torch.save do not, but leave a
    full disk behind.
    """
    if isinstance(error, UserError) or getattr(error, "filename", None) is not None:
        return None
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if told := re.search(r"\(os error (\d+)\)", str(error)):
        return int(told[1])
    return errno.ENOSPC if shutil.disk_usage(folder).free < FULL_DISK_BYTES else None


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


def emptied(folder: Path) -> None:
    """Make a folder, without what an earlier run left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def parse_csv(
    text: str, words: Collection[str] = (), names: Collection[str] = ()
) -> "pd.DataFrame":
    """The table of a CSV text. Raises ValueError for what is none.

    Columns of `words` stay text where all of them look like numbers. So do those of `names`, in
    which an empty cell, NA and null are names too; a class may be called that.
    """
    import pandas as pd

    columns = text.partition("\n")[0].rstrip("\r").split(",")
    return pd.read_csv(
        io.StringIO(text),
        dtype=dict.fromkeys([*words, *names], str),
        keep_default_na=False,
        na_values={column: ["", "nan"] for column in columns if column not in names},
    )


def missing(path: Path | str) -> RunError:
    """What to do about a file that an earlier stage writes and that is not there."""
    return RunError(f"{path} is missing. It is written by an earlier stage: run `dvc repro`.")


def read_json(path: Path | str) -> Any:
    """Read JSON that an earlier stage wrote.

    Raises RunError when the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise missing(path) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
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
