"""The cost of many models in one table, without data or training; goes on where it stopped.

Each finished model is a file, named by all that decides its figures, so a second start measures
only what is missing.
"""

import fnmatch
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from stages.core.combinations import DEFAULT_TASK
from stages.core.errors import ModelError, UserError
from stages.core.records import read_record, write_record
from stages.core.validation_messages import unknown_name
from stages.measures.profiling.profiled_model import profiled_model
from stages.measures.profiling.sheet import measure
from stages.measures.profiling.try_measure import try_measure

if TYPE_CHECKING:
    from stages.core.params import Params

CLASSES = 10
COLUMNS = {
    "model": "model",
    "input_px": "px",
    "params_total": "params (M)",
    "macs_g": "MACs (G)",
    "activations_m": "activations (M)",
    "latency_ms_p50": "latency p50 (ms)",
    "latency_spread": "spread",
    "throughput_images_per_second": "images/s",
    "throughput_batch_size": "at batch",
    "training_images_per_second": "training images/s",
    "peak_memory_mb": "peak memory (MB)",
    "training_peak_memory_mb": "training peak (MB)",
    "energy_per_image_j": "energy (J/image)",
    "note": "note",
}


def names_of(patterns: Sequence[str]) -> list[str]:
    """The models that shell patterns name, in the table's order; no pattern is the whole table.

    Patterns that begin with `timm/` or `torchvision/` search those libraries. Raises ModelError
    for a pattern that names none.
    """
    from stages.models import MODELS
    from stages.models.libraries import library_names

    names: list[str] = []
    for pattern in patterns or ["*"]:
        known = list(library_names()) if "/" in pattern else list(MODELS)
        found = fnmatch.filter(known, pattern)
        if not found:
            raise ModelError(unknown_name("--all", pattern, known[:40]) + ", or a pattern of them.")
        names += found
    return list(dict.fromkeys(names))


def measure_zoo(
    tasks: Sequence["Params"],
    device: torch.device,
    threads: int,
    kept: Callable[["Params"], Path],
    log: Callable[[str], None],
) -> pd.DataFrame:
    """A row per model: all metrics of its sheet but the nested ones, and a note.

    Rows are kept as JSON, each in the file that `kept` names by all that decides its figures, and
    read from there if it exists; `log` gets a line per model measured, with the time that is left.
    """
    missing = [task for task in tasks if not kept(task).exists()]
    if len(missing) < len(tasks):
        log(f"{len(tasks) - len(missing)} of {len(tasks)} models are measured already.")
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    started = time.monotonic()
    for done, task in enumerate(missing, 1):
        rows[task.model, task.input_size] = row = _row(task, device, threads)
        if "best" in row:  # what failed is tried again by the next start
            write_record(kept(task), row)
        left = (time.monotonic() - started) / done * (len(missing) - done)
        told = row.get("best") or row["note"]
        log(f"[{done}/{len(missing)}, about {left / 60:.0f} min left] {task.model}: {told}.")
    return pd.DataFrame(
        [rows.get((task.model, task.input_size)) or read_record(kept(task)) for task in tasks]
    )


def tasks_of(names: Sequence[str], params: "Params", native: bool) -> list["Params"]:
    """The parameters of each model: at `params.input_size`, or each at its native size."""
    from stages.models import resolve

    sizes = {name: resolve(name).native_px if native else params.input_size for name in names}
    fixed = {"task": DEFAULT_TASK, "pretrained": False, "finetune": "full"}
    return [
        params.model_copy(update={"model": name, "input_size": size, **fixed})
        for name, size in sizes.items()
    ]


def as_markdown(table: pd.DataFrame) -> str:
    """The columns that fit a page, as a Markdown table; figures to three digits."""
    head = f"| {' | '.join(COLUMNS.values())} |"
    rule = "|" + "---|" * len(COLUMNS)
    rows = [
        "| " + " | ".join(_cell(name, row.get(name)) for name in COLUMNS) + " |"
        for row in table.to_dict("records")
    ]
    return "\n".join([head, rule, *rows]) + "\n"


def _cell(name: str, value: Any) -> str:
    if pd.isna(value):
        return ""
    if name == "params_total":
        return f"{value / 1e6:,.2f}"
    if name == "latency_spread":
        return f"{value:.0%}"
    if isinstance(value, float):
        return f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
    return str(value).replace("|", "/")


def _row(task: "Params", device: torch.device, threads: int) -> dict[str, Any]:
    """The flat metrics of a model, or its name and why there are none."""
    build = partial(profiled_model, task, CLASSES)
    try:
        sheet, reason = try_measure(lambda: measure(build, task.profile, device, threads))
    except UserError as error:
        sheet, reason = None, str(error)
    if sheet is None:
        return {"model": task.model, "input_px": task.input_size, "note": reason}
    flat = {name: value for name, value in sheet.metrics.items() if not isinstance(value, dict)}
    noted = {"latency": "latency_note", "training": "training_note", "memory": "peak_memory_reason"}
    notes = [f"{what}: {flat[name]}" for what, name in noted.items() if flat[name]]
    return flat | {"note": "; ".join(notes) or None}
