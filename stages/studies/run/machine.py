"""Whose result it is: the DNA of the machine and settings that a cell runs with.

The probes are measured once per machine by the study's fingerprint stage and looked up by its
cells.
"""

from pathlib import Path
from typing import Any

from stages.core import files
from stages.core.device import prepare
from stages.core.errors import ModelError
from stages.core.params import Params
from stages.core.paths import work_folder
from stages.core.records import read_record, write_record
from stages.dna.declared import Declared, read_declared, short_id
from stages.models import pretrained_sha256, require_recorded_weights, resolve
from stages.runs.code import code_files, code_id
from stages.runs.schema import STUDY_HARDWARE, STUDY_IDENTITY
from stages.studies.spec.study_config import StudyConfig
from stages.tasks import task_of

ANY = {"machines": "any"}
"""What stands for a machine where any will do."""
SHOWN = ("chip", "accelerator", "backend", "os", "macos", "torch", "threads")


def fingerprint(form: StudyConfig) -> str:
    """Measure this machine with the settings of the form's first cell; return its DNA in words.

    Writes `identity.json`, on which the cells depend, and `hardware.json`. With `machines: any`
    both are the same everywhere and nothing is measured. Raises DeviceError when the device is
    absent, and as `require_startable` does, while all earlier results are still there.
    """
    weights = require_startable(form)
    identity = hardware = ANY
    if not form.any_machine:
        params = form.params(form.cells[0])
        declared = _declared(params)
        numerics = _measure(params, declared)
        identity = declared.identity() | {"numerics": numerics}
        hardware = _machine(declared, numerics) | declared.machine
    files.write_json(form.folder / STUDY_IDENTITY, identity | weights)
    files.write_json(form.folder / STUDY_HARDWARE, hardware)
    return "any machine's" if form.any_machine else str(hardware["id"])


def require_startable(form: StudyConfig) -> dict[str, dict[str, str]]:
    """Raise ParamsError or ModelError where a cell could not begin: an unknown model, a task that
    is none, weights that are gone. Return what `identity.json` has of the weights.
    """
    for cell in form.cells:
        resolve(form.params(cell).model)
        task_of(form.params(cell))
    return _weights(form)


def _weights(form: StudyConfig) -> dict[str, dict[str, str]]:
    """Hashes of the weights that cells start from by path, which may hold others tomorrow.

    Named weights are what their name says, so that more models in a grid leave these cells alone.
    """
    found = {
        (params.pretrained, cell.model): params
        for cell in form.cells
        if isinstance((params := form.params(cell)).pretrained, str)
    }
    digests = {_weights_name(params): pretrained_sha256(params) for params in found.values()}
    known = {name: digest for name, digest in sorted(digests.items()) if digest}
    return {"pretrained_sha256": known} if known else {}


def _weights_name(params: Params) -> str:
    return f"{params.pretrained} {params.model}"


def require_weights(form: StudyConfig, params: Params) -> None:
    """Raise ChangedError where a cell's weights are others than the study's fingerprint found."""
    path = form.folder / STUDY_IDENTITY
    known = files.read_json(path).get("pretrained_sha256", {}) if path.is_file() else {}
    require_recorded_weights(params, known.get(_weights_name(params)))


def about_weights(form: StudyConfig) -> list[str]:
    """Notes on files of weights that are gone, or are others than the study's fingerprint found."""
    gone, _ = _other_weights(form)
    told = (
        f"Not here: the weights {', '.join(gone)}. Cells of them stand, and none can be made until "
        "they are back."
    )
    return [*([told] if gone else []), *changed_weights(form)]


def changed_weights(form: StudyConfig) -> list[str]:
    """A note on files of weights that were replaced, which makes cells outdated."""
    _, others = _other_weights(form)
    told = (
        f"Others than the fingerprint found: the weights {', '.join(others)}. Cells are outdated "
        f"that are counted here; {form.repro('-k')} makes them anew."
    )
    return [told] if others else []


def _other_weights(form: StudyConfig) -> tuple[list[str], list[str]]:
    """Files of weights that are gone, and such as are not those that the fingerprint found."""
    path = form.folder / STUDY_IDENTITY
    known = files.read_json(path).get("pretrained_sha256", {}) if path.is_file() else {}
    gone, others = set[str](), set[str]()
    for params in {_weights_name(own): own for own in map(form.params, form.cells)}.values():
        if (recorded := known.get(_weights_name(params))) is None:
            continue
        try:
            if pretrained_sha256(params) != recorded:
                others.add(str(params.pretrained))
        except ModelError:
            gone.add(str(params.pretrained))
    return sorted(gone), sorted(others)


def machine_of(params: Params) -> dict[str, Any]:
    """The machine as a cell records it: `id` (declared and numeric), both parts, main facts."""
    declared = _declared(params)
    kept = _kept(declared)
    numerics = read_record(kept)["digest"] if kept.exists() else _measure(params, declared)
    return _machine(declared, numerics)


def declared_id(params: Params) -> str:
    """The declared half of the DNA, which needs no measuring."""
    return short_id(_declared(params).identity())


def _declared(params: Params) -> Declared:
    return read_declared(params, prepare(params))


def _measure(params: Params, declared: Declared) -> str:
    from stages.dna.numerics import measure_numerics

    digest = str(measure_numerics(prepare(params), "fp32")["digest"])
    write_record(_kept(declared), {"digest": digest})
    return digest


def _kept(declared: Declared) -> Path:
    code = code_id(code_files("stages.dna.numerics", Params()))
    return work_folder() / "studies" / f"probes-{short_id(declared.identity())}-{code}.json"


def _machine(declared: Declared, numerics: str) -> dict[str, Any]:
    parts = {"declared_id": short_id(declared.identity()), "numeric_id": numerics[:8]}
    facts = {name: declared.machine.get(name) for name in SHOWN}
    return {"id": "-".join(parts.values()), **parts, **facts}
