"""A pipeline that is none is one paragraph, and what is declared is read from dvc.yaml itself."""

from pathlib import Path

import pytest

from stages.core.errors import ParamsError
from stages.runs.pipeline import declared_stages


@pytest.mark.parametrize(
    "content",
    [b"stages: [", b"[1]", b"{}", b"stages:", b"stages: {train: }", b"stages: \xff"],
    ids=["cut", "list", "no stages", "empty", "an empty stage", "not UTF-8"],
)
def test_what_is_no_pipeline_is_told_by_its_file(content: bytes, tmp_path: Path) -> None:
    broken = tmp_path / "dvc.yaml"
    broken.write_bytes(content)
    with pytest.raises(ParamsError, match=r"dvc\.yaml is not a pipeline of DVC's: "):
        declared_stages(broken)


def test_where_there_is_no_pipeline_nothing_is_declared(tmp_path: Path) -> None:
    assert declared_stages(tmp_path / "dvc.yaml") == {}
    assert "train.epochs" not in (declared_stages()["subset"].keys or ())
