"""A run's training engine, built again on the present machine from what the run left behind.

The ground that `replay` and `origin` stand on: parameters and the list of images come from the
record's source, the pictures from this machine.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pandas as pd
import torch

from stages.core import paths
from stages.core.device import device_of, memory_advice, prepare
from stages.core.errors import DeviceError, RunError
from stages.core.files import parse_csv
from stages.core.params import Params, load_params, parse_params, read_values
from stages.core.sections import Precision
from stages.runs.made_with import told_params
from stages.runs.run import Run, parse_json, parsed
from stages.runs.sources import Source
from stages.training.frozen import engine_for

if TYPE_CHECKING:
    from stages.training.batch import Epoch
    from stages.training.engine import Engine


MEMORY_ADVICE = (
    "The run's steps can be repeated where there is as much of it as the run had, or on the CPU, "
    "with `CUDA_VISIBLE_DEVICES=` before the command."
)


def params_of(source: Source) -> Params:
    """The parameters of a run, with the precision that it ended with.

    Raises RunError when it has none, ParamsError when they are old.
    """
    content = source.read(paths.PARAMS)
    if content is None:
        raise RunError(f"{source.name} has no {paths.PARAMS}, so nothing of it can be repeated.")
    where = f"{paths.PARAMS} of {source.name}"
    results = (
        parsed(source, path, parse_json, []) for path in (paths.SUBSET_METRICS, paths.TRAIN_METRICS)
    )
    values = told_params(read_values(content.decode(), where), *results)
    params = parse_params(values, where)
    train = params.train.model_copy(update=_fallen_back(source))
    return params.model_copy(update={"dataset": _dataset_here(params), "train": train})


def on_device_of(other: Run | None, record: Run, params: Params) -> Params:
    """The parameters with the other run's device, where it is of another kind than the record's.

    On its own device a run would merely repeat itself.
    """
    ours, own = (run.hardware.get("backend") if run else None for run in (other, record))
    if ours is None or own is None or ours == own:
        return params
    return params.model_copy(update={"device": device_of(ours)})


def _fallen_back(source: Source) -> dict[str, str]:
    """The precision of the weights and snapshots: a run that diverged may have gone on at fp32."""
    train = parsed(source, paths.TRAIN_METRICS, parse_json, [])
    known = train.get("precision") in get_args(Precision)
    return {"precision": train["precision"]} if known else {}


def _dataset_here(params: Params) -> Any:
    """The data set with a folder that exists here: the run's own, else the workspace's."""
    dataset = params.dataset
    if Path(dataset.folder).exists() or not paths.PARAMS.exists():
        return dataset
    here = load_params(paths.PARAMS).dataset
    return here if here.name == dataset.name else dataset


def build_engine(source: Source, params: Params) -> "Engine":
    """The run's engine before its first step, on the run's device or, if absent, on this one's.

    Raises RunError when the list of images is missing, DataError when an image is.
    """
    from stages.datasets.pixels import load_splits
    from stages.tasks import task_of

    device = _prepared(params)
    indices, classes = images_of(source)
    split = load_splits(params.dataset, indices, params.input_size, ["train"])["train"]
    with memory_advice(device, MEMORY_ADVICE):
        return engine_for(params, task_of(params), split, classes, device)


def images_of(source: Source) -> tuple[pd.DataFrame, int]:
    """The run's list of images, and how many classes they have. Raises RunError without one."""
    content = source.read(paths.INDICES)
    if content is None:
        raise RunError(
            f"{source.name} has no {paths.INDICES}, so its batches cannot be made again. If the "
            "run is another machine's, `dvc pull` fetches the file."
        )
    indices = parse_csv(content.decode(), ["digest"], ["name", "class"])
    return indices, int(indices["label"].max()) + 1


def _prepared(params: Params) -> torch.device:
    try:
        return prepare(params)
    except DeviceError:
        return prepare(params.model_copy(update={"device": "auto"}))


def epoch_of(engine: "Engine", step: int) -> tuple["Epoch", int]:
    """The epoch that holds a step (counted from 1 over the run), and its place in it from 0."""
    number, index = divmod(step - 1, engine.steps_per_epoch)
    return engine.epoch(number + 1), index
