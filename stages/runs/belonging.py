"""Which of the files that lie side by side are of the weights that were trained.

A stage that was stopped, or repeated alone, leaves the results of earlier runs beside its own: they
are left out, and said. What makes a file whole in itself is left to `core.records`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from stages.core import paths
from stages.core.dotted import flatten
from stages.core.errors import RunError
from stages.core.metrics import read_metrics
from stages.runs.made_with import MACHINE, PARAMS
from stages.runs.tables import Lack

BESIDE = {
    "subset": (paths.SUBSET_METRICS, ()),
    "evaluate": (
        paths.EVALUATE_METRICS, ("predictions", "all_predictions", "per_class", "reliability")
    ),
    "profile": (paths.PROFILE_METRICS, ("profile_table", "profile_blocks")),
}  # fmt: skip
"""By name of the metrics: their file, and the tables that go with them."""
SHARED = ("weights_sha256", "indices_sha256", "model", MACHINE)
"""What the training tells, and others where they depend on it."""


def strangers(values: Mapping[str, Any], lacks: list[Lack]) -> set[str]:
    """Names of the metrics and tables that are of another training than `values["train"]`, or
    whose metrics, which would tell, are lacking.

    Results of earlier versions do not tell what they are of, and are believed.
    """
    train, found = values["train"], set[str]()
    for name, (path, tables) in BESIDE.items():
        if not values.get(name) and PARAMS in train:  # lacking itself
            found |= {*tables}
        if other := ", ".join(_unlike(values.get(name, {}), train)):
            lacks.append(Lack(path, f"of another training: {other}"))
            found |= {name, *tables}
    made_on, here = train.get(MACHINE), values["hardware"].get("id")
    if None not in (made_on, here) and made_on != here:
        lacks.append(Lack(paths.MACHINE, f"of another machine than the training's, {made_on}"))
        found |= {"hardware", "numerics"}
    return found


def require_same_training(told: Mapping[str, Any]) -> None:
    """Raise RunError where the training that is in place tells another thing than this: results of
    its weights would count nowhere, or be taken for those of other parameters.
    """
    if other := ", ".join(_unlike(told, read_metrics(paths.TRAIN_METRICS))):
        raise RunError(
            f"{paths.WEIGHTS} is of a training made otherwise ({other}), as {paths.TRAIN_METRICS} "
            "tells. Run `dvc repro`, or `python -m stages.train` and then this stage."
        )


def _unlike(one: Mapping[str, Any], train: Mapping[str, Any]) -> Iterator[str]:
    """What of the training's some metrics tell to be another, in words."""
    if "weights_sha256" in one and "weights_sha256" not in train:
        yield "no weights"
    for key in SHARED:
        if None not in (one.get(key), train.get(key)) and one[key] != train[key]:
            yield f"other {key.removesuffix('_sha256')}"
    ours, own = (flatten(told.get(PARAMS) or {}) for told in (one, train))  # a subset shares none
    yield from (f"`{key}`" for key in ours.keys() & own.keys() if ours[key] != own[key])
