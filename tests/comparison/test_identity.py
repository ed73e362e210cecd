"""Same machine, same settings: every family is called bit-identical, by the files of its runs."""

import shutil
from pathlib import Path

import pytest

from stages.comparison.analysis.compare_runs import Comparison, compare_runs
from stages.comparison.analysis.findings import Rung
from stages.core.params import Params, parse_params
from stages.download import download
from stages.evaluate import evaluate
from stages.fingerprint import fingerprint
from stages.runs.run import read_run
from stages.runs.sources import open_source
from stages.subset import subset
from stages.train import train

QUICK = ("lenet_small", "vit_2l_2h_128")
LONG = (
    "resnet18", "mobilenet_v3_small", "efficientnet_v2_s", "convnext_v2_tiny", "deit_small",
    "swin_tiny", "repvgg_a0", "mobileone_s0", "shufflenet_v2_x0_5", "speedrun_small",
)  # fmt: skip


def recipe(model: str) -> Params:
    """Two steps on few images; ResNets with the first layers that large pictures have."""
    values = {
        "model": model, "stem": "imagenet" if model == "resnet18" else "auto", "threads": 1,
        "device": "cpu", "subset": {"train": 32, "val": 16, "test": 40},
        "train": {"epochs": 1, "batch_size": 16}, "evaluate": {"batch_size": 20},
    }  # fmt: skip
    return parse_params(values, "test")


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the chosen images and the machine's fingerprint."""
    folder = tmp_path_factory.mktemp("ground")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DVC_ROOT", str(folder))
        for stage in (download, subset, fingerprint):
            stage(recipe("lenet_small"))
    return folder


def trained_twice(model: str, ground: Path, tmp_path: Path) -> Comparison:
    """Two runs in folders of their own, which share no checkpoint, held against each other."""
    records = []
    for name in ("first", "again"):
        folder = tmp_path / name
        shutil.copytree(ground, folder)
        params = recipe(model)
        (folder / "params.yaml").write_text(params.model_dump_json())
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setenv("DVC_ROOT", str(folder))
            train(params)
            evaluate(params)
            records.append(read_run(open_source(".")))
    return compare_runs(*records)


@pytest.mark.parametrize(
    "model", [*QUICK, *(pytest.param(model, marks=pytest.mark.long) for model in LONG)]
)
def test_a_family_is_bit_identical(model: str, ground: Path, tmp_path: Path) -> None:
    found = trained_twice(model, ground, tmp_path)
    assert found.verdict.rung is Rung.BIT_IDENTICAL, found.verdict
    assert found.verdict.evidence.answers is not None
    assert found.verdict.evidence.answers.images == 40
    assert found.divergence is not None
    assert (found.divergence.compared, found.divergence.step) == (2, None)
    assert found.growth is not None
    assert not any(found.growth.distance)
    assert found.differences == []
