"""Labels from a table, as people write them."""

import shutil
import unicodedata
from pathlib import Path

import pytest

from stages.core.errors import DataError, ParamsError
from stages.core.params import parse_params
from stages.core.sections import Dataset
from stages.datasets import open_collection
from stages.datasets.pool import Collection
from tests.datasets.samples import write_pictures


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("labels") / "scans", {"x": 3, "y": 3})


def opened(pictures: Path, text: str | bytes, name: str = "labels.csv") -> Collection:
    content = text if isinstance(text, bytes) else text.encode()
    (pictures / "labels.csv").write_bytes(content)
    return open_collection(Dataset(name="image_folder", folder=str(pictures), labels=name))


def refused(pictures: Path, text: str | bytes, name: str = "labels.csv") -> str:
    with pytest.raises(DataError) as caught:
        opened(pictures, text, name)
    assert "\n" not in str(caught.value)
    assert str(pictures) in str(caught.value)
    return str(caught.value)


def test_the_table_and_not_the_folder_says_the_class(pictures: Path) -> None:
    found = opened(
        pictures,
        "\ufefflabel, file\nill,x/001.png\nwell,./x/002.png\nill,y\\000.png\nill,y/000.png\n",
    )
    assert found.names == ["x/001.png", "x/002.png", "y/000.png"]
    assert [found.classes[label] for label in found.labels] == ["ill", "well", "ill"]
    assert set(found.splits) == {"any"}
    assert found.content(2) == (pictures / "y/000.png").read_bytes()
    assert found.files == [pictures / "labels.csv"]
    left_out = found.left_out["not named by labels.csv"]
    assert sorted(left_out) == ["x/000.png", "y/001.png", "y/002.png"]
    assert len(found.left_out) == 1  # the table itself is none
    assert "1 row of labels.csv said again what another did" in found.notes
    alike = opened(pictures, "file,label\nx/000.png,ill\ny/000.png,Ill\n").notes
    assert any("classes of their own: 'Ill', 'ill'" in note for note in alike)


def test_a_label_in_two_forms_of_unicode_is_one_class(pictures: Path) -> None:
    one, other = (unicodedata.normalize(form, "Käse") for form in ("NFC", "NFD"))
    found = opened(pictures, f"file,label\nx/000.png,{one}\nx/001.png,{other}\ny/000.png,Brot\n")
    assert found.classes == ["Brot", one]


def test_a_zip_with_a_folder_around_all_reads_the_same(pictures: Path) -> None:
    text = "file,label,split\nx/000.png,a,Train\nx/001.png,b,train\nx/002.png,a,test\n"
    text += "y/000.png,b,test\ny/001.png,b,valid\n"
    found = opened(pictures, text)
    packed = shutil.make_archive(str(pictures), "zip", pictures.parent, pictures.name)
    again = open_collection(Dataset(name="image_folder", folder=packed, labels="labels.csv"))
    assert found.splits == ["train", "train", "test", "test", "val"]
    for part in ("names", "splits", "labels", "classes"):
        assert getattr(again, part) == getattr(found, part)
    assert again.content(0) == found.content(0)


A, B = "x/000.png,a\n", "x/001.png,b\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("file,label\n" + A + B + "x/9.png,a\n", "1 of which are not there: x/9.png"),
        ("file,label\n" + A + "z.txt,b\n", "1 of which are no pictures: z.txt"),
        ("file,label,age\nx/000.png,a,3\n", "the columns ['file', 'label', 'age']"),
        ("file;label\nx/000.png;a\n", "has ; between its columns"),
        ("file\tlabel\nx/000.png\ta\n", "has tabs between its columns"),
        ("file\nx/000.png\n", "the columns ['file']"),
        ("file,split\nx/000.png,train\n", "It must be a CSV file"),
        ("", "no lines"),
        ("file,label\n", "no rows"),
        ("file,label\n" + A + "x/000.png,b\n", "more than once, as a and, in line 3, as b"),
        ("file,label\n" + A + "x/001.png,\n", "no label in line 3"),
        ("file,label\n" + A + "x/001.png,b,c\n", "another number of values in line 3"),
        ("file,label,split\nx/000.png,a,tests\n", "the split tests in line 2"),
        ("file,label\nx/1.png,\n" + A + ",b\nx/000.png,b\n", "Mistakes are also in line 4, 5."),
        ("file,label,split\nx/000.png,a,train\nx/001.png,b,\n", "no row of split test"),
        ("file,label\n" + A, "one label, a"),
        (
            "file,label,split\nx/000.png,a,train\nx/001.png,b,test\n",
            "other classes in train than in test: a, b",
        ),
        ("file,label\nx/000.png,\xe4\n".encode("latin-1"), "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_table_is_told_in_a_paragraph(
    pictures: Path, text: str | bytes, told: str
) -> None:
    (pictures / "z.txt").touch()
    assert told in refused(pictures, text)


def test_a_table_that_is_not_there(pictures: Path) -> None:
    assert "no such table" in refused(pictures, "file,label\n", "other.csv")


def test_a_table_that_no_parameter_names_is_told(pictures: Path) -> None:
    (pictures / "labels.csv").write_text("file,label\n")
    folder = Dataset(name="image_folder", folder=str(pictures))
    (note,) = open_collection(folder).notes
    assert note.startswith("labels.csv is not read, for classes are those of the folders")
    shutil.copy(pictures / "x/000.png", pictures / "000.png")
    with pytest.raises(DataError, match=r"no class folder: 000\.png\..*labels\.csv is not read"):
        open_collection(folder)
    (pictures / "000.png").unlink()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"labels": "labels.csv"}, "`dataset.name` is digits"),
        ({"name": "image_folder", "labels": "../labels.csv"}, "move the table there"),
        ({"name": "image_folder", "labels": "/tmp/labels.csv"}, "move the table there"),
    ],
)
def test_tables_that_cannot_be_meant(values: dict[str, str], told: str) -> None:
    with pytest.raises(ParamsError, match=told):
        parse_params({"dataset": values}, "params.yaml")
