"""How near is what `study plan` estimates before anything has run?

`python -m benchmarks.plan_estimates [STUDY:CELL …]` rehearses the steps of each cell, makes it in a
folder that is thrown away, and prints both times and their factor; at the end the worst. Each
runs in a process of its own on one thread, and processor time is compared, so that other work on
the machine does not show. Without the profile, which has clocks of its own. The pictures must be in
place as for the studies. About ten minutes of processor time.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stages.core.params import Params
    from stages.studies.spec.study_config import Cell, StudyConfig

CELLS = (
    "lenet_to_resnet/small:lenet_small-1000-tutorial_2-0",
    "lenet_to_resnet/small:lenet_large-1000-plain_2-0",
    "lenet_to_resnet/small:lenet_large-1000-plain_10-0",
    "lenet_to_resnet/small:lenet_large-1000-augmented_20-0",
    "small_data/small:vit_2l_2h_128-250-same-0",
    "small_data/small:vit_2l_2h_128-1000-same-0",
    "small_data/small:mobilenet_v3-250-same-0",
    "vit_vs_resnet/small:vit_2l_2h_128-500-scratch_c10-0",
    "fast_backbones/small:shufflenet_v2_x0_5-500-two_epochs-0",
    "fast_backbones/small:repvgg_a0-500-two_epochs-0",
    "capacity_vs_data/small:resnet18-125-scratch-0",
)


def main(names: list[str]) -> None:
    """Measure each cell in a fresh process, its machine's probes before."""
    factors = []
    for name in names or CELLS:
        study, cell = name.split(":")
        for work in ("prepared", "measure"):
            code = f"from benchmarks.plan_estimates import {work}; {work}({study!r}, {cell!r})"
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=True
            )
        line = done.stdout.splitlines()[-1]
        print(line, flush=True)
        factors.append(float(line.rsplit(" ", 1)[1]))
    worst = max(max(factor, 1 / factor) for factor in factors)
    print(f"{len(factors)} cells, worst factor {worst:.2f}")


def prepared(study: str, name: str) -> None:
    """Measure the probes and read the pictures, which a study's own stages do before its cells."""
    from stages.studies.run.machine import machine_of
    from stages.studies.run.pictures import pool_for

    form, _, params = cell_of(study, name)
    machine_of(params)
    pool_for(form, params.dataset, params.input_size)


def measure(study: str, name: str) -> None:
    """Make a cell and estimate it, and print seconds of processor time."""
    time.perf_counter = time.process_time
    form, cell, params = cell_of(study, name)
    from stages.studies.run import cell as making
    from stages.studies.run.estimate import images_in, rehearsed
    from stages.studies.run.pictures import images_by_split
    from stages.studies.run.rehearsal import measured_pace

    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        making.profile_of = lambda *_: {}
        making.make_cell(form, cell, params, Path(folder), lambda line: None)
    took = time.perf_counter() - started
    images = images_in(params, images_by_split(form, params.dataset))
    estimated = rehearsed(params, images or (0, 0, 0), measured_pace(params))
    print(f"{name}: estimated {estimated:.1f} s, took {took:.1f} s, factor {estimated / took:.2f}")


def cell_of(study: str, name: str) -> "tuple[StudyConfig, Cell, Params]":
    """A cell of a form and its parameters, on one thread."""
    from stages.studies.spec.study_config import load_study_config

    form = load_study_config(study)
    cell = next(cell for cell in form.cells if cell.name == name)
    return form, cell, form.params(cell).model_copy(update={"threads": 1})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("cells", nargs="*", metavar="STUDY:CELL")
    main(parser.parse_args().cells)
