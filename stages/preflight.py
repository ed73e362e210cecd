"""Refuse what cannot work while every earlier result is still there.

DVC removes the outputs of a stage before it starts it, but not those of the fingerprint, which
runs first: what can be known then is told then, for all stages. Checks in the order of their cost
that the data set, the model, its task and weights, the device and the number of images exist and go
together; pictures and published weights that are absent are fetched here. What shows only in the
middle of the work (a broken picture, a loss that diverges, memory that ends) is left to the
stages.
"""

import os
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core.counts import first_few

if TYPE_CHECKING:
    from stages.core.params import Params
    from stages.core.sections import Dataset


def preflight(params: "Params") -> None:
    """Raise the UserError that a later stage would raise for these parameters."""
    from stages.core.device import choose_device, require_devices
    from stages.datasets import require_known
    from stages.datasets.selection import require_enough
    from stages.models import resolve
    from stages.tasks import task_of

    require_known(params.dataset.name)
    _require_folder(params.dataset)
    resolve(params.model)
    task_of(params)
    require_enough(params.subset, _images(params.dataset))
    require_devices(params.train.devices, choose_device(params.device))
    _require_buildable(params)


def _require_folder(dataset: "Dataset") -> None:
    """Raise DataError when DVC, which watches the folder whatever the data set, will miss it, or
    cannot write the names of pictures in it.

    Of a folder that is missing the data set says more.
    """
    from stages.core.errors import DataError
    from stages.datasets.listing import not_utf8

    if "DVC_STAGE" not in os.environ:
        return
    if strange := not_utf8(Path(dataset.folder)):
        raise DataError(
            f"`dataset.folder` {dataset.folder} holds names that are not UTF-8: "
            f"{first_few(strange, 3)}. DVC cannot hash a folder with those. Rename them, "
            "as `convmv -f latin1 -t utf8 -r --notest` does."
        )
    if dataset.name == "image_folder":
        return
    if not Path(dataset.folder).exists():
        raise DataError(
            f"`dataset.folder` {dataset.folder} does not exist. DVC looks there for pictures of "
            "your own with every data set: make the folder, or name one that is there."
        )


def _images(dataset: "Dataset") -> "Counter[str]":
    """How many images each split has: as listed before, or as found now.

    Own pictures are looked through each time, for they may have changed; nothing is decoded. A
    damaged list is passed over: DVC has the download make it anew.
    """
    from stages.core import paths
    from stages.core.errors import RunError
    from stages.core.records import read_record
    from stages.datasets import open_collection

    if dataset.name != "image_folder":
        with suppress(RunError):
            listed = read_record(paths.MANIFEST)
            if listed.get("dataset") == dataset.name:
                return Counter(listed["images"])
    return Counter(open_collection(dataset).splits)


def _require_buildable(params: "Params") -> None:
    """Build the model with the heads of its task, as cheaply as can be, for any number of classes.

    Raises ModelError as building it for the training does.
    """
    if params.pretrained or not _builds_without_memory(params):
        _build(params)


def _build(params: "Params") -> None:
    from stages.core.combinations import AT_ONCE
    from stages.models.heads import linear_head
    from stages.tasks import task_of

    built = task_of(params).build(params, classes=10)
    if params.finetune in AT_ONCE:
        linear_head(built.model)


def _builds_without_memory(params: "Params") -> bool:
    """Whether the model can be built of shapes alone, which most can, and nothing is drawn."""
    import torch

    from stages.core.errors import ModelError

    try:
        with torch.device("meta"):
            _build(params)
    except (ModelError, RuntimeError, NotImplementedError):
        return False
    return True
