"""What dvc.yaml declares of a stage: the parameters and files that it depends on or writes.

Read from there, so that nothing says it a second time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.core.errors import ParamsError
from stages.core.paths import PIPELINE
from stages.core.yaml_text import YamlError, parse_yaml


@dataclass(frozen=True)
class Declared:
    """`keys` are dotted names in params.yaml, of values or whole sections; None for all of it."""

    keys: tuple[str, ...] | None
    outputs: tuple[Path, ...]
    inputs: tuple[Path, ...] = ()


def declared_stages(pipeline: Path = PIPELINE) -> dict[str, Declared]:
    """Every stage of the pipeline by name; none where there is no pipeline.

    Raises ParamsError when the file is no pipeline.
    """
    if not pipeline.is_file():
        return {}
    try:
        stages = parse_yaml(pipeline.read_text(encoding="utf-8"))["stages"]
        return {name: _declared(stage) for name, stage in stages.items()}
    except (YamlError, UnicodeDecodeError, TypeError, KeyError, AttributeError) as error:
        raise ParamsError(f"{pipeline} is not a pipeline of DVC's: {error}.") from None


def _declared(stage: dict[str, Any]) -> Declared:
    return Declared(
        tuple(key for key in stage.get("params", []) if isinstance(key, str)),
        tuple(Path(path) for path in _outputs(stage)),
        tuple(Path(path) for path in stage.get("deps", [])),
    )


def _outputs(stage: dict[str, Any]) -> Iterator[str]:
    for kind in ("outs", "metrics", "plots"):
        for entry in stage.get(kind, []):
            yield entry if isinstance(entry, str) else next(iter(entry))
