"""The options of `python -m stages.compare`: what there is, and what cannot be meant.

Whether the runs exist and fit together is found where they are read.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from stages.core.errors import RunError


def parsed(argv: Sequence[str] | None, description: str) -> argparse.Namespace:
    """The command line, read. Exits with argparse's own message for an unknown option."""
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog="python -m stages.compare",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="two runs, or more for a matrix")
    parser.add_argument(
        "--margin", type=float, default=0.5, help="points that do not matter (default: %(default)s)"
    )
    parser.add_argument(
        "--perturbed",
        metavar="RUN",
        help="the first run with train.perturb_one_ulp=true, as a yardstick",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--md", action="store_true", help="print Markdown, as for a pull request")
    form.add_argument("--json", action="store_true", help="print JSON with all that was found")
    parser.add_argument("--html", metavar="FILE", type=Path, help="also write a page")
    parser.add_argument(
        "--replay",
        action="store_true",
        help="compute the second run, or the only one, again here from its own states",
    )
    parser.add_argument(
        "--replay-seconds",
        type=float,
        default=40.0,
        metavar="S",
        help="for the stretches between those states (default: %(default)s)",
    )
    parser.add_argument(
        "--origin",
        nargs="?",
        const=True,
        type=Path,
        metavar="LOG",
        help="find the first operation with other bits, here, or against a log saved elsewhere",
    )
    parser.add_argument(
        "--save-ops", metavar="LOG", type=Path, help="log the operations of the first run's step 1"
    )
    return parser.parse_args(argv)


def require_sensible(arguments: argparse.Namespace) -> None:
    """Raise RunError, before anything is computed, for options that cannot be meant."""
    if len(arguments.runs) < 2 and not (arguments.replay or arguments.origin or arguments.save_ops):
        raise RunError(
            "One run alone cannot be compared: name two, or add --replay, --origin or --save-ops."
        )
    if any("," in name for name in arguments.runs) and (arguments.replay or arguments.origin):
        raise RunError(
            "--replay and --origin compute one run of each side again: name no seeds joined by "
            "commas."
        )
    if not 0 < arguments.replay_seconds < math.inf:
        raise RunError(f"--replay-seconds is {arguments.replay_seconds:g}; allowed are above 0.")
    if isinstance(arguments.origin, Path) and not arguments.origin.is_file():
        raise RunError(
            f"--origin: there is no file {arguments.origin}. Make a log on the other machine with "
            "--save-ops, or name none, with --origin behind the runs: then both sides are computed "
            "here."
        )
    for name, path in (("--html", arguments.html), ("--save-ops", arguments.save_ops)):
        if path is not None and path.is_dir():
            raise RunError(f"{name} {path} is a folder; name the file to write.")
    if not 0 < arguments.margin <= 50:
        raise RunError(
            f"--margin is {arguments.margin:g}; allowed are points of accuracy above 0, up to 50."
        )
