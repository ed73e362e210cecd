"""What the runs answered image by image: the error of the test images, chance, constant answers.

Another draw of test images would give other accuracies, and as all runs answer the same images,
their accuracies would move together. So what counts for a difference of two runs is how their right
answers differ image by image: the paired error, which is smaller than that of either.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import block_diag

from stages.studies.analysis.spread import GROUP, Run

CONSTANT = 0.95  # of the answers alike: the run tells (nearly) nothing apart


@dataclass(frozen=True)
class ImageErrors:
    """Covariance of the runs' accuracies over draws of test images.

    `covariance` [runs, runs] is in the order of `runs` and of the accuracy in `column`: for runs
    on the same images the covariance of right answers, divided by the number of images.
    """

    column: str
    runs: Sequence[Run]
    covariance: NDArray[np.float64]

    @cached_property
    def _places(self) -> dict[Run, int]:
        return {run: place for place, run in enumerate(self.runs)}

    def among(self, cells: pd.DataFrame, column: str) -> NDArray[np.float64]:
        """The covariance [cells, cells] of one test accuracy of these cells.

        Where no answers are known it is binomial, p · (1 − p) / images: whole between runs of one
        group, which is the worst case, and none between groups.
        """
        known = self._known(cells, column)
        if known is not None:
            return known
        shares, images = (cells[name].to_numpy(float) for name in (column, "test_images"))
        sd = np.sqrt(_at_least(np.clip(shares * (1 - shares), 0, None) / images, shares, images))
        group = cells.groupby(GROUP, sort=False).ngroup().to_numpy()
        same = group[:, None] == group[None, :]
        return np.asarray(np.outer(sd, sd) * same)

    def by_discordance(self, cells: pd.DataFrame, column: str) -> float | None:
        """The variance of one run's accuracy if each image on which these runs differ fell to
        right or wrong by itself; None where no answers are known.
        """
        known, runs = self._known(cells, column), len(cells)
        if known is None or runs < 2:
            return None
        own = float(known.trace())
        return own / runs - (float(known.sum()) - own) / (runs * (runs - 1))

    def _known(self, cells: pd.DataFrame, column: str) -> NDArray[np.float64] | None:
        """The covariance of these cells; None where the answers of one of them are not known."""
        runs = list(zip(cells["machine"], cells["cell"], strict=True)) if "cell" in cells else []
        if column != self.column or not runs or any(run not in self._places for run in runs):
            return None
        places = [self._places[run] for run in runs]
        return self.covariance[np.ix_(places, places)]


def image_errors(predictions: pd.DataFrame, column: str) -> ImageErrors:
    """From a table with a row per run and test image: machine, cell, name, label, predicted."""
    if predictions.empty:
        return ImageErrors(column, [], np.zeros((0, 0)))
    right = (predictions["label"] == predictions["predicted"]).to_numpy().astype(np.float64)
    image = pd.factorize(predictions["name"])[0]
    lists: dict[bytes, dict[Run, NDArray[np.float64]]] = {}
    for run, rows in _rows(predictions):
        ordered = rows[np.argsort(image[rows], kind="stable")]
        lists.setdefault(image[ordered].tobytes(), {})[run] = right[ordered]
    blocks = []
    for found in lists.values():  # the runs of one list of images
        answers = np.stack(list(found.values()))
        images = answers.shape[1]
        covariance = np.atleast_2d(np.cov(answers, ddof=0)) / images
        own = np.diag(covariance)
        blocks.append(covariance + np.diag(_at_least(own, answers.mean(axis=1), images) - own))
    runs = [run for found in lists.values() for run in found]
    return ImageErrors(column, runs, block_diag(*blocks))


def _at_least(
    variance: NDArray[np.float64],
    shares: NDArray[np.float64],
    images: "float | NDArray[np.float64]",
) -> NDArray[np.float64]:
    """The variance of accuracies, no less than if two more images were right and two wrong.

    So it is near 0 and 1, where other images may well give another one (Agresti and Coull 1998).
    """
    drawn = (shares * images + 2) / (images + 4)
    return np.asarray(np.maximum(variance, drawn * (1 - drawn) / (images + 4)))


def label_shares(predictions: pd.DataFrame) -> dict[Run, float]:
    """By run, the share of the most frequent label: what one answer to every image scores."""
    return _largest(predictions, "label")


def constant_runs(predictions: pd.DataFrame) -> dict[Run, float]:
    """Runs that give one answer to (nearly) all test images, and to which share of them.

    Where most images are of one class, a good run often gives that answer: there the share must
    be nearer to all images than to those of the class.
    """
    labels = label_shares(predictions)
    found = _largest(predictions, "predicted")
    return {
        run: share for run, share in found.items() if share >= max(CONSTANT, (1 + labels[run]) / 2)
    }


def _largest(predictions: pd.DataFrame, column: str) -> dict[Run, float]:
    """By run, the share of the most frequent value of a column of class numbers."""
    if predictions.empty:
        return {}
    values = predictions[column].to_numpy(int)
    return {
        run: float(np.bincount(values[rows]).max() / len(rows)) for run, rows in _rows(predictions)
    }


def _rows(predictions: pd.DataFrame) -> Iterator[tuple[Run, NDArray[np.intp]]]:
    """The places of each run's rows."""
    groups = predictions.groupby(["machine", "cell"], sort=False).indices
    for key, rows in groups.items():
        machine, cell = key if isinstance(key, tuple) else (key, key)
        yield (str(machine), str(cell)), np.asarray(rows, dtype=np.intp)
