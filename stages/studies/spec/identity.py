"""What makes two cells one: hashes of their parameters, which outlive keys that come later."""

from functools import reduce
from operator import getitem
from typing import Any

from stages.core.files import sha256_of_json
from stages.core.params import Params

LATER = (
    "dataset.labels", "pretrained_keys", "train.class_weights", "train.fast_kernels",
    "train.normalization", "train.sampler",
)  # fmt: skip
"""Dotted keys that parameters had not when the first cells were made."""


def first_values(params: Params) -> dict[str, Any]:
    """All values but those of keys that came LATER and have their default."""
    values, defaults = params.model_dump(mode="json"), Params().model_dump(mode="json")
    for key in LATER:
        *sections, name = key.split(".")
        place, plain = reduce(getitem, sections, values), reduce(getitem, sections, defaults)
        if place[name] == plain[name]:
            del place[name]
    return values


def identity_of(params: Params) -> str:
    """A hash of all that decides a cell's result, but where the pictures lie on this disk.

    A cell made before there was a key stays this one while the key has its default, for DVC sees
    no change either; that its code was another is told.
    """
    values = first_values(params)
    del values["dataset"]["folder"]
    values["train"]["twin"] = values["train"].pop("perturb_one_ulp")  # as it was called at first
    return sha256_of_json(values)[:16]


def work_of(params: Params) -> str:
    """A hash of what a cell computes, whichever device does it and with how many threads."""
    values = params.model_dump(
        mode="json", exclude={"dataset": {"folder"}, "device": True, "threads": True}
    )
    return sha256_of_json(values)[:16]
