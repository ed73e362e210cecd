"""The inside of a step: the first place with other bits, the first apart by more than rounding."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from stages.comparison.analysis.drift import weight_gaps
from stages.comparison.analysis.fault import rounding_explains
from stages.comparison.analysis.findings import Where
from stages.comparison.analysis.growth import weight_growth
from stages.comparison.analysis.limits import LIMITS, Limits, limits_for
from stages.comparison.analysis.rounding import (
    ERRORS,
    first_beyond,
    forward_limits,
    gradient_limit,
)
from stages.comparison.analysis.step_trace import (
    first_bits,
    gradient_distance,
    places_at,
    recorded_steps,
)
from stages.comparison.analysis.verdict import where_bits_diverge
from stages.comparison.page.terms import where_in_words
from stages.runs.run import Run
from stages.runs.schema import INSIDE_COLUMNS
from stages.training.sketch import sketch_tensors
from tests.comparison.made import trace, trained

ORDER = (
    ("input", "images"), ("module", "conv"), ("module", "fc"), ("module", "(model)"),
    ("target", "labels"), ("loss", "loss"), ("gradient", "fc.weight"),
    ("gradient", "conv.weight"), ("update", "conv.weight"), ("update", "fc.weight"),
)  # fmt: skip

FP32 = LIMITS["fp32"]


def inside(distance: dict[tuple[str, str], float] | None = None, step: int = 1) -> pd.DataFrame:
    """One recorded step; `distance` moves the sketch of a place and changes its hash."""
    rows = []
    previous = "start"
    for position, (kind, name) in enumerate(ORDER):
        moved = (distance or {}).get((kind, name), 0.0)
        sketch = np.full(16, 0.25)
        sketch[0] += moved
        digest = f"{kind}-{name}" + (f"+{moved}" if moved else "")
        rows.append((step, position, kind, name, previous, digest, "float32", 1.0,
                     " ".join(map(str, sketch)), None, None))  # fmt: skip
        previous = digest
    far = " ".join(map(str, np.full(16, 0.5) + sum((distance or {}).values())))
    weights = (step, 0, "weights", "(all)", None, f"w{distance}", "float32", 2.0, far, None, None)
    return pd.DataFrame([*rows, weights], columns=INSIDE_COLUMNS)


def records(distance: dict[tuple[str, str], float]) -> tuple[Run, Run]:
    return Run("a", inside=inside()), Run("b", inside=inside(distance))


def test_equal_steps_have_no_place_apart() -> None:
    places = places_at(*records({}), 1)
    assert [(place.kind, place.name) for place in places] == list(ORDER)
    assert first_bits(places) is None
    assert first_beyond(places, FP32) is None
    assert gradient_distance(places) == 0


@pytest.mark.parametrize(("kind", "name"), ORDER)
def test_the_first_place_beyond_rounding_is_found(kind: str, name: str) -> None:
    places = places_at(*records({(kind, name): 0.1}), 1)
    bits, beyond = first_bits(places), first_beyond(places, FP32)
    assert bits is not None and beyond is not None  # noqa: PT018
    place, _ = beyond
    assert (bits.kind, bits.name) == (place.kind, place.name) == (kind, name)
    assert place.distance == pytest.approx(0.1)


def test_rounding_before_a_fault_does_not_hide_it() -> None:
    places = places_at(*records({("module", "conv"): 1e-7, ("loss", "loss"): 0.1}), 1)
    bits, beyond = first_bits(places), first_beyond(places, FP32)
    assert bits is not None and beyond is not None  # noqa: PT018
    place, _ = beyond
    assert (bits.kind, bits.name) == ("module", "conv")
    assert bits.fed_alike
    assert place.kind == "loss"


def test_a_network_that_carries_rounding_far_says_so_itself() -> None:
    a, b = records({("module", "(model)"): 1e-3})
    assert a.inside is not None
    assert first_beyond(places_at(a, b, 1), FP32) is not None
    carried = replace(a, inside=a.inside.assign(rounding=5e-5))
    assert first_beyond(places_at(carried, b, 1), FP32) is None
    assert gradient_limit(places_at(carried, b, 1), FP32) == pytest.approx(50 * 5e-5)
    assert gradient_limit(places_at(a, b, 1), FP32) == 1e-4


def test_a_norm_may_be_apart_by_what_the_machines_are_off_themselves() -> None:
    """Whatever its inputs were, and no further than twice that; its parts and what follows too."""
    a, b = records({("module", "conv"): 8e-6, ("module", "(model)"): 1.2e-4})
    assert a.inside is not None
    assert b.inside is not None
    assert first_beyond(places_at(a, b, 1), FP32) is not None
    norm = a.inside["name"].eq("conv")
    for error, explained in ((5e-6, False), (7e-5, True)):
        off = replace(a, inside=a.inside.assign(error=norm * error))
        found = first_beyond(places_at(off, b, 1), FP32)
        assert (found is None) is explained
        if found:  # the norm itself is in order
            assert (found[0].name, found[1]) == ("(model)", 1e-4)


def test_muon_multiplies_in_bfloat16_at_any_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    a, b = (
        trained("run", {"optimizer": "muon", "perturb_one_ulp": ulp}, model="vit_2l_2h_128")
        for ulp in (False, True)
    )
    places = places_at(a, b, 1)
    assert max(place.distance for place in places if place.kind == "update") > 1e-3
    # Machines differ in how many updates that is, and a few are outvoted: of these alone.
    beyond = [place for place in places if place.kind == "update" and place.distance > 1e-3]
    assert first_beyond(beyond, LIMITS["fp32"]) is not None
    assert first_beyond(beyond, limits_for("fp32", a.params)) is None
    assert first_beyond(places, limits_for("fp32", a.params)) is None


def beside(run: Run, updates: dict[str, float]) -> Run:
    """The run with updates of that length besides, of tensors called so; of frozen ones 0."""
    assert run.inside is not None
    rows = [
        (1, 100 + place, "update", name, None, f"{name}{length}", "float32", 1.0,
         " ".join(map(str, [length, *[0.0] * 15])), None, None)
        for place, (name, length) in enumerate(updates.items())
    ]  # fmt: skip
    more = pd.DataFrame(rows, columns=INSIDE_COLUMNS)
    return replace(run, inside=pd.concat([run.inside, more], ignore_index=True))


def test_what_is_frozen_has_no_vote_on_the_optimiser() -> None:
    a, b = records({("update", "fc.weight"): 5e-3, ("gradient", "fc.weight"): 1e-6})
    frozen = {f"trunk.{place}": 0.0 for place in range(50)}
    found = first_beyond(places_at(beside(a, frozen), beside(b, frozen), 1), FP32)
    assert found is not None
    assert found[0].name == "fc.weight"


@pytest.mark.parametrize(
    ("apart", "told"), [([0.5] * 6, True), ([1e-2] * 6, False), ([0.5, 0.5, 1e-2], False)]
)
def test_of_muon_those_updates_vote_that_are_made_in_bfloat16(
    apart: list[float], told: bool
) -> None:
    """AdamW moves the other tensors in float32; two may have gradients that are noise."""
    a, b = records({})
    adamw = {f"bias.{place}": 1.0 for place in range(40)}
    mine = beside(a, adamw | {f"matrix.{place}": 1.0 for place in range(len(apart))})
    theirs = beside(b, adamw | {f"matrix.{p}": 1.0 + by for p, by in enumerate(apart)})
    muon = limits_for("fp32", {"train": {"optimizer": "muon"}})
    assert (first_beyond(places_at(mine, theirs, 1), muon) is not None) is told


def test_the_errors_of_norms_add_up_each_once() -> None:
    """The parts of a norm have its error; two norms make what is behind them uncertain by both."""
    a, b = records({})
    (place,) = [one for one in places_at(a, b, 1) if one.name == "conv"]

    def limit(*errors: float) -> float:
        norms = [
            replace(place, name=f"bn.{number}{part}", errors=(error, 0.0), rounding=1e-9)
            for number, error in enumerate(errors)
            for part in (".drop", ".act", "")
        ]
        last = replace(place, name="(model)", errors=(0.0, 0.0), rounding=1e-9)
        return [found for _, found in forward_limits([*norms, last], FP32)][-1]

    assert limit(1e-3) == pytest.approx(ERRORS * 1e-3)
    assert limit(3e-3, 4e-3) == pytest.approx(ERRORS * 5e-3)


def test_weights_may_part_as_far_as_updates_are_exact() -> None:
    """A fiftieth of the way, or more where one ULP carries far into the gradients, or with Muon."""

    def walking(share: float, rounding: float | None) -> Run:
        rows = []
        for step in (1, 2):
            sketch = np.full(16, 0.25)
            sketch[0] += 1e-2 * step * (1 + (share if step == 2 else 0.0))
            rows.append((step, 0, "weights", "(all)", None, f"{sketch[0]}", "float32", 1.0,
                         " ".join(map(str, sketch)), None, None))  # fmt: skip
        gradient = (1, 0, "gradient", "fc.weight", None, "g", "float32", 1.0,
                    " ".join(["0.25"] * 16), rounding, None)  # fmt: skip
        return Run("walks", inside=pd.DataFrame([gradient, *rows], columns=INSIDE_COLUMNS))

    def parted(rounding: float, limits: Limits) -> bool:
        (gap,) = weight_gaps(walking(0.0, rounding), walking(0.02, rounding), limits)
        return gap.grown > gap.limit

    assert parted(1e-6, FP32)
    assert not parted(2e-3, FP32)
    assert not parted(1e-6, limits_for("fp32", {"train": {"optimizer": "muon"}}))


def test_layers_carry_the_errors_of_norms_as_far_as_one_ulp() -> None:
    a, b = records({("module", "conv"): 8e-6, ("module", "(model)"): 6e-4})
    assert a.inside is not None
    error = a.inside["name"].eq("conv") * 5e-5
    for carried, explained in ((1.0, False), (7.0, True)):
        ulp = np.where(a.inside["name"].eq("(model)"), carried * 1e-6, 1e-6)
        off = replace(a, inside=a.inside.assign(error=error, rounding=ulp))
        assert (first_beyond(places_at(off, b, 1), FP32) is None) is explained


def test_what_entered_a_head_on_a_frozen_trunk_is_not_recorded() -> None:
    """Its features are off by all of the trunk, where those of an image are off by one ULP."""
    a, b = (
        replace(run, inside=run.inside.assign(rounding=1e-7, inputs_hash=run.name))
        for run in records({("module", "fc"): 4e-6})
        if run.inside is not None
    )
    heads = [
        replace(run, inside=run.inside[~run.inside["name"].isin(["images", "conv"])])
        for run in (a, b)
        if run.inside is not None
    ]
    assert first_beyond(places_at(a, b, 1), FP32) is not None
    assert first_beyond(places_at(*heads, 1), FP32) is None


def _billionth(sketch: str) -> str:
    return " ".join(str(1e-9 * float(value)) for value in sketch.split())


@pytest.mark.parametrize("values", [2**12, 2**21], ids=["all of it", "a part"])
def test_distances_are_those_of_whole_tensors(values: int) -> None:
    """Of a large tensor a part alone is sketched, while the norm is of all."""
    tensor = torch.randn(values, generator=torch.Generator().manual_seed(0))
    other = tensor + 0.01 * torch.randn(values, generator=torch.Generator().manual_seed(1))
    rows = inside()
    at = rows["name"].isin(["conv", "(all)"]) & rows["kind"].isin(["module", "weights"])
    a, b = (
        Run("", inside=rows.assign(sketch=rows["sketch"].mask(at, _text(each)),
                                   norm=rows["norm"].mask(at, float(each.norm()))))
        for each in (tensor, other)
    )  # fmt: skip
    [place] = (place for place in places_at(a, b, 1) if place.name == "conv")
    growth = weight_growth(a, b)
    assert growth is not None
    assert place.distance == pytest.approx(growth.distance[0])
    assert place.distance == pytest.approx(0.01, rel=0.5)


def _text(tensor: torch.Tensor) -> str:
    return " ".join(map(str, sketch_tensors([tensor]).tolist()))


def test_a_noisy_gradient_of_no_size_is_no_fault() -> None:
    """The gradient of a bias before a norm is rounding noise, and Adam blows it up."""
    table = inside({("gradient", "conv.weight"): 1.0, ("update", "conv.weight"): 0.5})
    plain = inside()
    tiny = table["name"].eq("conv.weight") & table["kind"].eq("gradient")
    for each in (table, plain):
        each.loc[tiny, "norm"] = 1e-9
        each.loc[tiny, "sketch"] = each.loc[tiny, "sketch"].map(_billionth)
    places = places_at(Run("a", inside=plain), Run("b", inside=table), 1)
    assert first_beyond(places, FP32) is None


def test_an_update_of_equal_gradients_is_the_optimisers() -> None:
    found = first_beyond(places_at(*records({("update", "fc.weight"): 0.01}), 1), FP32)
    assert found is not None
    assert (found[0].kind, found[0].name) == ("update", "fc.weight")


def test_another_type_is_named() -> None:
    a, b = records({("module", "conv"): 0.01})
    assert b.inside is not None
    changed = b.inside.assign(dtype=["float32", "bfloat16", *["float32"] * 9])
    found = first_beyond(places_at(a, replace(b, inside=changed), 1), FP32)
    assert found is not None
    assert found[0].at(1).dtypes == ("float32", "bfloat16")
    words = "in the forward pass of `conv` (float32 against bfloat16), at step 1"
    assert where_in_words(found[0].at(1)) == words


def test_places_that_one_run_lacks_are_passed_over() -> None:
    a, b = records({})
    assert b.inside is not None
    short = b.inside[b.inside["name"] != "conv"]
    assert len(places_at(a, replace(b, inside=short), 1)) == len(ORDER) - 1


def test_only_steps_that_both_recorded_count() -> None:
    both = Run("a", inside=pd.concat([inside(), inside(step=5)]))
    assert recorded_steps(both, Run("b", inside=inside(step=5))) == [5]
    assert recorded_steps(both, Run("b")) == []


def test_growth_is_relative_to_the_weights() -> None:
    growth = weight_growth(*records({("module", "conv"): 0.5}))
    assert growth is not None
    assert growth.steps == (1,)
    assert growth.distance[0] == pytest.approx(0.5 * 4 / 2)
    assert weight_growth(Run("a"), Run("b")) is None


def test_growth_is_of_what_is_trained_where_both_tell_it_apart() -> None:
    a, b = records({("module", "conv"): 0.5})
    both = []
    for run, size in ((a, 0.01), (b, 0.03)):
        assert run.inside is not None
        row = run.inside[run.inside["kind"].eq("weights")]
        head = row.assign(name="(trained)", sketch=" ".join(map(str, np.full(16, size))))
        both.append(replace(run, inside=pd.concat([run.inside, head])))
    trained, one = weight_growth(both[0], both[1]), weight_growth(both[0], b)
    assert trained is not None
    assert one is not None
    assert trained.distance[0] == pytest.approx(2.0)
    assert one.distance[0] == pytest.approx(1.0, abs=1e-9)  # of all: 0.5 * 4 / 2


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_one_run_that_stands_still_is_found_in_either_order(order: tuple[int, int]) -> None:
    def walking(pace: float) -> Run:
        rows = []
        for step in range(1, 8):
            sketch = np.full(16, 0.25)
            sketch[0] += 1e-3 * min(step, 4) + pace * max(0, step - 4)
            rows.append((step, 0, "weights", "(all)", None, f"{sketch[0]}", "float32", 1.0,
                         " ".join(map(str, sketch)), None, None))  # fmt: skip
        return Run("walks", inside=pd.DataFrame(rows, columns=INSIDE_COLUMNS))

    runs = (walking(0.0), walking(1e-3))
    found = list(weight_gaps(*(runs[place] for place in order), FP32))
    assert [gap.grown > gap.limit for gap in found][:4] == [False, False, False, True]


def test_words_of_paths(tmp_path: Path) -> None:
    words = {place.kind: where_in_words(place.at(1)) for place in places_at(*records({}), 1)}
    assert words["input"] == "in the images that enter the model, at step 1"
    assert words["gradient"].startswith("in the backward pass, at the gradient of `")


def test_runs_on_many_devices_have_no_way_forward_to_compare() -> None:
    """Only gradients, updates and weights are recorded there, after all devices agreed on them."""
    a, b = records({("gradient", "fc.weight"): 1e-7, ("module", "conv"): 0.3})
    assert b.inside is not None
    many = replace(b, inside=b.inside[b.inside["kind"].isin(["gradient", "update", "weights"])])
    for one, other in ((a, many), (many, a), (many, many)):
        places = places_at(one, other, 1)
        assert {place.kind for place in places} == {"gradient", "update"}
        assert first_beyond(places, FP32) is None
    assert recorded_steps(a, many) == [1]
    assert where_bits_diverge(a, many) == Where("gradient", "fc.weight", 1, 1)
    whole = replace(a, trace=trace()), replace(many, trace=trace(parted=1, part="forward"))
    diverges = where_bits_diverge(*whole)
    assert diverges is not None
    assert (diverges.part, diverges.first, diverges.last) == ("forward", 1, 1)
    assert rounding_explains(*whole, "fp32")
    faulty = replace(many, inside=inside({("gradient", "fc.weight"): 0.1}).iloc[6:])
    found = first_beyond(places_at(a, faulty, 1), FP32)
    assert found is not None
    assert found[0].kind == "gradient"


@pytest.mark.parametrize(
    ("distance", "outputs", "rounding", "fault"),
    [(2e-3, 1e-3, True, False), (4e-3, 4e-3, False, False), (4e-3, 1e-3, False, True)],
)
def test_at_bf16_there_is_room_between_rounding_and_a_fault(
    distance: float, outputs: float, rounding: bool, fault: bool
) -> None:
    """A loss apart by less than the outputs may move it is no proof, and no rounding either."""
    moved = {("module", "(model)"): 1e-3, ("target", "labels"): 1e-6, ("loss", "loss"): distance}
    a, b = records(moved)
    assert a.inside is not None
    measured = a.inside["rounding"].mask(a.inside["name"] == "(model)", outputs)
    a = replace(a, inside=a.inside.assign(rounding=measured))
    places = places_at(a, b, 1)
    assert (first_beyond(places, LIMITS["bf16"], strict=True) is None) == rounding
    assert (first_beyond(places, LIMITS["bf16"]) is not None) == fault


@pytest.mark.parametrize(("distance", "rounding", "fault"), [(0.05, True, False), (0.3, False, False), (0.9, False, True)])  # fmt: skip  # noqa: E501
def test_at_bf16_a_run_without_a_yardstick_is_judged_by_gross_differences(
    distance: float, rounding: bool, fault: bool
) -> None:
    a, b = records({("gradient", "fc.weight"): distance * 2**0.5})
    places = places_at(a, b, 1)
    assert gradient_distance(places) == pytest.approx(distance)
    assert (first_beyond(places, LIMITS["bf16"], strict=True) is None) == rounding
    assert (first_beyond(places, LIMITS["bf16"]) is not None) == fault


def test_what_float32_computes_from_equal_bits_is_held_to_float32_at_bf16() -> None:
    for place in (("target", "labels"), ("loss", "loss"), ("update", "fc.weight")):
        found = first_beyond(places_at(*records({place: 1e-3}), 1), LIMITS["bf16"])
        assert found is not None
        assert (found[0].kind, found[0].name) == place
    module = first_beyond(places_at(*records({("module", "fc"): 1e-2}), 1), LIMITS["bf16"])
    assert module is not None
    assert module[0].name == "fc"


def test_one_operation_on_equal_bits_has_a_limit_of_its_own() -> None:
    """GELU by its tanh formula is off by 1.5e-5, the same formula on two machines by 2e-7."""
    assert first_beyond(places_at(*records({("module", "fc"): 2e-7}), 1), FP32) is None
    found = first_beyond(places_at(*records({("module", "fc"): 1.5e-5}), 1), FP32)
    assert found is not None
    assert found[0].name == "fc"


def test_a_noisy_run_does_not_excuse_itself() -> None:
    a, b = records({("module", "(model)"): 1e-3})
    assert a.inside is not None and b.inside is not None  # noqa: PT018
    a = replace(a, inside=a.inside.assign(rounding=1e-7))
    b = replace(b, inside=b.inside.assign(rounding=1e-3))
    assert first_beyond(places_at(a, b, 1), FP32) is not None


def test_a_choice_between_equal_values_is_no_fault() -> None:
    """Gradients below it are off by 6e-3, the way forward and the last layer's are in place."""
    below = records({("gradient", "conv.weight"): 6e-3})
    assert first_beyond(places_at(*below, 1), FP32) is None
    assert rounding_explains(*below, "fp32")
    above = records({("gradient", "fc.weight"): 6e-3})
    assert first_beyond(places_at(*above, 1), FP32) is not None
    far = records({("gradient", "conv.weight"): 6e-2})
    assert first_beyond(places_at(*far, 1), FP32) is not None


def test_updates_that_cannot_show_an_effect_do_not_outvote_those_that_do() -> None:
    """Momentum 0.89 moves one update by 5e-3; that of a tiny gradient is lost in rounding."""
    moved = {("gradient", "fc.weight"): 1e-6, ("update", "fc.weight"): 5e-3,
             ("gradient", "conv.weight"): 1e-6, ("update", "conv.weight"): 1e-6}  # fmt: skip
    a, b = records(moved)
    assert a.inside is not None and b.inside is not None  # noqa: PT018
    lost = a.inside["kind"].eq("update") & a.inside["name"].eq("conv.weight")
    a, b = (
        replace(run, inside=run.inside.assign(norm=run.inside["norm"].mask(lost, 1e4)))
        for run in (a, b)
        if run.inside is not None
    )
    found = first_beyond(places_at(a, b, 1), FP32)
    assert found is not None
    assert (found[0].kind, found[0].name) == ("update", "fc.weight")
