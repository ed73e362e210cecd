"""What a finished training leaves: figures for any of them, files for the pipeline's train stage.

A study's cell keeps the same figures in its own file.
"""

import shutil
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Any

from stages.core import files, paths
from stages.core.metrics import write_metrics
from stages.core.records import FILES, hashes_of
from stages.runs.schema import (
    DATA_COLUMNS,
    INSIDE_COLUMNS,
    SETTING_COLUMNS,
    STEP_COLUMNS,
    TENSOR_COLUMNS,
)
from stages.runs.steps import as_record, as_table
from stages.runs.weights_file import About, write_weights

if TYPE_CHECKING:
    import pandas as pd

    from stages.training.run import Run


def write_training(run: "Run", classes: list[str], pictures_px: int, told: dict[str, Any]) -> None:
    """Weights, metrics, history, record of steps and snapshots.

    `pictures_px` is the side of the images as they were stored, `told` is what else belongs to
    the metrics: hashes of them, parameters and code.
    """
    write_weights(paths.WEIGHTS, about_of(run, classes, pictures_px), run.trained.weights)
    history, record = run.trained.progress.history, run.trained.record
    traced = [*STEP_COLUMNS, *SETTING_COLUMNS, *DATA_COLUMNS]
    files.write_csv(paths.HISTORY, as_table(history, list(history[0])))
    files.write_csv(paths.TRACE, as_table(record.trace, traced))
    tensors = as_table(record.tensor_trace, TENSOR_COLUMNS)
    files.write_json(paths.STEPS, as_record(tensors, as_table(record.inside, INSIDE_COLUMNS)))
    _write_snapshots(run)
    digest = files.sha256_of_file(paths.WEIGHTS)
    values = {
        "id": digest[:12],
        **training_metrics(run),
        "weights_sha256": digest,
        **told,
        FILES: hashes_of(
            [paths.HISTORY, paths.TRACE, paths.STEPS, *sorted(paths.SNAPSHOTS.iterdir())]
        ),
    }
    validated = [f"val_{metric}" for metric in run.trained.engine.task.metrics]
    write_metrics(paths.TRAIN_METRICS, values, [*validated, "train_seconds", "id"])


def training_metrics(run: "Run") -> dict[str, Any]:
    """What is known of a training besides hashes of files: shares in 0…1, seconds, counts."""
    from stages.training.trace import hash_tensors

    trained, params = run.trained, run.params
    progress, engine = trained.progress, trained.engine
    best = progress.history[progress.best_epoch - 1]
    figures = {name: value for name, value in best.items() if name.startswith(("train_", "val_"))}
    parameters = list(engine.model.parameters())
    return {
        "model": params.model,
        "task": params.task,
        "epochs": params.train.epochs,
        "epochs_run": len(progress.history),
        "best_epoch": progress.best_epoch,
        "steps": progress.steps,
        **figures,
        "train_seconds": progress.seconds,
        "epoch_seconds_p50": median(row["seconds"] for row in progress.history),
        "images_per_second": progress.steps * engine.batch_size / progress.seconds,
        "params_total": sum(p.numel() for p in parameters),
        "params_trainable": sum(p.numel() for p in parameters if p.requires_grad),
        "precision": params.train.precision,
        "fell_back_to_fp32": run.fell_back,
        **(asdict(run.compile_gain) if run.compile_gain else {}),
        **({"feature_seconds": engine.feature_seconds} if engine.feature_seconds else {}),
        "memory_format": str(engine.memory_format).removeprefix("torch."),
        "initial_weights_hash": trained.record.initial_weights_hash,
        "normalization": engine.normalization.record(),
        "adapted": engine.built.notes,
        "weights_hash": hash_tensors(sorted(trained.weights.items())),
    }


def digests_sha256(indices: "pd.DataFrame") -> str:
    """A hash of what every image of a subset contains, split by split, in order."""
    return files.sha256_of_json(indices[["split", "digest"]].to_csv(index=False))


def about_of(run: "Run", classes: list[str], pictures_px: int) -> About:
    """What goes with the weights of a run."""
    from stages.models import untrained

    params = run.params
    return About(
        model=params.model,
        stem=untrained(params).stem,
        input_size=params.input_size,
        task=params.task,
        classes=classes,
        precision=params.train.precision,
        memory_format=params.train.memory_format,
        fast_kernels=params.train.fast_kernels,
        batch_size=params.evaluate.batch_size,
        pictures_px=pictures_px,
        normalization=run.trained.engine.normalization.record(),
    )


def _write_snapshots(run: "Run") -> None:
    files.emptied(paths.SNAPSHOTS)
    kept = run.checkpoints.snapshots()
    for snapshot in kept:
        shutil.copyfile(snapshot, paths.SNAPSHOTS / snapshot.name)
    if not kept:  # DVC warns of an empty folder
        files.write_text(paths.SNAPSHOTS / "none.txt", "This run kept no states for replay.\n")
