"""Your own pictures: a folder, or a zip of one, with a folder per class (`datasets.layout`), or
with a table of labels (`datasets.label_table`).

Every file that is there is a picture or is counted under the reason why it is none: hidden files,
what systems and photo servers put beside pictures (thumbnails, trash), and files of other kinds.
Names are compared in Unicode's composed form, for macOS writes the other one.
"""

import posixpath
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core.counts import counted
from stages.core.errors import DataError
from stages.core.paths import dvc_root
from stages.datasets.decoding import SUFFIXES, picture_of, unread_suffixes
from stages.datasets.label_table import labelled, read_labels
from stages.datasets.layout import LAYOUT, layout_of, listed
from stages.datasets.listing import NO_FILES, Listing, list_folder, list_zip, written
from stages.datasets.pool import Collection

if TYPE_CHECKING:
    from stages.core.sections import Dataset

NAMES = ("image_folder",)
HIDDEN = "hidden"
OF_SYSTEMS = "thumbnails, trash and the like, which systems put there"
# Folders and files that macOS, Windows, Synology, QNAP and file systems put beside pictures.
SYSTEM_NAMES = {
    "__macosx", "network trash folder", "temporary items", "icon\r",
    "$recycle.bin", "recycler", "system volume information", "thumbs.db", "ehthumbs.db",
    "ehthumbs_vista.db", "desktop.ini", "@eadir", "#recycle", "#snapshot", "@tmp",
    "@recycle", "@recently-snapshot", "@__thumb", "lost+found",
}  # fmt: skip


def open_collection(dataset: "Dataset") -> Collection:
    """Every picture of `dataset.folder`, by name; none is opened yet.

    Raises DataError when there are no pictures, or as `layout_of`, `labelled`, `list_folder` and
    `list_zip` do.
    """
    source = Path(dataset.folder)
    where = f"`dataset.folder` {source}"
    listing = _list(source, where)
    table = read_labels(dataset.labels, listing, where) if dataset.labels else None
    pictures = sorted(name for name in listing.names if is_picture(name, listing))
    if not pictures:
        raise DataError(
            f"{where} holds no pictures: {told_of(listing)}. Put some there as {LAYOUT}."
            f"{_in_a_clone()}"
        )
    shown = [written(name) for name in pictures]
    _refuse_one_spelling(pictures, where)
    if table:
        pictures, layout = labelled(table, listing, dict(zip(shown, pictures, strict=True)))
        notes = layout.notes
    else:
        unread = _unread_table(listing, pictures)
        try:
            layout = layout_of([name.split("/") for name in shown], where)
        except DataError as error:
            more = [*unread, *_hidden_pictures(listing)]
            raise DataError(" ".join([str(error), *(f"{note}." for note in more)])) from None
        notes = [*layout.notes, *_without_pictures(listing, pictures), *unread]
    classes = sorted(set(layout.classes))
    numbers = {name: number for number, name in enumerate(classes)}
    return Collection(
        classes=classes,
        names=["/".join(part) for part in layout.parts],
        splits=layout.splits,
        labels=[numbers[owner] for owner in layout.classes],
        content=lambda index: listing.read(pictures[index]),
        picture=picture_of,
        files=[source] if source.is_file() else [source / table.found] if table else [],
        left_out=listing.left_out,
        notes=[*notes, *listing.notes],
    )


def _list(source: Path, where: str) -> Listing:
    if source.is_file():
        return list_zip(source, where)
    if not source.is_dir():
        home = " A ~ is not followed: write the whole path." if "~" in source.parts else ""
        raise DataError(
            f"{where} does not exist. Make that folder with your pictures in it as {LAYOUT}, or "
            f"name another folder or a .zip of one.{home}{_in_a_clone()}"
        )
    if dvc_root().resolve().is_relative_to(source.resolve()):
        raise DataError(
            f"{where} is around this repository, whose results are then among the pictures. Put "
            "them into a folder of their own."
        )
    listing = list_folder(source)
    if strange := listing.left_out.get(NO_FILES):
        raise DataError(
            f"{where} has {counted(len(strange), 'entry', 'entries')} that are {NO_FILES}: "
            f"{listed(set(strange))}. DVC cannot hash a folder with those; remove them."
        )
    return listing


def is_picture(name: str, listing: Listing) -> bool:
    """Whether a file is to be read; else it is counted under the reason."""
    parts = name.split("/")
    if any(part.casefold() in SYSTEM_NAMES for part in parts):
        reason = OF_SYSTEMS
    elif any(part.startswith(".") for part in parts):
        reason = HIDDEN
    elif (suffix := _suffix(parts[-1])) in SUFFIXES:
        needed = unread_suffixes().get(suffix)
        if needed is None:
            return True
        reason = f"{suffix}, for {needed} is not installed (`pip install {needed}`)"
    else:
        reason = suffix or "without a suffix"
    listing.leave_out(reason, name)
    return False


def _unread_table(listing: Listing, pictures: list[str]) -> list[str]:
    """What to say of a table of labels above all pictures that no parameter names."""
    tables = [name for name in listing.names if posixpath.basename(name).casefold() == "labels.csv"]
    return [
        f"{name} is not read, for classes are those of the folders; with `dataset.labels: "
        f"{posixpath.basename(name)}` they are those of that table"
        for name in tables
        if posixpath.commonpath([name, *pictures]) == posixpath.dirname(name)
    ]


def _hidden_pictures(listing: Listing) -> list[str]:
    """What to say of left out files that would be pictures, but for a dot in front of a name."""
    hidden = [
        name
        for name in listing.left_out.get(HIDDEN, ())
        if _suffix(name) in SUFFIXES and not any(map(_is_of_a_program, name.split("/")))
    ]
    if not hidden:
        return []
    return [
        f"{counted(len(hidden), 'picture')} whose name, or whose folder's, begins with a dot "
        f"{'is' if len(hidden) == 1 else 'are'} hidden and not taken: {listed(set(hidden))}"
    ]


def _is_of_a_program(part: str) -> bool:
    """Whether macOS, a desktop or Jupyter puts such a file or folder there."""
    return part.startswith(("._", ".Trash", ".ipynb_checkpoints"))


def _without_pictures(listing: Listing, pictures: list[str]) -> list[str]:
    """What to say of folders that have no picture in them or below, the topmost of each."""
    full = {"."}
    for name in pictures:
        parts = name.split("/")[:-1]
        full |= {"/".join(parts[:depth]) for depth in range(1, len(parts) + 1)}
    named = set(listing.folders) | {name.rpartition("/")[0] for name in listing.names}
    empty = {
        folder
        for folder in named - full
        if folder and (folder.rpartition("/")[0] or ".") in full and not _aside(folder)
    }
    if not empty:
        return []
    empty = set(map(written, empty))
    return [f"{counted(len(empty), 'folder')} without a picture, so no class: {listed(empty)}"]


def _refuse_one_spelling(pictures: list[str], where: str) -> None:
    """Raise DataError for folders or files whose names are one when they are written."""
    spellings = Counter(map(written, {part for name in pictures for part in _prefixes(name)}))
    if twice := {name for name, count in spellings.items() if count > 1}:
        raise DataError(
            f"{where} has names that differ in Unicode's form alone: {listed(twice)}. On macOS "
            "they are one, so the pictures would depend on the system. Give them one form (NFC), "
            "or names that differ in more."
        )


def _prefixes(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]


def _aside(folder: str) -> bool:
    parts = folder.split("/")
    return any(part.startswith(".") or part.casefold() in SYSTEM_NAMES for part in parts)


def _suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return written(f".{suffix.lower()}") if stem and dot else ""


def _in_a_clone() -> str:
    """What to do where DVC runs an experiment in a clone, which lacks what git does not track."""
    if dvc_root().resolve() == Path.cwd().resolve():
        return ""
    return (
        " Experiments run with --queue or --temp see tracked files alone: add `--copy-paths` with "
        "the folder, or give its absolute path."
    )


def told_of(listing: Listing) -> str:
    """What lies there instead of pictures, by reason or suffix."""
    if not listing.left_out:
        return "it is empty"
    counts = Counter({reason: len(names) for reason, names in listing.left_out.items()})
    told = ", ".join(
        f"{count} with {reason}" if reason.startswith(".") else f"{count} {reason}"
        for reason, count in counts.most_common(5)
    )
    return f"its files are {told}, and pictures end in {', '.join(sorted(SUFFIXES))}"
