"""Pictures that a user names: files, folders with all below them, and zips of such."""

import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from stages.core.errors import DataError
from stages.datasets.decoding import picture_of
from stages.datasets.listing import Listing, as_text, list_folder, list_zip, read_file
from stages.datasets.pool import Collection
from stages.datasets.sources.image_folder import is_picture, told_of


def find_pictures(named: Sequence[str]) -> Collection:
    """All of them in the order named, those of a folder by name; none is opened yet.

    A file that is named itself counts as a picture whatever it is called; `left_out` has those
    below a folder that do not. Raises DataError where nothing is there, for what is no file or
    folder, and for a damaged zip, a folder and a zip without pictures; beside others these count
    as pictures that cannot be read, as a file does that is not there. `notes` say how names were
    read that are not UTF-8.
    """
    if not any(map(_is_there, named)):
        raise DataError(
            f"There is no {named[0] or 'picture without a name'}. Name pictures, folders with "
            "pictures, or zips of them."
        )
    names: list[str] = []
    contents: list[Callable[[], bytes]] = []
    left_out: dict[str, list[str]] = {}
    notes: list[str] = []
    for name, place in zip(named, map(Path, named), strict=True):
        shown, there = as_text(place) if name else "''", _is_there(name)
        if there and not place.is_file() and not place.is_dir():
            raise DataError(f"{shown} is neither a file nor a folder, so it holds no picture.")
        if not there or (place.is_file() and not _is_zip(place)):
            names.append(shown)
            contents.append(partial(read_file, place))
            continue
        try:
            listing = list_folder(place) if place.is_dir() else list_zip(place, shown)
            found = _pictures(listing, place)
        except DataError as error:
            if len(named) == 1:
                raise
            names.append(shown)
            contents.append(partial(_raise, str(error)))
            continue
        names += [f"{shown}/{below}" for below in found]
        contents += [partial(listing.read, below) for below in found]
        notes += [f"{shown}: {note}" for note in listing.notes]
        for reason, files in listing.left_out.items():
            left_out.setdefault(reason, []).extend(files)
    return Collection(
        classes=[],
        names=names,
        splits=[],
        labels=[],
        content=lambda row: contents[row](),
        picture=picture_of,
        left_out=left_out,
        notes=notes,
    )


def _raise(told: str) -> bytes:
    raise ValueError(told.removesuffix("."))


def _is_there(name: str) -> bool:
    """Whether a name is of something; one that is empty, or too long to be one, is not."""
    try:
        return bool(name) and Path(name).exists()
    except OSError:
        return False


def _is_zip(place: Path) -> bool:
    """Whether a file is a zip, or begins as one and was cut off; one that cannot be read is none.

    What ends as a zip and begins as a picture is a picture.
    """
    try:
        with place.open("rb") as file:
            begins = file.read(4)
            return begins == b"PK\3\4" or (not _is_picture(begins) and zipfile.is_zipfile(file))
    except OSError:
        return False


def _is_picture(begins: bytes) -> bool:
    return begins.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"RIFF"))


def _pictures(listing: Listing, place: Path) -> list[str]:
    found = sorted(name for name in listing.names if is_picture(name, listing))
    if not found:
        raise DataError(f"{place} holds no pictures: {told_of(listing)}.")
    return found
