"""What a real small run left behind, and its pictures."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from stages.core import paths
from stages.core.files import write_json
from stages.runs.run import Run, read_run
from stages.runs.schema import INSIDE_COLUMNS, TENSOR_COLUMNS
from stages.runs.sources import Source, open_source
from stages.runs.steps import as_record, as_table
from stages.runs.training_record import about_of
from stages.runs.weights_file import write_weights
from stages.training.run import training
from tests.training.helpers import CLASSES, params, split


@pytest.fixture(scope="package")
def left_behind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run, as far as replay needs it."""
    folder = tmp_path_factory.mktemp("run")
    chosen = params(train={"snapshots": True})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(tmp_path_factory.mktemp("root")))
        with training(chosen, {"train": split()}, CLASSES, {"data": "small"}, print) as run:
            (folder / paths.SNAPSHOTS).mkdir(parents=True)
            for snapshot in run.checkpoints.snapshots():
                (folder / paths.SNAPSHOTS / snapshot.name).write_bytes(snapshot.read_bytes())
            table = as_table(run.trained.record.inside, INSIDE_COLUMNS)
            about = about_of(run, [f"class {index}" for index in range(CLASSES)], 16)
            write_weights(folder / paths.WEIGHTS, about, run.trained.weights)
    (folder / paths.STEPS).parent.mkdir()
    write_json(folder / paths.STEPS, as_record(pd.DataFrame(columns=TENSOR_COLUMNS), table))
    (folder / paths.PARAMS).write_text(yaml.safe_dump(chosen.model_dump(mode="json")))
    labels = pd.DataFrame({"label": range(CLASSES), "name": "x", "class": "x", "digest": "x"})
    labels.to_csv(folder / paths.INDICES, index=False)
    return folder


@pytest.fixture(autouse=True)
def _small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "stages.datasets.pixels.load_splits", lambda *_: {"train": split(), "test": split()}
    )


@pytest.fixture
def source(left_behind: Path) -> Source:
    return open_source(str(left_behind))


@pytest.fixture
def record(source: Source) -> Run:
    return read_run(source)
