"""A user's mistake is one paragraph and a non-zero exit, and leaves no result."""

from pathlib import Path

import pytest

from tests.pipeline.running import Dvc, stage

MISTAKES = {
    "unknown model, told first": ("fingerprint", {"model": "resnet81"}, "Did you mean resnet18?"),
    "unknown data set, told first": (
        "fingerprint",
        {"dataset": {"name": "cifar"}},
        "Did you mean cifar10?",
    ),
    "unknown model": ("train", {"model": "resnet81"}, "Did you mean resnet18?"),
    "unknown data set": ("download", {"dataset": {"name": "cifar"}}, "Did you mean cifar10?"),
    "unknown key": ("subset", {"sed": 1}, "Did you mean `seed`?"),
    "too many images": ("subset", {"subset": {"train": 100_000}}, "subset.train"),
    "zero images": ("subset", {"subset": {"train": 0}}, "at least one image is needed"),
    "absent device": ("train", {"device": "cuda:7"}, "Set `device: auto`"),
    "diverging": ("train", {"train": {"lr": 1e30}}, "became nan in epoch 1, step"),
    "last weights with patience": (
        "train",
        {"train": {"early_stopping": 3, "keep": "last"}},
        "set `keep: best`",
    ),
    "uneven shares": (
        "train",
        {"train": {"devices": 3}},
        "cannot be shared evenly by `train.devices` 3",
    ),
    "unreachable weights": ("train", {"pretrained": "gone.safetensors"}, "gone.safetensors"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_paragraph_and_leaves_no_result(
    mistake: str, clone: Path, dvc: Dvc
) -> None:
    name, change, told = MISTAKES[mistake]
    if not (clone / "metrics/identity.json").exists():
        dvc("repro", "fingerprint", "subset")
    (clone / "metrics/train.json").unlink(missing_ok=True)
    done = stage(clone, name, change)
    complaint = " ".join(done.stderr.split())
    assert done.returncode == 1, complaint
    assert complaint.startswith("error: ")
    assert told in complaint
    assert "Traceback" not in complaint
    assert not (clone / "metrics/train.json").exists()
