"""The pictures of a run: hardest test images, activations, filters, class evidence, augmentation.

Chooses the images, asks the network, and hands figures back by name; what cannot be made (no
convolution on colours, no maps) is left out. Drawing is in `charts`, files are the stage's.
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.charts.activation_maps import activation_maps
from stages.charts.augmentation_sheet import augmentation_sheet
from stages.charts.evidence import evidence_overlay
from stages.charts.filters import first_layer_filters
from stages.charts.hardest import hardest_images, hardest_rows
from stages.datasets.pixels import Split
from stages.measures.interpretation.activations import capture, first_filters
from stages.measures.interpretation.grad_cam import class_evidence
from stages.measures.profiling.try_measure import try_measure
from stages.training.augmentation import AUGMENTATIONS, Augmenter, as_fractions, mixing
from stages.training.inference import Evaluator

if TYPE_CHECKING:
    from stages.training.trained import TrainedModel

WITH_MAPS, WITH_EVIDENCE, AUGMENTED = 3, 8, 8
WAITED = 20  # epochs looked through for one that changes a picture


def pictures_of_test(
    trained: "TrainedModel",
    evaluator: Evaluator,
    test: Split,
    predictions: pd.DataFrame,
    answers: Sequence[str],
) -> dict[str, Figure]:
    """Figures by name, of the test split and its `predictions` (rows in the same order).

    `evaluator` shows the split to models; `answers` names what `label` and `predicted` count.
    Evidence is drawn for networks with one output only.
    """
    rows = hardest_rows(predictions)
    album = {"hardest": hardest_images(test.pixels[rows.index], rows, answers)}
    shown = _first_of_classes(test.labels, WITH_MAPS)
    _, inputs, _ = evaluator.show(torch.from_numpy(shown))
    if layers := capture(trained.model, inputs):
        captions = [trained.classes[label] for label in test.labels[shown]]
        album["activations"] = activation_maps(test.pixels[shown], captions, layers)
    if (weights := first_filters(trained.model)) is not None:
        album["filters"] = first_layer_filters(weights)
    if len(inputs) == 1 and (figure := _evidence(trained, evaluator, test, predictions, answers)):
        album["grad_cam"] = figure
    return album


def augmentation_picture(train: Split, recipe: Sequence[str], seed: int, classes: int) -> Figure:
    """Every augmentation alone on eight training images, and those of `recipe` together."""
    shown = _first_of_classes(train.labels, AUGMENTED)
    pixels = torch.from_numpy(np.ascontiguousarray(train.pixels[shown]))
    labels = torch.from_numpy(train.labels[shown])

    def changed(names: Sequence[str]) -> NDArray[np.float32]:
        cpu = torch.device("cpu")
        augmenter = Augmenter(names, seed, len(shown), classes)
        places = torch.arange(len(shown))
        for epoch in range(1, WAITED + 1):  # what is seldom drawn shall be seen too
            drawn = augmenter.select(augmenter.draw(epoch, cpu), places, 0)
            images = as_fractions(augmenter.apply(pixels, labels, drawn)[0])
            if not torch.equal(images, as_fractions(pixels)):
                break
        result: NDArray[np.float32] = images.numpy()
        return result

    augmented = {name: changed([name]) for name in (*AUGMENTATIONS, *mixing.KINDS)}
    if recipe:
        augmented["this recipe"] = changed(recipe)
    return augmentation_sheet(train.pixels[shown], augmented)


def _first_of_classes(labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Rows of the first image of at most `count` classes, evenly spread over all."""
    _, first = np.unique(labels, return_index=True)
    places = np.linspace(0, len(first) - 1, min(count, len(first))).round().astype(int)
    rows: NDArray[np.int64] = first[places].astype(np.int64)
    return rows


def _evidence(
    trained: "TrainedModel",
    evaluator: Evaluator,
    test: Split,
    predictions: pd.DataFrame,
    answers: Sequence[str],
) -> Figure | None:
    rows = _first_of_classes(test.labels, WITH_EVIDENCE)
    predicted = predictions["predicted"].to_numpy()[rows]
    _, (images,), _ = evaluator.show(torch.from_numpy(rows))
    classes = [int(index) for index in predicted]
    # A library's hooks on any model of another library: a picture less is not a result less.
    found, _ = try_measure(partial(class_evidence, trained.model, images, classes))
    if found is None:
        return None
    captions = [answers[index] for index in predicted]
    return evidence_overlay(test.pixels[rows], found, captions)
