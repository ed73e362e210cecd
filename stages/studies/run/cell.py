"""One cell of a study, from pictures to figures in one process.

Chooses the images, trains, evaluates and profiles with the functions of the root stages, and
leaves `cell.json`, `history.csv` and `predictions.csv`. A training that diverges is a result and
is written as one. Leaves order and repetition of cells to DVC.
"""

import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from stages.core import files
from stages.core.device import prepare
from stages.core.errors import DataError, DivergedError
from stages.core.params import Params
from stages.core.paths import PARAMS, work_folder
from stages.core.records import FILES, read_record, write_record
from stages.measures.profiling import TRAIN_KEYS
from stages.runs import schema
from stages.runs.code import code_files, code_id
from stages.runs.training_record import digests_sha256, training_metrics
from stages.runs.unchanged import Made, unchanged
from stages.studies.run.code import MODULE, cell_code
from stages.studies.run.machine import machine_of, require_weights
from stages.studies.run.pictures import pool_for
from stages.studies.run.pools import located
from stages.studies.spec.identity import identity_of
from stages.studies.spec.study_config import Cell, StudyConfig, load_study_config

if TYPE_CHECKING:
    import pandas as pd

    from stages.datasets.pixels import Split
    from stages.measures.evaluation.split_figures import Evaluation
    from stages.training.run import Run

PROFILE = "stages.measures.profiling.sheet"  # what it executes decides what a model costs
NODE = {
    "exclusive": "measured on a node that no other job shared",
    "shared": "measured on a node that other jobs may have shared",
}
"""What jobs of a cluster say of their node in `BACKBONE_DNA_NODE`."""
TRACED_STEPS = (1, 2, 5, 10, 20, 50, 100, 200)
SPLITS = ["train", "val", "test"]
DECIDE_COST = ("model", "stem", "pretrained", "task", "input_size", "finetune", "profile")
PROFILED = (
    "input_px", "params_total", "weights_mb", "macs_g", "flops_g", "flops_reason",
    "latency_ms_p50", "latency_ms_p95", "latency_batch_size", "latency_spread", "latency_note",
    "other_load_note",
    "throughput_images_per_second", "throughput_batch_size", "training_images_per_second",
    "peak_memory_mb", "peak_memory_batch_size", "peak_memory_reason", "training_peak_memory_mb",
)  # fmt: skip


def run_cell(form: StudyConfig, cell: Cell, log: Callable[[str], None]) -> dict[str, Any]:
    """Run a cell and write its files; return what `cell.json` holds.

    Raises UserError subclasses as the stages do, but not for a training that diverges; and
    ChangedError when its parameters or its code were edited meanwhile.
    """
    folder = form.cell_folder(cell)
    outputs = tuple(folder / name for name in schema.CELL_FILES)
    made = Made(f"cell {cell.name}", MODULE, form.folder / PARAMS, outputs)
    with unchanged(made, lambda: load_study_config(form.name).params(cell)) as params:
        return make_cell(form, cell, params, folder, log)


def make_cell(
    form: StudyConfig,
    cell: Cell,
    params: Params,
    folder: Path,
    log: Callable[[str], None],
    record: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Make a cell in `folder` from the pictures of its study; return what `cell.json` holds.

    A repetition is to be held against the `record`: nothing is profiled, and neither checkpoints
    nor features of earlier runs are taken up. Raises as `run_cell` does, and DataError when the
    record is of other images.
    """
    from stages.datasets.pixels import load_splits
    from stages.datasets.selection import choose, indices_table
    from stages.models import pretrained_sha256

    started = time.perf_counter()
    if record is None:
        require_weights(form, params)
    pool, pictures_sha256 = pool_for(form, params.dataset, params.input_size)
    indices = indices_table(pool, choose(pool, params.subset, params.dataset.name))
    splits = load_splits(located(params.dataset), indices, params.input_size, SPLITS)
    machine = machine_of(params)
    known = _about(cell, params, splits, indices, machine) | {"pictures_sha256": pictures_sha256}
    if record is not None:
        _require_its_images(form, cell, record, known)
    began = time.perf_counter()
    profile = profile_of(params, len(pool.classes), machine["id"]) if record is None else {}
    known["profile_seconds"] = time.perf_counter() - began
    whose = "identity" if record is None else "repetition"
    inputs = {"indices": known["indices_sha256"], whose: machine["id"]}
    if digest := pretrained_sha256(params):
        inputs["pretrained"] = digest
    try:
        # The checkpoints are kept until the result is written: a kill loses neither.
        from stages.training.run import training

        with training(params, splits, len(pool.classes), inputs, log) as run:
            evaluation = _evaluate(run, splits["test"], pool.classes)
            found = _trained(run) | {"evaluate": evaluation.metrics, "profile": profile}
            _write_tables(folder, run, evaluation)
            return _write(folder, known | found, started)
    except DivergedError as error:
        where = {"epoch": error.epoch, "step": error.step, "precision": error.precision}
        log(f"diverged at epoch {error.epoch}, step {error.step}, {error.precision}")
        _write_no_tables(folder)
        found = {"status": "diverged", "diverged": where, "profile": profile}
        return _write(folder, known | found, started)


def _require_its_images(
    form: StudyConfig, cell: Cell, record: Mapping[str, Any], known: Mapping[str, Any]
) -> None:
    if record["indices_sha256"] != known["indices_sha256"]:
        raise DataError(
            f"{cell.name} was made of other pictures than are here now: there is nothing to hold "
            f"it against. Make it anew with: {form.repro('', f'{cell.grid}@{cell.name}')}"
        )


def decides_cost(params: Mapping[str, Any]) -> dict[str, Any]:
    """What of a cell's parameters its costs depend on."""
    sections = {name: params.get(name) for name in DECIDE_COST}
    train = params.get("train", {})
    return sections | {"train": {name: train.get(name) for name in TRAIN_KEYS}}


def profile_of(params: Params, classes: int, machine_id: str) -> dict[str, Any]:
    """What the model costs here; measured once per machine, model and profile settings.

    Seeds, sizes and most recipes do not move it, so their cells share one measurement.
    """
    import torch

    from stages.measures.profiling.profiled_model import profiled_model
    from stages.measures.profiling.sheet import measure

    note = NODE.get(os.environ.get("BACKBONE_DNA_NODE", ""))
    decides = {
        **({"node": note} if note else {}),
        "machine": machine_id,
        "classes": classes,
        "code": code_id(code_files(PROFILE, params, ("model", "task"))),
        **decides_cost(params.model_dump(mode="json")),
    }
    kept = work_folder() / "studies" / f"profile-{files.sha256_of_json(decides)[:20]}.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(kept.with_name("profile.lock")):  # side by side they would slow each other
        if not kept.exists():
            build, device = partial(profiled_model, params, classes), prepare(params)
            sheet = measure(build, params.profile, device, torch.get_num_threads())
            found = {name: sheet.metrics.get(name) for name in PROFILED}
            write_record(kept, found | {"node_note": note})
    return read_record(kept)


def _about(
    cell: Cell,
    params: Params,
    splits: "dict[str, Split]",
    indices: "pd.DataFrame",
    machine: dict[str, Any],
) -> dict[str, Any]:
    return {
        "cell": cell.name,
        "model": cell.model,
        "size": cell.size,
        "recipe": cell.recipe,
        "seed": cell.seed,
        "status": "finished",
        "diverged": None,
        "dataset": params.dataset.label,
        "task": params.task,
        "epochs": params.train.epochs,
        "train_images": len(splits["train"].labels),
        "val_images": len(splits["val"].labels),
        "test_images": len(splits["test"].labels),
        "indices_sha256": digests_sha256(indices),
        "params": params.model_dump(mode="json"),
        "params_id": identity_of(params),
        "machine": machine,
        "code": cell_code(params),
    }


def _evaluate(run: "Run", test: "Split", classes: list[str]) -> "Evaluation":
    """The kept weights on the test images, shown as in validation."""
    from stages.measures.evaluation.split_figures import evaluate_outputs

    engine = run.trained.engine
    engine.model.load_state_dict(run.trained.weights)
    outputs = engine.evaluator(test, "test")(engine.model)
    return evaluate_outputs(outputs, test.names, engine.task.heads(classes))


def _trained(run: "Run") -> dict[str, Any]:
    kept = {
        str(row["step"]): {name: _or_none(row[name]) for name in schema.CELL_STEP_COLUMNS}
        for row in run.trained.record.trace
        if row["step"] in TRACED_STEPS
    }
    return {"train": training_metrics(run), "trace": kept}


def _or_none(value: Any) -> Any:
    """None for a norm that overflowed, which JSON cannot say."""
    return None if isinstance(value, float) and not isfinite(value) else value


def _write_tables(folder: Path, run: "Run", evaluation: "Evaluation") -> None:
    import pandas as pd

    files.write_csv(folder / schema.CELL_HISTORY, pd.DataFrame(run.trained.progress.history))
    answers = evaluation.predictions[schema.PREDICTION_COLUMNS].round(4)
    files.write_csv(folder / schema.CELL_PREDICTIONS, answers)


def _write_no_tables(folder: Path) -> None:
    files.write_text(folder / schema.CELL_HISTORY, ",".join(schema.HISTORY_COLUMNS) + "\n")
    files.write_text(folder / schema.CELL_PREDICTIONS, ",".join(schema.PREDICTION_COLUMNS) + "\n")


def _write(folder: Path, found: dict[str, Any], started: float) -> dict[str, Any]:
    found |= {
        "cell_seconds": time.perf_counter() - started,
        FILES: {
            table.name: files.sha256_of_file(folder / table)
            for table in (schema.CELL_HISTORY, schema.CELL_PREDICTIONS)
        },
    }
    write_record(folder / schema.CELL, found)
    return found
