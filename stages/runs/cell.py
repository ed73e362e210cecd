"""A study's cell as a run: its figures stand in one file, `cell.json`."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from stages.core import paths
from stages.core.errors import UserError
from stages.core.records import FILES
from stages.runs.cell_file import parse_cell
from stages.runs.run import Json, Run, parse_json, parsed, well_typed
from stages.runs.schema import CELL, CELL_PREDICTIONS, KEYS, STUDY_HARDWARE
from stages.runs.sources import Source
from stages.runs.tables import CELL_TABLES, Lack, read_table
from stages.studies.spec.identity import first_values, identity_of
from stages.studies.spec.study_config import parse_study_config


def run_of_cell(source: Source, content: bytes) -> Run:
    """A cell as a run, as far as its file and its study tell. Raises RunError for a damaged one."""
    cell, lacks = parse_cell(content, f"{source.name}/{CELL}"), list[Lack]()
    study = _study(source, cell)
    train, evaluate, profile, machine = (
        well_typed(cell.get(name) or {}, KEYS.get(path, {}), CELL, lacks)
        for name, path in (
            ("train", paths.TRAIN_METRICS), ("evaluate", paths.EVALUATE_METRICS),
            ("profile", paths.PROFILE_METRICS), ("machine", paths.MACHINE),
        )
    )  # fmt: skip
    if where := cell.get("diverged"):
        lacks.append(Lack(CELL, f"the training diverged in epoch {where['epoch']}"))
    recorded = cell.get(FILES) or {}
    answers = read_table(source, CELL_TABLES["predictions"], lacks, recorded)
    run = Run(
        name=source.name,
        params=_params(study, cell, lacks),
        hardware=_hardware(study, machine, lacks),
        train=train | {"digests_sha256": cell.get("indices_sha256")},
        evaluate=evaluate,
        profile=profile,
        code={"cell": str(cell["code"])} if cell.get("code") else {},
        predictions=None if answers is None else _in_words(answers, evaluate, lacks),
        history=read_table(source, CELL_TABLES["history"], lacks, recorded),
        trace=_trace(cell, lacks),
    )
    never = [Lack("readings of numeric probes"), Lack("the inside of steps")]  # nor the weights
    return replace(run, lacks=tuple(dict.fromkeys([*lacks, *never])))


def params_of_cell(source: Source, cell: Json) -> Json:
    """The parameters a cell was made with; {} where neither it nor its study tells them."""
    return _params(_study(source, cell), cell, [])


def _study(source: Source, cell: Json) -> Source:
    """The study's folder: `cells/NAME` is below it, or `machines/DNA/NAME` of another machine."""
    deep = len(Path(str(cell.get("cell"))).parts)
    above, further = (source.within(Path(*[".."] * (deep + up))) for up in (1, 2))
    return above if above.read(paths.PARAMS) is not None else further


def _params(study: Source, cell: Json, lacks: list[Lack]) -> Json:
    """The cell's parameters, those of before 0.2 from its study; {} when that was changed since."""
    if told := cell.get("params"):
        return dict(told)
    content = study.read(paths.PARAMS)
    if content is None:
        lacks.append(Lack(paths.PARAMS))
        return {}
    try:
        form = parse_study_config(content.decode(), study.name, Path(study.name))
        found = form.find(*(cell[key] for key in ("model", "size", "recipe", "seed")))
        params = form.params(found)
    except (UserError, ValueError, KeyError):
        params = None
    if params is None or identity_of(params) != cell.get("params_id"):
        lacks.append(Lack(paths.PARAMS, "not as when the cell was made"))
        return {}
    return first_values(params)


def _hardware(study: Source, machine: Json, lacks: list[Lack]) -> Json:
    """What the study knows of its machine where it made the cell; else the main facts."""
    whole = parsed(study, STUDY_HARDWARE, parse_json, lacks)
    if whole.get("machines") == "any":
        lacks.append(Lack("hardware facts but the main ones", "`machines: any` keeps no more"))
    elif whole and whole.get("id") == machine.get("id"):
        return whole
    elif whole:
        lacks.append(Lack(STUDY_HARDWARE, "of another machine"))
    return machine


def _in_words(answers: pd.DataFrame, evaluate: Json, lacks: list[Lack]) -> pd.DataFrame | None:
    """Names of classes for their numbers, and names of images as the pipeline writes them."""
    classes = dict(enumerate(evaluate.get("top1_per_class", {})))
    try:
        numbers = answers[["label", "predicted"]].astype(int)
        words = numbers.map(classes.__getitem__) if classes else numbers.astype(str)
    except (ValueError, KeyError):
        lacks.append(Lack(CELL_PREDICTIONS, "damaged: a class without a name", damaged=True))
        return None
    names = answers["name"]
    if names.str.startswith("test/").all():
        names = names.str.removeprefix("test/")
    return answers.assign(name=names, label=words["label"], predicted=words["predicted"])


def _trace(cell: Json, lacks: list[Lack]) -> pd.DataFrame | None:
    """The few traced steps; cells of before 0.2 have no column of gradients."""
    try:
        rows = [
            {"step": int(step), "loss_hex": float(row["loss"]).hex(), **row}
            for step, row in (cell.get("trace") or {}).items()
        ]
    except (AttributeError, KeyError, TypeError, ValueError):
        rows = []
    if not rows:
        lacks.append(Lack("traced steps"))
        return None
    table = pd.DataFrame(rows)
    if "grad_hash" not in table:
        lacks.append(Lack("hashes of gradients"))
    return table
