"""Values of params.yaml that cannot be meant together, of the whole file."""

from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stages.core.params import Params

DEFAULT_TASK = "classify"
AT_ONCE = ("probe", "knn")
FROZEN = (*AT_ONCE, "head")  # values of `finetune` with a trunk whose features may be kept


def mistake_between(params: "Params") -> str | None:
    """The first mistake, as a sentence without its stop; None when all fit."""
    finetune, has_weights = params.finetune, params.pretrained is not False
    if params.subset.val == 0 and params.train.early_stopping is not None:
        return (
            "`train.early_stopping` needs validation images, but `subset.val` is 0; "
            "give some, or set `train.early_stopping: null`"
        )
    if params.train.normalization == "weights" and not has_weights:
        return (
            "`train.normalization` is weights, but `pretrained` is false, so that there are no "
            "weights to have one; set it to auto or subset"
        )
    if told := _about_labels(params) or _about_unequal_classes(params):
        return told
    if finetune in AT_ONCE:
        return _for_stored_features(params)
    if finetune != "full" and not has_weights:
        return (
            f"`finetune: {finetune}` needs trained weights to start from, but "
            "`pretrained` is false; set `pretrained: true` or a path, or `finetune: full`"
        )
    return None


def _about_labels(params: "Params") -> str | None:
    table, name = params.dataset.labels, params.dataset.name
    if table is None:
        return None
    if name != "image_folder":
        return (
            f"`dataset.labels` is {table}, but `dataset.name` is {name}, whose images have "
            "classes; set `dataset.labels: null`, or `dataset.name: image_folder`"
        )
    if PurePath(table).is_absolute() or ".." in PurePath(table).parts:
        return (
            f"`dataset.labels` is {table}; it must be a path below `dataset.folder`, which DVC "
            "watches, so that an edited table is noticed: move the table there"
        )
    return None


def _about_unequal_classes(params: "Params") -> str | None:
    recipe, finetune = params.train, params.finetune
    plain = {"class_weights": "none", "sampler": "shuffle"}
    changed = [key for key, value in plain.items() if getattr(recipe, key) != value]
    if not changed:
        return None
    if len(changed) > 1:
        return (
            "`train.class_weights` and `train.sampler` are both balanced, which would make up for "
            "unequal classes twice, so that rare ones count for more than others; leave one of "
            "them at its default"
        )
    told, cure = f"`train.{changed[0]}` is balanced", f"`train.{changed[0]}: {plain[changed[0]]}`"
    if params.task != DEFAULT_TASK:
        return (
            f"{told}, but `task` is {params.task}, whose answers are drawn by chance and are not "
            f"the images' classes; set {cure}, or `task: {DEFAULT_TASK}`"
        )
    if finetune in AT_ONCE:
        return (
            f"{told}, but `finetune: {finetune}` fits a head at once, without batches and without "
            f"the loss of a recipe; set {cure}, or `finetune: head`"
        )
    return None


def _for_stored_features(params: "Params") -> str | None:
    needed = {
        f"task: {DEFAULT_TASK}": params.task == DEFAULT_TASK,
        "train.devices: 1": params.train.devices == 1,
        "train.compile: false": not params.train.compile,
    }
    wanted = " and ".join(f"`{told}`" for told, fits in needed.items() if not fits)
    if not wanted:
        return None
    return (
        f"`finetune: {params.finetune}` fits one class head to stored features, in one process; "
        f"set {wanted}"
    )
