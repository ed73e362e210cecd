"""Folders and zips as people have them."""

import os
import shutil
import sys
import unicodedata
import zipfile
from pathlib import Path

import pytest

from stages.core.errors import DataError
from stages.datasets import listing
from stages.datasets.listing import walk
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


def test_what_systems_put_beside_pictures_is_counted(tmp_path):
    aside = ("cat/@eaDir/000.png", "#recycle/cat", "$RECYCLE.BIN/dog", "dog/@__thumb", ".Trash/dog")
    folder = write_pictures(tmp_path / "a", {"cat": 2, "dog": 2, **dict.fromkeys(aside, 1)})
    (folder / "rabbit").mkdir()
    (folder / "fish").mkdir()
    (folder / "fish/photo").write_bytes(b"no suffix")
    for source in (folder, zipped(folder)):
        collection = open_collection(image_folder(source))
        assert len(collection.names) == 4
        counts = {reason.split(",")[0]: len(names) for reason, names in collection.left_out.items()}
        assert counts == {"thumbnails": 4, "hidden": 1, "without a suffix": 1}
        assert collection.notes == ["2 folders without a picture, so no class: fish, rabbit"]


def test_a_loop_of_links_lists_each_picture_once(tmp_path):
    folder = write_pictures(tmp_path / "a", {"cat": 2, "dog": 2})
    (folder / "cat/again").symlink_to(folder)
    collection = open_collection(image_folder(folder))
    assert len(collection.names) == 4
    assert collection.left_out == {"links to a folder that they lie in": ["cat/again"]}


def test_links_that_lead_round_in_circles_end(tmp_path):
    folder = write_pictures(tmp_path / "a", {"cat": 2, "dog": 2})
    for number in range(3):
        (folder / f"cat/up{number}").symlink_to(tmp_path)
        (folder / f"dog/cat{number}").symlink_to(folder / "cat")
    (folder / "cat/dog").symlink_to("../dog")
    steps = list(walk(folder))
    assert len(steps) < 30
    files = [(step.folder / name).resolve() for step in steps for name in step.files]
    assert set(files) == set(folder.glob("*/*.png"))


def packed(path: Path, names: list[str], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name in names:
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type = name, method
            archive.writestr(info, name)
    return path


@pytest.mark.parametrize("name", ["{}\\0.png", "./{}/0.png", "set\\train\\{}\\0.png", "/{}/0.png"])
def test_names_of_other_archivers_are_read(tmp_path, name):
    names = [name.format("cat"), name.format("dog")]
    collection = open_collection(image_folder(packed(tmp_path / "a.zip", names)))
    assert collection.names == ["cat/0.png", "dog/0.png"]
    assert collection.content(0) == names[0].encode()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zips_with_doubtful_names_are_told(tmp_path):
    names = ["cat/0.png", "dog/0.png", "dog/0.png", "../dog/1.png"]
    collection = open_collection(image_folder(packed(tmp_path / "a.zip", names)))
    assert [len(names) for names in collection.left_out.values()] == [1, 1]
    odd = (tmp_path / "a.zip").read_bytes().replace(b"cat/0", "猫/0".encode("gbk") + b"0")
    (tmp_path / "b.zip").write_bytes(odd)
    (note,) = open_collection(image_folder(tmp_path / "b.zip")).notes
    assert "not marked as UTF-8" in note


@pytest.mark.parametrize(("at", "bits", "told"), [(6, 1, "encrypted"), (8, 9, "deflate64")])
def test_zips_that_cannot_be_unpacked_are_refused_as_a_whole(tmp_path, at, bits, told):
    content = bytearray(packed(tmp_path / "a.zip", ["cat/0.png", "dog/0.png"]).read_bytes())
    for mark, offset in ((b"PK\x03\x04", at), (b"PK\x01\x02", at + 2)):
        start = -1
        while (start := content.find(mark, start + 1)) >= 0:
            content[start + offset] = bits
    (tmp_path / "a.zip").write_bytes(content)
    assert told in refused(tmp_path / "a.zip")


def test_a_zip_bomb_is_no_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(listing, "SUSPICIOUS_BYTES", 1 << 20)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat/0.png", bytes(2 << 20))
        archive.writestr("dog/0.png", b"")
    collection = open_collection(image_folder(tmp_path / "a.zip"))
    with pytest.raises(ValueError, match="zip bomb"):
        collection.content(0)


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


def test_two_names_that_are_one_on_macos_are_refused(tmp_path):
    counts = {"cafe\N{COMBINING ACUTE ACCENT}": 1, "café": 1, "tea": 1}
    folder = write_pictures(tmp_path / "a", counts)
    assert "Unicode's form alone: café" in refused(folder)


def test_what_dvc_cannot_hash_is_refused_before_it_tries(tmp_path):
    folder = write_pictures(tmp_path / "a", TWO_SPLITS)
    (folder / "train/broken.png").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")  # DVC would wait for it forever
    assert "pipe, train/broken.png" in refused(folder)


def test_names_are_in_one_line(tmp_path):
    folder = write_pictures(tmp_path / "a", {"cat\r": 1, "dog\u2028": 1})
    assert open_collection(image_folder(folder)).classes == ["cat␍", "dog␤"]


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS refuses such names")
def test_names_in_latin_1_are_text(tmp_path):
    folder = write_pictures(tmp_path / "a", {"cat": 1, "dog": 1})
    (folder / "cat").rename(os.fsdecode(os.fsencode(folder) + "/Kätzchen".encode("latin-1")))
    collection = open_collection(image_folder(folder))
    assert collection.classes == ["Kätzchen", "dog"]
    assert collection.content(0)
    assert "Latin-1" in collection.notes[0]


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS refuses such names")
@pytest.mark.parametrize("files", [("000.png", "000.png"), ("000.png", "other.png")])
def test_a_name_in_latin_1_beside_the_same_in_utf_8_is_refused(tmp_path, files):
    """Both were read from one file, and two folders became one class."""
    folder = write_pictures(tmp_path / "a", {"café": 1, "caf": 1, "dog": 1})
    (folder / "caf").rename(other := os.fsdecode(os.fsencode(folder) + b"/caf\xe9"))
    for place, name in zip((folder / "café", Path(other)), files, strict=True):
        next(place.iterdir()).rename(place / name)
    assert "names both in UTF-8 and in Latin-1, which are read as one: café" in refused(folder)


def test_pictures_in_hidden_folders_are_told_where_classes_are_missing(tmp_path):
    folder = write_pictures(tmp_path / "a", {"cat": 1, ".dog": 2, ".Trash-1000/files": 1})
    (folder / "cat/._000.png").touch()
    assert "2 pictures whose name, or whose folder's, begins with a dot are hidden" in refused(
        folder
    )


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


def test_a_folder_around_the_repository_is_refused(tmp_path, monkeypatch):
    folder = write_pictures(tmp_path / "a", TWO_SPLITS)
    monkeypatch.chdir(folder / "train")
    assert "around this repository" in refused(folder)


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


def test_words_of_other_languages_are_no_splits(tmp_path):
    """`Validé` and `Testé`, stamped and tested parts, were read as val and test."""
    collection = open_collection(
        image_folder(write_pictures(tmp_path / "a", {"Valide\u0301": 2, "Testé": 2}))
    )
    assert collection.classes == ["Testé", "Validé"]


def test_a_validation_folder_tests_where_there_is_no_other(tmp_path):
    counts = {"train/cat": 2, "train/dog": 2, "Val/cat": 1, "Val/dog": 1}
    collection = open_collection(image_folder(write_pictures(tmp_path / "a", counts)))
    assert sorted(collection.splits) == ["test"] * 2 + ["train"] * 4
    assert "There is no test folder" in collection.notes[0]
    assert collection.notes[1] == "The folder Val is taken for test"


def test_without_a_training_folder_it_is_told_what_to_do(tmp_path):
    counts = {"val/cat": 1, "val/dog": 1, "test/cat": 1, "test/dog": 1}
    assert "no train folder" in refused(write_pictures(tmp_path / "a", counts))


@pytest.mark.parametrize(
    ("train", "test"),
    [("Training", "Testing"), ("TRAIN", "Test"), ("training_set", "test_set"), ("train2017",
     "test2017"), ("seg_train/seg_train", "seg_test/seg_test"), ("TrainSet", "testset"),
     ("a/b/fruits train", "a/b/fruits test"), ("train/images", "test/images"),
     ("train", "Test/test")],
)  # fmt: skip
def test_splits_are_known_by_their_usual_names(tmp_path, train, test):
    folder = write_pictures(
        tmp_path / "a", {f"{train}/cat": 2, f"{train}/dog": 2, f"{test}/cat": 1, f"{test}/dog": 1}
    )
    collection = open_collection(image_folder(folder))
    assert collection.classes == ["cat", "dog"]
    assert collection.names[collection.splits.index("test")] == "test/cat/000.png"
    assert sorted(collection.splits) == ["test"] * 2 + ["train"] * 4


@pytest.mark.parametrize("val", ["val", "Valid", "validation", "dev"])
def test_an_official_validation_part_is_used(tmp_path, val):
    folder = write_pictures(tmp_path / "a", {**TWO_SPLITS, f"{val}/cat": 2})
    collection = open_collection(image_folder(folder))
    assert collection.splits.count("val") == 2
    assert any("validation split validates" in note for note in collection.notes)


def test_classes_may_bear_the_names_of_splits(tmp_path):
    folder = write_pictures(tmp_path / "a", {"test": 1, "car": 1, "dev": 1, "train ticket": 1})
    assert len(open_collection(image_folder(folder)).classes) == 4
    numbered = {"car/old": 1, "car/new": 1, "bus": 1, "train 1": 1, "train 2": 1}
    folder = write_pictures(tmp_path / "b", numbered)
    assert len(open_collection(image_folder(folder)).classes) == 4


@pytest.mark.parametrize(
    ("folders", "told"),
    [(("train/cat", "train/dog", "train2/cat", "train2/dog"), "train, train2: "),
     (("train.X1/cat", "train.X1/dog", "train.X2/cow", "train.X2/pig", "val.X/cat"), "train.X1, "),
     (("train/cat", "train/dog", "test1"), "test1 beside train"),
     (("train/cat", "train/dog", "unlabeled"), "unlabeled beside train")],
)  # fmt: skip
def test_parts_of_one_kind_are_never_taken_for_classes(tmp_path, folders, told):
    said = refused(write_pictures(tmp_path / "a", dict.fromkeys(folders, 1)))
    assert f"has {told}" in said
    assert "look like parts and no classes" in said


@pytest.mark.parametrize(
    ("parts", "told"),
    [(("train", "test1", "test2"), "test1, test2 beside train"),
     (("cat/train", "cat/test", "dog"), "splits within the class cat: test, train")],
)  # fmt: skip
def test_splits_are_never_taken_for_classes(tmp_path, parts, told):
    counts = {f"{part}/{name}": 1 for part in parts for name in ("a", "b")}
    assert told in refused(write_pictures(tmp_path / "a", counts))


def test_what_became_of_the_folders_is_told(tmp_path):
    folds = {f"{fold}/{name}": 1 for fold in ("fold1", "fold2") for name in ("a", "b")}
    (note,) = open_collection(image_folder(write_pictures(tmp_path / "a", folds))).notes
    assert note == "Folders within a class are part of it: fold1/a, fold1/b, fold2/a, fold2/b"
    alone = write_pictures(tmp_path / "b", {"test/cat": 2, "test/dog": 2})
    assert "no split beside test" in open_collection(image_folder(alone)).notes[0]


def test_parts_that_mean_the_same_are_refused(tmp_path):
    folder = write_pictures(tmp_path / "a", {**TWO_SPLITS, "Training/cat": 1})
    assert "two mean the same" in refused(folder)


@pytest.mark.parametrize("other", ["Cat", "cat ", "CAT\N{NO-BREAK SPACE}"])
def test_classes_that_look_alike_are_refused(tmp_path, other):
    folder = write_pictures(tmp_path / "a", {other: 1, "cat": 1, "dog": 1})
    assert "'cat'" in refused(folder)


def test_a_third_part_is_refused(tmp_path):
    folder = write_pictures(tmp_path / "a", {**TWO_SPLITS, "extra/cat": 1})
    assert "extra" in refused(folder)


def test_a_broken_zip_is_told(tmp_path):
    whole = zipped(write_pictures(tmp_path / "a", TWO_SPLITS))
    part = tmp_path / "part.zip"
    part.write_bytes(whole.read_bytes()[:-100])
    assert "no complete zip" in refused(part)
    part.write_bytes(whole.read_bytes()[100:])
    assert "its beginning is missing" in refused(part)
    (tmp_path / "a.txt").write_text("text")
    assert "no complete zip" in refused(tmp_path / "a.txt")
