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

from stages.core.paths import PARAMS, dvc_root
from stages.core.yaml_text import YamlError, parse_yaml

LOCK = Path("dvc.lock")
NAMED_AT_MOST = 3


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
            f"{PARAMS} now has {_listed(changed)}, which is not committed: `dvc exp run -S` writes "
            "its values there, and the next run takes them. Give the right value with -S, or "
            f"undo with `git restore {PARAMS}`."
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
        return ["something that is not YAML"]
    before = dict(_leaves(committed))
    return [f"`{key}: {value}`" for key, value in _leaves(here) if before.get(key) != value]


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
            "Before it started this stage, DVC removed its earlier results. `dvc repro` with the "
            "earlier values brings them back from the run cache, if they were made here."
        )
    tracked = (_git("ls-files", "--", *map(str, removed)) or "").splitlines()
    folders = sorted({Path(name).parts[0] for name in tracked})
    return (
        "Before it started this stage, DVC removed its earlier results. The committed ones come "
        f"back with `git restore {' '.join([*also, f'{LOCK}', *folders])} && dvc checkout "
        "--allow-missing`."
    )


def _leaves(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every dotted key with its value."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
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
