"""Record the hardware DNA of this machine, declared and measured.

Reads `device`, `threads`, `seed`, `train.precision`, `train.memory_format`,
`train.deterministic` and `evaluate.batch_size`. Writes `metrics/hardware.json` (everything worth
showing) and `metrics/identity.json` (what decides bits: training, evaluation and profile run
again when it changes). Stops at once when the device that is asked for is absent. What is
recorded is left to `dna`.
"""

import sys

from stages.core import paths
from stages.core.cli import run_stage
from stages.core.device import choose_device, set_threads
from stages.core.files import write_json
from stages.core.params import Params


def fingerprint(params: Params) -> None:
    """Apply the settings of the run, read and measure the machine, write both files.

    Raises DeviceError when `device` names one that is absent.
    """
    from stages.dna.declared import read_declared, short_id
    from stages.training.determinism import set_determinism

    device = choose_device(params.device)
    set_threads(params)
    set_determinism(params.train.deterministic)
    declared = read_declared(params, device)
    identity = declared.identity()
    declared_id, run_id = short_id(identity), short_id(declared.run)
    ids = {"id": f"{declared_id}-{run_id}", "declared_id": declared_id, "run_id": run_id}
    hardware = {**ids, **declared.machine, **declared.run, "environment": declared.environment}
    write_json(paths.IDENTITY, {"declared_id": declared_id, **identity})
    write_json(paths.HARDWARE, hardware)


if __name__ == "__main__":
    sys.exit(run_stage(fingerprint))
