"""What a run with trained weights took over, what is new, what is frozen, and how images look."""

from collections.abc import Mapping
from typing import Any

from stages.pages.formatting import large

TOLD = ("weights", "first_layer", "resampled", "head", "frozen", "size")  # of the model's notes


def transfer(train: Mapping[str, Any]) -> dict[str, str]:
    """Name and value of each fact, of the figures of the train stage; none without such weights."""
    notes = train.get("adapted") or {}
    if "weights" not in notes:
        return {}
    facts = {
        "taken over": f"all but the head, from {notes['weights']}",
        "first layer": notes.get("first_layer"),
        "resampled": notes.get("resampled"),
        "new": f"the head, {notes.get('head', '').removeprefix('new, ')}",
        "frozen": notes.get("frozen", "nothing: every layer learns"),
        "learning": _learning(train),
        "image size": notes.get("size"),
        "normalisation": _normalization(train.get("normalization")),
    }
    return {name: value for name, value in facts.items() if value}


def _learning(train: Mapping[str, Any]) -> str | None:
    counts = [train.get(key) for key in ("params_trainable", "params_total")]
    return None if None in counts else "{} of {} parameters".format(*map(large, counts))


def _normalization(shown: Mapping[str, Any] | None) -> str | None:
    if not shown:
        return None
    mean, std = (", ".join(f"{value:.3f}" for value in shown[key]) for key in ("mean", "std"))
    origin = shown.get("origin", "the training images")
    filter_ = shown.get("interpolation", "bilinear")
    return f"that of {origin}: mean {mean}; standard deviation {std}; enlarged {filter_}"
