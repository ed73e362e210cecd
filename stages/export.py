"""Write a run's trained model as files for other programs, and hold each against PyTorch.

ONNX and the two forms of PyTorch hold the whole network from pixels to logits, preprocessing
included, with a free batch size; RepVGG and MobileOne are folded first. Class names and all else
that is known of the weights stand inside. Every file is loaded again and put to the run's test
pictures, a JSON beside it has the figures, and what does not compute the same network is refused.
Without a choice: ONNX.

  python -m stages.export --onnx --int8
  python -m stages.export --safetensors-timm --run exp-mobile --out exported/mobile
"""

import argparse
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core.cli import reporting_errors

if TYPE_CHECKING:
    from stages.deployment.held import Held


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, export, and return the exit status."""
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog="python -m stages.export",
        description=inspect.getdoc(sys.modules[__name__]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--onnx", action="store_true", help="model.onnx")
    add("--int8", action="store_true", help="model.int8.onnx, calibrated on training pictures")
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--exported-program", action="store_true", help="model.pt2, for PyTorch")
    either.add_argument("--torchscript", action="store_true", help="model.ts.pt, for C++")
    add("--safetensors-timm", action="store_true", help="weights that timm or torchvision loads")
    add("--run", default="workspace", metavar="REVISION", help="(default: %(default)s)")
    add(
        "--out",
        default=Path("exported"),
        type=Path,
        metavar="FOLDER",
        help="(default: %(default)s)",
    )
    arguments = parser.parse_args(argv)
    return reporting_errors(lambda: export(arguments))


def export(arguments: argparse.Namespace) -> int:
    """Write, hold and tell. Raises UserError subclasses for what the user can mend."""
    from dataclasses import asdict

    from stages.core.files import write_json
    from stages.deployment.formats import FORMATS, beside_of, make, make_folder, others, require_own
    from stages.deployment.int8 import CALIBRATION
    from stages.deployment.library_folder import require_library
    from stages.deployment.network import subject_of
    from stages.deployment.reference import MOST_PICTURES, pictures_of_run, reference_of
    from stages.deployment.run_model import model_of_run
    from stages.runs.sources import open_source

    source = open_source(arguments.run)
    model = model_of_run(source, "cpu")
    about = {
        "run": source.name,
        "weights_sha256": model.weights_sha256,
        **model.about.model_dump(mode="json"),
    }
    names = [name for name in FORMATS if getattr(arguments, name)] or ["onnx"]
    require_own(arguments.out, names)
    try:
        if arguments.safetensors_timm:
            require_library(model)  # before others are written
        reference = reference_of(model, pictures_of_run(source, "test", MOST_PICTURES))
        subject = subject_of(
            model.about,
            model.trained,
            lambda: pictures_of_run(source, "train", CALIBRATION).pixels,
        )
        make_folder(arguments.out)
        for name in names:
            place, held = make(FORMATS[name], subject, reference, arguments.out)
            sys.stdout.write(f"{place}: {_told(held)}\n")
            write_json(beside_of(place), {"held": asdict(held), "model": about})
    finally:  # a refusal must not leave them to be taken for this run's
        for place in others(arguments.out, about):
            sys.stderr.write(f"{place} is of another run, and was left as it is\n")
    return 0


def _told(held: "Held") -> str:
    return (
        f"{held.same_top1:,} of {held.pictures:,} test pictures get the same class as in PyTorch, "
        f"logits differ by {held.largest_difference:.2g} at most; "
        f"{100 * held.correct / held.pictures:.1f} % are right "
        f"({100 * held.correct_eager / held.pictures:.1f} % in PyTorch)"
    )


if __name__ == "__main__":
    sys.exit(main())
