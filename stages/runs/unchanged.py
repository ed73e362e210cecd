"""A result is refused when what decides it was edited while it was made, or is not of here.

DVC reads parameters and the identity of code when a command has ended (treeverse/dvc issue 11058)
and would record what was edited in between as what made the result. So a stage takes both at its
start and holds them against what is there at its end. Which code and parameters count for it is
told by `code` and `pipeline`. A stage that depends on the machine signs its result with the
fingerprint's DNA, so it is held against the machine first.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.core.counts import first_few
from stages.core.dotted import flatten
from stages.core.errors import ChangedError, ParamsError, RunError
from stages.core.files import read_json
from stages.core.params import load_params
from stages.core.paths import CODE, IDENTITY
from stages.core.validation_messages import shown
from stages.runs.code import (
    TELLS,
    code_at_start,
    code_files,
    code_id,
    code_key,
    covers,
)
from stages.runs.pipeline import Declared, declared_stages
from stages.runs.tree import SourceTree

if TYPE_CHECKING:
    from stages.core.params import Params

SHOWN = 3  # changes that a message names
_check: ContextVar[Callable[[], None]] = ContextVar("_check", default=lambda: None)


@dataclass(frozen=True)
class Made:
    """A result: `what` is it called, which `module` makes it, by which file of parameters.

    `keys` are the parameters that it depends on, None for all of them.
    """

    what: str
    module: str
    path: Path
    outputs: tuple[Path, ...]
    keys: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Basis:
    """What a result rests on: values of parameters by dotted key, hashes of code by file."""

    params: Mapping[str, Any]
    code: Mapping[str, str]


@contextmanager
def stage_started(stage: str, path: Path) -> Iterator["Params"]:
    """Yield the parameters of a stage, and refuse its result when they or its code were edited.

    Raises ParamsError as `load_params` does; ChangedError at the end, and at the start when DVC
    runs a stage whose code was edited since the fingerprint; RunError when the fingerprint is of
    another machine.
    """
    declared = declared_stages().get(stage, Declared(None, ()))
    made = Made(f"stage {stage}", f"stages.{stage}", path, declared.outputs, declared.keys)
    with unchanged(made, lambda: load_params(path)) as params:
        if os.environ.get("DVC_STAGE") == stage and stage != TELLS:
            _require_recorded(stage, code_id(code_files(made.module, params, made.keys)))
        if IDENTITY in declared.inputs and IDENTITY.exists() and "RANK" not in os.environ:
            _require_own_fingerprint(params)
        yield params


@contextmanager
def unchanged(made: Made, load: Callable[[], "Params"]) -> Iterator["Params"]:
    """Yield the parameters that `load` reads; refuse the result when its basis is another then.

    Raises ChangedError, having removed the outputs.
    """
    params = load()
    before = _basis(made, params, params, code_at_start())

    def check() -> None:
        try:
            changes = _changes(made.path, before, _basis(made, params, load(), SourceTree()))
        except ParamsError as error:
            changes = [f"{made.path}, which is mistaken now ({error})"]
        if changes:
            raise ChangedError(_refusal(made.what, changes))

    token = _check.set(check)
    try:
        yield params
        check()
    except ChangedError:
        for output in made.outputs:
            shutil.rmtree(output) if output.is_dir() else output.unlink(missing_ok=True)
        raise
    finally:
        _check.reset(token)


def require_unchanged() -> None:
    """Raise ChangedError when the result that is being made is to be refused.

    For what must happen only once a result stands, such as removing checkpoints.
    """
    _check.get()()


def _basis(made: Made, chosen: "Params", present: "Params", tree: SourceTree) -> Basis:
    """The basis as it is in `tree` and `present`; the files are those that `chosen` chooses."""
    values = {
        key: value
        for key, value in flatten(present.model_dump(mode="json")).items()
        if made.keys is None or covers(made.keys, key)
    }
    return Basis(values, code_files(made.module, chosen, made.keys, tree))


def _require_recorded(stage: str, present: str) -> None:
    """Under DVC, which has read the identity of code from the fingerprint's file."""
    recorded = read_json(CODE).get(code_key(stage))
    if recorded not in (None, present):
        raise ChangedError(
            f"The code of stage {stage} is {present} but was {recorded} when the fingerprint was "
            f"taken ({CODE}): it was edited in between, or the settings that choose it were. "
            "Nothing was run; run `dvc repro` again."
        )


def _require_own_fingerprint(params: "Params") -> None:
    """Where a stage is run without the one before it, on another machine or with other switches."""
    from stages.core.device import prepare
    from stages.dna.declared import read_declared

    recorded = read_json(IDENTITY)
    here = read_declared(params, prepare(params)).identity()
    others = [
        f"`{name}` {shown(recorded.get(name))} there, {shown(value)} here"
        for name, value in here.items()
        if recorded.get(name) != value
    ]
    if others:
        raise RunError(
            f"{IDENTITY} was not made by this machine as it computes now "
            f"({first_few(others, SHOWN)}), and results would be signed with its hardware DNA. Run "
            "`dvc repro`, or `python -m stages.fingerprint` and then this stage."
        )


def _changes(path: Path, before: Basis, after: Basis) -> list[str]:
    """Every change of the basis, in words."""
    params = [
        f"`{key}` in {path} (from {shown(before.params.get(key))} to "
        f"{shown(after.params.get(key))})"
        for key in dict.fromkeys([*before.params, *after.params])
        if before.params.get(key) != after.params.get(key)
    ]
    files = dict.fromkeys([*before.code, *after.code])
    return params + [name for name in files if before.code.get(name) != after.code.get(name)]


def _refusal(what: str, changes: Sequence[str]) -> str:
    return (
        f"Edited while {what} ran: {first_few(changes, SHOWN)}. DVC would record the edited "
        "state for a result of the one before, so the result is refused and nothing of it is kept. "
        "Run the same command again; where the edit is undone first, training goes on from its "
        "last checkpoint."
    )
