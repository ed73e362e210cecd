"""Measure what the model costs on this machine: size, arithmetic, time, memory and energy.

Reads the class count of the data and builds the model untrained; trained weights cost the same.
Writes metrics/profile.json, plots/profile.csv (a row per variant and batch size) and
plots/profile_blocks.csv (a row per block of the network). The measuring is in `stages.measures`.

`--all` instead measures every model of the table, without data or training, and writes
report/zoo.csv and report/zoo.md; see `python -m stages.profile --all --help`.
"""

import sys
from typing import TYPE_CHECKING

from stages.core.cli import run_stage

if TYPE_CHECKING:
    from stages.core.params import Params


def profile(params: "Params") -> None:
    """The stage. Raises UserError subclasses for what the user can mend."""
    from functools import partial

    from stages.core import files, paths
    from stages.core.device import choose_device, set_threads
    from stages.measures import sheet
    from stages.measures.subject import subject_of

    classes = len(files.read_json(paths.MANIFEST)["classes"])
    device, threads = choose_device(params.device), set_threads(params)
    measured = sheet.measure(partial(subject_of, params, classes), params.profile, device, threads)
    files.write_csv(paths.PROFILE_TABLE, measured.table)
    files.write_csv(paths.PROFILE_BLOCKS, measured.blocks)
    files.write_json(paths.PROFILE_METRICS, measured.metrics)
    sys.stdout.write(f"{measured.metrics['best']}.\n")


if __name__ == "__main__":
    sys.exit(run_stage(profile))
