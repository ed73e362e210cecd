"""What is refused before any stage runs: everything that can be known without doing the work."""

import os
import sys
import zipfile
from pathlib import Path

import pytest

from stages.core import files, paths
from stages.core.errors import DataError, DeviceError, ModelError, ParamsError, UserError
from stages.core.params import Params, parse_params
from stages.datasets import fetching
from stages.models import MODELS
from stages.preflight import preflight

PICTURES = {"train/cat/1.png": 3, "train/dog/1.png": 2, "test/cat/2.png": 1, "test/dog/2.png": 1}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


REFUSED: dict[str, tuple[dict[str, object], type[UserError], str]] = {
    "unknown data set": ({"dataset": {"name": "cifar"}}, DataError, "Did you mean cifar10"),
    "unknown model": ({"model": "swin_tny"}, ModelError, "Did you mean swin_tiny"),
    "unknown model of a library": ({"model": "timm/resnet51"}, ModelError, "did you mean"),
    "unknown tag of weights": ({"model": "timm/resnet50."}, ModelError, "no such model"),
    "unknown task": ({"task": "puzle"}, ParamsError, "Did you mean puzzle"),
    "augmentation that the task excludes": (
        {"task": "puzzle", "train": {"augment": ["flip", "mixup"]}},
        ParamsError,
        "has mixup, but `task` is puzzle: it blends two images",
    ),
    "too many images": ({"subset": {"train": 5000}}, DataError, "can be 1 to"),
    "too many test images": ({"subset": {"test": 5000}}, DataError, "`subset.test` is 5000"),
    "absent device": ({"device": "cuda:99"}, DeviceError, "Set `device: auto`"),
    "absent devices": (
        {"train": {"batch_size": 8192, "devices": 4096}, "device": "cpu"},
        DeviceError,
        "`train.devices` is 4096, but this machine has",
    ),
    "absent folder": (
        {"dataset": {"name": "image_folder", "folder": "nowhere"}},
        DataError,
        "does not exist",
    ),
    "stem that the model lacks": ({"model": "vit_small", "stem": "cifar"}, ModelError, "`stem`"),
    "option that the model lacks": (
        {"model": "torchvision/resnet18", "train": {"dropout": 0.1}},
        ModelError,
        "no such option",
    ),
    "size that the model cannot take": (
        {"model": "torchvision/alexnet", "input_size": 32},
        ModelError,
        "cannot take images of 32 px",
    ),
    "puzzle of a model without features": (
        {"task": "puzzle", "model": "torchvision/squeezenet1_1"},
        ModelError,
        "no single linear layer",
    ),
    "probe of a model without features": (
        {"finetune": "probe", "model": "torchvision/squeezenet1_1"},
        ModelError,
        "no single linear layer",
    ),
    "absent weights": ({"pretrained": "gone.pt"}, ModelError, "no such file"),
    "a folder for weights": ({"pretrained": "."}, ModelError, "that is a folder"),
    "weights that nobody publishes": ({"pretrained": True}, ModelError, "nobody publishes"),
    "deeper than the model": (
        {"pretrained": "own.safetensors", "finetune": "partial:99"},
        ModelError,
        "partial",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    from safetensors.torch import save_file

    from stages.models import build

    values, kind, told = REFUSED[case]
    if values.get("pretrained") == "own.safetensors":
        save_file(build(Params(), 10).model.state_dict(), "own.safetensors")
    with pytest.raises(kind) as caught:
        preflight(parse_params(values, "test"))
    assert told in str(caught.value)


@pytest.mark.parametrize("content", [b"root:x:0:0:root:/root:/bin/bash\n", bytes(range(256)), b""])
@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_weights_that_are_none(content: bytes, name: str) -> None:
    Path(name).write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read as weights"):
        preflight(Params(pretrained=name))


@pytest.mark.parametrize("model", [*MODELS, "timm/resnet18", "torchvision/vit_b_16"])
def test_every_model_passes(model: str) -> None:
    preflight(parse_params({"model": model}, "test"))


def test_a_model_that_cannot_be_built_without_memory_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    from stages import models

    build = models.build

    def picky(params: Params, classes: int) -> models.BuiltModel:
        torch.zeros(1).item()
        return build(params, classes)

    monkeypatch.setattr(models, "build", picky)
    preflight(Params())


def test_a_folder_that_dvc_will_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC has it as a dependency whatever the data set, and would stop with an [Errno 2]."""
    params = parse_params({"dataset": {"folder": "nowhere"}}, "test")
    preflight(params)
    monkeypatch.setenv("DVC_STAGE", "fingerprint")
    with pytest.raises(DataError, match=r"`dataset\.folder` nowhere does not exist"):
        preflight(params)


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS refuses such names")
def test_names_that_dvc_cannot_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would end with `surrogates not allowed`, in the middle of the pipeline."""
    folder = Path("own", os.fsdecode(b"caf\xe9"))
    folder.mkdir(parents=True)
    (folder / "a.png").touch()
    params = parse_params({"dataset": {"folder": "own"}}, "test")
    preflight(params)
    monkeypatch.setenv("DVC_STAGE", "fingerprint")
    with pytest.raises(DataError, match=r"names that are not UTF-8: 'own/caf\\udce9'\."):
        preflight(params)


def test_own_pictures_are_counted_anew() -> None:
    with zipfile.ZipFile("own.zip", "w") as archive:
        for name in PICTURES:
            archive.writestr(name, b"not decoded here")
    own = {"name": "image_folder", "folder": "own.zip"}
    preflight(parse_params({"dataset": own, "subset": {"val": 0}}, "test"))
    listed = {"dataset": "image_folder", "images": {"train": 9000, "test": 1000}}
    files.write_json(paths.MANIFEST, listed)  # of other pictures, before
    with pytest.raises(DataError, match=r"`subset\.train` can be 1 to 1,"):  # of two one validates
        preflight(parse_params({"dataset": own, "subset": {"train": 9000}}, "test"))


def test_a_damaged_list_is_left_to_the_download() -> None:
    files.write_json(paths.MANIFEST, {"dataset": "digits", "images": {}, "content_sha256": "0"})
    preflight(Params())


def test_pictures_that_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused before `download` starts; what is listed already is not fetched."""
    monkeypatch.setattr(fetching, "RETRIES", 0)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    params = parse_params({"dataset": {"name": "cifar10"}}, "test")
    with pytest.raises(DataError, match="cannot be reached"):
        preflight(params)
    listed = {"dataset": "cifar10", "images": {"train": 50000, "test": 10000}}
    files.write_json(paths.MANIFEST, listed)
    preflight(params)
