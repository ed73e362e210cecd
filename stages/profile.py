"""Measure what the model costs on this machine: size, arithmetic, time, memory and energy.

Reads the class count of the data and builds the model untrained; trained weights cost the same.
Writes metrics/profile.json, plots/profile.csv (a row per variant and batch size) and
plots/profile_blocks.csv (a row per block of the network). The measuring is in `stages.measures`.

With --all it needs no data and measures every model of the table, or those whose names match the
patterns, for instance `--all 'swin_*' 'timm/resnet50*'`, for 10 classes, and writes report/zoo.csv
and report/zoo.md. When it is started again it measures only what is missing.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core import files, paths
from stages.core.cli import reporting_errors

if TYPE_CHECKING:
    from stages.core.params import Params


def profile(params: "Params") -> None:
    """The stage. Raises UserError subclasses for what the user can mend."""
    from functools import partial

    import torch

    from stages.core.device import prepare
    from stages.core.metrics import write_metrics
    from stages.core.records import FILES, hashes_of, read_record
    from stages.measures.profiling.profiled_model import profiled_model
    from stages.measures.profiling.sheet import measure
    from stages.runs.made_with import made_here, made_with

    classes = len(read_record(paths.MANIFEST)["classes"])
    told = made_with("profile", params) | made_here()
    device, build = prepare(params), partial(profiled_model, params, classes)
    sheet = measure(build, params.profile, device, torch.get_num_threads())
    files.write_csv(paths.PROFILE_TABLE, sheet.table)
    files.write_csv(paths.PROFILE_BLOCKS, sheet.blocks)
    tables = {FILES: hashes_of([paths.PROFILE_TABLE, paths.PROFILE_BLOCKS])}
    shown = ["latency_ms_p50", "peak_memory_mb"]
    write_metrics(paths.PROFILE_METRICS, sheet.metrics | tables | told, shown)
    _log(f"{sheet.metrics['best']}.")


def profile_all(params: "Params", patterns: list[str], native: bool) -> None:
    """Measure many models into one table. Raises UserError subclasses as `profile` does."""
    import torch

    from stages.core.device import prepare
    from stages.dna.declared import read_declared
    from stages.measures.profiling import TRAIN_KEYS, zoo
    from stages.runs.code import code_files, code_id

    device = prepare(params)
    decides = {
        "profile": params.profile.model_dump(),
        "stem": params.stem,
        "train": params.train.model_dump(include=set(TRAIN_KEYS)),
        "identity": read_declared(params, device).identity(),
    }
    folder = paths.work_folder() / "zoo" / files.sha256_of_json(decides)[:16]
    tasks = zoo.tasks_of(zoo.names_of(patterns), params, native)

    def kept(task: "Params") -> Path:
        code = code_id(code_files(zoo.__name__, task, ("model", "task")))
        return folder / f"{task.model.replace('/', '-')}-{task.input_size}px-{code}.json"

    table = zoo.measure_zoo(tasks, device, torch.get_num_threads(), kept, _log)
    files.write_csv(paths.ZOO_CSV, table)
    files.write_text(paths.ZOO_MD, zoo.as_markdown(table))
    _log(f"Wrote {paths.ZOO_CSV} and {paths.ZOO_MD}.")


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and profile one model or many; return the exit status."""
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog="python -m stages.profile",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--params", type=Path, default=paths.PARAMS,
        help="the parameter file (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--all", nargs="*", metavar="PATTERN", help="measure many models")
    parser.add_argument(
        "--native", action="store_true", help="with --all: each model at its native input size"
    )
    arguments = parser.parse_args(argv)
    if arguments.native and arguments.all is None:
        parser.error("--native goes with --all; of one run it is `-S input_size=auto`")

    def work() -> int:
        from stages.core.params import load_params
        from stages.measures.profiling.fresh_process import load_ahead
        from stages.runs.unchanged import stage_started

        load_ahead()

        if arguments.all is not None:
            profile_all(load_params(arguments.params), arguments.all, arguments.native)
            return 0
        with stage_started("profile", arguments.params) as params:
            profile(params)
        return 0

    return reporting_errors(work)


def _log(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
