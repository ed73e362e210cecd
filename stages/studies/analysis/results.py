"""The cells that exist, read into tables: one row per cell, one per epoch, one per test image.

Only cells that the grids name are read, never what else lies in the folder. Cells of a branch or
experiment are read out of git without checking it out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from stages.core.combinations import AT_ONCE
from stages.core.errors import RunError
from stages.core.params import Params
from stages.core.records import FILES
from stages.runs.cell_file import mend_of_cell, parse_cell, place_of
from stages.runs.schema import CELL, accuracies_of
from stages.runs.sources import WORKSPACE, Source, open_source
from stages.runs.tables import CELL_TABLES, Lack, read_table, require_whole
from stages.studies.analysis.answers import Run, constant_runs, label_shares
from stages.studies.analysis.network_costs import of_networks
from stages.studies.spec.identity import identity_of
from stages.studies.spec.listed_pictures import listed_pictures, of_other_pictures
from stages.studies.spec.study_config import StudyConfig

Found = tuple[dict[str, Any], pd.DataFrame | None, pd.DataFrame | None]
"""A cell's file, its history and its predictions; a training that diverged has neither."""
LISTED = ("cell", "model", "size", "recipe", "seed", "status", "dataset", "task", "epochs",
          "train_images", "val_images", "test_images", "indices_sha256", "params_id",
          "code")  # fmt: skip
TRAINED = ("train_loss", "val_loss", "train_seconds", "epoch_seconds_p50", "best_epoch",
           "epochs_run", "weights_hash", "precision", "images_per_second")  # fmt: skip


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
    the order of the cells; `outdated` names cells of other parameters or pictures, which are left
    out.
    """

    cells: pd.DataFrame
    histories: pd.DataFrame
    predictions: pd.DataFrame
    machines: dict[str, dict[str, Any]]
    traces: dict[tuple[str, str], dict[str, Any]]
    heads: dict[Problem, Head]
    outdated: tuple[str, ...] = ()

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


def read_results(form: StudyConfig, revisions: Sequence[str] = ()) -> Results:
    """All cells of the form in the working tree, those kept of other machines, and of revisions.

    Left out are the study's own cells that are of other parameters or pictures than it has now,
    and a cell of another revision where the same machine's is here already. Raises RunError for a
    damaged file or an unknown revision.
    """
    found: dict[tuple[str, str], Found] = {}
    outdated, damaged = [], []
    own, listed = cells_of(form), listed_pictures(form)
    kept = [open_source(str(folder)) for folder in sorted(form.machines_folder.glob("*/"))]
    elsewhere = (cells_of(form, revision) for revision in revisions)
    for cells in [own, *kept, *elsewhere]:
        for cell in form.cells:
            source = cells.within(Path(cell.name))
            try:
                read = _read(source)
            except RunError as error:
                damaged.append((place_of(source.name), error))
                continue
            if read is None:
                continue
            if cells is own and _is_outdated(read[0], form.params(cell), listed):
                outdated.append(cell.name)
                continue
            found.setdefault((cell.name, read[0]["machine"]["id"]), read)
    if damaged:
        others = ", ".join(name for name, _ in damaged[1:])
        raise RunError(f"{damaged[0][1]}{others and f' Damaged are also: {others}.'}")
    return replace(_assembled(found), outdated=tuple(outdated))


def cells_of(form: StudyConfig, revision: str = WORKSPACE) -> Source:
    """The folder of the form's cells. Raises RunError when the revision is unknown or has none."""
    cells = open_source(revision).within(form.cells_folder)
    if revision != WORKSPACE and not cells.names(Path()):
        raise RunError(
            f"git has no {form.cells_folder} in {revision}. Name a branch, tag or experiment that "
            "ran this study; fetch it first if it lies on a remote. Revisions come from `--from`, "
            f"`--with` and the key `with` of {form.folder / 'params.yaml'}."
        )
    return cells


def _is_outdated(found: Mapping[str, Any], params: Params, listed: Mapping[str, Any]) -> bool:
    others = of_other_pictures(found, params.dataset, listed)
    return others or found["params_id"] != identity_of(params)


def _read(source: Source) -> Found | None:
    """A cell's files, None where it has not run. Raises RunError for a damaged one."""
    content, lacks = source.read(CELL), list[Lack]()
    if content is None:
        return None
    cell = parse_cell(content, f"{source.name}/{CELL}")
    history, predictions = (
        read_table(source, CELL_TABLES[name], lacks, cell.get(FILES) or {})
        for name in ("history", "predictions")
    )
    gone = [Lack(lack.what, "gone", damaged=True) for lack in lacks if not lack.reason]
    require_whole(source, [*lacks, *gone], mend_of_cell(source.name))
    return cell, history, predictions


def _assembled(found: Mapping[tuple[str, str], Found]) -> Results:
    rows: list[dict[str, Any]] = []
    machines: dict[str, dict[str, Any]] = {}
    traces: dict[tuple[str, str], dict[str, Any]] = {}
    heads: dict[Problem, Head] = {}
    histories, predictions = [pd.DataFrame()], [pd.DataFrame()]
    for (name, machine), (cell, history, predicted) in found.items():
        machines[machine] = cell["machine"]
        traces[name, machine] = cell.get("trace") or {}
        evaluate = cell.get("evaluate") or {}
        head = Head(accuracies_of(evaluate), list(evaluate.get("top1_per_class", [])))
        problem = Problem(cell["dataset"], cell["task"], tuple(head.answers))
        if evaluate:
            heads.setdefault(problem, head)
        rows.append(_row(cell) | {"problem": problem})
        if history is not None and predicted is not None:
            numbers = predicted.astype({"label": int, "predicted": int})
            histories.append(history.assign(cell=name, machine=machine))
            predictions.append(numbers.assign(cell=name, machine=machine))
    for row in rows:
        row["problem"] = _known(row["problem"], heads)
    cells = pd.DataFrame(rows) if rows else pd.DataFrame(columns=[*LISTED, "machine", "problem"])
    cells = of_networks(cells)
    history, predicted = (pd.concat(parts, ignore_index=True) for parts in (histories, predictions))
    return Results(cells, history, predicted, machines, traces, heads)


def _known(problem: Problem, heads: Mapping[Problem, Head]) -> Problem:
    """A problem itself; of a training that diverged, which tells no classes, the first like it."""
    if problem in heads:
        return problem
    alike = (one for one in heads if replace(one, classes=problem.classes) == problem)
    return next(alike, problem)


def _of_cells(table: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The rows of a history or of predictions that belong to the cells."""
    if table.empty:
        return table
    return table.merge(cells[["cell", "machine"]], on=["cell", "machine"])


def _row(cell: Mapping[str, Any]) -> dict[str, Any]:
    """One flat row: what the cell is, what it scored, what it cost."""
    train, evaluate = cell.get("train") or {}, cell.get("evaluate") or {}
    diverged = cell.get("diverged")
    told = diverged and f"diverged at epoch {diverged['epoch']}, {diverged['precision']}"
    row = {name: cell.get(name) for name in LISTED} | {"size": str(cell["size"]), "why": told}
    row |= {name: train.get(name) for name in TRAINED}
    fitted = (cell.get("params") or {}).get("finetune") in AT_ONCE
    if train.get("feature_seconds") and not fitted:
        row["train_seconds"] += train["feature_seconds"]  # which only a fitted head's holds already
    row |= {key: value for key, value in train.items() if key.endswith("top1")}
    row |= {key: value for key, value in evaluate.items() if not isinstance(value, dict)}
    row |= cell.get("profile") or {}
    row |= {"machine": cell["machine"]["id"], "cell_seconds": cell.get("cell_seconds")}
    row["fitted"] = fitted
    for metric in accuracies_of(evaluate):
        row[f"gap_{metric}"] = row[f"train_{metric}"] - row[f"test_{metric}"]
    return row
