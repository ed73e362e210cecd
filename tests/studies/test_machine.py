"""What a study's cells depend on besides their parameters: the machine, and weights by content."""

from pathlib import Path

import pytest
import torch
import yaml

from stages.core.errors import ChangedError
from stages.models import build
from stages.studies.jobs.status import status
from stages.studies.page.page import write_page
from stages.studies.run import known, machine
from stages.studies.run.budget import choose
from stages.studies.run.keep import keep_cells
from stages.studies.run.plan import plan_of
from stages.studies.spec.study_config import load_study_config
from tests.studies.samples import make_study, write_cell


def test_with_machines_any_a_cell_counts_whoever_made_it_and_none_are_averaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "read_declared", None)  # nobody asks who this machine is
    names = ("lenet_small", "resnet18")
    form = make_study(tmp_path, names, sizes=(100,), seeds=2, more={"machines": "any"})
    for index, cell in enumerate(form.cells):
        write_cell(form, cell.name, ("aaaa-1111", "bbbb-2222")[index % 2])
    machine.fingerprint(form)
    assert (form.folder / "identity.json").read_text() == '{\n  "machines": "any"\n}\n'
    assert "4 of 4 cells exist of any machine. Nothing is missing." in plan_of(form).text()
    write_page(form.name)
    page = (form.folder / "report.md").read_text()
    assert "Several machines made the runs: 2 by DNA aaaa-1111, 2 by DNA bbbb-2222." in page
    assert "in all" not in page  # a time of two machines


def test_the_plan_says_what_would_stop_the_study_before_its_first_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    form = make_study(tmp_path, models=("lenet_smal",), sizes=(100,), seeds=1)
    told = plan_of(form, pytest.fail).text()
    assert "None of them can start. " in told
    assert "lenet_small" in told
    assert "Run them with" not in told
    gone = {"plain": {"pretrained": "gone.pt"}}
    form = make_study(tmp_path, ("lenet_small",), sizes=(100,), seeds=1, recipes=gone)
    told = plan_of(form, pytest.fail).text()
    assert "None of them can start. " in told
    assert "gone.pt" in told


def test_replaced_weights_change_what_the_cells_depend_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setattr(machine, "_measure", lambda params, declared: "0123456789")
    form = make_study(tmp_path, models=("lenet_small",), sizes=(100,), seeds=1)
    machine.fingerprint(form)
    without = (form.folder / "identity.json").read_text()
    assert "pretrained" not in without
    path = form.folder / "params.yaml"
    values = yaml.safe_load(path.read_text())
    values["base"] |= {"pretrained": "w.pt"}
    path.write_text(yaml.safe_dump(values))
    found = set()
    for seed in (1, 2):
        weights = build(form.params(form.cells[0]).model_copy(update={"seed": seed}), 4).model
        torch.save(weights.state_dict(), "w.pt")
        machine.fingerprint(load_study_config(form.name))
        found.add((form.folder / "identity.json").read_text())
    assert len(found) == 2
    form = load_study_config(form.name)
    machine.require_weights(form, form.params(form.cells[0]))
    Path("w.pt").write_bytes(b"others")
    with pytest.raises(ChangedError, match="were replaced since the fingerprint"):
        machine.require_weights(form, form.params(form.cells[0]))
    for look in (lambda: plan_of(form).text(), lambda: status(form)):
        assert "Others than the fingerprint found: the weights w.pt. Cells are outdated" in look()
    Path("w.pt").unlink()
    assert machine.about_weights(form) == [
        "Not here: the weights w.pt. Cells of them stand, and none can be made until they are back."
    ]


def test_the_plan_knows_cells_of_this_machine_that_are_kept_and_no_time_of_other_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setattr(known, "pace_of", lambda params, declared, log: None)
    form = make_study(tmp_path, models=("lenet_small",), sizes=(100,), seeds=2)
    own = f"{machine.declared_id(form.params(form.cells[0]))}-1111"
    first, second = form.cells
    write_cell(form, first.name, own)
    keep_cells(form)
    for cell in form.cells:
        write_cell(form, cell.name, "aaaa-1111")
    found = plan_of(form)
    elsewhere = "missing here (the file is of DNA aaaa)"
    assert [(str(one.state), one.kept) for one in found.planned] == [
        (elsewhere, True),
        (elsewhere, False),
    ]
    told = found.text()
    assert "Of the missing, 1 is kept in studies/made/machines, of this machine, " in told
    assert [one.cell for one in choose(found, 1e9, set())] == [second]
    assert f"{first.name}  not submitted: the file is of DNA aaaa\n" in status(form)
    write_cell(form, first.name, own)
    path = form.folder / "params.yaml"
    path.write_text(path.read_text().replace("epochs: 3", "epochs: 400"))
    assert {one.time for one in plan_of(load_study_config("made")).planned} == {None}
