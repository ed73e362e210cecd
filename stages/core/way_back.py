"""How to get back to where things were, for a stage that fails under DVC.

DVC writes the values of `-S` into params.yaml, and removes a stage's outputs before it starts it.
A stage that then fails tells what stands there now and the command that undoes it. Nothing is
said where nothing is to undo: without DVC, and in the temporary clones of queued experiments.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.core.mistakes import shown
from stages.core.paths import PARAMS, dvc_root
from stages.core.yaml_text import YamlError, parse_yaml

LOCK = Path("dvc.lock")
NAMED_AT_MOST = 3
REMOVED = "DVC removes the earlier results of a stage before it starts it."


def way_back() -> str:
    """Paragraphs, each with a line end before it; empty when there is nothing to undo."""
    stage = os.environ.get("DVC_STAGE")
    in_a_clone = dvc_root().resolve() != Path.cwd()
    if stage is None or in_a_clone or "RANK" in os.environ:
        return ""
    changed = _changed_params()
    told = []
    if changed:
        told.append(
            f"{PARAMS} now has {_listed(changed)}, not as committed: `dvc exp run -S` writes its "
            "values there, and the next run takes them. Give the right value with -S, or undo with "
            f"`git restore {PARAMS}`."
        )
    if removed := _removed_results(stage, [f"{PARAMS}"] if changed else []):
        told.append(removed)
    return "".join(f"\n{paragraph}" for paragraph in told)


def _changed_params() -> list[str]:
    """The values of params.yaml that differ from the committed ones, as `key: value`."""
    committed, here = _values(_git("show", f"HEAD:./{PARAMS}")), _values(_text(PARAMS))
    if not committed:
        return []
    if not here:
        return ["text that is not YAML"]
    return _unlike(here, committed)


def _removed_results(stage: str, also: list[str]) -> str:
    """Where the stage's earlier outputs are, if DVC removed any."""
    now = (_values(_text(LOCK)) or {}).get("stages", {}).get(stage)
    committed = (_values(_git("show", f"HEAD:./{LOCK}")) or {}).get("stages", {}).get(stage)
    outputs = [Path(out["path"]) for out in (now or {}).get("outs", [])]
    removed = [path for path in outputs if not path.exists()]
    if not removed:
        return ""
    if now != committed:
        return (
            f"{REMOVED} Those of this one are not committed: `dvc repro` with the earlier values"
            f"{_earlier_params(now)} brings them back from its run cache, if they were made here."
        )
    tracked = (_git("ls-files", "--", *map(str, removed)) or "").splitlines()
    folders = sorted({Path(name).parts[0] for name in tracked})
    return (
        f"{REMOVED} What git and DVC's cache have of this one comes back with `git restore "
        f"{' '.join([*also, f'{LOCK}', *folders])} && dvc checkout --allow-missing`."
    )


def _earlier_params(locked: dict[str, Any]) -> str:
    """The values of params.yaml that the lock file has for a stage and that differ now."""
    here = _values(_text(PARAMS)) or {}
    changed = _unlike(locked.get("params", {}).get(f"{PARAMS}", {}), here)
    return f" ({_listed(changed)})" if changed else ""


def _unlike(values: dict[str, Any], others: dict[str, Any]) -> list[str]:
    """The values that differ from the other ones, as `key: value`."""
    known = dict(leaves(others))
    return [f"`{key}: {shown(v)}`" for key, v in leaves(values) if known.get(key) != v]


def leaves(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every dotted key with its value."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _listed(parts: list[str]) -> str:
    more = len(parts) - NAMED_AT_MOST
    return ", ".join(parts[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")


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


def _git(*arguments: str) -> str | None:
    """What git prints; None when it fails or is not there."""
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=False, encoding="utf-8"
        )
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None
