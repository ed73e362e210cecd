"""What a plan has to estimate from: cells that ran, lists of pictures, and rehearsals of recipes.

Leaves adding up to `estimate`, and measuring a recipe to `rehearsal`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from stages.core.combinations import FROZEN
from stages.core.errors import UserError
from stages.core.files import sha256_of_json
from stages.core.params import Params
from stages.pages.formatting import duration
from stages.studies.run.cell import decides_cost
from stages.studies.run.estimate import Known, estimate, images_in
from stages.studies.run.machine import declared_id
from stages.studies.run.pictures import images_by_split
from stages.studies.run.rehearsal import Pace, pace_file, pace_of
from stages.studies.run.states import is_of
from stages.studies.spec.study_config import Cell, StudyConfig


def known_of(
    form: StudyConfig,
    params: Mapping[str, Params],
    cells: Mapping[str, Mapping[str, Any]],
    own: Mapping[str, str],
) -> Known:
    """What `cells`, by their names, and the lists of pictures say; nothing is rehearsed.

    `own` is the machine that each cell is planned for.
    """
    listed = cache(lambda dataset: images_by_split(form, dataset))
    ours = {name for name, found in cells.items() if is_of(found, own[name])}
    known = Known(
        here=[found for name, found in cells.items() if name in ours],
        elsewhere=[found for name, found in cells.items() if name not in ours],
        images=lambda params: images_in(params, listed(params.dataset)),
        pace=lambda params: None,
    )
    return replace(known, features=features(form, params, known))


class Rehearsals:
    """The recipes that estimates ask for, rehearsed as they do, with how many are to go."""

    def __init__(
        self,
        form: StudyConfig,
        missing: Mapping[str, Params],
        known: Known,
        log: Callable[[str], None],
    ) -> None:
        self._log, self._began, self._done = log, time.perf_counter(), 0
        self._failed: set[Path] = set()
        wanted: set[Path] = set()

        def note(params: Params) -> None:
            try:
                file = pace_file(params, declared_id(params))
            except UserError:  # told where it is measured
                return
            if not file.exists():
                wanted.add(file)

        for cell in form.cells:
            if cell.name in missing:
                estimate(cell, missing[cell.name], replace(known, pace=note))
        self._wanted = len(wanted)

    def pace(self, params: Params) -> Pace | None:
        """What a rehearsal took, None where it cannot be; the cell itself will say why."""
        try:
            machine = declared_id(params)
            file = pace_file(params, machine)
            if file in self._failed:
                return None
            self._failed.add(file)
            found = pace_of(params, machine, self._told)
            self._failed.remove(file)
            return found
        except UserError as error:
            self._log(f"{params.model}: {error}")
            return None

    def _told(self, line: str) -> None:
        left = ""
        if self._done:
            each = (time.perf_counter() - self._began) / self._done
            left = f", about {duration(each * (self._wanted - self._done))} to go"
        self._done += 1
        self._log(f"{self._done} of {self._wanted}: {line}{left} …")


def network_of(form: StudyConfig, cell: Cell) -> str:
    """The identity of what is measured once for all cells that share it."""
    return sha256_of_json(decides_cost(form.params(cell).model_dump(mode="json")))


def fresh(form: StudyConfig, own: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """The cells that come first of their network and settings of the profile, and measure it."""
    met = {
        sha256_of_json(decides_cost(one["params"]))
        for one in own
        if one.get("profile") and "params" in one
    }
    found = set()
    for cell in form.cells:
        if (network := network_of(form, cell)) not in met:
            found.add(cell.name)
            met.add(network)
    return frozenset(found)


def features(form: StudyConfig, params: Mapping[str, Params], known: Known) -> dict[str, int]:
    """How many images each cell is the first to put through its frozen trunk, in the form's order.

    Sizes are nested, and runs of all seeds share the images that `subset.seed` draws.
    """
    kept: dict[tuple[Any, ...], int] = {}
    found = {}
    for cell in form.cells:
        own = params[cell.name]
        images = known.images(own) if own.finetune in FROZEN else None
        if images is not None:
            pictures = own.dataset.model_dump_json(), own.subset.seed
            network = (own.model, own.input_size, str(own.pretrained), *pictures)
            found[cell.name] = max(0, sum(images) - kept.get(network, 0))
            kept[network] = max(sum(images), kept.get(network, 0))
    return found
