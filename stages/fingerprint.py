"""Record the hardware DNA of this machine, declared and measured.

Reads the parameters that decide what a machine computes with, which `dvc.yaml` lists. Writes
`metrics/machine.json` (all that was read), `metrics/hardware.json` (the little of it that is worth
a row in DVC's tables), `metrics/numerics.json` (the probes), `metrics/identity.json` (what decides
bits: training, evaluation and profile run again when it changes) and `metrics/code.json` (what each
stage executes: it runs again when that changes). It is the first stage and DVC keeps its files
until they are replaced, so what the parameters cannot mean is refused here, by `preflight`, before
any older result is gone. What is recorded is left to `dna`.
"""

import sys
from typing import TYPE_CHECKING

from stages.runs.stage import run_stage

if TYPE_CHECKING:
    from stages.core.params import Params


def fingerprint(params: "Params") -> None:
    """Apply the settings of the run, read and measure the machine, write the five files.

    Raises ModelError, DataError and DeviceError as `preflight` does.
    """
    from stages.core import paths
    from stages.core.device import prepare
    from stages.core.files import write_json
    from stages.core.records import write_record
    from stages.preflight import preflight
    from stages.runs.code import stage_codes

    preflight(params)
    from stages.dna.declared import headline, read_declared, short_id
    from stages.dna.numerics import measure_numerics
    from stages.models import pretrained_sha256

    device = prepare(params)
    declared = read_declared(params, device)
    numerics = measure_numerics(device, params.train.precision)
    identity = {**declared.identity(), "numerics": numerics["digest"]}
    if digest := pretrained_sha256(params):  # the same path may hold other weights tomorrow
        identity["pretrained_sha256"] = digest
    parts = {
        "declared_id": short_id(declared.identity()),
        "numeric_id": numerics["digest"][:8],
        "run_id": short_id([declared.run, numerics["run_digest"]]),
    }
    ids = {"id": f"{parts['declared_id']}-{parts['numeric_id']}", **parts}
    machine = {**ids, **declared.machine, **declared.run, "environment": declared.environment}
    write_json(paths.CODE, stage_codes(params))
    write_record(paths.NUMERICS, numerics)
    write_record(paths.MACHINE, machine)
    write_json(paths.HARDWARE, headline(machine))
    write_json(paths.IDENTITY, identity)


if __name__ == "__main__":
    sys.exit(run_stage(fingerprint))
