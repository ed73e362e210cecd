"""Train the model on the chosen subset and keep the best weights by validation.

Reads the subset and the machine's identity; writes the weights, the metrics, the history of
epochs, the record of steps and the snapshots for replay. An interrupted training goes on from its
last checkpoint when it is started again. The work itself is in `stages.training`.
"""

import sys
from typing import TYPE_CHECKING, Any

from stages.runs.stage import run_stage

if TYPE_CHECKING:
    from stages.core.params import Params


def train(params: "Params") -> None:
    """The stage. Raises UserError subclasses for what the user can mend."""
    from stages.core import files, paths
    from stages.core.device import choose_device, require_devices
    from stages.core.records import read_record
    from stages.datasets.pixels import load_splits, read_indices
    from stages.models import require_recorded_weights
    from stages.runs.made_with import made_here, made_with
    from stages.runs.training_record import digests_sha256, write_training
    from stages.training.distributed import (
        is_distributed,
        launch,
        rank,
        require_processes,
        world_size,
    )
    from stages.training.run import training

    require_processes(params.train.devices)
    if params.train.devices > 1 and not is_distributed():
        require_devices(params.train.devices, choose_device(params.device))
        launch(params.train.devices, "stages.train", sys.argv[1:])
        return
    identity = files.read_json(paths.IDENTITY)
    require_recorded_weights(params, identity.get("pretrained_sha256"))
    classes = read_record(paths.MANIFEST)["classes"]
    indices = read_indices(paths.INDICES)
    splits = load_splits(params.dataset, indices, params.input_size, ["train", "val"])
    told: dict[str, Any] = {
        "indices_sha256": files.sha256_of_file(paths.INDICES),
        "digests_sha256": digests_sha256(indices),
        **made_with("train", params),
        **made_here(),
    }
    if world_size() > params.train.devices:  # several nodes
        told["processes"] = world_size()
    inputs = {
        "indices": told["indices_sha256"],
        "identity": files.sha256_of_json(identity),
    }
    with training(params, splits, len(classes), inputs, _log if rank() == 0 else _silent) as run:
        if rank() == 0:
            write_training(run, classes, splits["train"].pixels.shape[-1], told)


def _silent(line: str) -> None:
    """What the other processes of a distributed run say."""


def _log(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(run_stage(train))
