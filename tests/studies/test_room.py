"""The sizes of a new study against the pictures that there are, as its cells would find them."""

from pathlib import Path

import pytest
from PIL import Image

from stages.datasets.selection import choose
from stages.studies.run.pictures import list_pictures, pool_for
from stages.studies.spec.study_config import load_study_config
from stages.study import main

TRAINED = ("--trained", "--models", "resnet18")


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


def draw(count: int, part: str = "") -> None:
    """So many pictures in two classes, no two alike."""
    for index in range(count):
        path = Path("pictures", part, ("cat", "dog")[index % 2], f"{index}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (index % 256, index // 256, len(part))).save(path)


def new(*options: str) -> int:
    return main(["new", "mine", "--folder", "pictures", *options])


def sizes() -> list[str]:
    return list(dict.fromkeys(cell.size for cell in load_study_config("mine").cells))


@pytest.mark.parametrize(
    ("kind", "told"), [((), "44 can train, the others test and validate"),
                       (TRAINED, "48 can train, the others test. ")],
)  # fmt: skip
def test_default_sizes_that_are_too_large_are_left_out_and_told(
    kind: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(60)
    assert new(*kind) == 0
    said = capsys.readouterr().out
    assert "Of the default sizes 500 and 1000 are left out: of the 60 pictures in pictures" in said
    assert told in said
    assert sizes() == ["full"]


def test_with_test_pictures_of_their_own_all_others_train(
    capsys: pytest.CaptureFixture[str],
) -> None:
    draw(560, "train")
    draw(10, "test")
    assert new() == 0
    assert "504 can train, the others test and validate" in capsys.readouterr().out
    assert sizes() == ["500", "full"]


def test_all_default_sizes_stay_where_pictures_are_not_here(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("pictures").mkdir()
    assert new() == 0
    assert "left out" not in capsys.readouterr().out
    assert sizes() == ["500", "1000", "full"]


@pytest.mark.parametrize(("kind", "most"), [((), 44), (TRAINED, 48)])
def test_the_largest_size_that_is_taken_runs_and_one_more_is_refused(
    kind: tuple[str, ...], most: int, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(60)
    assert new(*kind, "--sizes", f"10,{most + 1},full") == 1
    said = " ".join(capsys.readouterr().err.split())
    assert f"--sizes names {most + 1}, but" in said
    assert f"60 pictures in pictures {most} can train, the others test" in said
    assert not Path("studies").exists()
    assert new(*kind, "--sizes", f"{most},0.9,full") == 1
    said = " ".join(capsys.readouterr().err.split())
    assert f"--sizes names {most} and full, which are as many pictures here." in said
    assert new(*kind, "--sizes", f"{most},0.9") == 0
    form = load_study_config("mine")
    list_pictures(form)
    for one in map(form.params, form.cells):
        pool, _ = pool_for(form, one.dataset, one.input_size)
        assert len(choose(pool, one.subset, "pictures").train) <= most


def test_a_default_size_that_is_all_pictures_is_left_out_for_full() -> None:
    draw(500, "train")
    draw(10, "test")
    assert new(*TRAINED) == 0
    assert sizes() == ["full"]


def test_sizes_without_a_picture_for_every_class_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    draw(60)
    assert new("--sizes", "1,2,full") == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "--sizes names 1, but of the 60 pictures" in said
    assert "Name counts from 2, one per class where they are equal, to 44" in said
    assert new("--sizes", "2,full") == 0


def test_classes_with_too_few_pictures_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    draw(60)
    alone = Path("pictures/bird/0.png")
    alone.parent.mkdir()
    Image.new("RGB", (8, 8)).save(alone)
    assert new() == 1
    assert "one image alone, copies aside, of the class bird" in " ".join(
        capsys.readouterr().err.split()
    )
    for index in range(20):
        for part in ("train", "test"):
            path = Path(f"few/{part}/{index}/0.png")
            path.parent.mkdir(parents=True)
            Image.new("RGB", (8, 8), (index, len(part), 0)).save(path)
    assert main(["new", "mine", "--folder", "few"]) == 1
    assert "40 pictures in few are too few for 20 classes: 18 can train" in " ".join(
        capsys.readouterr().err.split()
    )
    assert not Path("studies").exists()


def test_a_folder_without_classes_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("pictures").mkdir()
    Image.new("RGB", (8, 8)).save("pictures/one.png")
    assert new() == 1
    assert "class" in capsys.readouterr().err
    assert not Path("studies").exists()
