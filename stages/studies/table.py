"""One machine's view of a study: names of series, means by size, and who leads.

A series is what a line of a chart shows: a model, with its recipe where there are several. All
tables and pictures of the page start from here, so they agree. Leaves wording to `sections`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from stages.studies.answers import ImageErrors, chance, image_errors
from stages.studies.form import Form
from stages.studies.intervals import Measured, summarize, tied_with
from stages.studies.results import Results


@dataclass(frozen=True)
class View:
    """The finished cells of one machine, with a column `series`.

    `results` hold one problem, so that its accuracies can be compared; `place` is the machine's
    number on the page.
    """

    form: Form
    results: Results
    machine: str
    place: int = 1

    @cached_property
    def cells(self) -> pd.DataFrame:
        """Finished cells in the order of the grids."""
        own = self.results.finished
        own = own[own["machine"] == self.machine]
        return own.assign(series=[series_of(row, self.form) for row in own.to_dict("records")])

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """What this machine's cells answered, a row per cell and test image."""
        every = self.results.predictions
        return every if every.empty else every[every["machine"] == self.machine]

    @cached_property
    def errors(self) -> ImageErrors:
        """What the test images leave uncertain in the main accuracy."""
        return image_errors(self.predictions, self.results.main)

    @cached_property
    def chance(self) -> float:
        """The main accuracy of one answer to every test image."""
        return chance(self.predictions, len(self.results.answers))

    def measured(self, value: str) -> Measured:
        """A column of the cells, with what its means and differences leave uncertain."""
        return Measured(self.cells, value, self.errors)

    @cached_property
    def scores(self) -> Measured:
        """`measured` of the main accuracy."""
        return self.measured(self.results.main)

    def means(self, value: str) -> pd.DataFrame:
        """Mean and interval of `value` per series and size: series, train_images, mean, …"""
        table = summarize(self.scores if value == self.results.main else self.measured(value))
        names = [series_of(row, self.form) for row in table.to_dict("records")]
        return table.assign(series=names)

    @cached_property
    def main(self) -> pd.DataFrame:
        """`means` of the main accuracy."""
        return self.means(self.results.main)

    @cached_property
    def sizes(self) -> list[int]:
        """Training images that were used, ascending."""
        return sorted(int(size) for size in self.main["train_images"].unique())

    def at(self, images: int) -> pd.DataFrame:
        """One size's rows of `main`, best first, with `tied`: not to be told from the leader."""
        rows = self.main[self.main["train_images"] == images]
        rows = rows.sort_values("mean", ascending=False).reset_index(drop=True)
        return rows.assign(tied=tied_with(self.scores, rows, 0))

    def costs(self) -> pd.DataFrame:
        """A row per series of the largest size: accuracy (mean, low, high) and costs."""
        rows = self.at(self.sizes[-1])
        wanted = ["input_px", "params_total", "macs_g", "latency_ms_p50",
                  "throughput_images_per_second", "peak_memory_mb", "training_images_per_second",
                  "train_seconds"]  # fmt: skip
        largest = self.cells[self.cells["train_images"] == self.sizes[-1]]
        present = [name for name in wanted if name in largest]
        numbers = largest[["series", *present]].astype(dict.fromkeys(present, float))
        return rows.merge(numbers.groupby("series").median(), on="series", how="left")


def series_of(row: Mapping[Any, Any], form: Form) -> str:
    """The model, and its recipe unless the study has one only."""
    single = len(form.file.recipes) == 1
    return str(row["model"]) if single else f"{row['model']} {row['recipe']}"


def front(points: pd.DataFrame, cost: str) -> "pd.Series[bool]":
    """Which rows are on the Pareto front: no other is at least as accurate and as cheap."""
    beaten = [
        bool(
            (
                (points["mean"] >= row["mean"])
                & (points[cost] <= row[cost])
                & ((points["mean"] > row["mean"]) | (points[cost] < row[cost]))
            ).any()
        )
        for _, row in points.iterrows()
    ]
    return pd.Series([not lost for lost in beaten], index=points.index, dtype=bool)
