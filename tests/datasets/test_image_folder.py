"""Folders and zips as people have them."""

import shutil
import unicodedata
import zipfile
from pathlib import Path

import pytest

from stages.core.errors import DataError
from stages.datasets.sources.image_folder import open_collection
from tests.datasets.samples import image_folder, write_pictures

TWO_SPLITS = {"train/cat": 3, "train/dog": 2, "test/cat": 1, "test/dog": 2}


def zipped(folder: Path, below: str = ".") -> Path:
    return Path(shutil.make_archive(str(folder) + "-zip", "zip", folder, below))


def refused(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_collection(image_folder(folder))
    message = str(caught.value)
    assert str(folder) in message
    assert "\n" not in message
    return message


def test_train_and_test(tmp_path):
    collection = open_collection(image_folder(write_pictures(tmp_path / "a", TWO_SPLITS)))
    assert collection.classes == ["cat", "dog"]
    assert collection.splits == ["test"] * 3 + ["train"] * 5
    assert collection.names[0] == "test/cat/000.png"
    assert collection.labels == [0, 1, 1, 0, 0, 0, 1, 1]
    assert collection.files == []


def test_one_pool(tmp_path):
    folder = write_pictures(tmp_path / "a", {"cat": 2, "dog": 2, "train": 1})
    collection = open_collection(image_folder(folder))
    assert collection.classes == ["cat", "dog", "train"]
    assert set(collection.splits) == {"any"}


def test_a_train_folder_alone_is_one_pool(tmp_path):
    folder = write_pictures(tmp_path / "a", {"train/cat": 2, "train/dog": 2})
    collection = open_collection(image_folder(folder))
    assert collection.classes == ["cat", "dog"]
    assert set(collection.splits) == {"any"}


@pytest.mark.parametrize("below", ["one more folder/", "one more folder/deeper/"])
def test_pictures_may_lie_deeper_than_their_class(tmp_path, below):
    write_pictures(tmp_path / "a", {f"cat/{below}": 2, "dog": 2})
    assert open_collection(image_folder(tmp_path / "a")).classes == ["cat", "dog"]


@pytest.mark.parametrize(
    "per_class", [TWO_SPLITS, {"cat": 2, "dog": 2}, {"train/a": 1, "train/b": 1}]
)
def test_a_zip_is_as_good_as_its_folder(tmp_path, per_class):
    folder = write_pictures(tmp_path / "outer/pictures", per_class)
    plain = open_collection(image_folder(folder))
    for archive in (zipped(folder), zipped(tmp_path / "outer", "pictures")):
        collection = open_collection(image_folder(archive))
        assert (collection.names, collection.labels) == (plain.names, plain.labels)
        assert collection.content(0) == plain.content(0)
        assert collection.files == [archive]


def test_what_is_no_picture_is_passed_over(tmp_path):
    folder = write_pictures(tmp_path / "a", {"cat": 2, "dog": 2, ".thumbnails/cat": 2})
    for name in ("README.md", "cat/Thumbs.db", "cat/.DS_Store", "dog/._000.png", "dog/labels.csv"):
        (folder / name).write_bytes(b"no picture")
    with zipfile.ZipFile(zipped(folder), "a") as archive:
        archive.writestr("__MACOSX/cat/000.png", b"no picture")
    for source in (folder, zipped(folder)):
        names = open_collection(image_folder(source)).names
        assert names == ["cat/000.png", "cat/001.png", "dog/000.png", "dog/001.png"]


def test_suffixes_may_be_capitals(tmp_path):
    write_pictures(tmp_path / "a", {"cat": 1, "dog": 1}, suffix="JPG")
    assert len(open_collection(image_folder(tmp_path / "a")).names) == 2


def test_names_from_macos_are_composed(tmp_path):
    decomposed = unicodedata.normalize("NFD", "Käse")
    write_pictures(tmp_path / "a", {f"train/{decomposed}": 1, "train/Brot": 1})
    write_pictures(tmp_path / "a", {"test/Käse": 1, "test/Brot": 1})
    collection = open_collection(image_folder(tmp_path / "a"))
    assert collection.classes == ["Brot", "Käse"]
    assert all(collection.content(row) for row in range(4))


def test_linked_class_folders_are_followed(tmp_path):
    write_pictures(tmp_path / "elsewhere", {"cat": 2})
    folder = write_pictures(tmp_path / "a", {"dog": 1})
    (folder / "cat").symlink_to(tmp_path / "elsewhere/cat")
    assert open_collection(image_folder(folder)).names[0] == "cat/000.png"


def test_a_missing_folder_is_told(tmp_path):
    assert "does not exist" in refused(tmp_path / "nowhere")


def test_a_temporary_clone_is_told_how_to_get_the_pictures(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert "--copy-paths" in refused(tmp_path / "nowhere")
    monkeypatch.chdir(tmp_path)
    assert "--copy-paths" not in refused(tmp_path / "nowhere")


def test_an_empty_folder_is_told(tmp_path):
    assert "it is empty" in refused(tmp_path)


def test_other_files_are_counted_by_suffix(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.HEIC").write_bytes(b"")
    assert "3 with .heic" in refused(tmp_path)


def test_one_class_is_not_enough(tmp_path):
    assert "one class, cat" in refused(write_pictures(tmp_path / "a", {"cat": 3}))


def test_pictures_outside_class_folders_are_named(tmp_path):
    folder = write_pictures(tmp_path / "a", {**TWO_SPLITS, "train": 1})
    assert "train/000.png" in refused(folder)
    assert "in no class folder: 000.png" in refused(
        write_pictures(tmp_path / "b", {".": 1, "c": 1})
    )


def test_classes_of_one_part_alone_are_named(tmp_path):
    folder = write_pictures(tmp_path / "a", {**TWO_SPLITS, "test/bird": 1, "train/fish": 1})
    assert "bird, fish" in refused(folder)


def test_a_validation_folder_is_told_what_to_do(tmp_path):
    folder = write_pictures(tmp_path / "a", {"train/cat": 1, "train/dog": 1, "val/cat": 1})
    assert "rename the folder to test" in refused(folder)


def test_a_third_part_is_refused(tmp_path):
    folder = write_pictures(tmp_path / "a", {**TWO_SPLITS, "extra/cat": 1})
    assert "extra" in refused(folder)


def test_a_broken_zip_is_told(tmp_path):
    whole = zipped(write_pictures(tmp_path / "a", TWO_SPLITS))
    part = tmp_path / "part.zip"
    part.write_bytes(whole.read_bytes()[:-100])
    assert "no complete zip" in refused(part)
    (tmp_path / "a.txt").write_text("text")
    assert "no complete zip" in refused(tmp_path / "a.txt")
