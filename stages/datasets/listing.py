"""The files below a folder or in a zip: their names, how to read one, and what is not to be read.

Every file is listed or counted under a reason why it is left out. Names are relative, with forward
slashes.
"""

import os
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from stages.core.counts import counted, first_few
from stages.core.errors import DataError

LARGEST_FILE_BYTES = 512 << 20  # a photograph of 200 megapixels has about 100 MB
SUSPICIOUS_BYTES, SUSPICIOUS_RATIO = 64 << 20, 100  # pictures do not shrink like that
NO_FILES = "no files but links to nothing, pipes, sockets or devices"
ENCRYPTED, NAMES_IN_UTF8 = 0x1, 0x800  # bits of a zip member's flags
METHODS = {
    zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA,
}  # fmt: skip
METHOD_NAMES = {9: "deflate64", 93: "Zstandard", 95: "XZ", 98: "PPMd"}
IN_SIGHT = {
    **{code: 0x2400 + code for code in range(32)},  # Unicode's pictures of control characters
    **dict.fromkeys((0x85, 0x2028, 0x2029), 0x2424),  # further ends of lines
}


def written(name: str) -> str:
    """The name as it is written everywhere: composed, and in one line (a carriage return as ␍)."""
    return unicodedata.normalize("NFC", name).translate(IN_SIGHT)


@dataclass
class Listing:
    """`left_out` has the names of files by reason; `notes` what else a user must be told."""

    read: Callable[[str], bytes]
    names: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def leave_out(self, reason: str, name: str) -> None:
        """Count a file under a reason."""
        self.left_out.setdefault(reason, []).append(name)


@dataclass(frozen=True)
class Step:
    """A folder, the names of its files, and those of its links that lead `back`."""

    folder: Path
    files: list[str]
    back: list[str]


def list_folder(source: Path) -> Listing:
    """All files below a folder; links are followed, but not back to where they are.

    Raises OSError for a folder that cannot be read, DataError for one that changes meanwhile, or
    that has a name in Latin-1 beside the same in UTF-8.
    """

    def read(name: str) -> bytes:
        return read_file(source / stored.get(name, name))

    def refuse(error: OSError) -> None:
        if isinstance(error, FileNotFoundError):
            raise DataError(f"{source} changed while it was listed. Run again.")
        raise error

    stored: dict[str, str] = {}
    listing = Listing(read)
    for step in walk(source, refuse):
        here = step.folder.relative_to(source)
        listing.folders.append(as_text(here))
        for name in step.back:
            listing.leave_out("links to a folder that they lie in", as_text(here / name))
        for name in step.files:
            text = as_text(here / name)
            if not (step.folder / name).is_file():
                listing.leave_out(NO_FILES, text)
                continue
            listing.names.append(text)
            if text != (here / name).as_posix():
                stored[text] = (here / name).as_posix()
    if stored:
        _refuse_one_text(listing, source)
        listing.notes.append(
            f"names of files that are not UTF-8 are read as Latin-1 ({len(stored):,}), such as "
            f"{next(iter(stored))!r}"
        )
    return listing


def _refuse_one_text(listing: Listing, source: Path) -> None:
    """Raise DataError where names that are other bytes on the disk are read as one."""
    counts = Counter([*listing.names, *listing.folders])
    if twice := [name for name, count in counts.items() if count > 1]:
        raise DataError(
            f"{source} has names both in UTF-8 and in Latin-1, which are read as one: "
            f"{first_few(twice, 3)}. Put the pictures of one of them under another name."
        )


def not_utf8(source: Path) -> list[str]:
    """Folders and files below a folder whose own name is not UTF-8, as Python writes them."""
    places = (step.folder / name for step in walk(source) for name in ("", *step.files))
    return [ascii(str(place)) for place in places if not _is_utf8(place.name)]


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # of bytes that are none Python makes halves of pairs
        return False
    return True


def read_file(path: Path) -> bytes:
    """A file's bytes. Raises ValueError, before it is read, for one too large for a picture."""
    _require_sane(size := path.stat().st_size, size)
    return path.read_bytes()


def as_text(path: Path) -> str:
    """A path with forward slashes; bytes that are not UTF-8, from older systems, as Latin-1."""
    stored = os.fsencode(path.as_posix())
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored.decode("latin-1")


def walk(source: Path, onerror: Callable[[OSError], object] | None = None) -> Iterator[Step]:
    """The folders below one, as `os.walk`; links are followed, but not those that lead back.

    These are links to a folder on the way to them, or to one around it.
    """
    ways = {source: [source.resolve()]}
    for folder, inner, files in os.walk(source, followlinks=True, onerror=onerror):
        way, back = ways.pop(Path(folder)), list[str]()
        for name in list(inner):
            place = Path(folder) / name
            real = place.resolve() if place.is_symlink() else way[-1] / name
            if place.is_symlink() and any(one.is_relative_to(real) for one in way):
                inner.remove(name)
                back.append(name)
            else:
                ways[place] = [*way, real]
        yield Step(Path(folder), files, back)


def list_zip(source: Path, where: str) -> Listing:
    """All files in a zip; reading one checks its CRC.

    Raises DataError for what is no complete zip, or cannot be unpacked here.
    """
    try:
        archive = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise DataError(
            f"{where} is a file but no complete zip ({error}). Give a folder of pictures or a "
            "zip of one; if it was copied or downloaded, do that again."
        ) from None
    if any(info.header_offset < 0 for info in archive.infolist()):
        raise DataError(
            f"{where} is no complete zip: its beginning is missing, as of one part of several. "
            "Copy or download all of it."
        )
    members: dict[str, zipfile.ZipInfo] = {}
    listing = Listing(lambda name: _read_member(archive, members[name]))
    for info in archive.infolist():
        name = "/".join(_parts(info.filename))
        if info.is_dir() or info.filename.endswith("\\"):
            listing.folders.append(name)
        elif ".." in name.split("/"):
            listing.leave_out("names that lead out of the zip", name)
        else:
            if name in members:
                listing.leave_out(
                    "in the zip again under the same name, of which the last counts", name
                )
            members[name] = info
    listing.names += members
    _require_readable(list(members.values()), where)
    listing.notes += _foreign_names(archive.infolist())
    return listing


def _parts(name: str) -> Iterator[str]:
    """The parts of a member's name; Windows tools write backslashes, others `./` in front."""
    return (part for part in name.replace("\\", "/").split("/") if part not in ("", "."))


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    _require_sane(info.file_size, info.compress_size)
    return archive.read(info)


def _require_sane(size: int, stored: int) -> None:
    """Raise ValueError for a file that would fill the memory and is no picture by its size."""
    if size > LARGEST_FILE_BYTES:
        raise ValueError(f"it has {size / 1e6:,.0f} MB, more than a picture can have here")
    if size > SUSPICIOUS_BYTES and size > SUSPICIOUS_RATIO * max(stored, 1):
        raise ValueError(
            f"{stored / 1e6:.1f} MB would unpack to {size / 1e6:,.0f}, as in a zip bomb"
        )


def _require_readable(members: list[zipfile.ZipInfo], where: str) -> None:
    """Raise DataError, once for the archive, for a password or an unknown compression."""
    if locked := sum(bool(info.flag_bits & ENCRYPTED) for info in members):
        raise DataError(
            f"{where} is encrypted ({locked} of {counted(len(members), 'file')}). Unpack it with "
            "its password and give the folder."
        )
    foreign = Counter(i.compress_type for i in members if i.compress_type not in METHODS)
    for method, count in foreign.items():
        name = METHOD_NAMES.get(method, f"method {method}")
        raise DataError(
            f"{where} is compressed by {name} ({count} of {counted(len(members), 'file')}), which "
            "cannot be unpacked here. Unpack it and give the folder, or pack it anew by deflate."
        )


def _foreign_names(members: list[zipfile.ZipInfo]) -> list[str]:
    """What to say of names in an unknown alphabet, which zip readers take for code page 437."""
    names = [
        info.filename
        for info in members
        if not info.filename.isascii() and not info.flag_bits & NAMES_IN_UTF8
    ]
    if not names:
        return []
    return [
        f"{counted(len(names), 'name')} in the zip are not marked as UTF-8, as older archivers "
        f"write them, and are read as code page 437, such as {names[0]!r}. Where that is not what "
        "they say, unpack it in its own encoding (such as `unzip -O GBK`, or cp932) and give the "
        "folder"
    ]
