"""A study's results as tables: one row per cell, one per epoch, one per test image.

Leaves reading them out of the cells' files to `reading`.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from stages.studies.analysis.answers import (
    ImageErrors,
    constant_runs,
    image_errors,
    label_shares,
)
from stages.studies.analysis.spread import Run


@dataclass(frozen=True)
class Problem:
    """A data set, what is asked of it, and its classes; accuracies of different ones never meet.

    Two data sets may bear one name, such as one folder with two tables of labels.
    """

    dataset: str
    task: str
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Head:
    """A problem's accuracies, main one first, and the names of what that one tells apart."""

    metrics: list[str]
    answers: list[str]


@dataclass(frozen=True)
class Results:
    """`cells` has a row per cell and machine, `histories` and `predictions` carry its `cell` and
    `machine`; `machines` are the DNA facts by id; `heads` the problems that have an accuracy, in
    the order of the cells. `outdated` names the study's own cells of other parameters or pictures,
    `elsewhere` the places of other machines' and revisions' of other parameters; they are left out.
    """

    cells: pd.DataFrame
    histories: pd.DataFrame
    predictions: pd.DataFrame
    machines: dict[str, dict[str, Any]]
    traces: dict[tuple[str, str], dict[str, Any]]
    heads: dict[Problem, Head]
    outdated: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()

    def of(self, problem: Problem) -> "Results":
        """What belongs to one problem alone."""
        cells = self.cells[self.cells["problem"] == problem]
        heads = {key: head for key, head in self.heads.items() if key == problem}
        histories, predictions = (
            _of_cells(table, cells) for table in (self.histories, self.predictions)
        )
        return Results(cells, histories, predictions, self.machines, self.traces, heads)

    @property
    def metrics(self) -> list[str]:
        """The accuracies of the first problem, main one first."""
        return next((head.metrics for head in self.heads.values()), ["top1"])

    @property
    def answers(self) -> list[str]:
        """What the first problem's main accuracy tells apart."""
        return next((head.answers for head in self.heads.values()), [])

    @property
    def main(self) -> str:
        """The column of the main test accuracy."""
        return f"test_{self.metrics[0]}"

    @cached_property
    def errors(self) -> ImageErrors:
        """What the test images leave uncertain in the main accuracy."""
        return image_errors(self.predictions, self.main)

    @cached_property
    def constant(self) -> dict[Run, float]:
        """Runs that give one answer to (nearly) every test image, and to which share of them."""
        return constant_runs(self.predictions)

    @cached_property
    def _labels(self) -> dict[Run, float]:
        return label_shares(self.predictions)

    def chance(self, machine: str) -> float:
        """What one answer to every image would score at best on a machine's test images.

        It is the share of the most frequent label, at least one over the number of answers, which
        stands where no answers were kept. Labels that are drawn per seed differ between runs: the
        largest share counts.
        """
        shares = [share for (name, _), share in self._labels.items() if name == machine]
        return max([1 / max(2, len(self.answers)), *shares])

    @property
    def finished(self) -> pd.DataFrame:
        """The cells that have an accuracy."""
        return self.cells[self.cells["status"] == "finished"]

    @property
    def makers(self) -> list[str]:
        """The machines that finished cells: first who has most of the grid, then most cells."""
        cells = self.finished["machine"].value_counts()
        grid = self.finished[["machine", "model", "size", "recipe"]].drop_duplicates()
        places = grid["machine"].value_counts()
        return sorted(cells.index, key=lambda name: (places[name], cells[name]), reverse=True)


def _of_cells(table: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The rows of a history or of predictions that belong to the cells."""
    if table.empty:
        return table
    return table.merge(cells[["cell", "machine"]], on=["cell", "machine"])
