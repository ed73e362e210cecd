"""Records that carry hashes: whatever is damaged or edited afterwards is not believed."""

import json

import pytest

from stages.core.errors import RunError
from stages.core.metrics import read_metrics, write_metrics
from stages.core.records import hashes_of, read_record, require_recorded, write_record

VALUES = {"classes": ["NA", "Ä"], "loss": 0.1 + 0.2, "none": None, "per": {"1": -0.0, "2": 1e-300}}


def write(path, kind):
    return write_record(path, VALUES) if kind == "record" else write_metrics(path, VALUES, ["loss"])


def read(path, kind):
    return read_record(path) if kind == "record" else read_metrics(path)


@pytest.mark.parametrize("kind", ["record", "metrics"])
def test_a_record_comes_back_without_its_hash(tmp_path, kind):
    write(tmp_path / "a.json", kind)
    assert read(tmp_path / "a.json", kind) == VALUES


@pytest.mark.parametrize("kind", ["record", "metrics"])
def test_every_flipped_bit_is_noticed_or_changes_nothing(tmp_path, kind):
    path = tmp_path / "a.json"
    write(path, kind)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(
            whole[:place] + bytes([whole[place] ^ 1 << place % 7]) + whole[place + 1 :]
        )
        try:
            found = read(path, kind)
        except RunError as error:
            assert "a.json" in str(error)  # noqa: PT017
        else:
            assert found.items() >= VALUES.items()  # the name of the hash was hit


def test_records_of_earlier_versions_are_believed(tmp_path):
    for name, content in (("a", {"x": 1}), ("b", {"x": 1, "details": [{"y": 2}]})):
        (tmp_path / name).write_text(json.dumps(content))
    assert read_record(tmp_path / "a") == {"x": 1}
    assert read_metrics(tmp_path / "b") == {"x": 1, "y": 2}


def test_a_file_that_is_not_the_recorded_one_names_both_and_the_copy_in_the_cache(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    path = tmp_path.joinpath("weights").relative_to(tmp_path)
    path.write_text("whole")
    recorded = hashes_of([path])["weights"]
    require_recorded(path, recorded, tmp_path / "train.json")
    path.write_text("whale")
    (tmp_path / ".dvc/cache/files/md5/ab").mkdir(parents=True)
    (tmp_path / ".dvc/cache/files/md5/ab/cd").touch()
    (tmp_path / "dvc.lock").write_text("- path: weights\n  hash: md5\n  md5: abcd\n  size: 5\n")
    with pytest.raises(RunError, match=f"{recorded[:12]}.*files/md5/ab/cd.*dvc repro"):
        require_recorded(path, recorded, tmp_path / "train.json")
