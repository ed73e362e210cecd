"""What a run left behind, read into one value; files that are missing are None.

Leaves what is shown of it to `view`.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from stages.core import paths
from stages.core.errors import RunError
from stages.core.files import read_json
from stages.core.params import Params

Metrics = dict[str, Any]


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
    confusion: pd.DataFrame | None
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
        hardware=_metrics(root / paths.HARDWARE),
        subset=_metrics(root / paths.SUBSET_METRICS),
        train=_metrics(root / paths.TRAIN_METRICS),
        evaluate=_metrics(root / paths.EVALUATE_METRICS),
        profile=_metrics(root / paths.PROFILE_METRICS),
        history=_table(root / paths.HISTORY),
        predictions=_table(
            root / paths.PREDICTIONS, ["name", "label", "predicted", "confidence", "loss"]
        ),
        per_class=_table(root / paths.PER_CLASS, text=["class"]),
        confusion=_table(root / paths.CONFUSION, text=["actual", "predicted"]),
        reliability=_table(root / paths.RELIABILITY),
        profile_table=_table(root / paths.PROFILE_TABLE, text=["variant", "note"]),
        profile_blocks=_table(root / paths.PROFILE_BLOCKS, text=["block"]),
        pictures={
            path.stem: path.read_bytes() for path in sorted((root / paths.PICTURES).glob("*.png"))
        },
    )


def _metrics(path: Path) -> Metrics | None:
    return dict(read_json(path)) if path.exists() else None


def _table(
    path: Path, columns: list[str] | None = None, text: list[str] | None = None
) -> pd.DataFrame | None:
    """The whole table, or some columns; `text` columns stay text even where they look like 7."""
    if not path.exists():
        return None
    try:
        return pd.read_csv(path, usecols=columns, dtype=dict.fromkeys(text or [], "str"))
    except (ValueError, pd.errors.ParserError) as error:
        raise RunError(
            f"{path} cannot be read as a table ({error}). Delete it and run `dvc repro`."
        ) from None
