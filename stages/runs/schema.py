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
"""What a study's cell leaves in its folder."""
STUDY_HARDWARE = Path("hardware.json")
STUDY_IDENTITY = Path("identity.json")
STUDY_PICTURES = Path("pictures.json")
STUDY_PICTURE_NOTES = Path("picture_notes.json")

HISTORY_COLUMNS = ["epoch", "lr", "train_loss", "val_loss", "seconds"]
"""Of an epoch; accuracies of the task, train_… and val_…, stand beside them."""
STEP_COLUMNS = ["step", "epoch", "loss_hex", "loss", "grad_norm", "grad_hash", "weights_hash"]
DATA_COLUMNS = ["order_hash", "labels_hash", "draws_hash", "images_hash"]
"""What a recorded step, or all steps of an epoch in the history, was fed with; explained in
`training.data_trace`. In the history `val_images_hash` stands beside them."""
SETTING_COLUMNS = ["lr", "ema_decay"]
"""What a recorded step was made with: the rate of the last parameter group, and the decay of the
moving average, empty without one. Like DATA_COLUMNS they stand beside STEP_COLUMNS since 0.2."""
TENSOR_COLUMNS = ["step", "tensor", "grad_hash", "weights_hash"]
INSIDE_COLUMNS = [
    "step", "position", "kind", "name", "inputs_hash", "hash", "dtype", "norm", "sketch",
    "rounding", "error",
]  # fmt: skip
"""Of a place within a step. `norm` is that of the tensors; of an update it is the norm of the
weights that were moved. `rounding` is how far one ULP on every weight of the first layer carries to
this place, relative to the norm; it is measured at step 1 only. `error` is how far a norm's output
is from what float64 makes of its inputs, likewise relative, at every step. Rows of the kinds
weights, average (the moving average) and kept (what is kept at the end, buffers in a row of their
own) are of the run after that step."""
BUCKETS = 16
"""Numbers in a sketch."""
PREDICTION_COLUMNS = ["name", "label", "predicted", "confidence"]
BLOCK_COLUMNS = ["block", "params", "macs_g", "activations_m"]
CELL_STEP_COLUMNS = [
    "loss", "grad_norm", "grad_hash", "weights_hash", *SETTING_COLUMNS, *DATA_COLUMNS,
]  # fmt: skip
"""What a cell keeps of a few steps; the cells of before 0.2 have loss and weights_hash."""

_NUMBER = (int, float)
Types = dict[str, tuple[type, ...]]
KEYS: dict[Path, Types] = {
    paths.PARAMS: dict.fromkeys(("train", "dataset"), (dict,)),
    paths.MACHINE: {"environment": (dict,)},
    paths.NUMERICS: {"readings": (dict,), "bits": (dict,), "not_repeatable": (list, str)},
    paths.SUBSET_METRICS: {"params": (dict,)},
    paths.PROFILE_METRICS: {"params": (dict,)},
    paths.TRAIN_METRICS: {
        **dict.fromkeys(("steps", "epochs_run"), _NUMBER),
        **dict.fromkeys(
            ("weights_sha256", "weights_hash", "initial_weights_hash", "indices_sha256",
             "digests_sha256", "code"), (str,),
        ),
        "params": (dict,),
    },
    paths.EVALUATE_METRICS: {
        **dict.fromkeys(("test_loss", "test_top1", "test_quadrant_top1", "ece"), _NUMBER),
        **dict.fromkeys(("weights_sha256", "code"), (str,)),
        **dict.fromkeys(("top1_per_class", "params"), (dict,)),
    },
}  # fmt: skip
"""Keys of JSON and YAML whose values are worked with, and as what."""


def accuracies_of(evaluate: Mapping[str, Any]) -> list[str]:
    """Names of the accuracies in metrics of an evaluation, the task's main one first."""
    names = (key.removeprefix("test_") for key in evaluate if key.startswith("test_"))
    return [name.removesuffix("_low") for name in names if name.endswith("_low")]
