"""All that a finished run left behind, read into one value.

A comparison takes what is there: what cannot be read is None and is named in `missing`, so that the
answers which need it can say so. The report wants whole files: strict reading refuses damaged ones.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.core import paths
from stages.core.errors import RunError
from stages.core.metrics import all_values
from stages.core.records import FILES
from stages.core.yaml_text import parse_yaml
from stages.runs.belonging import strangers
from stages.runs.made_with import PARAMS, told_code, told_params
from stages.runs.schema import CELL, KEYS, Types
from stages.runs.sources import Source
from stages.runs.tables import TABLES, Lack, as_recorded, read_table, require_whole

if TYPE_CHECKING:
    import pandas as pd

Json = dict[str, Any]

JSON_FILES = {
    "hardware": paths.MACHINE,
    "numerics": paths.NUMERICS,
    "subset": paths.SUBSET_METRICS,
    "train": paths.TRAIN_METRICS,
    "evaluate": paths.EVALUATE_METRICS,
    "profile": paths.PROFILE_METRICS,
}
OLDER = {paths.MACHINE: paths.HARDWARE}
"""Where runs of an earlier layout have what a file holds."""
COMPARED = (*JSON_FILES, "predictions", "history", "trace", "tensors", "inside")
REPORTED = (
    "hardware", "subset", "train", "evaluate", "profile", "history", "predictions",
    "all_predictions", "per_class", "reliability", "profile_table", "profile_blocks",
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """A run. Metrics are {} and tables None where they are missing, or were not asked for."""

    name: str
    params: Json = field(default_factory=dict)
    hardware: Json = field(default_factory=dict)
    numerics: Json = field(default_factory=dict)
    subset: Json = field(default_factory=dict)
    train: Json = field(default_factory=dict)
    evaluate: Json = field(default_factory=dict)
    profile: Json = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)
    """The identity of the code of the train and evaluate stages, or of a cell's."""
    indices_sha256: str | None = None
    predictions: "pd.DataFrame | None" = None
    history: "pd.DataFrame | None" = None
    trace: "pd.DataFrame | None" = None
    tensors: "pd.DataFrame | None" = None
    inside: "pd.DataFrame | None" = None
    all_predictions: "pd.DataFrame | None" = None
    per_class: "pd.DataFrame | None" = None
    reliability: "pd.DataFrame | None" = None
    profile_table: "pd.DataFrame | None" = None
    profile_blocks: "pd.DataFrame | None" = None
    pictures: dict[str, bytes] = field(default_factory=dict)
    """PNG by name."""
    lacks: tuple[Lack, ...] = ()
    """Each once: one file may hold two tables."""

    @property
    def missing(self) -> tuple[str, ...]:
        """What it lacks, in words."""
        return tuple(map(str, self.lacks))

    @property
    def damaged(self) -> tuple[str, ...]:
        """What of it is there, but not as it was recorded."""
        return tuple(dict.fromkeys(str(lack.what) for lack in self.lacks if lack.damaged))

    @property
    def answers(self) -> "pd.DataFrame | None":
        """The answers to all test images, with losses; without DVC's cache, those in git."""
        return self.predictions if self.all_predictions is None else self.all_predictions

    @property
    def is_perturbed(self) -> bool:
        """Whether the run began with one weight moved by one ULP."""
        return bool(self.params.get("train", {}).get("perturb_one_ulp", False))

    @property
    def is_empty(self) -> bool:
        """Whether nothing of a run was there at all."""
        known = self.params or self.hardware or self.train or self.evaluate
        return not known and self.predictions is None and self.trace is None


def load_run(source: Source) -> Run:
    """Read a run or a study's cell for comparison. Raises RunError when it is neither."""
    if (content := source.read(CELL)) is not None:
        from stages.runs.cell import run_of_cell

        return run_of_cell(source, content)
    run = read_run(source)
    if "grids" in run.params:
        raise RunError(
            f"{source.name} is a study, which is many runs. Name one of its cells, a folder in "
            "`cells` or `machines` there; how the answers of machines agree is on its page."
        )
    if run.is_empty:
        raise RunError(
            f"{source.name} holds no run: neither {paths.PARAMS} nor any of the metrics and tables "
            f"that the pipeline writes, nor a study's {CELL}. Name the folder that has "
            "`params.yaml`, `metrics` and `plots` in it, a study's cell, or REVISION:FOLDER for a "
            "folder of a revision."
        )
    return run


def read_run(source: Source) -> Run:
    """Read the files of a run that a comparison needs, as far as they are there."""
    lacks: list[Lack] = []
    values = _read(source, COMPARED, lacks)
    values["numerics"] = _numerics(values["numerics"])
    params = parsed(source, paths.PARAMS, parse_yaml, lacks)
    subset, train, evaluate = (values[name] for name in ("subset", "train", "evaluate"))
    if params and train and PARAMS not in train:
        lacks.append(Lack(paths.TRAIN_METRICS, "tells no parameters: params.yaml's are taken"))
    told = told_params(params, values["profile"], evaluate, subset, train)
    if train and not subset:  # which images were asked for is not known any more
        told.pop("subset", None)
    return Run(
        name=source.name,
        params=well_typed(told, KEYS[paths.PARAMS], paths.TRAIN_METRICS, lacks),
        code=told_code(train=train, evaluate=evaluate),
        indices_sha256=_indices_sha256(source, values["train"]),
        lacks=tuple(dict.fromkeys(lacks)),
        **values,
    )


def read_strictly(source: Source) -> Run:
    """Read what a report shows, but parameters. Raises RunError, naming all damaged files."""
    lacks: list[Lack] = []
    values = _read(source, REPORTED, lacks)
    recorded = _recorded({name: values[name] for name in JSON_FILES if name in values})
    pictures = {}
    for name in map(Path, source.names(paths.PICTURES) if values["evaluate"] else ()):
        place = paths.PICTURES / name
        if (picture := source.read(place)) is not None:
            pictures[name.stem] = picture
            if not as_recorded(picture, place, recorded):
                lacks.append(Lack(place, "not the file that was recorded", damaged=True))
    lacks += [
        Lack(path)
        for path in map(Path, recorded)
        if path.parent == paths.PICTURES and path.stem not in pictures and values["evaluate"]
    ]
    require_whole(source, lacks)
    return Run(
        name=source.name,
        pictures=pictures,
        lacks=tuple(dict.fromkeys(lacks)),
        **values,
    )


def _read(source: Source, parts: Sequence[str], lacks: list[Lack]) -> dict[str, Any]:
    values: dict[str, Any] = {
        name: parsed(source, path, parse_json, lacks)
        for name, path in JSON_FILES.items()
        if name in parts
    }
    recorded = _recorded(values)
    tables = {
        name: read_table(source, TABLES[name], lacks, recorded)
        for name in parts
        if name not in JSON_FILES
    }
    left_out = strangers(values, lacks)
    values |= {name: {} for name in left_out & values.keys()}
    return values | tables | dict.fromkeys(left_out & tables.keys())


def _recorded(values: Mapping[str, Json]) -> dict[str, str]:
    """The hashes of files that the metrics have, by path."""
    return {k: v for value in values.values() for k, v in (value.get(FILES) or {}).items()}


def parsed(source: Source, path: Path, parse: Callable[[str], Any], lacks: list[Lack]) -> Json:
    """A file's keys and values; {}, with a note in `lacks`, when there are none to be had."""
    content = source.read(path)
    if content is None and path in OLDER:
        content = source.read(OLDER[path])
    if content is None:
        lacks.append(Lack(path))
        return {}
    try:
        value = parse(content.decode())
        if not isinstance(value, dict):
            raise ValueError("it does not hold keys and values")
    except ValueError as error:
        reason = f"unreadable: {str(error).splitlines()[0]}"
        lacks.append(Lack(path, reason, damaged=True))
        return {}
    return well_typed(value, KEYS.get(path, {}), path, lacks)


def parse_json(text: str) -> Any:
    """The content of a JSON file; of metrics, all values at one level."""
    value = json.loads(text)
    return all_values(value) if isinstance(value, dict) else value


def well_typed(value: Mapping[str, Any], types: Types, path: Path, lacks: list[Lack]) -> Json:
    """The value without keys that hold another type than they should; null is as good as absent."""
    wrong = [key for key in types.keys() & value if not isinstance(value[key], types[key])]
    told = sorted(key for key in wrong if value[key] is not None)
    if told:
        lacks.append(Lack(path, f"damaged: {', '.join(told)}", damaged=True))
    return {key: item for key, item in value.items() if key not in wrong}


def _numerics(told: Json) -> Json:
    """The probes' readings as fields; of an earlier layout's texts the hash is taken alone."""
    texts = told.get("bits", {})
    older = {name: {"bits": str(text).partition(",")[0]} for name, text in texts.items()}
    readings = told.get("readings", older)
    varying = told.get("not_repeatable", [])
    names = varying if isinstance(varying, list) else varying.split()
    return told | {
        "readings": {name: fields for name, fields in readings.items() if isinstance(fields, dict)},
        "not_repeatable": [str(name) for name in names if name != "none"],
    }


def _indices_sha256(source: Source, train: Json) -> str | None:
    """Which images were used: as the training recorded it, else from the list itself."""
    if "indices_sha256" in train:
        return str(train["indices_sha256"])
    content = source.read(paths.INDICES)
    return hashlib.sha256(content).hexdigest() if content is not None else None
