"""The forms in which a model is taken home, and how one is made: written, loaded again, held.

A file appears only when it computes the same network; one in int8, when it could be made: its
accuracy is told instead.
"""

import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.core.errors import ModelError, RunError, UserError
from stages.deployment.held import Held, Reference, hold, logits_of_file
from stages.deployment.int8 import write_int8
from stages.deployment.library_folder import load_library, write_library
from stages.deployment.network import Run, Subject
from stages.deployment.whole_network import (
    load_onnx,
    load_program,
    load_torchscript,
    write_onnx,
    write_program,
    write_torchscript,
)
from stages.measures.profiling.try_measure import why
from stages.measures.profiling.variants import TOLERANCE


@dataclass(frozen=True)
class Format:
    """A form called `name`, as the file or folder `place` of the output folder."""

    name: str
    place: str
    write: Callable[[Subject, Path], None]
    load: Callable[[Path, Subject], Run]
    exact: bool = True


FORMATS = {
    "onnx": Format("ONNX", "model.onnx", write_onnx, load_onnx),
    "int8": Format("ONNX in int8", "model.int8.onnx", write_int8, load_onnx, exact=False),
    "exported_program": Format("exported program", "model.pt2", write_program, load_program),
    "torchscript": Format("TorchScript", "model.ts.pt", write_torchscript, load_torchscript),
    "safetensors_timm": Format("library weights", "library", write_library, load_library),
}


def make_folder(out: Path) -> None:
    """Make the folder of the files. Raises RunError where there can be none."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"The folder {out} cannot be made ({error.strerror}). Name one with `--out` that can."
        ) from None


def require_own(out: Path, names: Iterable[str]) -> None:
    """Raise RunError where something lies in the place of a form, or of the JSON beside it, that no
    export left there.
    """
    for place in (out / FORMATS[name].place for name in names):
        there = [str(path) for path in (place, beside_of(place)) if os.path.lexists(path)]
        if there and _told_model(beside_of(place)) is None:
            raise RunError(
                f"{' and '.join(there)} would be overwritten, which no export has left, or one "
                f"that was cut off before it wrote {beside_of(place).name}. Nothing was written. "
                "Move it away, or name another folder with `--out`."
            )


def beside_of(place: Path) -> Path:
    """The JSON that tells what the form in this place is of."""
    return place.with_name(f"{place.name}.json")


def others(out: Path, about: Mapping[str, Any]) -> list[Path]:
    """What exports of other models left in `out`, by the JSON beside each."""
    places = [out / form.place for form in FORMATS.values()]
    return [
        place
        for place in places
        if beside_of(place).exists() and _told_model(beside_of(place)) != about
    ]


def _told_model(beside: Path) -> Any:
    """What the JSON beside a form says of its model; None where it is not there, or damaged."""
    try:
        return json.loads(beside.read_bytes())["model"]
    except (OSError, ValueError, TypeError, KeyError):
        return None


def make(form: Format, subject: Subject, reference: Reference, out: Path) -> tuple[Path, Held]:
    """Put one form into the folder `out`; where it lies, and how it answers the test pictures.

    Raises ModelError where the form cannot express the network, or computes another one.
    """
    with tempfile.TemporaryDirectory(dir=out) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporters' own internals and future
        made, place = Path(folder) / form.place, out / form.place
        held = _tried(form, subject, reference, made)
        if form.exact and held.relative_difference > TOLERANCE:
            raise ModelError(
                f"{subject.name} as {form.name} does not compute what PyTorch does: logits differ "
                f"by {held.relative_difference:.2g} of the largest ({TOLERANCE:g} is allowed), and "
                f"{held.same_top1} of {held.pictures} test pictures get the same class. The file "
                f"was not kept.{_of_library(form)}"
            )
        if place.is_dir() and made.is_dir():
            shutil.rmtree(place)
        made.replace(place)
    return place, held


def _tried(form: Format, subject: Subject, reference: Reference, made: Path) -> Held:
    try:
        form.write(subject, made)
        logits = logits_of_file(form.load(made, subject), reference.test)
        return hold(logits, reference)
    except (UserError, OSError):
        raise
    except Exception as error:  # exporters and libraries raise whatever they run into
        raise ModelError(
            f"{subject.name} cannot be written as {form.name}: {why(error)}.{_of_library(form)} "
            "Choose another form (`python -m stages.export --help`)."
        ) from error


def _of_library(form: Format) -> str:
    if form.write is not write_library:
        return ""
    return (
        " The run's network is not quite the library's: `adapted` in metrics/train.json says what "
        "was changed, such as a stem for small images."
    )
