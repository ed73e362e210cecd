"""How to get back to where things were, for a stage that fails under DVC.

DVC writes the values of `-S` into params.yaml, and removes a stage's outputs before it starts it.
A stage that then fails tells what stands there now and the command that undoes it. Nothing is
said where nothing is to undo: without DVC, and in the temporary clones of queued experiments.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.core.counts import first_few
from stages.core.dotted import flatten
from stages.core.git import git_or_none
from stages.core.paths import PARAMS, STUDIES, dvc_root
from stages.core.validation_messages import shown
from stages.core.yaml_text import YamlError, parse_yaml

NAMED_AT_MOST = 3
REMOVED = "DVC removes the earlier results of a stage before it starts it."


@dataclass(frozen=True)
class Pipeline:
    """Whose stage runs: the root's pipeline, or one of the studies', which are all in git."""

    folder: Path

    @property
    def params(self) -> Path:
        """Where `-S` writes."""
        return self.folder / PARAMS

    @property
    def lock(self) -> Path:
        """Where DVC records what ran."""
        return self.folder / "dvc.lock"

    @property
    def repro(self) -> str:
        """The command that runs it."""
        if self.folder == Path():
            return "dvc repro"
        return f"dvc --cd {STUDIES} repro {self.folder.relative_to(STUDIES).as_posix()}/dvc.yaml"

    def restore(self, paths: list[str]) -> str:
        """The command that brings committed results back."""
        if self.folder == Path():
            return f"git restore {' '.join(paths)} && dvc checkout --allow-missing"
        return f"git restore {' '.join(paths)}"

    def holder(self, output: Path) -> str:
        """The folder to restore for an output: a study's other cells stay as they are."""
        place = Path(output.parts[0]) if self.folder == Path() else output.parent
        return place.as_posix()


def way_back() -> str:
    """Paragraphs, each with a line end before it; empty when there is nothing to undo."""
    address = os.environ.get("DVC_STAGE")
    in_a_clone = dvc_root().resolve() != Path.cwd()
    if address is None or in_a_clone or "RANK" in os.environ:
        return ""
    file, of_a_study, name = address.partition(":")
    stage = name if of_a_study else address
    pipeline = Pipeline(STUDIES / Path(file).parent if of_a_study else Path())
    changed = _changed_params(pipeline.params)
    told = []
    if changed:
        # Of the same size and second, git takes the file for unchanged and restores nothing.
        os.utime(pipeline.params)
        told.append(
            f"{pipeline.params} now has {first_few(changed, NAMED_AT_MOST)}, not as committed: "
            "`dvc exp run -S` writes its values there, and the next run takes them. If one is "
            f"wrong, give another with -S, or undo with `git restore {pipeline.params}`."
        )
    if removed := _removed_results(pipeline, stage, [f"{pipeline.params}"] if changed else []):
        told.append(removed)
    return "".join(f"\n{paragraph}" for paragraph in told)


def _changed_params(params: Path) -> list[str]:
    """The values of params.yaml that differ from the committed ones, as `key: value`."""
    committed, here = _values(git_or_none("show", f"HEAD:./{params}")), _values(_text(params))
    if not committed:
        return []
    if not here:
        return ["text that is not YAML"]
    return _unlike(here, committed)


def _removed_results(pipeline: Pipeline, stage: str, also: list[str]) -> str:
    """Where the stage's earlier outputs are, if DVC removed any."""
    lock = pipeline.lock
    now = (_values(_text(lock)) or {}).get("stages", {}).get(stage)
    committed = (_values(git_or_none("show", f"HEAD:./{lock}")) or {}).get("stages", {}).get(stage)
    outputs = [pipeline.folder / out["path"] for out in (now or {}).get("outs", [])]
    removed = [path for path in outputs if not path.exists()]
    if not removed:
        return ""
    if now != committed:
        earlier = _earlier_params(pipeline.params, now)
        return (
            f"{REMOVED} Those of this one are not committed: `{pipeline.repro}` with the earlier "
            f"values{earlier} brings them back from its run cache, if they were made here."
        )
    tracked = (git_or_none("ls-files", "--", *map(str, removed)) or "").splitlines()
    holders = sorted({pipeline.holder(Path(name)) for name in tracked})
    return (
        f"{REMOVED} What git and DVC's cache have of this one comes back with "
        f"`{pipeline.restore([*also, f'{lock}', *holders])}`."
    )


def _earlier_params(params: Path, locked: dict[str, Any]) -> str:
    """The values of params.yaml that the lock file has for a stage and that differ now."""
    here = _values(_text(params)) or {}
    changed = _unlike(locked.get("params", {}).get(PARAMS.name, {}), here)
    return f" ({first_few(changed, NAMED_AT_MOST)})" if changed else ""


def _unlike(values: dict[str, Any], others: dict[str, Any]) -> list[str]:
    """The values that differ from the other ones, as `key: value`."""
    known = flatten(others)
    return [f"`{key}: {shown(v)}`" for key, v in flatten(values).items() if known.get(key) != v]


def _values(text: str | None) -> dict[str, Any] | None:
    """The mapping that a YAML text holds; None when there is none."""
    try:
        value = parse_yaml(text or "")
    except YamlError:
        return None
    return value if isinstance(value, dict) else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
