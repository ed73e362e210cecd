"""The names in a run's files that writers and readers share: files, columns and keys.

The pipeline's own files are in `core.paths`. Imports nothing heavy, for everything reads here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.core import paths

CELL = Path("cell.json")
CELL_HISTORY = Path("history.csv")
CELL_PREDICTIONS = Path("predictions.csv")
CELL_FILES = (CELL, CELL_HISTORY, CELL_PREDICTIONS)
"""What a study's cell leaves in its folder; the study's own files are those below."""
STUDY_PARAMS = Path("params.yaml")
STUDY_HARDWARE = Path("hardware.json")

HISTORY_COLUMNS = ["epoch", "lr", "train_loss", "val_loss", "seconds"]
"""Of an epoch; accuracies of the task, train_… and val_…, stand beside them."""
STEP_COLUMNS = ["step", "epoch", "loss_hex", "loss", "grad_norm", "grad_hash", "weights_hash"]
TENSOR_COLUMNS = ["step", "tensor", "grad_hash", "weights_hash"]
INSIDE_COLUMNS = [
    "step", "position", "kind", "name", "inputs_hash", "hash", "dtype", "norm", "sketch",
    "rounding",
]  # fmt: skip
"""Of a place within a step. `norm` is that of the tensors; of an update it is the norm of the
weights that were moved. `rounding` is how far one ULP on every weight of the first layer carries to
this place, relative to the norm; it is measured at step 1 only."""
BUCKETS = 16
"""Numbers in a sketch."""
PREDICTION_COLUMNS = ["name", "label", "predicted", "confidence"]
BLOCK_COLUMNS = ["block", "params", "macs_g", "activations_m"]
CELL_STEP_COLUMNS = ["loss", "grad_norm", "grad_hash", "weights_hash"]
"""What a cell keeps of a few steps; the cells of before 0.2 have loss and weights_hash."""

_NUMBER = (int, float)
Types = dict[str, tuple[type, ...]]
KEYS: dict[Path, Types] = {
    paths.PARAMS: dict.fromkeys(("train", "dataset"), (dict,)),
    paths.MACHINE: {"environment": (dict,)},
    paths.NUMERICS: {"readings": (dict,), "bits": (dict,), "not_repeatable": (list, str)},
    paths.TRAIN_METRICS: {
        **dict.fromkeys(("steps", "epochs_run"), _NUMBER),
        **dict.fromkeys(
            ("weights_sha256", "weights_hash", "initial_weights_hash", "indices_sha256",
             "digests_sha256"), (str,),
        ),
    },
    paths.EVALUATE_METRICS: {
        **dict.fromkeys(("test_loss", "test_top1", "test_quadrant_top1", "ece"), _NUMBER),
        "top1_per_class": (dict,),
    },
    paths.LOCK: {"stages": (dict,)},
}  # fmt: skip
"""Keys of JSON and YAML whose values are worked with, and as what."""


def accuracies_of(evaluate: Mapping[str, Any]) -> list[str]:
    """Names of the accuracies in metrics of an evaluation, the task's main one first."""
    names = (key.removeprefix("test_") for key in evaluate if key.startswith("test_"))
    return [name.removesuffix("_low") for name in names if name.endswith("_low")]
