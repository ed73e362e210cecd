"""What a study knows of its pictures: read once, anew when they change, kept where they are not."""

import os
import random
import shutil
from pathlib import Path

import pytest
import yaml
from PIL import Image

from stages.core import files
from stages.core.errors import DataError, ParamsError, RunError
from stages.core.records import write_record
from stages.core.sections import Dataset
from stages.datasets.data_set import DataSet, read_data_set
from stages.studies.analysis.reading import read_results
from stages.studies.jobs.status import status
from stages.studies.page.notes import notes as page_notes
from stages.studies.run.keep import keep_cells
from stages.studies.run.losses import require_pictures_of_outdated
from stages.studies.run.machine import declared_id
from stages.studies.run.picture_cautions import about_pictures
from stages.studies.run.pictures import images_by_split, list_pictures, pool_for
from stages.studies.run.plan import plan_of
from stages.studies.run.pools import kept_here, located
from stages.studies.run.states import Reason, State, states_of
from stages.studies.spec.listed_pictures import noted_pictures
from stages.studies.spec.study_config import StudyConfig, load_study_config
from tests.studies.samples import make_study, write_cell

PLACE = Path("data/images/pets")


@pytest.fixture
def form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyConfig:
    """A study of twelve pictures in two classes, in the real repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "studies"))
    (tmp_path / ".dvc").mkdir()
    made = make_study(tmp_path, models=("lenet_small",), sizes=(8,), seeds=1)
    path = made.folder / "params.yaml"
    values = yaml.safe_load(path.read_text())
    values["base"]["dataset"] = {"name": "image_folder", "folder": PLACE.as_posix()}
    files.write_text(path, yaml.safe_dump(values))
    made.file.base["dataset"] = values["base"]["dataset"]
    for label in ("cat", "dog"):
        (PLACE / label).mkdir(parents=True)
        for index in range(6):
            draw(label, index)
    return made


def draw(label: str, index: int, shade: int = 0) -> None:
    colour = (20 * index, 100 if label == "cat" else 200, shade)
    Image.new("RGB", (8, 8), colour).save(PLACE / label / f"{index}.png")


def listed(form: StudyConfig) -> dict[str, object]:
    list_pictures(form)
    return dict(files.read_json(form.folder / "pictures.json")[PLACE.as_posix()])


def test_the_list_changes_with_the_pictures_and_with_nothing_else(form: StudyConfig) -> None:
    assert images_by_split(form, form.params(form.cells[0]).dataset) == {"any": 12}
    first = listed(form)
    assert first["images"] == {"any": 12}
    assert first["classes"] == 2
    assert images_by_split(form, form.params(form.cells[0]).dataset) == {"any": 12}
    os.utime(PLACE / "cat/0.png", ns=(0, 0))
    assert listed(form) == first
    draw("cat", 0, shade=255)
    changed = listed(form)
    assert changed["images"] == first["images"]
    assert changed["sha256"] != first["sha256"]


def test_pictures_are_read_once(form: StudyConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    first = listed(form)
    monkeypatch.setattr("stages.studies.run.pools.read_data_set", None)
    assert listed(form) == first


def test_a_picture_that_comes_while_they_are_read_is_read_the_next_time(
    form: StudyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_slowly(dataset: Dataset, input_px: int) -> DataSet:
        found = read_data_set(dataset, input_px)
        draw("cat", 6)
        return found

    pictures = located(form.params(form.cells[0]).dataset)
    with monkeypatch.context() as patch:
        patch.setattr("stages.studies.run.pools.read_data_set", read_slowly)
        assert len(kept_here(pictures, 32).pool.names) == 12
    assert len(kept_here(pictures, 32).pool.names) == 13


def test_a_data_set_that_cannot_be_fetched_holds_up_no_other(
    form: StudyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object) -> None:
        raise DataError("cifar100 needs an address which cannot be reached")

    monkeypatch.setattr("stages.datasets.sources.cifar.fetch", unreachable)
    path = form.folder / "params.yaml"
    values = yaml.safe_load(path.read_text())
    values["recipes"]["fine"] = {"dataset": {"name": "cifar100"}}
    values["grids"]["main"]["recipes"].append("fine")
    files.write_text(path, yaml.safe_dump(values))
    both = load_study_config("made")
    own, told = list_pictures(both)
    assert own == f"{PLACE}: 12 images"
    assert told.startswith("cifar100: left to its cells. cifar100 needs an address")
    noted = files.read_json(form.folder / "pictures.json")
    assert list_pictures(both)[1] == "cifar100: not fetched yet; its cells will ask for it"
    assert files.read_json(form.folder / "pictures.json") == noted
    (fine,) = (cell for cell in both.cells if cell.recipe == "fine")
    assert images_by_split(both, both.params(fine).dataset) is None
    values["grids"]["main"]["recipes"] = ["fine"]
    files.write_text(path, yaml.safe_dump(values))
    (form.folder / "pictures.json").unlink()
    with pytest.raises(DataError, match="cannot be reached"):
        list_pictures(load_study_config("made"))


def test_near_duplicates_are_looked_for_though_the_pictures_were_read_smaller(
    form: StudyConfig,
) -> None:
    photo = Image.effect_noise((96, 96), 80).resize((12, 12)).resize((96, 96)).convert("RGB")
    photo.save(PLACE / "cat/photo.png")
    photo.save(PLACE / "dog/photo.jpg", quality=95)
    dataset = form.params(form.cells[0]).dataset
    assert len(kept_here(located(dataset), 28).alike) == 0
    assert len(kept_here(located(dataset), 64).alike) == 2
    assert len(kept_here(located(dataset), 28).alike) == 2


def test_a_link_to_nothing_is_a_paragraph(form: StudyConfig) -> None:
    (PLACE / "cat/gone.png").symlink_to("/nowhere.png")
    with pytest.raises(DataError, match=r"gone\.png"):
        list_pictures(form)


def test_where_there_are_no_pictures_the_list_stands(form: StudyConfig) -> None:
    first = listed(form)
    shutil.rmtree(PLACE)
    assert "not here" in list_pictures(form)[0]
    assert listed(form) == first
    (form.folder / "pictures.json").unlink()
    with pytest.raises(DataError, match="does not exist"):
        list_pictures(form)


def test_a_cell_refuses_other_pictures_than_were_listed(form: StudyConfig) -> None:
    list_pictures(form)
    dataset = form.params(form.cells[0]).dataset
    assert len(pool_for(form, dataset, 8)[0].names) == 12
    draw("dog", 7)
    with pytest.raises(DataError, match="13 images of 2 classes instead of 12 images"):
        pool_for(form, dataset, 8)
    (PLACE / "dog/7.png").unlink()
    draw("dog", 5, shade=9)
    with pytest.raises(DataError, match="12 images of 2 classes as before, but others"):
        pool_for(form, dataset, 8)


def test_a_temporary_clone_reads_the_pictures_of_the_repository(
    form: StudyConfig, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = listed(form)
    clone = tmp_path_factory.mktemp("clone")
    shutil.copytree("studies", clone / "studies")
    monkeypatch.chdir(clone)
    (form.folder / "pictures.json").unlink()
    assert listed(form) == first
    assert not (clone / ".work").exists()


def test_what_a_reader_must_know_of_the_pictures_is_told_and_on_the_page(
    form: StudyConfig,
) -> None:
    """A study was silent on leaks that the pipeline reports for the same folder."""
    assert list_pictures(form) == [f"{PLACE}: 12 images"]
    assert noted_pictures(form)[PLACE.as_posix()]["notes"] == []
    for index in range(6):  # whichever of them tests, another one like it trains
        photo(index).save(PLACE / f"cat/photo{index}.png")
        photo(index).resize((40, 40)).save(PLACE / f"cat/smaller{index}.png")
    photo(0).transpose(Image.Transpose.ROTATE_90).save(PLACE / "cat/turned.png")
    photo(0).transpose(Image.Transpose.ROTATE_90).resize((48, 48)).save(PLACE / "dog/turned.png")
    shutil.copy(PLACE / "cat/5.png", PLACE / "dog/copy.png")
    (PLACE / "dog/readme.txt").write_text("Rex, 2019")
    (PLACE / "cat/broken.png").write_bytes(b"\x89PNG")
    (PLACE / "empty").mkdir()
    with pytest.raises(DataError, match=r"broken\.png"):
        list_pictures(form)
    skip = {"on_corrupt": "skip"}
    form.file.base["dataset"] |= skip
    first, *notes = list_pictures(form)
    assert first == f"{PLACE}: 27 images"
    where = form.folder / "picture_notes.json"
    for told in (
        "1 folder without a picture, so no class: empty.",
        f"1 file left out (1 .txt); {where} names some.",
        f"1 of 28 images cannot be read and is left out; {where} names them.",
        "1 image that occurs under more than one class, and trains under one at most: "
        "cat/5.png and dog/copy.png.",
        "1 image with a near-duplicate under another class, so one of the two labels is wrong or "
        "neither is: cat/turned.png like dog/turned.png.",
    ):
        assert told in notes
    leaks = "with a near-duplicate, or a chain of them, among those that train or validate"
    assert any(leaks in one for one in notes)
    noted = noted_pictures(form)[PLACE.as_posix()]
    assert noted["left_out"][".txt"] == {"files": 1, "first": ["dog/readme.txt"]}
    assert [one["name"] for one in noted["skipped"]] == ["cat/broken.png"]
    shown = page_notes(form, read_results(form))
    assert [f"Of the pictures: {note}" for note in notes] == shown[1:]
    shutil.rmtree(PLACE)
    assert list_pictures(form)[1:] == notes
    where.write_text(where.read_text().replace("1 folder", "0 folder"))
    with pytest.raises(RunError, match=r"picture_notes\.json is damaged or was edited"):
        page_notes(form, read_results(form))
    where.unlink()
    list_pictures(form)
    (lost,) = page_notes(form, read_results(form))[1:]
    assert lost.startswith(f"What there is to know of {PLACE} is not noted: where the pictures")


def photo(seed: int) -> Image.Image:
    """A picture that is like no other: 4 x 4 patches of random colours."""
    values = random.Random(seed).randbytes(4 * 4 * 3)
    return Image.frombytes("RGB", (4, 4), values).resize((64, 64), Image.Resampling.BICUBIC)


def test_a_draw_that_cannot_be_is_told_before_any_cell_runs(form: StudyConfig) -> None:
    path = form.folder / "params.yaml"
    values = yaml.safe_load(path.read_text())
    values["grids"]["main"]["sizes"] = [1, 8]
    files.write_text(path, yaml.safe_dump(values))
    _, told, *_ = list_pictures(load_study_config("made"))
    assert told.startswith("1 cell cannot draw images, such as lenet_small-1-")
    assert "none is of the class" in told
    assert f"In a study `subset.train` is a value of `sizes` in {path}." in told
    left_out, other = load_study_config("made").cells
    assert states_of(load_study_config("made")) == {
        left_out.name: State(Reason.NO_DRAW), other.name: State(Reason.NOT_RUN),
    }  # fmt: skip
    plan = plan_of(load_study_config("made"))
    assert [one.cell.name for one in plan.missing] == [other.name]
    assert told in plan.text()
    shown = status(load_study_config("made"))
    assert f"{left_out.name}  cannot run: its images cannot be drawn\n" in shown
    assert "of 2 cells 1 not submitted, 1 cannot run." in shown
    assert told in shown
    for index in range(6):
        draw("dog", index, shade=7)
    assert "Not read here as they lie now" in status(load_study_config("made"))
    values["grids"]["main"]["sizes"] = [1]
    files.write_text(path, yaml.safe_dump(values))
    with pytest.raises(DataError, match="none is of the class"):
        list_pictures(load_study_config("made"))


def test_two_names_of_one_size_are_refused(form: StudyConfig) -> None:
    """Their runs would be the same, and count as further seeds."""
    path = form.folder / "params.yaml"
    values = yaml.safe_load(path.read_text())
    values["base"]["subset"] = {"val": 0}
    values["grids"]["main"]["sizes"] = [5, "1/2"]
    files.write_text(path, yaml.safe_dump(values))
    with pytest.raises(ParamsError, match=r"the sizes 5 and 1/2 of lenet_small are both 5 images"):
        list_pictures(load_study_config("made"))


def test_a_size_that_was_added_after_the_listing_is_told_by_the_plan(form: StudyConfig) -> None:
    list_pictures(form)
    path = form.folder / "params.yaml"
    values = yaml.safe_load(path.read_text())
    values["grids"]["main"]["sizes"] = [8, 500]
    values["recipes"]["spare"] = {}
    files.write_text(path, yaml.safe_dump(values))
    plan = plan_of(load_study_config("made"))
    assert [str(one.state) for one in plan.planned] == ["missing", "missing for good"]
    told = plan.text()
    assert "`subset.train` is 500" in told
    assert f"In a study `subset.train` is a value of `sizes` in {path}." in told
    assert told.endswith("No grid names spare of the recipes.")
    values["base"]["subset"] = {"val": 0}
    values["grids"]["main"]["sizes"] = [5, "1/2"]
    files.write_text(path, yaml.safe_dump(values))
    plan = plan_of(load_study_config("made"))
    assert [str(one.state) for one in plan.planned] == ["missing", "missing for good"]
    assert "the sizes 5 and 1/2 of lenet_small are both 5 images" in plan.text()


def test_a_class_that_cannot_be_read_is_told_as_such(form: StudyConfig) -> None:
    for path in (PLACE / "cat").iterdir():
        path.write_bytes(b"\x89PNG")
    form.file.base["dataset"] |= {"on_corrupt": "skip"}
    with pytest.raises(DataError, match="No image of the class cat can be read") as caught:
        list_pictures(form)
    assert "Of 12 images 6 cannot be read, such as cat/" in str(caught.value)


def test_a_refused_list_is_told_until_one_is_accepted(form: StudyConfig) -> None:
    """Reading was taken for listing: nothing was said of results of other pictures any more."""
    (cell,) = form.cells
    first = listed(form)
    write_cell(form, cell.name, "aaaa-1111", dataset="pets")
    about = form.cell_folder(cell) / "cell.json"
    files.write_json(about, files.read_json(about) | {"pictures_sha256": first["sha256"]})
    assert about_pictures(form) == []
    for index in range(6):
        shutil.copy(PLACE / f"cat/{index}.png", PLACE / f"dog/{index}.png")
    assert about_pictures(form)[0].startswith("Not read here as they lie now")
    with pytest.raises(
        DataError, match=r"has 5 images to train and validate with, copies left out"
    ):
        list_pictures(form)
    (told,) = about_pictures(form)
    assert told.startswith(f"Others than were listed: the pictures of {PLACE}.")
    assert told in page_notes(form, read_results(form))
    for index in range(6):
        draw("dog", index, shade=3)
    list_pictures(form)
    assert about_pictures(form) == []


def test_a_cell_of_another_folder_is_none_of_this_one(form: StudyConfig) -> None:
    """A folder that nobody had listed made the cells of the one before count for it."""
    (cell,) = form.cells
    first = listed(form)
    write_cell(form, cell.name, "aaaa-1111", dataset="pets")
    about = form.cell_folder(cell) / "cell.json"
    own = form.params(cell).model_dump(mode="json")
    known = {"pictures_sha256": first["sha256"], "params": own}
    write_record(about, files.read_json(about) | known)
    assert read_results(form).outdated == ()
    form.file.base["dataset"]["folder"] = "data/images/others"
    assert read_results(form).outdated == (cell.name,)


def test_a_folder_that_is_away_is_told_by_the_plan(form: StudyConfig) -> None:
    list_pictures(form)
    shutil.rmtree(PLACE)
    assert (
        f"No pictures in {PLACE}. Cells that need them can run when they are there."
        in plan_of(form).text()
    )


def test_a_cell_of_other_pictures_is_outdated_for_plan_and_page(form: StudyConfig) -> None:
    """A page once averaged runs of 48 and of 144 pictures under one size."""
    first = listed(form)
    (cell,) = form.cells
    write_cell(form, cell.name, "aaaa-1111", dataset="pets")
    about = form.cell_folder(cell) / "cell.json"
    files.write_json(about, files.read_json(about) | {"pictures_sha256": first["sha256"]})
    assert read_results(form).outdated == ()
    draw("cat", 9)
    changed = plan_of(form).text()
    assert f"Not read here as they lie now: the pictures of {PLACE.as_posix()}" in changed
    list_pictures(form)
    assert read_results(form).outdated == (cell.name,)
    again = plan_of(form).text()
    assert "Not read here" not in again


def test_kept_cells_of_other_pictures_are_left_out_and_counted_as_missing(
    form: StudyConfig,
) -> None:
    """A page had shown them beside new ones, which other test images judged."""
    first = listed(form)
    (cell,) = form.cells
    own = f"{declared_id(form.params(cell))}-1111"
    write_cell(form, cell.name, own, dataset="pets")
    about = form.cell_folder(cell) / "cell.json"
    files.write_json(about, files.read_json(about) | {"pictures_sha256": first["sha256"]})
    keep_cells(form)
    shutil.rmtree(form.cells_folder)
    assert [one.kept for one in plan_of(form).planned] == [True]
    assert len(read_results(form).cells) == 1
    draw("cat", 9)
    list_pictures(form)
    assert [one.kept for one in plan_of(form).planned] == [False]
    write_cell(form, cell.name, own, dataset="pets")
    files.write_json(about, files.read_json(about) | {"pictures_sha256": first["sha256"]})
    assert "1 of them is of other parameters or pictures" in keep_cells(form)
    shutil.rmtree(form.cells_folder)
    results = read_results(form)
    assert results.cells.empty
    assert results.elsewhere == (f"studies/made/machines/{own}/{cell.name}",)


def test_outdated_results_are_not_given_up_while_the_pictures_are_away(form: StudyConfig) -> None:
    """DVC removes the outputs of a stage before it runs, and the cell could only fail."""
    list_pictures(form)
    require_pictures_of_outdated(form)
    write_cell(form, form.cells[0].name, "aaaa-1111", dataset="pets")
    require_pictures_of_outdated(form)
    shutil.rmtree(PLACE)
    told = (
        rf"{PLACE.as_posix()} is not here, and 1 result .*: missing here \(the file is of DNA aaaa"
    )
    with pytest.raises(DataError, match=told):
        require_pictures_of_outdated(form)
