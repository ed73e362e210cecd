"""What a run left behind, read into one value; files that are missing are None.

Leaves what is shown of it to `view`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from stages.core import paths
from stages.core.errors import RunError
from stages.core.files import parse_csv
from stages.core.metrics import Metrics, read_metrics
from stages.core.params import Params


@dataclass(frozen=True)
class Run:
    """A run's parameters, metrics, tables and pictures (PNG bytes by name)."""

    params: Params
    hardware: Metrics | None
    subset: Metrics | None
    train: Metrics | None
    evaluate: Metrics | None
    profile: Metrics | None
    history: pd.DataFrame | None
    predictions: pd.DataFrame | None
    per_class: pd.DataFrame | None
    reliability: pd.DataFrame | None
    profile_table: pd.DataFrame | None
    profile_blocks: pd.DataFrame | None
    pictures: dict[str, bytes]

    @property
    def absent(self) -> list[str]:
        """Names of the parts that have no file."""
        return [field.name for field in fields(self) if getattr(self, field.name) is None]


def gather(params: Params, root: Path = Path()) -> Run:
    """Read the files of the run in `root`. Raises RunError for one that is damaged."""
    return Run(
        params=params,
        hardware=_metrics(root / paths.MACHINE),
        subset=_metrics(root / paths.SUBSET_METRICS),
        train=_metrics(root / paths.TRAIN_METRICS),
        evaluate=_metrics(root / paths.EVALUATE_METRICS),
        profile=_metrics(root / paths.PROFILE_METRICS),
        history=_table(root / paths.HISTORY),
        predictions=_predictions(root),
        per_class=_table(root / paths.PER_CLASS, names=["class"]),
        reliability=_table(root / paths.RELIABILITY),
        profile_table=_table(root / paths.PROFILE_TABLE, words=["variant", "note"]),
        profile_blocks=_table(root / paths.PROFILE_BLOCKS, words=["block"]),
        pictures={
            path.stem: path.read_bytes() for path in sorted((root / paths.PICTURES).glob("*.png"))
        },
    )


def _metrics(path: Path) -> Metrics | None:
    return read_metrics(path) if path.exists() else None


def _predictions(root: Path) -> pd.DataFrame | None:
    """The answers to all test images with their losses; without DVC's cache, those in git."""
    names, columns = ["name", "label", "predicted"], ["name", "label", "predicted", "confidence"]
    whole = _table(root / paths.ALL_PREDICTIONS, names, columns=[*columns, "loss"])
    return whole if whole is not None else _table(root / paths.PREDICTIONS, names, columns=columns)


def _table(
    path: Path,
    names: Sequence[str] = (),
    words: Sequence[str] = (),
    columns: Sequence[str] | None = None,
) -> pd.DataFrame | None:
    """The whole table, or some columns of it; `words` and `names` as in `parse_csv`."""
    if not path.exists():
        return None
    try:
        table = parse_csv(path.read_text(encoding="utf-8"), words, names)
        return table if columns is None else table[list(columns)]
    except (ValueError, KeyError) as error:
        raise RunError(
            f"{path} cannot be read as a table ({error}). Delete it and run `dvc repro`."
        ) from None
