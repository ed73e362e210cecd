"""Variants: their outputs are held against eager ones, and a failing cell leaves the others."""

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from stages.core.determinism import set_determinism
from stages.core.params import Params
from stages.measures.profiling.cells import (
    Cell,
    inference_cells,
    relative_difference,
    training_cell,
)
from stages.measures.profiling.flops import count_cost
from stages.measures.profiling.grid import Plan, time_cells, visits
from stages.measures.profiling.memory_budget import Forecast
from stages.measures.profiling.onnx import OnnxRuntime
from stages.measures.profiling.profiled_model import Inputs, profiled_model
from stages.measures.profiling.reparameterize import calibrate, merge_branches
from stages.measures.profiling.sheet import count
from stages.measures.profiling.sweep import sweep
from stages.measures.profiling.timing import clock_of
from stages.measures.profiling.try_measure import Unmeasured, try_measure, why
from stages.measures.profiling.variants import NOTABLE, Variant, eager, make_variant
from tests.measures.subjects import CLASSES, PX, Failing, convolutional, subject

CPU = torch.device("cpu")
COMPILE = torch.compile
ROOM = Forecast(0.0, 0.0)
PLAN = Plan(seconds=0.02, repeats=2, clock=clock_of(CPU), threads=1)


def variants_of(*names: str) -> list[tuple[str, Variant | None, str | None]]:
    made = convolutional()
    base = eager(made.model, CPU, 1)
    example = made.batch(2)[0]
    return [
        ("eager", base, None),
        *(
            (name, *try_measure(lambda name=name: make_variant(name, base, example)))
            for name in names
        ),
    ]


def test_every_variant_computes_the_same_network() -> None:
    """Under the switches of a stage, which the ONNX exporter must not stumble over."""
    set_determinism(True, CPU)
    made = variants_of("channels_last", "bf16", "fp16", "fast", "bf16+channels_last+fast", "onnx")
    cells = inference_cells(convolutional(), made, [1, 5], ROOM)
    assert [cell.reason for cell in cells] == [None] * 14
    for cell in cells[2:]:
        assert cell.difference is not None
        assert cell.difference <= NOTABLE[cell.about["precision"]]
    about = {cell.variant: cell.about for cell in cells}
    assert about["bf16+channels_last+fast"]["precision"] == "bf16"
    assert about["bf16+channels_last+fast"]["memory_format"] == "channels_last"
    assert about["onnx"]["runs_on"].startswith("ONNX Runtime")


def test_int8_is_folded_and_its_answers_are_left_to_evaluation() -> None:
    import timm

    made = subject(timm.create_model("repvgg_a0", num_classes=CLASSES), px=32)
    made = replace(made, model=calibrate(made.model, made.batch(8)[0]))
    base = eager(made.model, CPU, 1)
    variant = make_variant("int8", base, made.batch(2)[0])
    assert sum(p.numel() for p in variant.model.parameters()) < sum(
        p.numel() for p in made.model.parameters()
    )
    cells = inference_cells(made, [("eager", base, None), ("int8", variant, None)], [1, 5], ROOM)
    time_cells(cells, PLAN, lambda: None)
    row = cells[-1].row()
    assert row["latency_ms_p50"] > 0
    assert (row["precision"], row["runs_on"]) == ("int8", "ONNX Runtime, CPU")
    assert "eight bits may answer otherwise" in row["note"]
    assert row["max_relative_difference"] > NOTABLE["fp32"]


def test_compiling_goes_through_dynamo_and_a_failing_backend_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(graph: object, inputs: object) -> object:
        raise RuntimeError("no compiler found")

    for backend in ("eager", broken):
        torch.compiler.reset()
        monkeypatch.setattr(torch, "compile", partial(COMPILE, backend=backend))
        cells = inference_cells(convolutional(), variants_of("compile"), [2], ROOM)
        if backend == "eager":
            assert cells[1].difference == 0.0
        else:
            assert "compilation failed" in str(cells[1].reason)
            assert "no compiler found" in str(cells[1].reason)


@pytest.mark.parametrize("name", ["repvgg_a0", "mobileone_s0"])
def test_merged_branches_compute_the_same_network(name: str) -> None:
    """In float64: with weights just drawn rounding grows to a large part of what is allowed."""
    import timm

    model = timm.create_model(name, num_classes=3).double()
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)).double()
    calibrated = calibrate(model, (images,))
    merged = merge_branches(calibrated)
    with torch.inference_mode():
        difference = relative_difference(merged(images), calibrated(images))
    assert difference < 1e-9
    assert sum(p.numel() for p in merged.parameters()) < sum(p.numel() for p in model.parameters())


def test_calibration_gives_the_statistics_of_the_batch_and_leaves_the_model_alone() -> None:
    model = nn.BatchNorm2d(2).double().train()
    before = copy.deepcopy(model.state_dict())
    images = 3 + 2 * torch.randn(50, 2, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    calibrated = calibrate(model, (images,))
    assert not calibrated.training
    assert torch.allclose(calibrated(images).mean((0, 2, 3)), torch.zeros(2).double(), atol=1e-12)
    assert calibrated.momentum == model.momentum
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_a_network_tied_to_a_batch_size_is_exported_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = subject(nn.Sequential(nn.Flatten(), nn.Linear(3 * PX * PX, CLASSES)))
    sizes: list[bool] = []
    export = OnnxRuntime._export

    def tied(self: OnnxRuntime, inputs: Inputs, open_batch: bool) -> object:
        sizes.append(open_batch)
        return export(self, inputs, open_batch=False)

    monkeypatch.setattr(OnnxRuntime, "_export", tied)
    session = OnnxRuntime(made.model, made.batch(2)[0], CPU, 1)
    for images in (2, 3, 3):
        inputs = made.batch(images)[0]
        difference = relative_difference(session(*inputs), made.model(*inputs).detach())
        assert difference < 3 * PX * PX * torch.finfo(torch.float32).eps  # a sum of so many
    assert sizes == [True, False]


def test_a_network_without_branches_says_so() -> None:
    (_, _, reason) = variants_of("reparameterized")[1]
    assert reason == "this network has no branches to merge"


def changed(change: Callable[[Tensor], Tensor], precision: str) -> Cell:
    """The cell of a variant whose outputs are eager ones, changed."""
    made = convolutional()
    base = eager(made.model, CPU, 1)
    variant = replace(base, name="wrong", precision=precision)
    variant = replace(variant, forward=lambda x: change(base.forward(x.float())))
    return inference_cells(made, [("eager", base, None), ("wrong", variant, None)], [1], ROOM)[1]


def test_fp32_outputs_that_differ_are_refused() -> None:
    assert changed(lambda y: y * 1.0001, "fp32").reason is None
    assert "0.1, relative; 0.001 allowed" in str(changed(lambda y: y * 1.1, "fp32").reason)


def test_half_precision_that_differs_much_is_timed_with_a_caution() -> None:
    cell = changed(lambda y: y * 1.5, "bf16")
    time_cells([cell], PLAN, lambda: None)
    assert "compare accuracies before use" in cell.row()["note"]
    assert cell.row()["latency_ms_p50"] > 0


def test_outputs_that_are_not_finite_are_refused() -> None:
    assert changed(lambda y: y / 0, "fp16").reason == "outputs are not finite in fp16"


def test_relative_difference() -> None:
    assert relative_difference(
        torch.tensor([1.0, 11.0]), torch.tensor([1.0, 10.0])
    ) == pytest.approx(0.1)
    assert math.isinf(relative_difference(torch.tensor([math.nan]), torch.ones(1)))
    assert relative_difference(torch.zeros(2), torch.zeros(2)) == 0
    assert math.isinf(relative_difference(torch.ones(2), torch.zeros(2)))


def failing(error: Exception) -> Variant:
    return eager(Failing(error), CPU, 1)


def test_a_failing_cell_says_why_and_the_others_stand() -> None:
    made = convolutional()
    errors = {
        "memory": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
        "backend": NotImplementedError("Could not run 'aten::linalg_qr' with arguments from MPS"),
        "other": ValueError("boom"),
    }
    variants = [("eager", eager(made.model, CPU, 1), None)]
    variants += [(name, failing(error), None) for name, error in errors.items()]
    cells = inference_cells(made, variants, [1], ROOM)
    ticks: list[int] = []
    time_cells(cells, PLAN, lambda: ticks.append(1))
    assert len(ticks) == visits(len(cells), PLAN.repeats)
    rows = {cell.variant: cell.row() for cell in cells}
    assert rows["eager"]["latency_ms_p50"] > 0
    assert rows["eager"]["images_per_second"] > 0
    assert rows["memory"]["note"].startswith("out of memory")
    assert rows["backend"]["note"].endswith("aten::linalg_qr is not implemented on this backend")
    assert rows["other"]["note"] == "ValueError: boom"
    assert all(rows[name]["latency_ms_p50"] is None for name in errors)


def test_a_cell_that_fails_half_way_has_no_figures() -> None:
    calls = iter(range(1000))

    def work() -> None:
        if next(calls) == 40:
            raise RuntimeError("CUDA error: device-side assert")

    cell = Cell("eager", "inference", 1, call=work)
    time_cells([cell], Plan(1e-9, 50, PLAN.clock, 1), lambda: None)
    assert cell.row()["latency_ms_p50"] is None
    assert "device-side assert" in cell.row()["note"]


def test_a_training_step_trains_a_copy() -> None:
    made = convolutional()
    before = copy.deepcopy(made.model.state_dict())
    cell = training_cell(made, 4, eager(made.model, CPU, 1), ROOM)
    time_cells([cell], PLAN, lambda: None)
    assert cell.row()["mode"] == "training"
    assert cell.row()["latency_ms_p50"] > 0
    assert all(torch.equal(before[key], value) for key, value in made.model.state_dict().items())


def test_a_training_step_is_placed_as_a_run_places_it() -> None:
    made = profiled_model(Params(model="lenet_small"), classes=10)
    row = training_cell(made, 2, eager(made.model, CPU, 1), ROOM).row()
    assert row["memory_format"] == "channels_last"
    recipe = {"memory_format": "contiguous"}
    asked = Params.model_validate({"model": "lenet_small", "train": recipe})
    row = training_cell(profiled_model(asked, 10), 2, eager(made.model, CPU, 1), ROOM).row()
    assert row["memory_format"] == "contiguous"


def test_a_task_with_two_inputs_and_two_answers_is_measured_too() -> None:
    params = Params(model="lenet_small", task="puzzle")
    made = profiled_model(params, classes=10)
    base = eager(made.model, CPU, 1)
    cells = inference_cells(made, [("eager", base, None)], [2], ROOM)
    cells.append(training_cell(made, 2, base, ROOM))
    assert [cell.reason for cell in cells] == [None, None]
    one = count_cost(profiled_model(Params(model="lenet_small"), 10).model, made.batch(1)[0][:1])
    assert count_cost(made.model, made.batch(1)[0]).macs > 1.9 * one.macs


def test_what_a_training_holds_is_not_trained_nor_counted_as_trainable() -> None:
    params = Params(model="lenet_small", pretrained="weights.safetensors", finetune="head")
    metrics, _ = count(profiled_model(params, classes=10))
    assert metrics["params_total"] == 62_006
    assert metrics["params_trainable"] == 84 * 10 + 10


def test_a_sweep_doubles_until_memory_ends() -> None:
    made = convolutional()
    forecast = Forecast(0.0, 1e12 / 1000)
    base = eager(made.model, CPU, 1)
    cells = sweep(made, base, 4, 0.05, PLAN, ROOM)
    assert [cell.batch_size for cell in cells] == [8 * 2**i for i in range(len(cells))]
    (last,) = sweep(made, base, 4, 60.0, PLAN, forecast)
    assert "too large for memory" in str(last.reason)


def test_reasons_are_short_and_interrupts_are_none_of_them() -> None:
    assert len(why(ValueError("long " * 500))) == 200
    assert why(Unmeasured("as it is")) == "as it is"
    with pytest.raises(KeyboardInterrupt):
        try_measure(lambda: subject(Failing(KeyboardInterrupt())).model(torch.ones(1)))
