"""What a line per epoch says of the time that is left."""

import re

import pytest

from stages.training.progress_bar import ProgressBar

ROW = {"epoch": 1, "train_loss": 1.0, "train_top1": 0.5, "val_loss": None, "seconds": 0.1}


@pytest.mark.parametrize(
    ("steps", "said"), [(1, r"0\.1 s$"), (2, "less than 1 s left$"), (10**9, "about .* left$")]
)
def test_nothing_is_left_after_the_last_epoch(steps: int, said: str) -> None:
    lines: list[str] = []
    with ProgressBar(steps, lines.append) as progress:
        progress.step()
        progress.epoch(ROW, "top1", 1)
    assert re.search(said, lines[0])
