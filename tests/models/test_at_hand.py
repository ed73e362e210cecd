"""Backbones whose trained weights lie in the libraries' caches have the table's names."""

from pathlib import Path

import huggingface_hub
import pytest
import timm

from stages.models import MODELS, at_hand
from stages.models.at_hand import trained_at_hand
from stages.models.hub import torchvision_weights


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Repositories of timm whose weights are taken to be fetched; torchvision's cache is empty."""
    repositories: set[str] = set()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(
        huggingface_hub, "try_to_load_from_cache",
        lambda repository, file: "here" if repository in repositories else None,
    )  # fmt: skip
    return repositories


def test_each_model_of_the_table_has_its_own_name_and_stands_once(cached: set[str]) -> None:
    before = trained_at_hand()
    of_timm = {s.name: s.library for s in MODELS.values() if (s.library or "").startswith("timm/")}
    for library in of_timm.values():
        cached.add(timm.get_pretrained_cfg(str(library).removeprefix("timm/")).hf_hub_id)
    found = trained_at_hand()
    assert len(found) == len(set(found))
    assert set(found) == {*before, *of_timm}


def test_other_weights_of_a_library_keep_its_name(cached: set[str]) -> None:
    cached.add(timm.get_pretrained_cfg("resnet18.a1_in1k").hf_hub_id)
    assert "timm/resnet18.a1_in1k" in trained_at_hand()
    assert "resnet18" not in trained_at_hand()


def test_fetched_weights_of_torchvision_are_the_table_s_where_it_has_a_tag(
    cached: set[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(at_hand, "packaged_file", lambda packaged: None)
    folder = tmp_path / "hub/checkpoints"
    folder.mkdir(parents=True)
    for identifier in ("mobilenet_v2.IMAGENET1K_V1", "resnet18"):
        (folder / Path(torchvision_weights(identifier).url).name).touch()
    assert trained_at_hand() == ["mobilenet_v2", "torchvision/resnet18"]
