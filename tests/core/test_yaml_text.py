"""YAML is read as DVC reads it, and what is no finite tree of values is refused."""

import pytest
from dvc.utils.serialize import parse_yaml as dvc_parse_yaml

from stages.core.errors import ParamsError
from stages.core.params import read_params
from stages.core.yaml_text import YamlError, parse_yaml

SPELLINGS = ["040", "010", "0o10", "0x1F", "1:30", "yes", "on", "No", "~", "1e-3", "1E5", "12e03",
             ".5", "1_000", "-.inf", "true", "'1'", "2001-01-01"]  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_value_is_what_dvc_takes_it_for(spelling):
    text = f"train: {{lr: {spelling}}}"
    assert parse_yaml(text) == dvc_parse_yaml(text, "params.yaml")


def test_octal_and_sexagesimal_are_of_an_older_yaml():
    assert parse_yaml("a: 040\nb: 1:30\nc: yes") == {"a": 40, "b": "1:30", "c": "yes"}


REFUSED = {
    "a key given twice": ("seed: 1\nseed: 2", "the key seed is given twice, line 2"),
    "a bracket left open": ("train: {epochs: 1", "line 1, column 18"),
    "nested without end": ("a: " + "[" * 5000 + "]" * 5000, "nested too deeply"),
    "holding itself": ("a: &a [*a]", "aliases"),
    "doubling aliases": (
        "a0: &a0 [1, 1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)),
        "aliases",
    ),
    "a number of 5,000 digits": ("seed: " + "9" * 5000, "4300 digits"),
    "an unknown tag": ("seed: !!python/name:os.system", "tag"),
    "a control character": ("seed: \x01", "special characters are not allowed"),
    "two documents": ("--- 1\n--- 2", "another document"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_says_why_on_one_line(case):
    text, told = REFUSED[case]
    with pytest.raises(YamlError) as caught:
        parse_yaml(text)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(ParamsError, match=r"^params\.yaml is not valid YAML: "):
        read_params(text, "params.yaml")


def test_anchors_are_allowed():
    assert parse_yaml("a: &x {b: 1}\nc: *x") == {"a": {"b": 1}, "c": {"b": 1}}
