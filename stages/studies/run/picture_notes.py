"""What a reader must know of a study's pictures, for `picture_notes.json`, which the page shows.

What is not among them, how they were read, and which occur twice: in training and test of the
largest draw, or under two classes. Apart from `pictures.json`, for a note makes no cell outdated.
"""

import json
from typing import Any

from stages.core.errors import DataError
from stages.core.sections import Subset
from stages.datasets.findings import (
    Pairs,
    conflict_notes,
    conflicts_in,
    copy_notes,
    near_duplicate_notes,
)
from stages.datasets.near_duplicates import across_classes, across_splits
from stages.datasets.selection import Selection, choose
from stages.studies.run.pools import Kept
from stages.studies.spec.listed_pictures import (
    NO_DRAW,
    in_the_studys_words,
    listed_name,
    notes_path,
    require_other_images,
    told_without_a_draw,
)
from stages.studies.spec.study_config import Cell, StudyConfig

Refused = tuple[list[Cell], str, str]
"""Cells whose draw cannot be, its `subset` as JSON, and why."""


def notes_on(form: StudyConfig, name: str, kept: Kept) -> dict[str, Any]:
    """What the file has of a data set.

    Raises DataError when no cell can draw its images.
    """
    leaks, selection, refused = _draws(form, name, kept)
    told = {cell.name: why for cells, _, why in refused for cell in cells}
    where = notes_path(form).as_posix()
    same, alike = conflicts_in(kept.pool), across_classes(kept.alike)
    return {
        "notes": [
            *kept.findings.sentences(where),
            *copy_notes(selection),
            *conflict_notes(same, where),
            *near_duplicate_notes(leaks, len(selection.test), alike, where),
            *(one.removesuffix(".") for one in told_without_a_draw(told)),
        ],
        NO_DRAW: [{"subset": json.loads(subset), "why": why} for _, subset, why in refused],
        "left_out": kept.findings.left_out,
        "skipped": kept.findings.skipped,
        "same_under_two_classes": same,
        "alike_under_two_classes": alike,
        "alike_in_training_and_test": leaks,
    }


def _draws(form: StudyConfig, name: str, kept: Kept) -> tuple[Pairs, Selection, list[Refused]]:
    """The draw with most near-duplicates across its splits, these before it, and those that cannot
    be.
    """
    leaks: list[tuple[Pairs, Selection]] = []
    refused: list[Refused] = []
    drawn: dict[tuple[object, ...], Cell] = {}
    for subset, cells in _subsets(form, name).items():
        try:
            selection = choose(kept.pool, Subset.model_validate_json(subset), _dataset(form, cells))
        except DataError as error:
            refused.append((cells, subset, in_the_studys_words(form, error)))
        else:
            for cell in cells:
                require_other_images(form, cell, len(selection.train), drawn)
            leaks.append((across_splits(kept.alike, kept.pool, selection), selection))
    if not leaks:
        raise DataError(" ".join([refused[0][2], *_unreadable(kept)]))
    return *max(leaks, key=lambda one: len(one[0])), refused


def _unreadable(kept: Kept) -> list[str]:
    """A sentence on images that cannot be read, for they may be what a draw lacks."""
    skipped = kept.findings.skipped
    if not skipped:
        return []
    one = f"{skipped[0]['name']} ({skipped[0]['reason']})"
    return [f"Of {kept.findings.files} images {len(skipped)} cannot be read, such as {one}."]


def _subsets(form: StudyConfig, name: str) -> dict[str, list[Cell]]:
    """The draws out of a data set, as JSON, with their cells."""
    found: dict[str, list[Cell]] = {}
    for cell in form.cells:
        params = form.params(cell)
        if listed_name(params.dataset) == name:
            found.setdefault(params.subset.model_dump_json(), []).append(cell)
    return found


def _dataset(form: StudyConfig, cells: list[Cell]) -> str:
    return form.params(cells[0]).dataset.name
