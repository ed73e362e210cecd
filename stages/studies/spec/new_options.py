"""The options of `python -m stages.study new`, and the study that they ask for."""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages.core.errors import ParamsError
from stages.core.paths import dvc_root

UNTRAINED = "mobilenet_v3_small,resnet18,vit_2l_2h_128"
PX, TRAINED_PX = 32, 128
EPOCHS = 20


def add_options(command: argparse.ArgumentParser) -> None:
    """Teach the command its options."""
    command.add_argument("--folder", type=Path, required=True, help="<class>/* or a .zip of it")
    columns = "a table in the folder with the columns file, label and maybe split"
    command.add_argument("--labels", metavar="TABLE", help=columns)
    command.add_argument(
        "--skip-corrupt", action="store_true",
        help="leave out pictures that cannot be read, and say which (default: they end the run)",
    )  # fmt: skip
    command.add_argument(
        "--models",
        help=f"names from `python -m stages.models` (default: {UNTRAINED}; with --trained all "
        "backbones whose weights are at hand)",
    )
    command.add_argument(
        "--trained", action="store_true",
        help="compare trained backbones by their frozen features, in minutes",
    )  # fmt: skip
    command.add_argument(
        "--weights", action="append", default=[], metavar="MODEL=PATH",
        help="with --trained: also the trained weights in this file",
    )  # fmt: skip
    command.add_argument(
        "--sizes",
        help="counts, shares or full (default: 500,1000,full, as far as there are pictures)",
    )
    command.add_argument("--seeds", type=int, default=3, help="how many (default: %(default)s)")
    command.add_argument(
        "--epochs", type=int,
        help=f"of each run (default: {EPOCHS}; not with --trained, whose probes have none)",
    )  # fmt: skip
    command.add_argument(
        "--px", type=int, help=f"input size (default: {PX}; with --trained {TRAINED_PX})"
    )


def study_asked_for(arguments: argparse.Namespace) -> str:
    """Write the study; return what to run next.

    Raises ParamsError for options that do not go together, and as the two kinds of study do.
    """
    from stages.studies.spec.new_study import new_study
    from stages.studies.spec.trained_study import new_trained_study

    _refuse_other_kind(arguments)
    if arguments.folder == Path():
        raise ParamsError(
            "--folder is empty or a dot; name the folder or the zip of your pictures."
        )
    if not (dvc_root() / arguments.folder).exists():
        raise ParamsError(
            f"--folder: there is no {arguments.folder}, neither a folder nor a zip. Name that of "
            f"your pictures; if they come later, make it first: mkdir -p '{arguments.folder}'"
        )
    if arguments.seeds < 1:
        raise ParamsError(f"--seeds is {arguments.seeds}; it says how many: allowed is 1 or more.")
    models = _listed("--models", arguments.models)
    sizes = _listed("--sizes", arguments.sizes)
    grid: dict[str, Any] = {
        "models": models or (None if arguments.trained else UNTRAINED.split(",")),
        "sizes": sizes and [int(size) if size.isdecimal() else size for size in sizes],
        "seeds": list(range(arguments.seeds)),
    }
    _refuse_doubles("--sizes", grid["sizes"] or [])  # once more, for 010 is 10
    dataset = {"name": "image_folder", "folder": arguments.folder.as_posix()}
    if arguments.labels:
        dataset["labels"] = arguments.labels
    if arguments.skip_corrupt:
        dataset["on_corrupt"] = "skip"
    place = arguments.study, dataset, grid
    px, epochs = arguments.px, arguments.epochs
    if arguments.trained:
        px = TRAINED_PX if px is None else px
        return new_trained_study(*place, arguments.weights, px)
    px, epochs = PX if px is None else px, EPOCHS if epochs is None else epochs
    return new_study(*place, epochs, px)


def _listed(option: str, text: str | None) -> list[str] | None:
    """The names of an option, None where it is not given. Raises ParamsError for empty ones."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ParamsError(
            f'{option} is "{text}", which has an empty name in it; allowed are names with one '
            "comma between each two."
        )
    _refuse_doubles(option, names)
    return names


def _refuse_other_kind(arguments: argparse.Namespace) -> None:
    """Raise ParamsError for an option that says nothing to the kind of study asked for."""
    if arguments.trained and arguments.epochs is not None:
        raise ParamsError(
            f"--epochs is {arguments.epochs}, but a study with --trained has no epochs: each of "
            "its runs is a probe, logistic regression on the features of a trained backbone. "
            "Leave out --epochs, or --trained to train from scratch."
        )
    if arguments.weights and not arguments.trained:
        raise ParamsError(
            f"--weights is {arguments.weights[0]}, but without --trained all backbones are trained "
            "from scratch. Add --trained, or leave out --weights."
        )


def _refuse_doubles(option: str, values: Sequence[int | str]) -> None:
    """Raise ParamsError for a value that is there twice, whose cells could only be the same."""
    value, times = Counter(values).most_common(1)[0] if values else ("", 1)
    if times > 1:
        raise ParamsError(f"{option} names {value} {times} times; name each once.")
