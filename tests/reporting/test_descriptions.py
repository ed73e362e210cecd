"""Charts in words: each says what it shows, with figures that are in the tables."""

import pandas as pd

from stages.reporting import descriptions
from tests import run_files

NAMES = run_files.class_names(10)


def test_curves_say_where_they_begin_and_end() -> None:
    table = pd.DataFrame(
        {"lr": [0.1, 0.01], "train_loss": [2.0, 0.5], "val_loss": [None, None],
         "train_top1": [0.25, 0.75], "val_top1": [0.5, 1.0]}
    )  # fmt: skip
    assert descriptions.accuracy_by_epoch(table, "top1") == (
        "Line chart of top-1 accuracy by epoch: training from 25.0 % to 75.0 %, validation from "
        "50.0 % to 100.0 %"
    )
    assert descriptions.loss_by_epoch(table).endswith(": training from 2 to 0.5")
    assert descriptions.loss_by_epoch(table.head(1)).endswith(": training 2")
    assert descriptions.rate_by_epoch(table).endswith("from 0.1 to 0.01")


def test_a_class_without_a_test_image_is_neither_worst_nor_best() -> None:
    table = pd.DataFrame({"class": ["cat", "dog", "bird"], "top1": [0.75, 0.5, None]})
    assert descriptions.per_class(table).endswith("from 50.0 % (dog) to 75.0 % (cat)")


def test_tables_say_their_extremes() -> None:
    predictions = run_files.predictions()
    said = [
        descriptions.per_class(run_files.per_class(predictions, NAMES)),
        descriptions.reliability(run_files.reliability(), 0.1),
        descriptions.latency(run_files.profile_table()),
        descriptions.throughput(run_files.profile_table()),
        descriptions.memory(run_files.PROFILE),
        descriptions.memory({}),
        descriptions.blocks(run_files.profile_blocks()),
    ]
    assert all(len(text.split()) > 6 for text in said)
    assert "of 10 classes" in said[0]
    assert "10.0 %" in said[1]
    assert "ms" in said[2]
    assert "images/s" in said[3]
    assert said[5].count("not measured") == 3
    assert "nan" not in " ".join(said)


def test_a_matrix_without_mistakes_says_so() -> None:
    none = pd.DataFrame({"label": [], "predicted": [], "share": []})
    assert descriptions.confusion(2, none).endswith("; no mistakes")
    one = pd.DataFrame({"label": ["cat"], "predicted": ["dog"], "share": [0.25]})
    assert "takes cat for dog (25.0 % of the class)" in descriptions.confusion(2, one)
