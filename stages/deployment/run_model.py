"""The trained model of a run: of the workspace, a folder, a revision or an experiment."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import torch

from stages.core import paths
from stages.core.combinations import DEFAULT_TASK
from stages.core.device import prepare
from stages.core.errors import RunError
from stages.core.metrics import all_values
from stages.core.params import Params, load_params
from stages.core.sections import Dataset
from stages.reporting.repeat import changes, experiment
from stages.runs.cell import params_of_cell
from stages.runs.cell_file import parse_cell
from stages.runs.schema import CELL
from stages.runs.sources import WORKSPACE, Source
from stages.runs.weights_file import About, read_weights
from stages.studies.spec.identity import params_behind
from stages.training.trained import TrainedModel, filled


@dataclass(frozen=True)
class RunModel:
    """A model of classes, in evaluation mode on the device, and what its weights file says.

    `weights_sha256` is of that file.
    """

    about: About
    trained: TrainedModel
    device: torch.device
    weights_sha256: str


def model_of_run(source: Source, device: str = "auto") -> RunModel:
    """Take the run's weights up on a device of this machine.

    Raises RunError when it has none, when they are not those that were recorded, or when they do
    not name classes.
    """
    content = source.read(paths.WEIGHTS)
    if content is None:
        raise RunError(_without_weights(source))
    digest = hashlib.sha256(content).hexdigest()
    _require_recorded(source, digest)
    where = f"{paths.WEIGHTS} of {source.name}"
    about, weights = read_weights(content, where)
    if about.task != DEFAULT_TASK:
        raise RunError(
            f"The model of {source.name} was trained with `task: {about.task}`, so it names no "
            f"class of a whole picture. Name a run with `task: {DEFAULT_TASK}`."
        )
    params = about.params().model_copy(update={"device": device})
    place = prepare(params)
    return RunModel(about, filled(params, about, weights, place, where), place, digest)


def _without_weights(source: Source) -> str:
    if (cell := source.read(CELL)) is not None:
        command = _as_run(source, parse_cell(cell, f"{source.name}/{CELL}"))
        return (
            f"{source.name} is a cell of a study, which keeps figures and answers but no weights. "
            "With `params.yaml` as it is now, this makes it a run of the pipeline, after which the "
            f"workspace, without `--run`, is it:\n  {command}"
        )
    if source.name == WORKSPACE:
        return f"There is no trained model here yet: {paths.WEIGHTS} is missing. Run `dvc repro`."
    return (
        f"{source.name} has no {paths.WEIGHTS}: git keeps none, and neither DVC's cache nor a "
        "remote has it here. Where the run was made, `dvc push` gives it to a remote; `git "
        "checkout` of the revision and `dvc repro` make it again."
    )


def _as_run(source: Source, cell: dict[str, Any]) -> str:
    """The command that trains a cell's model in the pipeline of the working tree.

    Raises RunError for a cell of before 0.2 whose study was changed since.
    """
    if not (told := params_of_cell(source, cell)):
        raise RunError(
            f"{source.name} is a cell of a study, which keeps figures and answers but no weights, "
            "and neither its file nor its study tells by which parameters they were trained."
        )
    folder = Dataset(folder=told["dataset"]["folder"])
    params = params_behind(cell | {"params": told}, Params(dataset=folder))
    here = load_params(paths.PARAMS) if paths.PARAMS.exists() else Params()
    differ = changes(params, here)
    values = {key: value for key, (value, _) in differ.items()}
    if "dataset.folder" in values:  # `changes` are for pages, which do not tell where it lies
        values["dataset.folder"] = params.dataset.folder
    return experiment(values)


def _require_recorded(source: Source, found: str) -> None:
    """Raise RunError when the training recorded other weights, or its record is damaged."""
    record = source.read(paths.TRAIN_METRICS)
    try:
        recorded = None if record is None else all_values(json.loads(record)).get("weights_sha256")
    except ValueError as error:
        raise RunError(
            f"{paths.TRAIN_METRICS} of {source.name} is damaged ({error}). Run `dvc repro`."
        ) from None
    if recorded not in (None, found):
        raise RunError(
            f"{paths.WEIGHTS} of {source.name} is not what was trained: its SHA-256 is "
            f"{found[:12]}…, but {paths.TRAIN_METRICS} recorded {recorded[:12]}…. Restore it, or "
            "delete it and run `dvc repro`."
        )
