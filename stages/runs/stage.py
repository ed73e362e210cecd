"""The command line of a stage: `--help`, `--params`, and a result that nobody edited meanwhile.

Leaves errors and exit statuses to `core.cli`.
"""

import argparse
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core.cli import reporting_errors
from stages.core.paths import PARAMS

if TYPE_CHECKING:
    from stages.core.params import Params


def run_stage(stage: "Callable[[Params], None]", argv: list[str] | None = None) -> int:
    """Parse the command line of a stage, load its parameters and run it; return the exit status.

    The help text is the docstring of the module that defines `stage`. A result whose parameters or
    code are edited while it is made is refused.
    """
    module = inspect.getmodule(stage)
    name = Path(str(module.__file__)).stem if module else stage.__name__
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog=f"python -m stages.{name}",
        description=inspect.getdoc(module),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--params", type=Path, default=PARAMS, help="the parameter file (default: %(default)s)"
    )
    arguments = parser.parse_args(argv)

    def load_and_run() -> int:
        from stages.runs.unchanged import stage_started

        with stage_started(name, arguments.params) as params:
            stage(params)
        return 0

    return reporting_errors(load_and_run)
