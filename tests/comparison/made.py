"""Runs made by hand in the formats that the stages write, and records of real small trainings."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from stages.comparison.analysis.compare_runs import Comparison
from stages.comparison.page.sections import sections_of, title_of
from stages.comparison.page.text import as_markdown
from stages.comparison.page.wording import sentence_of
from stages.core import paths
from stages.runs.run import Run, read_run
from stages.runs.schema import (
    DATA_COLUMNS,
    INSIDE_COLUMNS,
    SETTING_COLUMNS,
    STEP_COLUMNS,
    TENSOR_COLUMNS,
)
from stages.runs.sources import open_source
from stages.runs.steps import as_record, as_table
from tests.training.helpers import params as small_params
from tests.training.helpers import run as train_small

TENSORS = ("conv.weight", "conv.bias", "fc.weight")
PARAMS: dict[str, Any] = {
    "model": "lenet_small",
    "seed": 0,
    "device": "cpu",
    "train": {"epochs": 2, "batch_size": 16, "precision": "fp32"},
}
HARDWARE: dict[str, Any] = {
    "id": "aaaa-bbbb-cccc", "declared_id": "aaaa", "numeric_id": "bbbb", "run_id": "cccc",
    "chip": "Chip One", "cpu_capability": "AVX512", "threads": 2, "backend": "cpu",
    "memory_gb": 4.0,
    "float32_matmul_precision": "highest", "precision": "fp32", "environment": {},
}  # fmt: skip


def predictions(right: int = 90, images: int = 100, moved: int = 0, drift: float = 0.0) -> pd.DataFrame:  # fmt: skip  # noqa: E501
    """Answers to `images` of two classes; the first `moved` images are answered the other way."""
    labels = np.arange(images) % 2
    predicted = np.where(np.arange(images) < right, labels, 1 - labels)
    predicted[:moved] = 1 - predicted[:moved]
    names, classes = [f"{i:05d}" for i in range(images)], np.array(["cat", "dog"], dtype=object)
    return pd.DataFrame(
        {"name": names, "label": classes[labels], "predicted": classes[predicted],
         "confidence": 0.75 + drift}
    )  # fmt: skip


def trace(steps: int = 12, parted: int | None = None, part: str = "backward", distance: float = 1e-7) -> pd.DataFrame:  # fmt: skip  # noqa: E501
    """A trace of steps that parts from the plain one at `parted`, in `part` of that step."""
    rows = []
    for step in range(1, steps + 1):
        loss, norm, grads, weights = 1.0 / step, 2.0 / step, f"g{step}", f"w{step}"
        if parted is not None and step >= parted:
            later = step > parted
            if later or part == "forward":
                loss *= 1 + distance
            if later or part != "update":
                norm *= 1 + distance
                grads += "x"
            weights += "x"
        rows.append((step, 1 + (step - 1) // 6, float(loss).hex(), loss, norm, grads, weights))
    return pd.DataFrame(rows, columns=STEP_COLUMNS)


def tensors(steps: int = 12, parted: int | None = None, part: str = "backward", which: tuple[str, ...] = TENSORS) -> pd.DataFrame:  # fmt: skip  # noqa: E501
    """The trace of tensors that belongs to `trace`; at `parted` only `which` differ."""
    rows = []
    for step in range(1, steps + 1):
        for name in TENSORS:
            other = parted is not None and (step > parted or (step == parted and name in which))
            grads = other and (part != "update" or step > (parted or 0))
            hashes = [f"{kind}{step:06d}{'-x'[x]}" for kind, x in (("g", grads), ("w", other))]
            rows.append((step, name, *hashes))
    return pd.DataFrame(rows, columns=TENSOR_COLUMNS)


def readings(**bits: str) -> dict[str, dict[str, Any]]:
    """What the probes gave: bits as named, an error of 1e-7."""
    return {name: {"bits": value, "max_error": 1e-7} for name, value in bits.items()}


def write_run(folder: Path, **pieces: Any) -> Path:
    """A folder with the files of a run; `pieces` replace files by name, None leaves one out."""
    train = {
        "steps": 12, "epochs_run": 2, "weights_sha256": "w" * 64, "indices_sha256": "i" * 64,
        "initial_weights_hash": "0" * 32, "precision": "fp32", "epoch_seconds_p50": 2.0,
    }  # fmt: skip
    evaluate = {"test_top1": 0.9, "test_loss": 0.3, "ece": 0.02, "top1_per_class": {"cat": 0.9, "dog": 0.9}}  # fmt: skip  # noqa: E501
    history = pd.DataFrame({"epoch": [1, 2], "lr": [0.1, 0.01], "train_loss": [1.0, 0.5],
                            "val_loss": [1.1, 0.6]})  # fmt: skip
    files: dict[Path, Any] = {
        paths.PARAMS: PARAMS,
        paths.MACHINE: HARDWARE,
        paths.NUMERICS: {"readings": readings(mm="1", softmax="2"), "not_repeatable": []},
        paths.TRAIN_METRICS: train,
        paths.EVALUATE_METRICS: evaluate,
        paths.PROFILE_METRICS: {"latency_ms_p50": 4.0, "peak_memory_mb": None},
        paths.PREDICTIONS: predictions(),
        paths.HISTORY: history,
        paths.TRACE: trace(),
    }  # fmt: skip
    steps, within = pieces.pop("trace_tensors", tensors()), pieces.pop("inside", None)
    if steps is not None or within is not None:
        steps = pd.DataFrame(columns=TENSOR_COLUMNS) if steps is None else steps
        within = pd.DataFrame(columns=INSIDE_COLUMNS) if within is None else within
        files[paths.STEPS] = as_record(steps, within)
    for path, value in files.items():
        name = "hardware" if path == paths.MACHINE else path.stem
        given = pieces.get(name, value)
        if isinstance(value, dict) and isinstance(given, dict):
            given = value | given
        if given is not None:
            _write(folder / path, given)
    return folder


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(value, pd.DataFrame):
        value.to_csv(path, index=False)
    elif isinstance(value, str):
        path.write_text(value)
    else:
        path.write_text(json.dumps(value) if path.suffix == ".json" else yaml.safe_dump(value))


def markdown_of(found: Comparison) -> str:
    """A comparison as `--md` prints it."""
    return as_markdown(title_of(found), sections_of(found), sentence_of(found.verdict))


@contextmanager
def without_onednn() -> Iterator[None]:
    """Another machine's kernels: PyTorch's own instead of oneDNN's, where it has those."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this PyTorch has no oneDNN, whose kernels are to be others than its own")
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = True  # type: ignore[assignment]


def made(folder: Path, **pieces: Any) -> Run:
    """The record of a run made by hand."""
    return read_run(open_source(str(write_run(folder, **pieces))))


def trained(name: str, train: dict[str, Any] | None = None, **more: Any) -> Run:
    """A real training of a small network, as the record of a run without evaluation."""
    chosen = small_params(train={"snapshots": True, **(train or {})}, **more)
    done = train_small(chosen)
    so_far, left = done.trained.progress, done.trained.record
    return Run(
        name=name,
        params=chosen.model_dump(mode="json"),
        hardware={"backend": "cpu", "precision": chosen.train.precision},
        train={
            "steps": so_far.steps,
            "epochs_run": len(so_far.history),
            "precision": done.params.train.precision,
            "initial_weights_hash": left.initial_weights_hash,
        },
        indices_sha256="small",
        history=pd.DataFrame(so_far.history),
        trace=as_table(left.trace, [*STEP_COLUMNS, *SETTING_COLUMNS, *DATA_COLUMNS]),
        tensors=as_table(left.tensor_trace, TENSOR_COLUMNS),
        inside=as_table(left.inside, INSIDE_COLUMNS),
    )


def as_bytes(state: dict[str, Any]) -> bytes:
    """A state as it lies in a snapshot."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()
