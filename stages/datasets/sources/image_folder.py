"""Your own pictures: a folder, or a zip of one, with a folder per class.

    train/<class>/*  and  test/<class>/*        two parts, kept apart
    <class>/*                                   one pool; the test part is drawn by seed

Pictures may lie deeper than their class folder, and everything may lie in one more folder, as
archivers make it. Hidden files and files that are no pictures (README.md, Thumbs.db) are passed
over. Names are compared in Unicode's composed form, for macOS writes the other one.
"""

import os
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core.errors import DataError
from stages.core.paths import dvc_root
from stages.datasets.decoding import SUFFIXES, picture_of
from stages.datasets.pool import Collection

if TYPE_CHECKING:
    from stages.core.params import Dataset

NAMES = ("image_folder",)
LAYOUT = "train/<class>/* with test/<class>/*, or <class>/* alone"
VALIDATION = {"val", "valid", "validation"}


def open_collection(dataset: "Dataset") -> Collection:
    """Every picture of `dataset.folder`, by name; none is opened yet.

    Raises DataError when there are no pictures, fewer than two classes, pictures outside class
    folders, or other classes in train than in test.
    """
    source = Path(dataset.folder)
    where = f"`dataset.folder` {source}"
    names, read = _list_zip(source, where) if source.is_file() else _list_folder(source, where)
    pictures = sorted(name for name in names if _is_picture(name))
    if not pictures:
        raise DataError(
            f"{where} holds no pictures: {_told(names)}. Put some there as {LAYOUT}.{_in_a_clone()}"
        )
    parts = _without_wrapper([_composed(name).split("/") for name in pictures])
    splits = _splits(parts, where)
    owners = _class_names(parts, splits, where)
    classes = sorted(set(owners))
    numbers = {name: number for number, name in enumerate(classes)}
    return Collection(
        classes=classes,
        names=["/".join(part) for part in parts],
        splits=splits,
        labels=[numbers[owner] for owner in owners],
        content=lambda index: read(pictures[index]),
        picture=picture_of,
        files=[source] if source.is_file() else [],
    )


def _list_folder(source: Path, where: str) -> tuple[list[str], Callable[[str], bytes]]:
    """All files below a folder, relative with forward slashes, and how to read one."""
    if not source.is_dir():
        raise DataError(
            f"{where} does not exist. Make that folder with your pictures in it as {LAYOUT}, or "
            f"name another folder or a .zip of one.{_in_a_clone()}"
        )
    names = [
        (Path(folder) / file).relative_to(source).as_posix()
        for folder, _, files in os.walk(source, followlinks=True)
        for file in files
    ]
    return names, lambda name: (source / name).read_bytes()


def _list_zip(source: Path, where: str) -> tuple[list[str], Callable[[str], bytes]]:
    """All files in a zip, and how to read one; reading checks the file's CRC."""
    try:
        archive = zipfile.ZipFile(source)
    except zipfile.BadZipFile as error:
        raise DataError(
            f"{where} is a file but no complete zip ({error}). Give a folder of pictures or a "
            "zip of one; if it was copied or downloaded, do that again."
        ) from None
    names = {info.filename for info in archive.infolist() if not info.is_dir()}
    return list(names), archive.read


def _is_picture(name: str) -> bool:
    """Whether a file name is that of a picture: a known suffix and no hidden part."""
    parts = name.split("/")
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return not hidden and _suffix(parts[-1]) in SUFFIXES


def _suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if stem and dot and "/" not in suffix else ""


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _without_wrapper(parts: list[list[str]]) -> list[list[str]]:
    """Leave out the one folder around all classes, and a `train` that has no `test` beside it."""
    for wrapper in ("", "train"):
        tops = {part[0] for part in parts}
        if len(tops) == 1 and min(map(len, parts)) > 2 and (not wrapper or wrapper in tops):
            parts = [part[1:] for part in parts]
    return parts


def _splits(parts: Sequence[list[str]], where: str) -> list[str]:
    """The split of each picture by its first folder; alone among others, `train` is a class."""
    tops = {part[0] for part in parts}
    if "train" in tops and tops & VALIDATION:
        raise DataError(
            f"{where} has {_listed(tops & VALIDATION)} beside train. The validation part is drawn "
            "from train by seed: rename the folder to test, or move its pictures into train."
        )
    if not {"train", "test"} <= tops:
        return ["any"] * len(parts)
    if len(tops) > 2:
        raise DataError(
            f"{where} has {_listed(tops - {'train', 'test'})} beside train and test. Move them "
            f"away, so that the folder is {LAYOUT}."
        )
    return [part[0] for part in parts]


def _class_names(parts: Sequence[list[str]], splits: list[str], where: str) -> list[str]:
    """The class of each picture: its first folder below the split."""
    depth = 0 if splits[0] == "any" else 1
    strays = {"/".join(part) for part in parts if len(part) < depth + 2}
    if strays:
        raise DataError(
            f"{where} has pictures that lie in no class folder: {_listed(strays)}. Move them into "
            f"one, so that the folder is {LAYOUT}."
        )
    owners = [part[depth] for part in parts]
    found = {
        split: {owner for owner, own in zip(owners, splits, strict=True) if own == split}
        for split in set(splits)
    }
    if depth and found["train"] != found["test"]:
        raise DataError(
            f"{where} has other classes in train than in test: "
            f"{_listed(found['train'] ^ found['test'])} in one alone. Give both the same class "
            "folders, with pictures in each."
        )
    if len(set(owners)) < 2:
        raise DataError(
            f"{where} has one class, {owners[0]}; at least two are needed to tell apart. Give each "
            f"class its folder: {LAYOUT}."
        )
    return owners


def _in_a_clone() -> str:
    """What to do where DVC runs an experiment in a clone, which lacks what git does not track."""
    if dvc_root().resolve() == Path.cwd().resolve():
        return ""
    return (
        " Experiments run with --queue or --temp see tracked files alone: add `--copy-paths` with "
        "the folder, or give its absolute path."
    )


def _listed(names: set[str]) -> str:
    """The first few names and how many more there are."""
    shown = sorted(names)[:10]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _told(names: list[str]) -> str:
    """What lies there instead of pictures, by suffix."""
    suffixes = Counter(_suffix(name) or "no suffix" for name in names)
    if not names:
        return "it is empty"
    counts = ", ".join(f"{count} with {suffix}" for suffix, count in suffixes.most_common(5))
    return f"its files are {counts}, and pictures end in {', '.join(sorted(SUFFIXES))}"
