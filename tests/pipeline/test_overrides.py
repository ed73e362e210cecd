"""`-S` after `-S`: DVC rewrites params.yaml each time, and it stays what the values say."""

from itertools import product
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

VALUES = ["train.augment=[]", "train.augment=[flip]", "train.augment=[crop,flip]",
          "profile.variants=[]", "profile.batch_sizes=[1]", "model=lenet_small"]  # fmt: skip


@pytest.mark.parametrize("first", VALUES)
def test_any_three_settings_in_a_row_are_taken(first: str, root: Path, tmp_path: Path) -> None:
    """A comment behind a list broke the file at the second `[]`, said by DVC to be corrupted."""
    for second, third in product(VALUES, VALUES):
        written = tmp_path / "params.yaml"
        written.write_text((root / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
        for value in (first, second, third):
            apply_overrides(written, [value])
        found = yaml.safe_load(written.read_text(encoding="utf-8"))
        key, _, value = third.partition("=")
        section, _, name = key.partition(".")
        told = found[section][name] if name else found[section]
        assert told == yaml.safe_load(value)
