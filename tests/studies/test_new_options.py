"""The options of `new`: what they refuse, in one paragraph and before anything is written."""

from pathlib import Path

import pytest

from stages.studies.spec.study_config import load_study_config
from stages.study import main


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    Path("pictures").mkdir()


def new(*options: str) -> int:
    return main(["new", "mine", "--folder", "pictures", *options])


def refused(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """What is said, after nothing was written."""
    assert new(*options) == 1
    assert not Path("studies").exists()
    said = capsys.readouterr().err
    assert "\n\n" not in said
    return " ".join(said.split())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--models", ","), '--models is ",", which has an empty name in it'),
        (("--models", "resnet18,"), '--models is "resnet18,", which'),
        (("--sizes", ""), '--sizes is "", which'),
        (("--seeds", "0"), "--seeds is 0; it says how many"),
        (("--folder", ""), "--folder is empty or a dot"),
        (("--folder", "pictres"), "there is no pictres, neither a folder nor a zip"),
        (
            ("--trained", "--models", "lenet_small"),
            "--models names lenet_small, for which nobody publishes trained weights",
        ),
        (("--sizes", "0"), "the study mine that is asked for, cell mobilenet_v3_small-0-default-0"),
    ],
)
def test_what_is_empty_is_refused_by_the_name_of_its_option(
    options: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in refused(capsys, *options)


@pytest.mark.parametrize("kind", [[], ["--trained", "--models", "resnet18"]])
def test_how_pictures_are_read_is_asked_for(kind: list[str]) -> None:
    assert new(*kind, "--sizes", "10", "--skip-corrupt", "--labels", "table.csv") == 0
    form = load_study_config("mine")
    dataset = form.params(form.cells[0]).dataset
    assert (dataset.on_corrupt, dataset.labels) == ("skip", "table.csv")


@pytest.mark.parametrize("kind", [[], ["--trained", "--models", "resnet18"]])
def test_no_size_is_taken_for_the_default(
    kind: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for px in ("0", "5"):
        assert f"`input_size` is {px}; allowed is" in refused(capsys, *kind, "--px", px)


def test_an_option_of_the_other_kind_of_study_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    trained = ("--trained", "--models", "resnet18")
    assert "a study with --trained has no epochs" in refused(capsys, *trained, "--epochs", "3")
    assert "Add --trained" in refused(capsys, "--weights", "resnet18=a.pth")
    with pytest.raises(SystemExit):
        main(["new", "--help"])
    assert "not with --trained, whose probes have none" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--models", "mobilenet_v2,resnet18,mobilenet_v2"), "--models names mobilenet_v2 2 times"),
        (("--sizes", "10,full,010"), "--sizes names 10 2 times"),
        (("--trained", "--models", "resnet18", "--sizes", "full,full"), "--sizes names full 2"),
    ],
)
def test_a_name_given_twice_is_refused(
    options: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in refused(capsys, *options)
