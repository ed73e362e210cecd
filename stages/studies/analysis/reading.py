"""The cells that exist, read into the tables of `results`.

Only cells that the grids name are read, never what else lies in the folder. Cells of a branch or
experiment are read out of git without checking it out.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from stages.core.combinations import AT_ONCE, FROZEN
from stages.core.errors import RunError
from stages.core.records import FILES
from stages.measures.profiling.latency import REPEATS_TOLD
from stages.runs.cell_file import (
    disagreement,
    mend_of_cell,
    parse_cell,
    place_of,
    took_seconds,
    undisturbed_seconds,
)
from stages.runs.schema import CELL, CELL_PREDICTIONS, accuracies_of
from stages.runs.sources import WORKSPACE, Source, open_source
from stages.runs.tables import CELL_TABLES, Lack, read_table, require_whole
from stages.studies.analysis.network_costs import of_networks
from stages.studies.analysis.results import Head, Problem, Results
from stages.studies.analysis.spread import FITTED, HEAD, NETWORK
from stages.studies.spec.listed_pictures import is_current, listed_pictures
from stages.studies.spec.study_config import StudyConfig

FIRST_LAYERS = ("stem", "patch", "window")
Found = tuple[dict[str, Any], pd.DataFrame | None, pd.DataFrame | None]
"""A cell's file, its history and its predictions; a training that diverged has neither."""
LISTED = ("cell", "model", "size", "recipe", "seed", "status", "dataset", "task", "epochs",
          "train_images", "val_images", "test_images", "indices_sha256", "params_id",
          "code")  # fmt: skip
TRAINED = ("train_loss", "val_loss", "epoch_seconds_p50", "best_epoch",
           "epochs_run", "weights_hash", "precision", "images_per_second")  # fmt: skip


def read_results(form: StudyConfig, revisions: Sequence[str] = ()) -> Results:
    """All cells of the form in the working tree, those kept of other machines, and of revisions.

    Left out are cells that are of other parameters or pictures than the study has now, and a cell
    of another revision where the same machine's is here already. Raises RunError for a damaged file
    or an unknown revision.
    """
    found: dict[tuple[str, str], Found] = {}
    outdated, elsewhere, damaged = list[str](), list[str](), []
    own, listed = cells_of(form), listed_pictures(form)
    kept = [open_source(str(folder)) for folder in sorted(form.machines_folder.glob("*/"))]
    others = (cells_of(form, revision) for revision in revisions)
    for cells in [own, *kept, *others]:
        for cell in form.cells:
            source = cells.within(Path(cell.name))
            try:
                read = _read(source)
            except RunError as error:
                damaged.append((place_of(source.name), error))
                continue
            if read is None:
                continue
            if is_current(read[0], form.params(cell), listed):
                found.setdefault((cell.name, read[0]["machine"]["id"]), read)
            elif cells is own:
                outdated.append(cell.name)
            else:
                elsewhere.append(place_of(source.name))
    if damaged:
        also = ", ".join(name for name, _ in damaged[1:])
        raise RunError(f"{damaged[0][1]}{also and f' Damaged are also: {also}.'}")
    return replace(_assembled(found), outdated=tuple(outdated), elsewhere=tuple(elsewhere))


def cells_of(form: StudyConfig, revision: str = WORKSPACE) -> Source:
    """The folder of the form's cells. Raises RunError when the revision is unknown or has none."""
    wanted = (
        "Name a branch, tag or experiment that ran this study; fetch it first if it lies on a "
        "remote. Revisions come from `--from`, `--with` and the key `with` of "
        f"{form.folder / 'params.yaml'}."
    )
    try:
        cells = open_source(revision).within(form.cells_folder)
    except RunError:
        raise RunError(f"git knows no revision {revision!r}. {wanted}") from None
    if revision != WORKSPACE and not cells.names(Path()):
        raise RunError(f"git has no {form.cells_folder} in {revision}. {wanted}")
    return cells


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
    if FILES not in cell and (fault := disagreement(cell, source.read(CELL_PREDICTIONS) or b"")):
        raise RunError(f"{place_of(source.name)}: {fault}. {mend_of_cell(source.name)}")
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


def _first_layers(train: Mapping[str, Any]) -> str:
    """What was made of a backbone's beginning for its input's size; empty where it is published so.

    A stem decides more of a network's work and accuracy on small pictures than its depth.
    """
    adapted = train.get("adapted") or {}
    return ", ".join(f"{part} {adapted[part]}" for part in FIRST_LAYERS if part in adapted)


def _row(cell: Mapping[str, Any]) -> dict[str, Any]:
    """One flat row: what the cell is, what it scored, what it cost."""
    train, evaluate = cell.get("train") or {}, cell.get("evaluate") or {}
    diverged = cell.get("diverged")
    told = f"diverged at epoch {diverged['epoch']}, {diverged['precision']}" if diverged else ""
    row: dict[str, Any] = {name: cell.get(name) for name in LISTED}
    row |= {"size": str(cell["size"]), "why": told}
    row |= {name: train.get(name) for name in TRAINED}
    params = cell.get("params") or {}
    finetune = params.get("finetune", "full")
    fitted = finetune in AT_ONCE
    row["train_seconds"] = undisturbed_seconds(train)
    if train.get("feature_seconds") and not fitted:
        row["train_seconds"] += train["feature_seconds"]  # which only a fitted head's holds already
    row |= {key: value for key, value in train.items() if key.endswith("top1")}
    row |= {key: value for key, value in evaluate.items() if not isinstance(value, dict)}
    row |= cell.get("profile") or {}
    row |= {"machine": cell["machine"]["id"], "took_seconds": took_seconds(cell)}
    learns = FITTED if fitted else HEAD if finetune in FROZEN else NETWORK
    row |= {"learns": learns, "first_layers": _first_layers(train)}
    if params.get("profile", {}).get("repeats", math.inf) < REPEATS_TOLD:
        row["latency_spread"] = None
    row |= {name: params.get("train", {}).get(name) for name in ("fast_kernels", "memory_format")}
    for metric in accuracies_of(evaluate):
        row[f"gap_{metric}"] = row[f"train_{metric}"] - row[f"test_{metric}"]
    return row
