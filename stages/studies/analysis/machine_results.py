"""One machine's view of a study: names of series, means by size, and who leads.

A series is what a line of a chart shows: a model, with its recipe where there are several. All
tables and pictures of the page start from here, so they agree.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from stages.studies.analysis.intervals import Measured, summarize, tied_with
from stages.studies.analysis.results import Results
from stages.studies.analysis.spread import SAME_RUN
from stages.studies.spec.study_config import StudyConfig

HOST = ("chip", "os", "macos", "torch")  # of the facts of a machine: the same for all its devices


@dataclass(frozen=True)
class MachineResults:
    """The finished cells of one machine, with a column `series`.

    `results` hold one problem, so that its accuracies can be compared; `place` is the machine's
    number on the page.
    """

    form: StudyConfig
    results: Results
    machine: str
    place: int = 1

    @cached_property
    def cells(self) -> pd.DataFrame:
        """Finished cells in the order of the grids."""
        own = self.results.finished
        own = own[own["machine"] == self.machine]
        return own.assign(series=[series_of(row, self.form) for row in own.to_dict("records")])

    def cells_of(self, series: object, images: int | None = None) -> pd.DataFrame:
        """The finished cells of a series, of one size or of all."""
        cells = self.cells[self.cells["series"] == series]
        return cells if images is None else cells[cells["train_images"] == images]

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """What this machine's cells answered, a row per cell and test image."""
        every = self.results.predictions
        return every if every.empty else every[every["machine"] == self.machine]

    @cached_property
    def chance(self) -> float:
        """The main accuracy of one answer to every test image."""
        return self.results.chance(self.machine)

    @cached_property
    def constant(self) -> dict[str, float]:
        """The cells that give one answer to (nearly) every test image, and to which share."""
        every = self.results.constant.items()
        return {cell: share for (machine, cell), share in every if machine == self.machine}

    @cached_property
    def repeated(self) -> dict[str, str]:
        """Series that repeat the runs of another to the bit, no further backbones to compare, and
        which they repeat.
        """
        if not set(SAME_RUN) <= set(self.cells.columns):
            return {}
        known = self.cells[SAME_RUN].notna().all(axis=1)
        again = (self.cells[SAME_RUN].duplicated() & known).groupby(self.cells["series"]).all()
        first = self.cells.groupby(SAME_RUN, dropna=False)["series"].transform("first")
        names = self.cells["series"]
        return {str(name): str(first[names == name].iloc[0]) for name in again.index[again]}

    def measured(self, value: str) -> Measured:
        """A column of the cells, with what its means and differences leave uncertain."""
        results = self.results
        return Measured(self.cells, value, results.errors, results.constant, results.finished)

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
        """`means` of the main accuracy; `learned` where surely above one answer to all images."""
        table = self.means(self.results.main)
        return table.assign(learned=table["low"] > self.chance)

    @cached_property
    def sizes(self) -> list[int]:
        """Training images that were used, ascending."""
        return sorted(int(size) for size in self.main["train_images"].unique())

    @cached_property
    def main_size(self) -> int:
        """The training images that rankings, costs and advice are of: the largest size, but where
        no more than half as many series ran as at the fullest, which would leave most of them out.
        """
        ran = {images: len(self.at(images)) for images in self.sizes}
        return max(images for images in self.sizes if 2 * ran[images] > max(ran.values()))

    def at(self, images: int) -> pd.DataFrame:
        """One size's rows of `main`, best first, without `repeated` series."""
        rows = self.main[self.main["train_images"] == images]
        rows = rows[~rows["series"].isin(list(self.repeated))]
        return rows.sort_values("mean", ascending=False).reset_index(drop=True)

    def ranked(self, images: int) -> pd.DataFrame:
        """The rows of `at` that have learned, with `place` and `tied`.

        `place` is one more than the number of others that are surely better, and `tied` says which
        cannot be told from the first.
        """
        return self._ranked[images]

    @cached_property
    def _ranked(self) -> dict[int, pd.DataFrame]:
        return {images: self._placed(self.at(images)) for images in self.sizes}

    def _placed(self, rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows[rows["learned"]].reset_index(drop=True)
        alike = [tied_with(self.scores, rows, place) for place in range(len(rows))]
        ahead = [int((~ties[:place]).sum()) for place, ties in enumerate(alike)]
        return rows.assign(place=[1 + count for count in ahead], tied=alike[0] if alike else [])

    def learned(self, images: int) -> pd.DataFrame:
        """The cells of one size whose series are surely above one answer to all images."""
        names = self.ranked(images)["series"]
        return self.cells[(self.cells["train_images"] == images) & self.cells["series"].isin(names)]

    def costs(self) -> pd.DataFrame:
        """A row per series of the main size: accuracy (mean, low, high, learned) and costs."""
        rows = self.at(self.main_size)
        wanted = ["input_px", "params_total", "macs_g", "latency_ms_p50",
                  "throughput_images_per_second", "peak_memory_mb", "training_images_per_second",
                  "train_seconds"]  # fmt: skip
        cells = self.cells[self.cells["train_images"] == self.main_size]
        present = [name for name in wanted if name in cells]
        numbers = cells[["series", *present]].astype(dict.fromkeys(present, float))
        groups = numbers.groupby("series")
        costs = groups.median()
        if "train_seconds" in present:  # a figure per run, unlike the others
            costs["train_seconds"] = groups["train_seconds"].agg(geometric_mean)
        return rows.merge(costs, on="series", how="left")


def series_of(row: Mapping[Any, Any], form: StudyConfig) -> str:
    """The model, and its recipe unless the study has one only."""
    single = len(form.file.recipes) == 1
    return str(row["model"]) if single else f"{row['model']} {row['recipe']}"


def geometric_mean(times: "pd.Series[float]") -> float:
    """The typical one of several times, as everywhere on the page."""
    return float(np.exp(np.log(times.astype(float)).mean()))


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
