"""What makes two cells one: hashes of their parameters, which outlive keys that come later."""

from collections.abc import Mapping
from functools import reduce
from operator import getitem
from typing import Any

from stages.core.dotted import flatten
from stages.core.files import sha256_of_json
from stages.core.params import Params, parse_params

LATER = (
    "dataset.labels", "pretrained_keys", "train.class_weights", "train.fast_kernels",
    "train.normalization", "train.sampler",
)  # fmt: skip
"""Dotted keys that parameters had not when the first cells were made."""
MEANT_WITHOUT = {"train.fast_kernels": False}
"""How cells were made that lack one of these keys, where that is not today's default."""


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


def params_behind(cell: Mapping[str, Any], params: Params) -> Params:
    """The parameters that a cell was made with: its file's own, else `params`, those of its study.

    Keys that came later say what was done before there were any. The pictures are looked for where
    `params` has them. Raises ParamsError for parameters that are no longer understood.
    """
    told = dict(cell.get("params") or {})
    known = flatten(told)
    values = told or params.model_dump(mode="json")
    for key, meant in MEANT_WITHOUT.items():
        if key not in known:
            section, name = key.split(".")
            values = values | {section: values[section] | {name: meant}}
    values = values | {"dataset": values["dataset"] | {"folder": params.dataset.folder}}
    return parse_params(values, f"The file of cell {cell['cell']}")


def work_of(params: Params) -> str:
    """A hash of what a cell computes, whichever device does it and with how many threads."""
    values = params.model_dump(
        mode="json", exclude={"dataset": {"folder"}, "device": True, "threads": True}
    )
    return sha256_of_json(values)[:16]
