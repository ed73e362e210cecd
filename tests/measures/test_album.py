"""The pictures of a run: every picture there is to make, for both tasks, and the same twice."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stages.charts.style import save
from stages.core.params import parse_params
from stages.datasets.pixels import Split
from stages.measures.evaluation.split_figures import evaluate_outputs
from stages.measures.interpretation.album import augmentation_picture, pictures_of_test
from stages.tasks import task_of
from stages.training.images import Normalization
from stages.training.inference import Evaluator, Preprocessing
from stages.training.trained import TrainedModel

CLASSES = ["ant", "bee", "cat", "dog"]


def split(images: int = 20) -> Split:
    draws = np.random.default_rng(0)
    pixels = draws.integers(0, 256, (images, 3, 32, 32), dtype=np.uint8)
    names = [f"test/{i}" for i in range(images)]
    return Split(pixels, np.arange(images) % len(CLASSES), names)


@pytest.mark.parametrize(
    ("task_name", "expected"),
    [
        ("classify", {"hardest", "activations", "filters", "grad_cam"}),
        ("puzzle", {"hardest", "activations", "filters"}),
    ],
)
def test_every_picture_there_is_to_make(task_name: str, expected: set[str], tmp_path: Path) -> None:
    params = parse_params({"model": "shufflenet_v2_x0_5", "task": task_name}, "test")
    task = task_of(params)
    built = task.build(params, len(CLASSES))
    view = Preprocessing(
        32, Normalization((0.5,) * 3, (0.25,) * 3), torch.contiguous_format, "fp32", 20
    )
    trained = TrainedModel(built.model.eval(), view, CLASSES)
    test, heads = split(), task.heads(CLASSES)
    evaluator = Evaluator(task, test, view, torch.device("cpu"), 0, "test")
    predictions = evaluate_outputs(evaluator(trained.model), test.names, heads).predictions
    answers = next(iter(heads.values()))
    album = pictures_of_test(trained, evaluator, test, predictions, answers)
    assert set(album) == expected
    for name, figure in album.items():
        save(figure, tmp_path / f"{name}.png")
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 2_000_000


def test_each_augmentation_has_a_row_and_the_recipe_one_more() -> None:
    figure = augmentation_picture(split(), ["crop", "flip"], 0, len(CLASSES))
    rows = [axes.get_ylabel() for axes in figure.axes]
    assert rows[0] == "original"
    assert rows[-1] == "this recipe"
    assert {"crop", "flip", "randaugment", "color jitter", "erasing", "mixup", "cutmix"} <= set(
        rows
    )
