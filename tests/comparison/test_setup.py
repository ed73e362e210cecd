"""What differs in the set-up, and what kind of difference it is."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from stages.comparison.analysis.causes import compare_numerics, explain, group_of
from stages.comparison.analysis.cost import compare_cost
from stages.comparison.analysis.setup import (
    DNA,
    effective_precision,
    same_machine,
    setup_differences,
)
from stages.comparison.page.terms import cause_in_words
from stages.core import paths
from stages.dna.probes import IN_RUN_PRECISION, SUITE
from stages.runs.run import Run, read_run
from stages.runs.sources import open_source
from tests.comparison.made import HARDWARE, PARAMS, made, readings


def kinds(tmp_path: Path, **pieces: object) -> dict[str, str]:
    differences = setup_differences(made(tmp_path / "a"), made(tmp_path / "b", **pieces))
    return {difference.key: difference.kind for difference in differences}


def test_equal_runs_have_no_difference(tmp_path: Path) -> None:
    assert kinds(tmp_path) == {}


@pytest.mark.parametrize(
    ("change", "key", "kind"),
    [
        ({"seed": 1}, "seed", "input"),
        ({"train": {**PARAMS["train"], "epochs": 3}}, "train.epochs", "input"),
        ({"train": {**PARAMS["train"], "precision": "bf16"}}, "train.precision", "computation"),
        ({"device": "mps"}, "device", "computation"),
        ({"train": {**PARAMS["train"], "trace_steps": 3}}, "train.trace_steps", "neutral"),
        (
            {"train": {**PARAMS["train"], "perturb_one_ulp": True}},
            "train.perturb_one_ulp",
            "neutral",
        ),
        ({"profile": {"seconds": 1.0}}, "profile.seconds", "neutral"),
    ],
)
def test_parameters(tmp_path: Path, change: dict[str, object], key: str, kind: str) -> None:
    assert kinds(tmp_path, params=change) == {key: kind}


def test_other_images_and_other_initial_weights_are_other_inputs(tmp_path: Path) -> None:
    found = kinds(tmp_path, train={"indices_sha256": "j" * 64, "initial_weights_hash": "1" * 32})
    assert set(found.values()) == {"input"}
    assert len(found) == 2


def test_a_twin_may_begin_elsewhere(tmp_path: Path) -> None:
    twin = {"train": {**PARAMS["train"], "perturb_one_ulp": True}}
    found = kinds(tmp_path, params=twin, train={"initial_weights_hash": "1" * 32})
    assert found == {"train.perturb_one_ulp": "neutral"}


def test_the_machine(tmp_path: Path) -> None:
    found = kinds(
        tmp_path,
        hardware={"chip": "Chip Two", "declared_id": "zzzz", "memory_gb": 8.0,
                  "environment": {"MKL_CBWR": "avx2", "OMP_NUM_THREADS": "2"}},
    )  # fmt: skip
    assert found == {
        DNA: "computation", "chip": "computation", "MKL_CBWR": "computation",
        "memory_gb": "neutral", "OMP_NUM_THREADS": "neutral",
    }  # fmt: skip


def test_without_its_build_the_version_of_pytorch_decides_bits(tmp_path: Path) -> None:
    """All that a study's cell keeps."""
    a, b = (made(tmp_path / version, hardware={"torch": version}) for version in ("2.11", "2.15"))
    assert [(one.key, one.kind) for one in setup_differences(a, b)] == [("torch", "computation")]


def test_code_is_compared_as_the_results_tell_it(tmp_path: Path) -> None:
    a, b = (made(tmp_path / digest, train={"code": digest}) for digest in "12")
    (difference,) = setup_differences(a, b)
    assert (difference.key, difference.kind) == ("code of stages/train", "computation")


@pytest.mark.parametrize(
    ("hardware", "train", "expected"),
    [
        ({}, {}, "fp32"),
        ({}, {"precision": "bf16"}, "bf16"),
        ({"float32_matmul_precision": "medium"}, {}, "bf16"),
        ({"cudnn_convolution_fp32": "tf32"}, {}, "fp32"),
        ({"cudnn_convolution_fp32": "tf32", "backend": "cuda"}, {}, "tf32"),
    ],
)
def test_effective_precision(
    tmp_path: Path, hardware: dict[str, str], train: dict[str, str], expected: str
) -> None:
    assert effective_precision(made(tmp_path / "a", hardware=hardware, train=train)) == expected


def test_the_same_machine_is_known_by_both_ids(tmp_path: Path) -> None:
    a = made(tmp_path / "a")
    assert same_machine(a, made(tmp_path / "b"))
    assert not same_machine(a, made(tmp_path / "c", hardware={"numeric_id": "dddd"}))
    assert not same_machine(a, made(tmp_path / "d", hardware=None))


def test_every_probe_belongs_to_a_group() -> None:
    assert [name for name in SUITE if group_of(name) == "others"] == []
    assert {group_of(f"{name}_bf16") for name in IN_RUN_PRECISION} == {"reduced precision"}


def test_causes_in_words(tmp_path: Path) -> None:
    a = made(tmp_path / "a")
    b = made(
        tmp_path / "b",
        hardware={"cpu_capability": "AVX2", "environment": {"ONEDNN_MAX_CPU_ISA": "avx2"}},
        numerics={"readings": readings(mm="1", softmax="3"), "not_repeatable": ["index_add"]},
    )
    numerics = compare_numerics(a, b)
    assert numerics is not None
    assert (numerics.compared, numerics.count) == (2, 1)
    assert numerics.changed == {"softmax and losses": ["softmax"]}
    assert numerics.not_repeatable == {b.name: ["index_add"]}
    assert numerics.worst == ("softmax", 1e-7)
    causes = explain(a, b, numerics)
    assert [cause.code for cause in causes] == [
        "cpu_capability", "ONEDNN_MAX_CPU_ISA", "softmax and losses"
    ]  # fmt: skip
    words = [cause_in_words(cause) for cause in causes]
    assert words[0] == "instruction set of PyTorch's own CPU code: AVX512 against AVX2"
    assert words[1].startswith("instruction set of oneDNN (ONEDNN_MAX_CPU_ISA): not set against")
    assert words[2].startswith("another exp inside softmax")


def test_readings_from_before_there_were_fields_give_their_hashes(tmp_path: Path) -> None:
    texts = {"mm": "1, error 3e-07, 0.2 ULP", "softmax": "3, error 5e-08, 0.1 ULP", "rand": "7"}
    today = readings(mm="1", softmax="2") | {"rand": {"bits": "7"}}
    a = made(tmp_path / "a", numerics={"readings": today})
    b = made(tmp_path / "b", numerics=None)
    written = {"bits": texts, "not_repeatable": "none"}
    (tmp_path / "b" / paths.NUMERICS).write_text(json.dumps(written))
    b = read_run(open_source(str(tmp_path / "b")))
    for one, other, worst in ((a, b, ("softmax", 1e-7)), (b, b, None)):
        numerics = compare_numerics(one, other)
        assert numerics is not None
        assert (numerics.compared, numerics.worst, numerics.not_repeatable) == (3, worst, {})


def test_another_pytorch_is_named_as_the_cause(tmp_path: Path) -> None:
    ours = {"torch_build": "2.15.0+cpu", "onednn": "3.13.3", "cuda": None}
    a = made(tmp_path / "a", hardware=ours)
    b = made(tmp_path / "b", hardware=ours | {"torch_build": "2.13.0+cpu", "onednn": "3.12.0"})
    causes = explain(a, b, None)
    assert [(cause.code, cause.a, cause.b) for cause in causes] == [
        ("torch_build", "2.15.0+cpu", "2.13.0+cpu"), ("onednn", "3.13.3", "3.12.0")
    ]  # fmt: skip
    found = {difference.key: difference.kind for difference in setup_differences(a, b)}
    assert found == {"torch_build": "computation", "onednn": "computation"}


def test_what_one_run_is_silent_on_is_no_cause(tmp_path: Path) -> None:
    a = made(tmp_path / "a", hardware={"mkl": "2024.2"})
    assert explain(a, made(tmp_path / "b"), None) == ()
    assert explain(a, made(tmp_path / "c", hardware=None), None) == ()


def test_a_parameter_of_how_to_compute_is_a_cause(tmp_path: Path) -> None:
    """Otherwise runs of two memory formats would be told that their settings are the same."""
    a, b = (
        made(tmp_path / name, params={"train": PARAMS["train"] | {"memory_format": name}})
        for name in ("contiguous", "channels_last")
    )
    (cause,) = explain(a, b, None)
    assert (cause.code, cause.a, cause.b) == ("train.memory_format", "contiguous", "channels_last")


def test_how_to_compute_is_told_once_by_the_parameters(tmp_path: Path) -> None:
    """The switch could change bits, and as a fact of the machine it "changed no result"."""
    a, b = (
        made(
            tmp_path / str(fast),
            params={"train": PARAMS["train"] | {"fast_kernels": fast}},
            hardware={"fast_kernels": fast},
        )
        for fast in (True, False)
    )
    found = {difference.key: difference.kind for difference in setup_differences(a, b)}
    assert found == {"train.fast_kernels": "computation"}


def test_a_key_from_before_the_other_runs_time_is_no_input(tmp_path: Path) -> None:
    newer = {"train": {**PARAMS["train"], "keep": "best"}, "task": "classify"}
    assert kinds(tmp_path, params=newer) == {"train.keep": "neutral", "task": "neutral"}
    used = {"train": {**PARAMS["train"], "ema": 0.99}}
    assert kinds(tmp_path, params=used) == {"train.ema": "input"}


def test_parameters_that_are_not_known_do_not_differ(tmp_path: Path) -> None:
    assert kinds(tmp_path, params=None) == {}


def test_no_numerics_is_no_comparison(tmp_path: Path) -> None:
    assert compare_numerics(made(tmp_path / "a"), made(tmp_path / "b", numerics=None)) is None


def test_costs_are_ratios_of_what_both_measured(tmp_path: Path) -> None:
    costs = compare_cost(
        made(tmp_path / "a"),
        made(tmp_path / "b", train={"epoch_seconds_p50": 0.5}, profile={"peak_memory_mb": 12.0}),
    )
    assert {cost.name: cost.times_better for cost in costs} == {
        "epoch_seconds_p50": 4.0, "latency_ms_p50": 1.0,
    }  # fmt: skip
    other = made(tmp_path / "c", profile={"model": "another"})
    assert "latency_ms_p50" not in {cost.name for cost in compare_cost(other, made(tmp_path / "a"))}
    assert HARDWARE["threads"] == 2


def test_a_batch_beyond_all_images_is_no_more_work(tmp_path: Path) -> None:
    def told(name: str, batch: int) -> Run:
        params = PARAMS | {"train": PARAMS["train"] | {"batch_size": batch}}
        train = {"steps": 4, "epochs_run": 4, "train_seconds": 4.0, "epoch_seconds_p50": 1.0}
        return replace(
            made(tmp_path / name, params=params, train=train), subset={"train_images": 100}
        )

    names = {cost.name for cost in compare_cost(told("a", 128), told("b", 256))}
    assert names >= {"train_seconds", "epoch_seconds_p50"}


def test_times_of_another_number_of_images_are_not_held_against_each_other(tmp_path: Path) -> None:
    def told(name: str, steps: int, epochs: int, tested: int) -> Run:
        train = {
            "steps": steps,
            "epochs_run": epochs,
            "train_seconds": 4.0,
            "epoch_seconds_p50": 2.0,
        }
        evaluate = {"test_images": tested, "evaluate_seconds": 1.0}
        return made(tmp_path / name, train=train, evaluate=evaluate, profile=None)

    run = told("a", 20, 2, 100)
    for other, names in (
        (told("b", 20, 2, 100), {"train_seconds", "epoch_seconds_p50", "evaluate_seconds"}),
        (told("c", 40, 4, 100), {"epoch_seconds_p50", "evaluate_seconds"}),
        (told("d", 40, 2, 90), set()),
    ):
        assert {cost.name for cost in compare_cost(run, other)} == names
