"""Every kind of mistake gives one paragraph; what is valid survives the round trip."""

import contextlib

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from stages.core.amounts import images_of
from stages.core.errors import ParamsError
from stages.core.params import Params, load_params, parse_params

# What is written, the key that is named, the value that is quoted, and what is said of it.
MISTAKES = [
    ("train: {epoch: 3}", "train.epoch", "3", "Did you mean `train.epochs`?"),
    ("train: {batch-size: 3}", "train.batch-size", "3", "Did you mean `train.batch_size`?"),
    ("trian: {epochs: 3}", "trian", '{"epochs": 3}', "Did you mean `train`?"),
    ("epochs: 3", "epochs", "3", "Did you mean `train.epochs`?"),
    ("train: {seed: 3}", "train.seed", "3", "Did you mean `seed`?"),
    ("colour: red", "colour", '"red"', "Known at the top are dataset,"),
    ("on: 3", "on", "3", "is not a key"),
    ("true: 3", "true", "", "is not a key"),
    ("train: {5: x}", "train.5", "", "Known under `train` are"),
    ("train: {epochs: '20'}", "train.epochs", '"20"', "a whole number ≥ 1"),
    ("train: {epochs: 2.5}", "train.epochs", "2.5", "a whole number ≥ 1"),
    ("train: {epochs: 0}", "train.epochs", "0", "a whole number ≥ 1"),
    ("train: {epochs: null}", "train.epochs", "null", "a whole number ≥ 1"),
    ("train: {batch_size: 1}", "train.batch_size", "1", "≥ 2"),
    ("train: {lr: .inf}", "train.lr", "Infinity", "a number > 0"),
    ("train: {lr: -1}", "train.lr", "-1", "a number > 0"),
    ("train: {ema: 1.0}", "train.ema", "1.0", "a number > 0 and < 1 or null"),
    ("train: {compile: yes please}", "train.compile", '"yes please"', "true or false"),
    ("train: {optimizer: adamW}", "train.optimizer", '"adamW"', "did you mean adamw"),
    ("train: {precision: fp8}", "train.precision", '"fp8"', "one of fp32, bf16, fp16"),
    ("train: {augment: [crop, flipp]}", "train.augment", '"flipp"', "did you mean flip"),
    ("train: {augment: crop}", "train.augment", '"crop"', "a list, such as [a, b], of: crop, flip"),
    ("train: {deterministic: maybe}", "train.deterministic", '"maybe"', "true, false, warn"),
    ("train: 5", "train", "5", "a mapping of keys"),
    ("train: null", "train", "null", "a mapping of keys"),
    ("seed: -1", "seed", "-1", "a whole number ≥ 0 and < 9223372036854775808"),
    ("seed: true", "seed", "true", "a whole number"),
    ("device: gpu", "device", '"gpu"', "auto, cpu, cuda, cuda:1, or mps"),
    ("threads: automatic", "threads", '"automatic"', "a whole number ≥ 1 and ≤ 1024 or auto"),
    ("threads: 3000000000", "threads", "3000000000", "≤ 1024 or auto"),
    ("train: {epochs: 1:30}", "train.epochs", '"1:30"', "a whole number ≥ 1"),
    ("model: ''", "model", '""', "text that is not empty"),
    ("finetune: partial:0", "finetune", '"partial:0"', "partial:2"),
    ("finetune: prob", "finetune", '"prob"', "did you mean probe"),
    ("device: cude", "device", '"cude"', "did you mean cuda"),
    ("device: gpu", "device", '"gpu"', "did you mean auto, cuda or mps"),
    ("input_size: 4", "input_size", "4", "≥ 8 and ≤ 1024, or auto"),
    ("dataset: {on_corrupt: ignore}", "dataset.on_corrupt", '"ignore"', "one of stop, skip"),
    ("subset: {train: -5}", "subset.train", "-5", "an image count such as 5000"),
    ("subset: {train: 10000000000}", "subset.train", "10000000000", "an image count"),
    ("train: {epochs: 10000000000}", "train.epochs", "10000000000", "≤ 1000000000"),
    ("evaluate: {batch_size: 1000000}", "evaluate.batch_size", "1000000", "≤ 100000"),
    ("subset: {train: 1.5}", "subset.train", "1.5", "a share of the pool"),
    ("subset: {train: 1/0}", "subset.train", '"1/0"', "a share of the pool"),
    ("subset: {train: all}", "subset.train", '"all"', "full"),
    ("subset: {train: true}", "subset.train", "true", "full"),
    ("subset: {test: .nan}", "subset.test", "NaN", "full"),
    ("profile: {batch_sizes: []}", "profile.batch_sizes", "[]", "a whole number ≥ 1"),
    ("profile: {variants: [onx]}", "profile.variants", '"onx"', "Did you mean onnx?"),
]


@pytest.mark.parametrize(("text", "key", "value", "said"), MISTAKES)
def test_a_mistake_is_one_paragraph(tmp_path, text, key, value, said):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ParamsError) as caught:
        load_params(tmp_path / "params.yaml")
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'params.yaml'}: `{key}`")
    assert value in message
    assert said in message
    assert "\n" not in message


CONFLICTS = [
    ("subset: {train: 0}", "`subset.train` is 0"),
    ("subset: {test: 0}", "`subset.test` is 0"),
    ("subset: {val: full}", "leaves nothing to train on"),
    ("train: {warmup_epochs: 20, epochs: 20}", "shorter than the training"),
    ("train: {schedule: one_cycle, warmup_epochs: 2}", "of `train.pct_start`"),
    ("train: {augment: [crop, crop]}", "name each once"),
    ("train: {batch_size: 10, accumulate: 3}", "a divisor of the batch size"),
    ("{subset: {val: 0}, train: {early_stopping: 3}}", "`train.early_stopping: null`"),
    ("finetune: head", "`pretrained: true`"),
    ("train: {normalization: weights}", "set it to auto or subset"),
    *(
        (f"profile: {{variants: [{name}]}}", "exclude each other")
        for name in (
            "bf16+fp16", "onnx+bf16", "compile+onnx", "channels_last+onnx", "int8+bf16",
            "int8+onnx", "int8+fast",
        )
    ),
    ("profile: {variants: [int8+int8]}", "which names int8 twice"),
    ("profile: {variants: [int8+]}", '"int8+"'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), CONFLICTS)
def test_values_that_do_not_go_together(text, said):
    with pytest.raises(ParamsError) as caught:
        parse_params(yaml.safe_load(text), "params.yaml")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_several_mistakes_are_all_told_once():
    values = {"seed": -1, "threads": "automatic", "train": {"epochs": 0, "schedule": "cosin"}}
    with pytest.raises(ParamsError) as caught:
        parse_params(values, "params.yaml")
    paragraphs = str(caught.value).split("\n")
    keys = [paragraph.split("`")[1] for paragraph in paragraphs]
    assert sorted(keys) == ["seed", "threads", "train.epochs", "train.schedule"]


def test_a_long_value_is_cut():
    with pytest.raises(ParamsError) as caught:
        parse_params({"seed": "x" * 10_000}, "params.yaml")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("text", ["a: b: c", "train:\n\t- x", "\x00", "- 1", "hello", ""])
def test_what_is_no_mapping(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ParamsError) as caught:
        load_params(tmp_path / "params.yaml")
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "params.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ParamsError, match="not valid YAML"):
        load_params(tmp_path / "params.yaml")


def test_a_missing_file(tmp_path):
    for path in (tmp_path / "params.yaml", tmp_path):
        with pytest.raises(ParamsError, match="There is no"):
            load_params(path)


def test_the_projects_own_file_is_valid(root):
    load_params(root / "params.yaml")


def test_numbers_as_people_write_them(tmp_path):
    (tmp_path / "params.yaml").write_text("train: {lr: 1e-3, weight_decay: 5E-4}")
    params = load_params(tmp_path / "params.yaml")
    assert (params.train.lr, params.train.weight_decay) == (0.001, 0.0005)


shares = st.floats(1e-6, 1) | st.integers(1, 64).map(lambda n: f"1/{n}")
amounts = st.integers(1, 10**9) | shares
valid = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(["lenet_large", "timm/resnet18", "torchvision/vit_b_16"]),
        "seed": st.integers(0, 2**63 - 1),
        "input_size": st.integers(8, 1024),
        "device": st.sampled_from(["auto", "cpu", "cuda", "cuda:3", "mps"]),
        "threads": st.just("auto") | st.integers(1, 256),
        "pretrained": st.booleans() | st.just("weights.safetensors"),
        "subset": st.fixed_dictionaries(
            {}, optional={"train": amounts | st.just("full"), "val": amounts | st.just(0)}
        ),
        "train": st.fixed_dictionaries(
            {},
            optional={
                "epochs": st.integers(2, 1000),
                "lr": st.floats(1e-8, 10),
                "augment": st.lists(st.sampled_from(["crop", "flip", "cutmix"]), unique=True),
                "ema": st.none() | st.floats(0.1, 0.9),
                "deterministic": st.sampled_from([True, False, "warn"]),
            },
        ),
    },
)


@given(valid)
def test_valid_params_survive_yaml(values):
    params = parse_params(values, "params.yaml")
    text = yaml.safe_dump(params.model_dump(mode="json"))
    assert parse_params(yaml.safe_load(text), "params.yaml") == params
    for key, value in values.get("train", {}).items():
        assert getattr(params.train, key) == value


def values_of_any_kind() -> st.SearchStrategy[object]:
    """What YAML may hold in the place of a value, mostly of a wrong kind or out of range."""
    plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    return (
        plain
        | st.lists(plain, max_size=3)
        | st.dictionaries(st.text(max_size=4), plain, max_size=2)
    )


def sections_of_any_kind() -> dict[str, st.SearchStrategy[object]]:
    """The keys of the parameter file, sections with their own, each with a value of any kind."""
    found = {}
    for name, field in Params.model_fields.items():
        found[name] = values_of_any_kind()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            inner = {key: values_of_any_kind() for key in field.annotation.model_fields}
            found[name] |= st.fixed_dictionaries({}, optional=inner)
    return found


@given(st.fixed_dictionaries({}, optional=sections_of_any_kind()))
@settings(max_examples=300)
def test_nonsense_never_escapes_as_a_traceback(values):
    with contextlib.suppress(ParamsError):
        parse_params(values, "params.yaml")


@given(st.integers(1, 10**7), st.integers(1, 64))
def test_amounts(pool, part):
    assert images_of("full", pool) is None
    assert images_of(part, pool) == part
    assert images_of(f"1/{part}", pool) == pool // part
    assert images_of(1.0, pool) == pool
    assert images_of(0.1, pool) == pool // 10


def test_params_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Params().seed = 3
