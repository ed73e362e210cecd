"""Train the model on the chosen subset and keep the best weights by validation.

Reads the subset and the machine's identity; writes the weights, the metrics, the history of
epochs, the record of steps and the snapshots for replay. An interrupted training goes on from its
last checkpoint when it is started again. The work itself is in `stages.training`.
"""

import sys
from typing import TYPE_CHECKING, Any

from stages.core.cli import run_stage

if TYPE_CHECKING:
    from stages.core.params import Params
    from stages.training.run import Run


def train(params: "Params") -> None:
    """The stage. Raises UserError subclasses for what the user can mend."""
    from stages.core import files, paths
    from stages.core.device import choose_device, require_devices
    from stages.core.metrics import write_metrics
    from stages.datasets.pixels import load_splits, read_indices
    from stages.training.distributed import is_distributed, launch, rank
    from stages.training.run import training

    if params.train.devices > 1 and not is_distributed():
        require_devices(params.train.devices, choose_device(params.device))
        launch(params.train.devices, "stages.train", sys.argv[1:])
        return
    classes = files.read_json(paths.MANIFEST)["classes"]
    indices = read_indices(paths.INDICES)
    splits = load_splits(params.dataset, indices, params.input_size, ["train", "val"])
    inputs = {
        "indices": files.sha256_of_file(paths.INDICES),
        "identity": files.sha256_of_json(files.read_json(paths.IDENTITY)),
    }
    with training(params, splits, len(classes), inputs, _log if rank() == 0 else _silent) as run:
        if rank() > 0:
            return
        _save_weights(run, classes)
        _save_tables(run)
        _save_snapshots(run)
        digest = files.sha256_of_file(paths.WEIGHTS)
        hashes = {"weights_sha256": digest, "indices_sha256": inputs["indices"]}
        values = {"id": digest[:12], **metrics_of(run), **hashes}
        validated = [f"val_{metric}" for metric in run.trained.engine.task.metrics]
        write_metrics(paths.TRAIN_METRICS, values, [*validated, "train_seconds", "id"])


def metrics_of(run: "Run") -> dict[str, Any]:
    """What `metrics/train.json` holds besides file hashes: shares in 0…1, seconds, counts."""
    from dataclasses import asdict
    from statistics import median

    trained, params = run.trained, run.params
    so_far, engine = trained.progress, trained.engine
    best = so_far.history[so_far.best_epoch - 1]
    figures = {name: value for name, value in best.items() if name.startswith(("train_", "val_"))}
    parameters = list(engine.model.parameters())
    return {
        "model": params.model,
        "task": params.task,
        "epochs": params.train.epochs,
        "epochs_run": len(so_far.history),
        "best_epoch": so_far.best_epoch,
        "steps": so_far.steps,
        **figures,
        "train_seconds": so_far.seconds,
        "epoch_seconds_p50": median(row["seconds"] for row in so_far.history),
        "images_per_second": so_far.steps * engine.batch_size / so_far.seconds,
        "params_total": sum(p.numel() for p in parameters),
        "params_trainable": sum(p.numel() for p in parameters if p.requires_grad),
        "precision": params.train.precision,
        "fell_back_to_fp32": run.fell_back,
        **(asdict(run.compile_gain) if run.compile_gain else {}),
        "memory_format": str(engine.memory_format).removeprefix("torch."),
        "initial_weights_hash": so_far.initial_weights_hash,
        "adapted": trained.engine.built.notes,
    }


def _save_weights(run: "Run", classes: list[str]) -> None:
    import json
    from dataclasses import asdict

    from safetensors.torch import save_file

    from stages.core import files, paths

    about = {
        "model": run.params.model,
        "classes": classes,
        "precision": run.params.train.precision,  # that of the fall-back, if there was one
        "normalization": asdict(run.trained.engine.normalization),
    }
    with files.replacing(paths.WEIGHTS) as temporary:
        # One entry: safetensors writes several in an order that changes from run to run.
        save_file(run.trained.weights, temporary, metadata={"about": json.dumps(about)})


def _save_tables(run: "Run") -> None:
    from stages.core import files, paths
    from stages.training.recorded import TENSOR_COLUMNS, as_record
    from stages.training.step_trace import INSIDE_COLUMNS
    from stages.training.trace import STEP_COLUMNS, as_table

    so_far = run.trained.progress
    files.write_csv(paths.HISTORY, as_table(so_far.history, list(so_far.history[0])))
    files.write_csv(paths.TRACE, as_table(so_far.trace, STEP_COLUMNS))
    tensors = as_table(so_far.tensor_trace, TENSOR_COLUMNS)
    files.write_json(paths.STEPS, as_record(tensors, as_table(so_far.inside, INSIDE_COLUMNS)))


def _save_snapshots(run: "Run") -> None:
    import shutil

    from stages.core import paths

    paths.SNAPSHOTS.mkdir(parents=True, exist_ok=True)
    for snapshot in run.checkpoints.snapshots():
        shutil.copyfile(snapshot, paths.SNAPSHOTS / snapshot.name)


def _silent(line: str) -> None:
    """What the other processes of a distributed run say."""


def _log(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(run_stage(train))
