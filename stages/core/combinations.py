"""Values of params.yaml from different sections that cannot be meant together."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stages.core.params import Params

DEFAULT_TASK = "classify"
AT_ONCE = ("probe", "knn")


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
    if finetune in AT_ONCE:
        return _for_stored_features(params)
    if finetune != "full" and not has_weights:
        return (
            f"`finetune: {finetune}` needs trained weights to start from, but "
            "`pretrained` is false; set `pretrained: true` or a path, or `finetune: full`"
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
