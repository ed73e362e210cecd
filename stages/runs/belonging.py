"""Which of the files that lie side by side are of the weights that were trained.

A stage that was stopped, or repeated alone, leaves the results of earlier runs beside its own: they
are left out, and said. What makes a file whole in itself is left to `core.records`.
"""

from collections.abc import Mapping
from typing import Any

from stages.core import paths
from stages.runs.made_with import MACHINE
from stages.runs.tables import Lack

OF_EVALUATION = {"predictions", "all_predictions", "per_class", "reliability"}
OF_PROFILE = {"profile_table", "profile_blocks"}


def strangers(values: Mapping[str, Any], lacks: list[Lack]) -> set[str]:
    """Names of the metrics and tables that are of another training than `values["train"]`.

    Results of earlier versions do not tell what they are of, and are believed.
    """
    train, found = values["train"], set[str]()
    shown = values["evaluate"].get("weights_sha256")
    if shown is not None and shown != train.get("weights_sha256"):
        lacks.append(Lack(paths.EVALUATE_METRICS, "of other weights than were trained"))
        found |= {"evaluate", *OF_EVALUATION}
    trained_on = train.get(MACHINE)
    if _differ(values["hardware"].get("id"), trained_on):
        lacks.append(Lack(paths.MACHINE, f"of another machine than the training's, {trained_on}"))
        found |= {"hardware", "numerics"}
    profile = values["profile"]
    if _differ(profile.get("model"), train.get("model")) or _differ(
        profile.get(MACHINE), trained_on
    ):
        lacks.append(Lack(paths.PROFILE_METRICS, "of another model or machine than the training"))
        found |= {"profile", *OF_PROFILE}
    return found


def _differ(one: Any, other: Any) -> bool:
    return None not in (one, other) and one != other
