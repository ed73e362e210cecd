"""Classes of pictures from a table, `dataset.labels`: columns file, label and, if wanted, split.

The table lies in the folder or zip of the pictures, so that whatever watches those sees it, and its
paths start where its own does. The folders around pictures mean nothing then.
"""

import csv
import io
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stages.core.counts import counted, first_few
from stages.core.errors import DataError
from stages.datasets.layout import (
    Layout,
    listed,
    require_equal_classes,
    spelled_alike,
)
from stages.datasets.listing import Listing, written
from stages.datasets.reading import reason_of
from stages.datasets.split_names import role_of

COLUMNS, SPLIT = ("file", "label"), "split"
FORM = "a CSV file in UTF-8 whose first line is file,label or file,label,split"


@dataclass(frozen=True)
class Row:
    """What the table says of a picture; `split` is train, test or val, or empty."""

    label: str
    split: str


@dataclass(frozen=True)
class LabelTable:
    """A table that was read. `found` is its name in the listing, `above` what folders an archiver
    put around all, with a slash at the end; `rows` are by path below those; `repeated` said a row
    again.
    """

    name: str
    place: str
    found: str
    above: str
    rows: dict[str, Row]
    repeated: int


def read_labels(name: str, listing: Listing, where: str) -> LabelTable:
    """Read the table and take it out of the listing. `name` is its path in the folder or zip.

    Raises DataError for a table that is missing, cannot be read or contradicts itself.
    """
    found, above = _find(name, listing, where)
    place = f"`dataset.labels` {name} in {where}"
    try:
        content = listing.read(found)
    except Exception as error:  # as unzipping raises whatever it runs into
        raise DataError(f"{place} cannot be read: {reason_of(error)}.") from None
    rows, repeated = _rows(_lines(content, place), place)
    return LabelTable(name, place, found, above, rows, repeated)


def labelled(
    table: LabelTable, listing: Listing, pictures: Mapping[str, str]
) -> tuple[list[str], Layout]:
    """The pictures that the table names, in the order of their paths, and their layout.

    `pictures` are names as in the listing by those as they are written; of those without a row the
    listing keeps count. Raises DataError for files that are no pictures, and for classes and splits
    as `layout_of` does.
    """
    paths = {table.above + path: path for path in table.rows}
    if absent := paths.keys() - pictures.keys():
        told = "no pictures" if absent <= set(map(composed, listing.names)) else "not there"
        raise DataError(
            f"{table.place} names {counted(len(paths), 'file')}, {len(absent):,} of which are "
            f"{told}: {listed({paths[name] for name in absent})}. Correct the paths, which start "
            "where that of the table does, add the pictures, or take these rows out."
        )
    for name in pictures.keys() - paths.keys():
        listing.leave_out(f"not named by {table.name}", pictures[name])
    names = sorted(paths)
    notes = [f"Classes are those of {table.name}, whatever the folders"]
    if table.repeated:
        notes.append(
            f"{counted(table.repeated, 'row')} of {table.name} said again what another did"
        )
    layout = _layout([paths[name] for name in names], table, notes)
    return [pictures[name] for name in names], layout


def composed(name: str) -> str:
    """A path as it is compared: forward slashes, Unicode's composed form."""
    parts = unicodedata.normalize("NFC", name).replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", "."))


def _find(table: str, listing: Listing, where: str) -> tuple[str, str]:
    """The table among the files, also below folders that an archiver put around all; and those."""
    wanted = composed(table)
    names = {composed(name): name for name in listing.names}
    found = [name for name in names if name == wanted or name.endswith(f"/{wanted}")]
    if wanted in found:
        found = [wanted]
    if len(found) != 1:
        many = f"more than one file of that name: {listed(set(found))}"
        raise DataError(
            f"{where} has {many if found else 'no such table'}; `dataset.labels` is {table}. It is "
            f"a path below that folder or zip, of {FORM}."
        )
    listing.names.remove(names[found[0]])
    return names[found[0]], found[0].removesuffix(wanted)


def _lines(content: bytes, place: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row with its number in the file, the values without spaces around them."""
    try:
        text = content.decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", strict=True)
        columns = [name.strip() for name in reader.fieldnames or []]
        if set(COLUMNS) <= set(columns) <= {*COLUMNS, SPLIT} and len(set(columns)) == len(columns):
            reader.fieldnames = columns
            for row in reader:
                if "" in row or None in row.values():
                    raise DataError(
                        f"{place} has another number of values in line {reader.line_num} than "
                        f"columns, which are {', '.join(columns)}. A comma within a value stands "
                        "in double quotes."
                    )
                yield reader.line_num, {key: value.strip() for key, value in row.items()}
            return
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{place} cannot be read ({error}). It must be {FORM}.") from None
    if len(columns) == 1 and (between := next((mark for mark in ";\t|" if mark in columns[0]), "")):
        raise DataError(
            f"{place} has {'tabs' if between == chr(9) else between} between its columns. It must "
            f"be {FORM}, with commas between them."
        )
    raise DataError(
        f"{place} has {f'the columns {columns}' if columns else 'no lines'}. It must be {FORM}; "
        "leave other columns out."
    )


def _rows(lines: Iterator[tuple[int, dict[str, str]]], place: str) -> tuple[dict[str, Row], int]:
    """A row per file, and how many rows repeated one."""
    rows: dict[str, Row] = {}
    repeated, mistakes = 0, dict[int, str]()
    for number, line in lines:
        name, split = composed(line["file"]), line.get(SPLIT, "")
        row = Row(written(line["label"]), role_of(split) or "")
        if told := _mistake_in(line, number):
            mistakes[number] = told
        elif rows.get(name, row) != row:
            mistakes[number] = (
                f"{line['file']} more than once, as {_told(rows[name])} and, in line {number}, as "
                f"{_told(row)}. Keep the row that is right."
            )
        else:
            repeated += name in rows
            rows[name] = row
    if mistakes:
        first, *others = mistakes
        more = f" Mistakes are also in line {first_few(map(str, others), 10)}." if others else ""
        raise DataError(f"{place} has {mistakes[first]}{more}")
    if not rows:
        raise DataError(f"{place} has no rows. It must be {FORM}, with a row per picture.")
    return rows, repeated


def _mistake_in(line: Mapping[str, str], number: int) -> str | None:
    """What is wrong with a row by itself."""
    if empty := [column for column in COLUMNS if not line[column]]:
        return f"no {empty[0]} in line {number}. Fill it in or remove it."
    split = line.get(SPLIT, "")
    if split and role_of(split) is None:
        return (
            f"the split {split} in line {number}; allowed are train, test and val, or none in the "
            "whole table."
        )
    return None


def _told(row: Row) -> str:
    return f"{row.label} ({row.split})" if row.split else row.label


def _layout(paths: Sequence[str], table: LabelTable, notes: list[str]) -> Layout:
    rows, place = [table.rows[path] for path in paths], table.place
    splits, classes = [row.split for row in rows], [row.label for row in rows]
    if len(set(classes)) < 2:
        raise DataError(f"{place} has one label, {classes[0]}; at least two are needed.")
    if any(splits):
        missing = [role for role in ("train", "test") if role not in splits]
        if missing or not all(splits):
            lack = f"no row of split {missing[0]}" if missing else "rows without a split"
            raise DataError(
                f"{place} has {lack}. Give every picture a split, train and test among them (val, "
                f"if wanted), or leave the column {SPLIT} out: then a fifth tests."
            )
        require_equal_classes(classes, splits, place)
    if alike := spelled_alike(classes):
        notes.append(
            f"Labels that differ in upper and lower case or in spaces alone are classes of their "
            f"own: {listed({repr(label) for label in alike})}"
        )
    return Layout([path.split("/") for path in paths], [s or "any" for s in splits], classes, notes)
