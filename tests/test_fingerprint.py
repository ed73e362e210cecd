"""The fingerprint stage: what it writes, its stability, and what a second machine changes."""

import getpass
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stages.core import paths
from stages.core.errors import ChangedError, DeviceError, ModelError
from stages.core.params import Params, parse_params
from stages.dna.declared import headline
from stages.fingerprint import fingerprint


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    import torch

    monkeypatch.chdir(tmp_path)
    before = torch.get_num_threads()
    yield
    torch.set_deterministic_debug_mode("default")
    torch.set_num_threads(before)


def run_stage(root: Path, **environment: str) -> dict[str, Any]:
    """The stage in a process of its own, as DVC starts it; its identity file."""
    Path("params.yaml").write_text("{}", encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "stages.fingerprint"],
        env={**os.environ, "PYTHONPATH": str(root), **environment},
        check=True,
    )
    return dict(json.loads(paths.IDENTITY.read_text()))


def test_identity_is_byte_stable() -> None:
    fingerprint(Params())
    first = paths.IDENTITY.read_bytes()
    fingerprint(Params())
    assert paths.IDENTITY.read_bytes() == first


def test_what_dvc_shows_is_five_short_values() -> None:
    fingerprint(Params())
    shown = json.loads(paths.HARDWARE.read_text())
    machine = json.loads(paths.MACHINE.read_text())
    assert list(shown) == ["id", "chip", "backend", "torch", "run_seed"]
    assert all(len(str(value)) <= 24 for value in shown.values())
    assert shown["id"] == f"{machine['declared_id']}-{machine['numeric_id']}"


def test_a_long_name_of_a_chip_is_cut_and_the_accelerator_goes_first() -> None:
    facts = {"id": "a-b", "chip": "A chip", "accelerator": None, "backend": "cpu", "torch": "2",
             "seed": 7}  # fmt: skip
    assert headline(facts) == {
        "id": "a-b", "chip": "A chip", "backend": "cpu", "torch": "2", "run_seed": 7
    }  # fmt: skip
    assert headline(facts | {"accelerator": "N" * 50})["chip"] == "N" * 23 + "…"
    assert headline(facts | {"chip": None})["chip"] is None


def test_names_no_person_and_no_box() -> None:
    fingerprint(Params())
    text = paths.MACHINE.read_text() + paths.IDENTITY.read_text()
    words = {word.strip('",') for word in text.split()}
    assert platform.node() not in words
    assert getpass.getuser() not in words
    assert str(Path.home()) not in text
    assert str(Path.cwd()) not in text


def test_settings_of_the_run_change_its_part_and_leave_the_identity() -> None:
    fingerprint(Params())
    before, identity = json.loads(paths.MACHINE.read_text()), paths.IDENTITY.read_bytes()
    fingerprint(parse_params({"seed": 7, "train": {"precision": "bf16"}}, "test"))
    after = json.loads(paths.MACHINE.read_text())
    assert paths.IDENTITY.read_bytes() == identity
    assert (after["run_id"], after["precision"]) != (before["run_id"], before["precision"])
    assert after["id"] == before["id"]


def test_threads_are_part_of_the_identity() -> None:
    fingerprint(parse_params({"threads": 1}, "test"))
    one = json.loads(paths.IDENTITY.read_text())
    fingerprint(parse_params({"threads": 3}, "test"))
    assert one["threads"] == 1
    assert json.loads(paths.IDENTITY.read_text())["threads"] == 3


def test_an_absent_device_stops_the_pipeline_early() -> None:
    with pytest.raises(DeviceError, match="device"):
        fingerprint(parse_params({"device": "cuda:99"}, "test"))
    assert not paths.IDENTITY.exists()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="switches x86 instruction sets")
def test_a_second_machine_has_another_identity(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_CBWR"):
        monkeypatch.delenv(name, raising=False)
    here = run_stage(root)
    there = run_stage(
        root, ATEN_CPU_CAPABILITY="default", ONEDNN_MAX_CPU_ISA="SSE41", MKL_CBWR="COMPATIBLE"
    )
    assert there["cpu_capability"] != here["cpu_capability"]
    switched = {"ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE"}
    assert there["environment"] == here["environment"] | switched
    assert there["numerics"] != here["numerics"]


def test_other_weights_under_the_same_path_repeat_the_training() -> None:
    from safetensors.torch import save_file

    from stages.models import build, require_recorded_weights

    params = Params(pretrained="start.safetensors")
    with pytest.raises(ModelError, match=r"start\.safetensors, but there is no such file"):
        fingerprint(params)
    identities = []
    for seed in (1, 2):
        save_file(build(Params(seed=seed), 10).model.state_dict(), "start.safetensors")
        fingerprint(params)
        identities.append(json.loads(paths.IDENTITY.read_text()))
    with pytest.raises(ChangedError, match="were replaced since the fingerprint"):
        require_recorded_weights(params, identities[0]["pretrained_sha256"])
    paths.WEIGHTS.parent.mkdir()
    paths.WEIGHTS.write_bytes(b"one")
    with pytest.raises(ModelError, match="which the train stage itself writes"):
        fingerprint(Params(pretrained=str(paths.WEIGHTS)))
    differing = {key for key in identities[0] if identities[0][key] != identities[1][key]}
    assert differing == {"pretrained_sha256"}
